//! Memory stays flat under requests, calls, blocks, grants, reloads and RPCs.
//! `make soak` runs ten million requests.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::examples;
use crate::support::footprint::{Heaps, Sample, judge, sample, trend};
use crate::support::kamailio::Kamailio;
use crate::support::mixture::{Mixture, Next};
use crate::support::proxy::{assert_nothing_left, config, count_by};
use crate::support::sender::{Tally, send};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project, wait_up_to};
use serde_json::json;

/// Threads that send.
const SENDERS: u64 = 4;
/// Requests for each RPC, and for each call.
const FOR_AN_RPC: u64 = 100;
const FOR_A_CALL: u64 = 100;
/// RPCs for each change of the tables; a reload comes with each turn of all methods.
const FOR_A_CHANGE: usize = 20;

/// OPTIONS for all functions that need no call. The rest is [`crate::support::proxy`]'s.
const ASKED: &str = r#"
request_route {
    if (is_method("OPTIONS")) { route(ASKED); exit; }"#;
const ASKED_ROUTE: &str = r#"
route[ASKED] {
    if (!flood_check()) { sl_send_reply("503", "Refused"); exit; }
    scanner_check();
    check_company_ip("$rU");
    switch ($hdr(X-Do)) {
        case "failed":
            if (auth_check("$fU@c")) { auth_failed("$fU@c", "$ci"); }
            break;
        case "ok": auth_ok("$fU@c"); break;
        case "grant": grant("$rU", "1"); break;
        case "country": check_country("AT,CH"); break;
        case "blocked": flood_blocked("192.0.2.7"); break;
    }
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $swd(ip) $swd(company_calls)\r\n");
    sl_send_reply("200", "OK");
}
event_route[sipwarden:block] { xlog("L_DBG", "$swd(ip)\n"); }
event_route[sipwarden:denied] { xlog("L_DBG", "$swd(reason)\n"); }
"#;

/// One request in 64 of each kind.
fn header(number: u64) -> String {
    let what = match number % 64 {
        7 => "failed",
        19 => "ok",
        23 => "grant",
        31 => "country",
        47 => "blocked",
        _ => return String::new(),
    };
    format!("X-Do: {what}\r\n")
}

/// All that a soak needs.
struct Stage {
    kamailio: Kamailio,
    calls: Mixture,
    db: Sqlite,
    heaps: Heaps,
    _folder: Folder,
}

impl Stage {
    fn new(audit: bool) -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        let table = Sqlite::create(folder.join("audit.sqlite"));
        db.run(
            "INSERT INTO sipwarden_brand VALUES ('b', 0);
            INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0), ('d', 'b', 1, 0), ('7', 'b', 1, 5);
            INSERT INTO sipwarden_company_address VALUES ('c', '127.0.0.0/16', NULL);
            INSERT INTO sipwarden_user VALUES ('alice@c', 'c', 3);
            INSERT INTO sipwarden_limit (kind, id, direction, max_calls, max_new, window_seconds)
                VALUES ('carrier', '*', 'any', 15, 60000, 1), ('did', '*', 'in', 1000, 60000, 2);
            WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
                INSERT INTO sipwarden_company SELECT i, 'b', i % 2, 9 FROM n;",
        );
        let calls = Mixture::new();
        let state = |name: &str| folder.join(name).display().to_string();
        let config = config(&db.url(), calls.callee()).settings(&format!(
            "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")
            modparam(\"sipwarden\", \"tool_table\", \"sipwarden_tool\")
            modparam(\"sipwarden\", \"audit_url\", \"{}\")
            modparam(\"sipwarden\", \"tables_file\", \"{}\")
            modparam(\"sipwarden\", \"flood_persist\", \"{}\")
            modparam(\"sipwarden\", \"flood_block\", 2)
            modparam(\"sipwarden\", \"auth_limit\", 2)
            modparam(\"sipwarden\", \"auth_block\", 2)
            modparam(\"sipwarden\", \"spray_block\", 2)
            modparam(\"sipwarden\", \"flood_sources\", 16384)
            modparam(\"sipwarden\", \"reaper_interval\", 2)\n",
            if audit { table.url() } else { String::new() },
            state("kept"),
            state("blocks"),
        ));
        let asks = "cc_limit(\"$fd\", \"o\", \"carrier=$hdr(X-Carrier);did=$hdr(X-Did)\") \
                    || ($hdr(X-Did) == \"7\" \
                    && !roadwarrior_acquire(\"$fU@$fd\", \"c\", \"o\", \"192.0.2.9\"))";
        let mut config = count_by(config, asks);
        config.routes = config.routes.replacen("\nrequest_route {", ASKED, 1) + ASKED_ROUTE;
        let heaps = Heaps::new();
        heaps.watch(&mut config);
        Stage { kamailio: config.start(), calls, db, heaps, _folder: folder }
    }

    /// One phase: everything at once until there were so many requests.
    fn run(&mut self, tally: &Tally, last: u64, random: &mut [u64]) {
        let proxy = self.kamailio.address();
        let before = tally.answered();
        let (begin_rpcs, rpcs) = sync_channel(8);
        std::thread::scope(|scope| {
            let senders: Vec<_> = random
                .iter_mut()
                .map(|random| {
                    let rpcs = begin_rpcs.clone();
                    scope.spawn(move || {
                        send(proxy, random, tally, last, |number| tell(&rpcs, number))
                    })
                })
                .collect();
            drop(begin_rpcs);
            let (kamailio, db) = (&self.kamailio, &self.db);
            scope.spawn(move || operate(kamailio, db, &rpcs));
            self.calls.run(proxy, |begun| {
                let due = (tally.answered() - before) / FOR_A_CALL;
                if (begun as u64) < due {
                    Next::Begin
                } else if senders.iter().all(|sender| sender.is_finished()) {
                    Next::End
                } else {
                    Next::Later
                }
            });
        });
    }

    /// A sample when nothing goes on any more.
    fn sample(&self) -> Sample {
        let is_over = || {
            let stats = self.kamailio.rpc("sipwarden.stats", json!([]));
            let transactions = self.kamailio.rpc("tm.stats", json!([]))["current"].clone();
            let dialogs = self.kamailio.rpc("dlg.stats_active", json!([]))["all"].clone();
            let (calls, blocks, bans) = (&stats["calls"], &stats["blocks"], &stats["bans"]);
            let (grants, idle) = (&stats["grants"], &stats["call_scopes_idle"]);
            let all = [&transactions, &dialogs, calls, blocks, bans, grants, idle];
            all.into_iter().all(|number| number == 0).then_some(())
        };
        wait_up_to(Duration::from_secs(120), "calls, blocks, bans and grants to end", is_over);
        sample(&self.kamailio, &self.heaps)
    }
}

/// The header of a request; an RPC is due with each of some.
fn tell(rpcs: &SyncSender<u64>, number: u64) -> String {
    if number % FOR_AN_RPC == 0 {
        rpcs.send(number / FOR_AN_RPC).unwrap();
    }
    header(number)
}

/// Whether a method has done its work, or found nothing to do: what it names is not there.
fn is_done(answer: &Result<serde_json::Value, String>) -> bool {
    answer.as_ref().err().is_none_or(|fault| fault.starts_with("404 "))
}

/// All methods in turn, while the tables change.
fn operate(kamailio: &Kamailio, db: &Sqlite, due: &Receiver<u64>) {
    for number in due {
        let number = number as usize;
        if number % FOR_A_CHANGE == 0 {
            let (ip, filter) = (number / FOR_A_CHANGE % 200, number / FOR_A_CHANGE % 2);
            db.run(&format!(
                "BEGIN;
                UPDATE sipwarden_company SET ip_filter = {filter} WHERE id > '2';
                DELETE FROM sipwarden_company_address WHERE company_id = '20';
                INSERT INTO sipwarden_company_address VALUES ('20', '127.{ip}.0.0/16', NULL);
                COMMIT;"
            ));
        }
        if number % 10 == 0 {
            // Its process lets go of replaced settings only when it is asked something.
            kamailio.kamcmd(&["sipwarden.version"]);
        }
        let (method, arguments) = examples::METHODS[number % examples::METHODS.len()];
        let answer = kamailio.try_rpc(&format!("sipwarden.{method}"), json!(arguments));
        assert!(is_done(&answer) && (answer.is_ok() || method != "reload"), "{method}: {answer:?}");
    }
    for (method, arguments) in [("unblock", ["all"]), ("unban", ["all"]), ("disallow", ["7"])] {
        let answer = kamailio.try_rpc(&format!("sipwarden.{method}"), json!(arguments));
        assert!(is_done(&answer), "{method}: {answer:?}");
    }
}

/// So many requests, with so many looks at the memory.
fn soak(requests: u64, samples: u64, audit: bool) {
    let began = Instant::now();
    let mut stage = Stage::new(audit);
    let tally = Tally::default();
    let mut random: Vec<u64> = (1..=SENDERS).map(|n| 0x5eed_0bad_5eed_0000 + n).collect();
    let mut seen = Vec::new();
    for phase in 1..=samples {
        let last = requests * phase / samples;
        stage.run(&tally, last, &mut random);
        seen.push(stage.sample());
        let of = |begin: &str| -> u64 {
            let series = seen.last().into_iter().flatten();
            series.filter(|(name, _)| name.starts_with(begin)).map(|(_, bytes)| bytes).sum()
        };
        println!(
            "{} answered, {} s: own memory {}, heaps {}, private pools {}, shared pool {}",
            tally.answered(),
            began.elapsed().as_secs(),
            of("own memory"),
            of("heap"),
            of("private pool"),
            of("shared pool"),
        );
    }
    keep(&seen);
    assert_nothing_left(&stage.kamailio);
    let (trends, growing) = judge(&seen);
    let count = |name| stage.kamailio.counter(name);
    println!(
        "{requests} requests of {} sources, {} answered, {} of them refused, {} lost; {} calls {:?}; \
         {} blocks, {} bans, {} grants, {} reloads; {} s",
        tally.sources.load(Relaxed),
        tally.answered(),
        tally.refused.load(Relaxed),
        tally.lost.load(Relaxed),
        stage.calls.begun.values().sum::<usize>(),
        stage.calls.begun,
        count("flood_blocks_started"),
        count("auth_bans_started"),
        count("grants_started"),
        count("reloads"),
        began.elapsed().as_secs(),
    );
    println!(
        "| what | first | in the middle | last | gains in the second half |\n|---|---|---|---|---|"
    );
    for (name, trend) in &trends {
        println!(
            "| {name} | {} | {} | {} | {:.0} |",
            trend.first, trend.middle, trend.last, trend.gains
        );
    }
    assert_eq!(growing, Vec::<String>::new());
    // Each phase leaves out the numbers of a window or two.
    assert!(tally.lost.load(Relaxed) * 100 < requests, "{:?} were lost", tally.lost);
    assert!(tally.answered() > requests * 95 / 100, "{} answered", tally.answered());
}

/// All series, in `target/soak.csv`, to be drawn.
fn keep(samples: &[Sample]) {
    let mut lines = String::new();
    for name in samples[0].keys() {
        let values = samples.iter().map(|sample| sample.get(name).copied().unwrap_or_default());
        let values: Vec<_> = values.map(|bytes| bytes.to_string()).collect();
        lines.push_str(&format!("{name},{}\n", values.join(",")));
    }
    std::fs::write(project().join("target/soak.csv"), lines).unwrap();
}

/// Without the audit table: its queue has its full size only after more than that.
#[test]
fn twenty_thousand_requests_leave_nothing() {
    soak(20_000, 8, false);
}

/// `SOAK_REQUESTS`: another number.
#[test]
#[ignore = "takes long; make soak runs it"]
fn ten_million_requests_leave_nothing() {
    let requests = std::env::var("SOAK_REQUESTS").ok().filter(|text| !text.is_empty());
    soak(requests.map_or(10_000_000, |text| text.parse().unwrap()), 40, true);
}

#[test]
fn what_grows_is_seen() {
    let noise = |i: u64| i * 7919 % 13 * 512;
    let flat: Vec<u64> = (0..40).map(|i| 5_000_000 + noise(i)).collect();
    assert!(trend(&flat).gains.abs() < 4096.0, "{:?}", trend(&flat));
    // It becomes as large as it must be, and stays.
    let warm: Vec<u64> = (0..40).map(|i| 9_000_000 - 4_000_000 / (1 + i * i) + noise(i)).collect();
    assert!(trend(&warm).gains.abs() < 16_384.0, "{:?}", trend(&warm));
    let growing = |name: &str, step: u64| -> Vec<Sample> {
        let at = |i: u64| Sample::from([(name.to_owned(), 5_000_000 + noise(i) + i * step)]);
        (0..40).map(at).collect()
    };
    for name in ["shared pool", "snapshots", "heap of 1 (udp receiver)"] {
        assert_eq!(judge(&growing(name, 0)).1, Vec::<String>::new());
        assert_eq!(judge(&growing(name, 5_000)).1.len(), 1, "{name}");
    }
}
