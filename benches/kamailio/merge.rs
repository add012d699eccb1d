//! Some sections measured anew, put into the page that is there.

use std::fs;
use std::path::Path;

use super::report::{Section, Table, markdown, targets};
use super::{page, reasons};

const TARGETS: &str = "## Targets\n";
const MISSED: &str = "## Where a target is missed, and why\n";

/// The part of the page from a heading to the next one of its kind; empty at the end of the
/// page if it is not there.
fn part(page: &str, heading: &str) -> std::ops::Range<usize> {
    let Some(start) = page.find(heading) else { return page.len()..page.len() };
    let rest = start + heading.len();
    let end = page[rest..].find("\n## ").map_or(page.len(), |at| rest + at + 1);
    start..end
}

/// The rows of the table of targets.
fn rows(part: &str) -> Vec<Vec<String>> {
    let lines = part.lines().filter(|line| line.starts_with('|')).skip(2);
    let cells = |line: &str| {
        let line = line.trim_matches(['|', ' ']);
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    lines.map(cells).collect()
}

/// The page with the targets of these sections in place of those that have the same names.
fn with_targets(page: &str, sections: &[Section]) -> String {
    let at = part(page, TARGETS);
    let fresh = targets(sections);
    let columns = fresh.head.len();
    let mut all = rows(&page[at.clone()]);
    for row in &mut all {
        // An empty note goes with the bar behind it.
        row.resize(columns, String::new());
    }
    for row in fresh.rows {
        match all.iter_mut().find(|old| old[0] == row[0]) {
            Some(old) => *old = row,
            None => all.push(row),
        }
    }
    let table = markdown(&Table { head: fresh.head, rows: all });
    format!("{}{TARGETS}\n{table}\n{}", &page[..at.start], &page[at.end..])
}

fn with_reasons(page: &str, sections: &[Section]) -> String {
    let at = part(page, MISSED);
    let of_these = |line: &&str| {
        let mut figures = sections.iter().flat_map(|section| &section.figures);
        figures.any(|figure| line.starts_with(&format!("- **{}**", figure.name)))
    };
    let old = page[at.clone()].lines().skip(1).filter(|line| line.starts_with("- "));
    let old: String = old.filter(|line| !of_these(line)).map(|line| format!("{line}\n")).collect();
    let fresh = reasons::section(sections);
    format!("{}{MISSED}\n{old}{fresh}\n{}", &page[..at.start], &page[at.end..])
}

fn with_section(page: &str, section: &Section, docs: &Path) -> String {
    let block = page::block(section, docs, Some(&page::made()));
    let at = part(page, &format!("## {}\n", section.title));
    let space = if page[..at.start].ends_with("\n\n") { "" } else { "\n" };
    let behind = if at.end < page.len() { "\n" } else { "" };
    format!("{}{space}{block}{behind}{}", &page[..at.start], &page[at.end..])
}

/// Writes the page anew, with these sections.
pub fn write(sections: &[Section], docs: &Path) {
    let file = docs.join("benchmarks.md");
    let mut page = fs::read_to_string(&file).unwrap();
    for section in sections {
        page = with_section(&page, section, docs);
    }
    page = with_targets(&page, sections);
    page = with_reasons(&page, sections);
    fs::write(file, page).unwrap();
}
