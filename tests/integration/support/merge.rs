//! The platform's configurations with sipwarden's calls, as the guide says.

use std::fs;
use std::path::Path;

use super::project;

/// A line that the guide adds.
#[derive(Debug)]
pub struct Call {
    /// As `route[AUTH]`; None: at the top level.
    route: Option<String>,
    after: bool,
    anchor: String,
    pub line: String,
}

/// The guide's table for `users` or `trunks`.
pub fn calls(proxy: &str) -> Vec<Call> {
    let guide = fs::read_to_string(project().join("docs/ivozprovider.md")).unwrap();
    let heading = match proxy {
        "users" => "### Users:",
        _ => "### Trunks:",
    };
    let section = guide.split(heading).nth(1).expect("the table of calls");
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let quoted = |cell: &str| cell.split('`').nth(1).map(str::to_owned);
    let row = |line: &str| {
        let cells: Vec<_> = line.split(" | ").collect();
        Call {
            route: quoted(cells[0]),
            after: cells[1].starts_with("after"),
            anchor: quoted(cells[1]).unwrap(),
            line: quoted(cells[2]).unwrap(),
        }
    };
    rows.take_while(|line| line.starts_with('|')).map(row).collect()
}

/// The configuration with these lines added.
pub fn merge<'a>(text: &str, calls: impl IntoIterator<Item = &'a Call>) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    for call in calls {
        let begin = match &call.route {
            Some(route) => lines.iter().position(|line| line.starts_with(route.as_str())),
            None => Some(0),
        };
        let begin = begin.unwrap_or_else(|| panic!("no place for {call:?}"));
        let found = lines[begin..].iter().position(|line| line.contains(&call.anchor));
        let at = begin + found.unwrap_or_else(|| panic!("no place for {call:?}"));
        lines.insert(at + usize::from(call.after), &call.line);
    }
    lines.join("\n") + "\n"
}

/// A folder as the guide makes one: `kamailio.cfg` with all calls, and what it includes.
pub fn install(proxy: &str, folder: &Path, settings: &str) {
    let ours = project().join("kamailio-cfg");
    for name in [format!("sipwarden-{proxy}.cfg"), "sipwarden-common.cfg".into()] {
        fs::copy(ours.join("ivozprovider").join(&name), folder.join(&name)).unwrap();
    }
    fs::copy(ours.join("http.cfg"), folder.join("http.cfg")).unwrap();
    fs::write(folder.join("sipwarden-settings.cfg"), settings).unwrap();
    let mut stock = stock(proxy);
    if settings.contains("\n#!define SIPWARDEN_PAGE") {
        let route = "event_route[xhttp:request] {\n";
        stock = stock.replace(route, &format!("{route}\troute(SIPWARDEN_HTTP);\n"));
    }
    fs::write(folder.join("kamailio.cfg"), merge(&stock, &calls(proxy))).unwrap();
}

/// The configuration as a platform has it.
pub fn stock(proxy: &str) -> String {
    fs::read_to_string(project().join(format!("tests/ivozprovider/{proxy}.cfg"))).unwrap()
}

/// The shipped settings with these logins, which an operator would type, and more lines:
/// a name and its value, or a whole `modparam(...)` without one.
pub fn settings(db_url: &str, audit_url: &str, watch: bool, more: &[(&str, &str)]) -> String {
    let path = project().join("kamailio-cfg/ivozprovider/sipwarden-settings.cfg");
    let mut text = fs::read_to_string(path).unwrap();
    let mut replace = |old: &str, new: &str| {
        assert!(text.contains(old), "{old}");
        text = text.replace(old, new);
    };
    let at = |user: &str| format!("mysql://{user}@data.ivozprovider.local/sipwarden");
    replace(&at("sipwarden:change-me"), db_url);
    replace(&at("sipwarden_audit:change-me-too"), audit_url);
    if !watch {
        replace("\n#!define SIPWARDEN_WATCH\n", "\n");
    }
    for (name, value) in more {
        let line = match name.starts_with("modparam(") {
            true => (*name).to_owned(),
            false => format!("#!define {name} {value}"),
        };
        text.push_str(&(line + "\n"));
    }
    text
}
