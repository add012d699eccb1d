//! `benchmarks.md` and its charts.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::chart;
use super::reasons;
use super::report::{Section, markdown, targets};
use super::support::project;

fn first_line(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).output();
    let text = out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").trim().to_owned()
}

fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|l| l.starts_with(name));
    line.and_then(|l| l.split_once(':')).map_or("unknown".into(), |(_, v)| v.trim().to_owned())
}

fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{processors} cores of {}, {} of memory, Linux {}; {}; {}; {}; sipwarden {} ({}).",
        field("/proc/cpuinfo", "model name"),
        field("/proc/meminfo", "MemTotal"),
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        first_line("kamailio", &["-v"]),
        first_line("rustc", &["--version"]),
        first_line("cc", &["--version"]),
        env!("CARGO_PKG_VERSION"),
        first_line("git", &["-C", &project().display().to_string(), "describe", "--always"]),
    )
}

/// When and where.
pub fn made() -> String {
    format!("{}, on {}", first_line("date", &["-u", "+%Y-%m-%d"]), machine())
}

/// A section of the page, whose charts are written into the folder. `made`: it was measured
/// apart from the others.
pub fn block(section: &Section, docs: &Path, made: Option<&str>) -> String {
    let made = made.map_or_else(String::new, |made| format!("Measured apart, {made}\n\n"));
    let mut block = format!("## {}\n\n{made}{}\n", section.title, section.text);
    for table in &section.tables {
        block.push_str(&format!("\n{}", markdown(table)));
    }
    for chart in &section.charts {
        let file = format!("{}.svg", chart.file);
        fs::write(docs.join(&file), chart::svg(chart)).unwrap();
        block.push_str(&format!("\n![{}]({file})\n", chart.title));
    }
    block
}

/// Writes the page and the charts into a folder.
pub fn write(sections: &[Section], docs: &Path) {
    fs::create_dir_all(docs).unwrap();
    let mut page = format!(
        "# Benchmarks\n\n\
         Made by `make bench`, {}\n\n\
         Each stock module ran in the same Kamailio or beside it, in the same run, with the data \
         that sipwarden had; ratios are of one run. Functions are called from C through their \
         exported entry and their fixups, as a script calls them, inside processes that Kamailio \
         has forked. Company ids come from a pseudo-variable, so its evaluation is in the times. \
         All parameters are the defaults unless a section says otherwise.\n\n\
         ## Targets\n\n{}\n## Where a target is missed, and why\n\n{}",
        made(),
        markdown(&targets(sections)),
        reasons::section(sections)
    );
    for section in sections {
        page.push_str(&format!("\n{}", block(section, docs, None)));
    }
    fs::write(docs.join("benchmarks.md"), page).unwrap();
}
