//! A large platform: 100,000 companies with 1,000,000 ranges. `make scale` runs it.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::support::kamailio::{Config, Kamailio};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, own_memory};
use serde_json::json;

fn fill(db: &Sqlite, companies: u64, ranges: u64) {
    let generator = crate::support::project().join("target/checks/examples/generate_tenants");
    let mut generate = Command::new(generator)
        .args([companies.to_string(), ranges.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("make integration builds the generator");
    let load = Command::new("sqlite3")
        .arg("-bail")
        .arg(db.path())
        .stdin(generate.stdout.take().unwrap())
        .status()
        .unwrap();
    assert!(load.success() && generate.wait().unwrap().success());
}

/// Bytes of their own that all processes of a Kamailio have.
fn memory_of(kamailio: &Kamailio) -> u64 {
    let list = kamailio.rpc("core.psx", json!([]));
    list.as_array()
        .unwrap()
        .iter()
        .map(|process| own_memory(process["PID"].as_u64().unwrap()))
        .sum()
}

/// Reloads a filled platform while phones ask; nobody waits for the reload.
fn reload_while_asked(companies: u64, ranges: u64) {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    fill(&db, companies, ranges);
    db.run(
        "INSERT INTO sipwarden_company VALUES ('mine', 'brand-0', 1, 0);
        INSERT INTO sipwarden_company_address VALUES ('mine', '127.0.1.0/24', NULL);",
    );
    let kamailio = Config::new(&db.url()).start();

    let (reloading, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let (during, slowest_idle, slowest) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let answer = std::thread::scope(|scope| {
        scope.spawn(|| {
            let phone = Phone::new("127.0.1.1", kamailio.address());
            while !done.load(SeqCst) {
                let in_reload = reloading.load(SeqCst);
                let asked = Instant::now();
                assert_eq!(phone.ask("mine").reason, "granted_range");
                let took = asked.elapsed().as_micros() as u64;
                if in_reload && reloading.load(SeqCst) {
                    during.fetch_add(1, SeqCst);
                    slowest.fetch_max(took, SeqCst);
                } else if !in_reload {
                    slowest_idle.fetch_max(took, SeqCst);
                }
            }
        });
        std::thread::sleep(Duration::from_millis(500));
        reloading.store(true, SeqCst);
        let answer = kamailio.rpc("sipwarden.reload", json!([]));
        reloading.store(false, SeqCst);
        done.store(true, SeqCst);
        answer
    });
    let stats = kamailio.rpc("sipwarden.stats", json!([]));
    println!(
        "{companies} companies, {ranges} ranges: {}; answered during the reload: {}; \
         slowest answer: {} us idle, {} us in the reload; {} bytes of snapshot in use",
        answer,
        during.load(SeqCst),
        slowest_idle.load(SeqCst),
        slowest.load(SeqCst),
        stats["snapshot_memory_used"],
    );
    assert_eq!(answer["rows"]["ranges"], ranges + 1);
    assert_eq!(answer["rows"]["companies"], companies + 1);
    assert!(during.load(SeqCst) > 10, "no answers while the tables were read");
    // Ids, records with up to twelve ranges, hash slots; and each range among the sources
    // of all.
    let bytes = answer["bytes"].as_u64().unwrap();
    assert!(bytes < companies * 247 + ranges * 6, "{bytes} bytes");

    // A process that serves reloads keeps its peak, as the allocator does; it does not grow.
    let reload = || drop(kamailio.rpc("sipwarden.reload", json!([])));
    (0..10).for_each(|_| reload());
    let before = memory_of(&kamailio);
    (0..10).for_each(|_| reload());
    let after = memory_of(&kamailio);
    println!("{before} bytes after 10 reloads, {after} after 20");
    assert!(after < before + before / 4, "{before} bytes after 10 reloads, {after} after 20");
}

#[test]
fn ten_thousand_companies_are_reloaded_under_traffic() {
    reload_while_asked(10_000, 100_000);
}

#[test]
#[ignore = "make scale"]
fn a_hundred_thousand_companies_are_reloaded_under_traffic() {
    reload_while_asked(100_000, 1_000_000);
}
