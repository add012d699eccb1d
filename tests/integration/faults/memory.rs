//! Address space that is used up: what grows with its data fails, and no process ends.

use super::*;
use crate::support::sip::Phone;

/// Bytes of address space of a process.
fn address_space(pid: u64) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

/// Tables that need some megabytes.
fn fill(db: &Sqlite) {
    db.run(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 39999)
        INSERT INTO sipwarden_company_address SELECT 'office', '10.' || (i / 256) || '.' || (i % 256) || '.0', 24 FROM n;
        WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
        INSERT INTO sipwarden_company SELECT 'company-' || i, 'b', 0, 0 FROM n;
        WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
        INSERT INTO sipwarden_user SELECT 'user-' || i || '@x', 'company-' || i, 1 FROM n;",
    );
}

/// What long listings say of memory that they cannot have.
const NONE: &str = "no memory: the process cannot have";

#[test]
fn without_address_space_reloads_fail_and_no_process_ends() {
    let site = Site::new();
    let mut kamailio = site.config.start();
    let phones = ["127.0.1.5", "127.0.2.5"].map(|ip| Phone::new(ip, kamailio.address()));
    // Of the filter of the office, and of a company that only new tables have.
    let judged = |company: &str| phones.each_ref().map(|phone| phone.ask(company).reason);
    let old = || {
        assert_eq!(judged("office"), ["granted_range", "denied_source"]);
        assert_eq!(judged("company-7"), ["unknown_company"; 2]);
    };
    site.wait_for_files(&kamailio);
    fill(&site.db);
    let sizes: Vec<_> = pids(&kamailio).into_iter().map(|pid| (pid, address_space(pid))).collect();
    let give = |more: u64| {
        for (pid, size) in &sizes {
            limit(*pid, &format!("--as={}:", size + more));
        }
    };
    let reload = |kamailio: &Kamailio| kamailio.kamcmd(&["sipwarden.reload"]);
    let step = if is_long() { 1 << 18 } else { 4 << 20 };
    let mut refused = 0;
    under_calls(&kamailio, || {
        for more in (0..).map(|n| n * step) {
            give(more);
            let answer = reload(&kamailio);
            if answer.contains("generation: ") {
                break;
            }
            // The driver of the database may be the first that has none.
            assert!(answer.contains("error: 500 - "), "{more}: {answer}");
            refused += usize::from(answer.contains(NONE));
            old();
            assert!(more < 1 << 30, "{answer}");
        }
    });
    assert!(refused > 0, "{}", kamailio.log());
    give(0);
    // What else takes memory: listings, the files, events, blocks.
    under_calls(&kamailio, || {
        kamailio.kamcmd(&["sipwarden.block", "203.0.113.8", "600"]);
        let mut failed = Vec::new();
        for method in ["blocks", "bans", "top", "stats", "settings", "denied", "lint", "calls"] {
            let answer = kamailio.kamcmd(&[&format!("sipwarden.{method}")]);
            // What is long fails and says why; what is short is told.
            let is_fault = answer.starts_with("error: ");
            assert!(!is_fault || answer.contains(NONE), "{method}: {answer}");
            assert!(is_fault || answer.contains(": "), "{method}: {answer}");
            failed.extend(is_fault.then_some(method));
        }
        assert!(failed.contains(&"lint"), "{failed:?} failed");
        assert!(failed.len() < 8, "{failed:?} failed");
        assert_eq!(judged("office"), ["granted_range", "denied_source"]);
        assert_eq!(judged("company-7"), ["filter_off"; 2]);
        for n in 0..200 {
            Phone::new("127.9.0.1", kamailio.address()).request("INVITE", &format!("x{n}"), "");
        }
        let why = "the tables are not kept in";
        wait_for("the warden's complaint", || {
            let log = kamailio.log();
            let mut lines = log.lines();
            lines.find(|line| line.contains(why) && line.contains("no memory")).map(|_| ())
        });
    });
    assert!(kamailio.runs());
    for (pid, _) in &sizes {
        limit(*pid, "--as=unlimited:");
    }
    let answer = reload(&kamailio);
    assert!(answer.contains("generation: "), "{answer}");
    wait_for("the file", || (kamailio.counter("tables_kept") == 1).then_some(()));
    proxy::assert_nothing_left(&kamailio);
    kamailio.stop(libc::SIGTERM);
    site.assert_files();
}
