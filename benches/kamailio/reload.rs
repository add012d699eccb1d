//! A large reload while checks are made.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::host::{Host, Order, Sample};
use super::platform::{Family, Platform, write_picks};
use super::report::{Bound, Section, number};
use super::support::Folder;
use super::support::kamailio::Config;

fn sizes() -> (u32, u32) {
    if super::quick() { (10_000, 100_000) } else { (100_000, 1_000_000) }
}

fn used(host: &Host) -> u64 {
    host.kamailio.rpc("sipwarden.stats", json!([]))["snapshot_memory_used"].as_u64().unwrap()
}

/// Runs the checks from before a reload until after it. With their times the
/// answer of the reload, the seconds it took, and the largest use of memory.
fn during(host: &Host, order: &Order<'_>) -> (Sample, Value, f64, u64) {
    let (done, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let checks = scope.spawn(|| host.run(order));
        std::thread::sleep(Duration::from_millis(20));
        scope.spawn(|| {
            while !done.load(SeqCst) {
                peak.fetch_max(used(host), SeqCst);
                std::thread::sleep(Duration::from_millis(25));
            }
        });
        let begun = Instant::now();
        let answer = host.kamailio.rpc("sipwarden.reload", json!([]));
        let seconds = begun.elapsed().as_secs_f64();
        done.store(true, SeqCst);
        host.kamailio.rpc("bench.stop", json!([]));
        (checks.join().unwrap(), answer, seconds, peak.load(SeqCst))
    })
}

pub fn section() -> Section {
    let (companies, ranges) = sizes();
    let mut section = Section::new(
        "Reload under load",
        &format!(
            "{} ranges of {} companies are read from SQLite, compiled and published while one \
             process checks random granted sources without a pause. Each check is timed by itself, \
             with two reads of a counter in it. Idle and reload take turns; medians of the runs. A \
             third process asks for the memory in use every 25 ms.",
            number(f64::from(ranges)),
            number(f64::from(companies))
        ),
    );
    let folder = Folder::new();
    let platform = Platform::new(companies, ranges, Family::V4);
    let db = platform.database(folder.join("tables.sqlite"));
    let file = folder.join("picks");
    write_picks(&file, platform.hits(1 << 18));
    let host = Host::start(Config::new(&db.url()), 64);
    let order =
        Order { batch: 1, milliseconds: 50_000, ..Order::new("check_company_ip").picks(&file) };
    let before = used(&host);
    let rounds = if super::quick() { 2 } else { 5 };
    let (mut idle, mut busy, mut answers, mut peak, mut seconds) =
        (Vec::new(), Vec::new(), Vec::new(), 0, 2.0);
    for round in 0..rounds {
        let milliseconds = (seconds * 1000.0) as u32;
        idle.push(host.run(&Order { milliseconds, ..order.clone() }).all(1));
        let (sample, answer, took, most) = during(&host, &order);
        busy.push(sample.all(1));
        answers.push(answer);
        peak = peak.max(most);
        seconds = took;
        println!("  reload {} of {rounds}", round + 1);
    }
    for _ in rounds..10 {
        host.kamailio.rpc("sipwarden.reload", json!([]));
    }
    let after = used(&host);

    let middle = |values: Vec<f64>| {
        let mut values = values;
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let p50 = |samples: &[Sample]| middle(samples.iter().map(|s| s.call.p50).collect());
    let p999 = |samples: &[Sample]| middle(samples.iter().map(|s| s.call.p999).collect());
    let phase = |name: &str| {
        middle(answers.iter().map(|a| a["milliseconds"][name].as_f64().unwrap()).collect())
    };
    let rows = [("idle", &idle), ("during the reload", &busy)].map(|(name, samples)| {
        section.value(format!("check, {name}, p50"), p50(samples), "ns");
        section.value(format!("check, {name}, p99.9"), p999(samples), "ns");
        vec![name.into(), number(p50(samples)), number(p999(samples))]
    });
    section.table(&["checks", "p50, ns", "p99.9, ns"], rows.into());
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1048576.0);
    let rows = ["fetch", "compile", "publish"].map(|name| {
        section.value(format!("reload, {name}"), phase(name), "ms");
        vec![name.into(), format!("{} ms", number(phase(name)))]
    });
    let mut rows = Vec::from(rows);
    rows.push(vec!["shared memory before".into(), mib(before)]);
    rows.push(vec!["at the peak".into(), mib(peak)]);
    rows.push(vec!["after ten reloads".into(), mib(after)]);
    section.value("snapshot memory before", before as f64, "bytes");
    section.value("snapshot memory at the peak", peak as f64, "bytes");
    section.value("snapshot memory after ten reloads", after as f64, "bytes");
    section.table(&["reload", ""], rows);
    section.figure(
        "p99.9 of checks during a reload, against idle",
        Some(p999(&busy) / p999(&idle)),
        "times",
        Bound::AtMost(2.0),
    );
    section.note(format!("p50: {} times", number(p50(&busy) / p50(&idle))));
    section
}
