//! Commands in the reference and in the operator's guide: each one for both hosts.

use std::collections::BTreeSet;
use std::fs;

use crate::support::project;

fn page(file: &str) -> String {
    fs::read_to_string(project().join(file)).unwrap()
}

/// The same command of OpenSIPS, with what stays kamcmd's own.
fn of_opensips(command: &str) -> Option<String> {
    Some(format!("opensips-cli -x mi sipwarden_{}", command.strip_prefix("kamcmd sipwarden.")?))
}

/// Texts that kamcmd would take for numbers, empty ones, and those with a `=`, which would be a
/// name.
fn differs(command: &str) -> bool {
    command.contains(" s:") || command.contains('=')
}

#[test]
fn examples_of_the_reference_are_there_for_both() {
    let page = page("docs/reference.md");
    let mut seen = 0;
    for block in page.split("```\n").filter(|block| block.starts_with("kamcmd sipwarden.")) {
        let (ours, theirs): (Vec<_>, Vec<_>) =
            block.lines().partition(|line| line.starts_with("kamcmd "));
        assert_eq!(ours.len(), theirs.len(), "{block}");
        for (command, other) in ours.iter().zip(theirs) {
            let expected = of_opensips(command).unwrap();
            let method = |text: &str| text.split(' ').nth(3).map(str::to_owned);
            assert_eq!(method(other), method(&expected), "{block}");
            assert!(differs(command) || other == expected, "{command}: {other}");
            seen += 1;
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn the_operators_guide_has_each_of_its_commands_for_both() {
    let text = page("docs/operators.md").split_whitespace().collect::<Vec<_>>().join(" ");
    let (guide, table) = text.split_once("## In OpenSIPS").unwrap();
    let commands: BTreeSet<_> = guide.split('`').filter_map(of_opensips_of_mark).collect();
    assert!(commands.len() > 20, "{commands:?}");
    for (command, other) in &commands {
        let row = format!("| `{command}` | `{other}` |");
        assert!(table.contains(&row), "{row}");
    }
    assert_eq!(table.matches("| `kamcmd sipwarden.").count(), commands.len(), "{table}");
}

fn of_opensips_of_mark(mark: &str) -> Option<(String, String)> {
    Some((mark.to_owned(), of_opensips(mark)?))
}
