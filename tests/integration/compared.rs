//! What the README compares is what the benchmark report has measured.

use std::fs;

use crate::support::project;

/// A number of the report: the heading of its part, the first cells of its row, its column.
type Place = (&'static str, &'static str, &'static str);

const MISS_10: &str = "1 company, 10,000 IPv4 ranges";
const MISS_100: &str = "1 company, 100,000 IPv4 ranges";

/// Rows of the README's table: what stock modules have, what sipwarden has.
const ROWS: [(&str, &[Place], &[Place]); 7] = [
    (
        "a miss among 10,000 / 100,000 ranges of one company",
        &[
            ("Authorized ranges", MISS_10, "permissions miss"),
            ("Authorized ranges", MISS_100, "permissions miss"),
        ],
        &[
            ("Authorized ranges", MISS_10, "random miss"),
            ("Authorized ranges", MISS_100, "random miss"),
        ],
    ),
    (
        "the time of such a check: one source",
        &[("Anti-flooding", "1 | high", "pike_check_req")],
        &[("Anti-flooding", "1 | high", "flood_check")],
    ),
    (
        "the same, 100,000 sources above the limit",
        &[("Anti-flooding", "100,000 | low", "pike_check_req")],
        &[("Anti-flooding", "100,000 | low", "flood_check")],
    ),
    (
        "two call limits and their release, no other calls",
        &[("Concurrent calls", "0 | 1", "profiles")],
        &[("Concurrent calls", "0 | 1", "cc_limit")],
    ),
    (
        "the same, 10,000 companies",
        &[("Concurrent calls", "0 | 10,000", "profiles")],
        &[("Concurrent calls", "0 | 10,000", "cc_limit")],
    ),
    (
        "the same, one company, beside 50,000 live calls",
        &[("Concurrent calls", "50,000 | 1", "profiles")],
        &[("Concurrent calls", "50,000 | 1", "cc_limit")],
    ),
    (
        "instructions of a whole call, more than without checks",
        &[("Instructions per whole call", "stock modules", "more than no checks")],
        &[("Instructions per whole call", "sipwarden", "more than no checks")],
    ),
];

/// The numbers of a text, without those in words such as `p99.9`.
fn numbers(text: &str) -> Vec<f64> {
    text.split([' ', '(', ')', ';'])
        .map(|word| word.trim_start_matches('+').trim_end_matches(',').replace(',', ""))
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches(['|', ' ']).split('|').map(str::trim).collect()
}

/// A number of the report, of times ns. Of a call and its release the sum.
fn measured(report: &str, (heading, row, column): Place) -> f64 {
    let (_, part) = report.split_once(&format!("\n## {heading}\n")).unwrap();
    let part = part.split("\n## ").next().unwrap();
    let row: Vec<_> = row.split('|').map(str::trim).collect();
    let mut head = Vec::new();
    for line in part.lines() {
        if !line.starts_with('|') {
            head.clear();
        } else if head.is_empty() {
            head = cells(line);
        } else if let Some(at) = head.iter().position(|name| *name == column) {
            let cells = cells(line);
            if cells.starts_with(&row) {
                let numbers = numbers(cells[at]);
                return numbers[0] + if cells[at].contains("(+") { numbers[1] } else { 0.0 };
            }
        }
    }
    panic!("no {column} of {row:?} in {heading}");
}

/// The numbers of a cell of the README, times in ns.
fn said(cell: &str) -> Vec<f64> {
    let units = [(" ms", 1e6), (" µs", 1e3), ("", 1.0)];
    let (_, ns) = units.iter().find(|(unit, _)| cell.contains(unit)).unwrap();
    numbers(cell).into_iter().map(|number| number * ns).collect()
}

#[test]
fn the_readme_says_what_was_measured() {
    let [readme, report] = ["README.md", "docs/benchmarks.md"]
        .map(|file| fs::read_to_string(project().join(file)).unwrap());
    for (row, stock, ours) in ROWS {
        let line = readme.lines().find(|line| cells(line)[0] == row);
        let line = cells(line.unwrap_or_else(|| panic!("no row: {row}")));
        for (cell, places) in [(line[1], stock), (line[2], ours)] {
            let said = said(cell);
            assert_eq!(said.len(), places.len(), "{row}: {cell}");
            for (said, place) in said.iter().zip(places) {
                let measured = measured(&report, *place);
                let away = (said / measured - 1.0).abs();
                assert!(away < 0.06, "{row}: {said}, measured {measured}");
            }
        }
    }
}
