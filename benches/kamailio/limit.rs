//! What the machine can do at all: loads that wait for each other.

use super::host::{Host, Order};
use super::platform::{Family, Platform};
use super::report::{Chart, Line, Section, number};
use super::support::Folder;
use super::support::kamailio::Config;

/// KiB.
const SIZES: [u32; 8] = [32, 256, 1_024, 5_120, 8_192, 17_408, 32_768, 131_072];

pub fn section() -> Section {
    let mut section = Section::new(
        "The physical limit",
        "A walk through memory in random order, one load after the other: what a lookup that has \
         nothing in the cache must pay per step. The largest snapshot of one company with a million \
         ranges has 5 MiB, that of 100,000 companies with a million ranges 17 MiB. The last column \
         is a call of no function: what the loop around each measurement costs.",
    );
    let folder = Folder::new();
    let db = Platform::new(1, 10, Family::V4).database(folder.join("tables.sqlite"));
    let host = Host::start(Config::new(&db.url()), 64);
    let nothing = host.run(&Order::new("nothing")).call.p50;
    let walks: Vec<(u32, f64)> = super::chosen(&SIZES)
        .map(|&size| (size, host.run(&Order { size, ..Order::new("memory") }).call.p50))
        .collect();
    let rows = walks.iter().map(|&(size, ns)| {
        section.value(format!("dependent load, {size} KiB"), ns, "ns");
        vec![format!("{} KiB", number(f64::from(size))), number(ns), number(nothing)]
    });
    let rows = rows.collect();
    section.value("loop around a call", nothing, "ns");
    section.table(&["working set", "ns per load", "ns per loop"], rows);
    section.charts.push(Chart {
        file: "benchmark-memory",
        title: "Dependent loads (median)".into(),
        x: "working set, bytes",
        y: "ns per load",
        lines: vec![Line {
            name: "dependent load".into(),
            points: walks.iter().map(|&(size, ns)| (f64::from(size) * 1024.0, ns)).collect(),
        }],
    });
    section
}
