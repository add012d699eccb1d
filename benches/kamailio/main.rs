//! sipwarden beside the stock modules, in the same Kamailio: `make bench`.
//! `cargo bench --bench kamailio -- [--quick] [--page] [SECTION...]` runs some sections; with
//! `--page` they take the place of the old ones in docs/benchmarks.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod callgrind;
mod calls;
mod chart;
mod cluster;
mod compile;
mod flood;
mod host;
mod instructions;
mod ivozprovider;
mod limit;
mod merge;
mod page;
mod platform;
#[path = "../../tests/core/random.rs"]
mod random;
mod ranges;
mod reasons;
mod reload;
mod report;
#[path = "../../tests/integration/support/mod.rs"]
mod support;
mod whole;

use std::sync::OnceLock;

use report::Section;

static QUICK: OnceLock<bool> = OnceLock::new();

/// Whether this is a trial run: less time and fewer points.
pub fn quick() -> bool {
    *QUICK.get().unwrap_or(&false)
}

/// Time per point.
pub fn milliseconds() -> u32 {
    if quick() { 60 } else { 400 }
}

/// All points, or some of them in a trial run.
pub fn chosen<T>(all: &[T]) -> impl Iterator<Item = &T> {
    all.iter().step_by(if quick() { 3 } else { 1 })
}

type Run = fn() -> Section;

const SECTIONS: [(&str, Run); 9] = [
    ("limit", limit::section),
    ("ranges", ranges::section),
    ("flood", flood::section),
    ("calls", calls::section),
    ("whole", whole::section),
    ("instructions", instructions::section),
    ("ivozprovider", ivozprovider::section),
    ("reload", reload::section),
    ("cluster", cluster::section),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    QUICK.set(arguments.iter().any(|a| a == "--quick")).unwrap();
    let merges = arguments.iter().any(|a| a == "--page");
    let wanted: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    compile::module();
    let mut sections = Vec::new();
    for (name, run) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|w| *w == name) {
            let section = run();
            for table in &section.tables {
                println!("\n{}", report::markdown(table));
            }
            sections.push(section);
        }
    }
    println!("\n{}", report::markdown(&report::targets(&sections)));
    report::write_summary(&sections);
    // The project's page is of a whole run; others are for a look, unless it is asked for.
    let docs = match !quick() && (wanted.is_empty() || merges) {
        true => support::project().join("docs"),
        false => support::project().join("target/bench/trial"),
    };
    if merges && !quick() && !wanted.is_empty() {
        merge::write(&sections, &docs);
    } else {
        page::write(&sections, &docs);
    }
    println!("written: target/bench/summary.json, {}/benchmarks.md", docs.display());
}
