//! Reloads in a real server: under traffic, concurrent, with bad rows, without a database.

use std::collections::HashSet;
use std::process::{Command, Stdio};

use super::{Config, Server};
use crate::support::running::free_port;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, Going, project, wait_for};
use serde_json::json;

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0);
INSERT INTO sipwarden_company_address VALUES ('office', '127.0.1.0', 24);
";

fn office(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TENANTS);
    db
}

fn reload(server: &Server) -> Result<serde_json::Value, String> {
    server.try_ask("reload", json!([]))
}

fn problems(server: &Server) -> Vec<String> {
    let mut lines = Vec::new();
    for page in 1.. {
        let answer = server.ask("problems", json!([page]));
        let list = answer["problems"].as_array().unwrap();
        lines.extend(list.iter().map(|p| p.as_str().unwrap().to_owned()));
        if answer["pages"] == page {
            assert_eq!(answer["lines"], lines.len());
            break;
        }
    }
    lines
}

/// The old tables still serve.
fn assert_serves(server: &Server) {
    let granted = Phone::new("127.0.1.1", server.address()).ask("office");
    assert_eq!(granted.reason, "granted_range");
    let denied = Phone::new("127.0.7.1", server.address()).ask("office");
    assert_eq!(denied.reason, "denied_source");
}

#[test]
fn a_change_takes_effect_in_every_worker_with_one_reload() {
    let folder = Folder::new();
    let db = office(&folder);
    let server = Config::new(&db.url()).start();
    let phone = Phone::new("127.0.7.1", server.address());
    assert_eq!(phone.ask("office").reason, "denied_source");
    db.run("INSERT INTO sipwarden_company_address VALUES ('office', '127.0.7.0/24', NULL);");
    assert_eq!(phone.ask("office").reason, "denied_source");

    let done = reload(&server).unwrap();
    assert_eq!(done["generation"], 2);
    assert_eq!(done["rows"]["ranges"], 2);
    assert!(done["bytes"].as_u64().unwrap() > 0);
    for phase in ["fetch", "compile", "publish"] {
        assert!(done["milliseconds"][phase].is_u64(), "{done}");
    }
    let mut workers = HashSet::new();
    wait_for("all four workers", || {
        let told = phone.ask("office");
        assert_eq!(told.reason, "granted_range");
        workers.insert(told.worker);
        (workers.len() == 4).then_some(())
    });
}

#[test]
fn no_request_is_judged_wrongly_while_tables_are_reloaded() {
    let folder = Folder::new();
    let db = office(&folder);
    // Every generation grants the caller through another range.
    let routes = r#"
route {
    if (check_company_ip("office")) { sl_send_reply(200, "OK"); exit; }
    sl_send_reply(403, "$swd(reason)");
}
"#;
    let server = Config::new(&db.url()).routes(routes).start();
    let calls = 6000;
    let mut sipp = Command::new("sipp")
        .arg(server.address().to_string())
        .arg("-sf")
        .arg(project().join("tests/sipp/options.xml"))
        .args(["-i", "127.0.1.1", "-p", &free_port().to_string()])
        .args(["-m", &calls.to_string(), "-r", "2000", "-nostdin", "-bind_local"])
        .args(["-timeout", "60", "-timeout_error"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut reloads = 0u64;
    let status = loop {
        let range = ["127.0.1.0/24", "127.0.0.0/16", "127.0.1.1"][reloads as usize % 3];
        db.run(&format!(
            "BEGIN; DELETE FROM sipwarden_company_address;
             INSERT INTO sipwarden_company_address VALUES ('office', '{range}', NULL); COMMIT;"
        ));
        reload(&server).unwrap();
        reloads += 1;
        if let Some(status) = sipp.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success(), "a request was refused or not answered");
    assert!(reloads >= 10, "only {reloads} reloads during the traffic");
    // A loaded machine sends some of them twice.
    assert!(server.counter("check_granted_range") >= calls);
    assert_eq!(server.counter("check_denied_source"), 0);
    assert_eq!(server.counter("reloads"), reloads + 1);
}

#[test]
fn concurrent_reloads_are_serialised_and_none_is_lost() {
    const RELOADERS: usize = 8;
    const EACH: u64 = 25;
    let folder = Folder::new();
    let db = office(&folder);
    let server = Config::new(&db.url()).start();
    let traffic = Going::begin();
    let mut generations: Vec<u64> = std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let phone = Phone::new("127.0.1.9", server.address());
            while traffic.is_on() {
                assert_eq!(phone.ask("office").reason, "granted_range");
            }
        });
        let end = traffic.while_held();
        let reloaders: Vec<_> = (0..RELOADERS)
            .map(|n| {
                let (server, db) = (&server, &db);
                scope.spawn(move || {
                    let mut generations = Vec::new();
                    for round in 0..EACH {
                        let company = format!("r{n}-{round}");
                        db.run(&format!(
                            "INSERT INTO sipwarden_company VALUES ('{company}','b',0,0);"
                        ));
                        let done = reload(server).unwrap();
                        // What was written before the reload is there after it.
                        server.ask("company", json!([company]));
                        generations.push(done["generation"].as_u64().unwrap());
                    }
                    generations
                })
            })
            .collect();
        let all = reloaders.into_iter().flat_map(|r| r.join().unwrap()).collect();
        drop(end);
        asker.join().unwrap();
        all
    });
    generations.sort_unstable();
    let expected: Vec<u64> = (2..2 + RELOADERS as u64 * EACH).collect();
    assert_eq!(generations, expected);
    let stats = server.ask("stats", json!([]));
    assert_eq!(stats["counters"]["reload_failures"], 0);
    let used = stats["snapshot_memory_used"].as_u64().unwrap();
    let bytes = stats["snapshot_bytes"].as_u64().unwrap();
    assert!(used < bytes + 2 * 4096, "{used} bytes in use for a snapshot of {bytes}");
}

#[test]
fn each_kind_of_bad_row_is_named_and_changes_nothing() {
    let folder = Folder::new();
    let db = office(&folder);
    let server = Config::new(&db.url()).start();
    let long = "x".repeat(65536);
    let address = "INSERT INTO sipwarden_company_address VALUES";
    let cases: &[(String, &[&str])] = &[
        (
            format!("{address} ('office', '127.0.0.300', NULL);"),
            &["sipwarden_company_address row 2", "office", "127.0.0.300"],
        ),
        (format!("{address} ('office', '10.0.0.0', 33);"), &["10.0.0.0", "33"]),
        (format!("{address} ('office', '10.0.0.0', 'abc');"), &["mask", "abc"]),
        (format!("{address} ('office', '10.0.0.0', '');"), &["mask"]),
        (format!("{address} ('office', '10.0.0.1', 8);"), &["host bits", "10.0.0.0/8"]),
        (format!("{address} ('office', '2001:db8::/129', NULL);"), &["129"]),
        (format!("{address} ('ghost', '10.0.0.1', NULL);"), &["ghost", "is not a company"]),
        (format!("{address} ('office', '{long}', NULL);"), &["xxxx", "not an IP"]),
        (
            "INSERT INTO sipwarden_company VALUES ('lost', 'nobrand', 1, 0);".into(),
            &["sipwarden_company row 2", "lost", "nobrand"],
        ),
        ("INSERT INTO sipwarden_company VALUES ('c', 'b', 7, 0);".into(), &["ip_filter", "7"]),
        ("INSERT INTO sipwarden_company VALUES ('c', 'b', 1, -5);".into(), &["max_calls", "-5"]),
        ("INSERT INTO sipwarden_company VALUES ('', 'b', 1, 0);".into(), &["id is empty"]),
        ("INSERT INTO sipwarden_company VALUES ('<null>', 'b', 1, 0);".into(), &["<null>"]),
        (
            format!("INSERT INTO sipwarden_company VALUES ('{long}', 'b', 1, 0);"),
            &["longer than 128"],
        ),
        (
            "INSERT INTO sipwarden_brand VALUES ('b2', 'many');".into(),
            &["sipwarden_brand row 2", "many"],
        ),
        ("INSERT INTO sipwarden_company_country VALUES ('office', 'spain');".into(), &["spain"]),
        (
            "INSERT INTO sipwarden_user VALUES ('u@d', 'office', 4);".into(),
            &["sipwarden_user row 1", "u@d", "4"],
        ),
        ("INSERT INTO sipwarden_user VALUES ('u@d', 'ghost', 1);".into(), &["u@d", "ghost"]),
        (
            "INSERT INTO sipwarden_trusted VALUES ('nowhere', NULL, 'exempt');".into(),
            &["sipwarden_trusted row 1", "nowhere"],
        ),
    ];
    for (sql, named) in cases {
        db.run(sql);
        let fault = reload(&server).unwrap_err();
        assert!(fault.starts_with("500"), "{fault}");
        let all = format!("{fault}\n{}", problems(&server).join("\n"));
        for text in *named {
            assert!(all.contains(text), "{text} not in {all}");
        }
        let table = sql.split(' ').nth(2).unwrap();
        assert!(fault.contains(table), "{table} not in {fault}");
        let log = server.log();
        assert!(log.contains(named[0]), "{} not in the log", named[0]);
        assert_serves(&server);
        db.run(&format!("DELETE FROM {table} WHERE rowid = (SELECT MAX(rowid) FROM {table});"));
    }
    assert_eq!(server.counter("reload_failures"), cases.len() as u64);
    assert_eq!(reload(&server).unwrap()["generation"], 2);
    assert!(problems(&server).is_empty());
}

#[test]
fn many_bad_rows_are_counted_and_the_first_twenty_named() {
    let folder = Folder::new();
    let db = office(&folder);
    let rows: Vec<_> = (0..500).map(|n| format!("('office', 'bad-{n}', NULL)")).collect();
    let server = Config::new(&db.url()).start();
    db.run(&format!("INSERT INTO sipwarden_company_address VALUES {};", rows.join(",")));
    let fault = reload(&server).unwrap_err();
    assert!(fault.contains("500 bad rows") && fault.contains("bad-0"), "{fault}");
    let problems = problems(&server);
    // Two pages: the summary, the count, and twenty rows.
    assert_eq!(problems.len(), 22, "{problems:#?}");
    assert_eq!(problems[1], "bad row: 500 in all, 20 shown");
    assert!(problems[21].contains("bad-19"), "{problems:#?}");
    assert_serves(&server);
}

#[test]
fn an_empty_table_of_companies_is_not_taken_for_the_truth() {
    let folder = Folder::new();
    let db = office(&folder);
    let server = Config::new(&db.url()).start();
    db.run("DELETE FROM sipwarden_company_address; DELETE FROM sipwarden_company;");
    let fault = reload(&server).unwrap_err();
    assert!(
        fault.contains(
            "no company is left in table sipwarden_company; the 1 that are loaded stay in force"
        ),
        "{fault}"
    );
    assert_serves(&server);
}

#[test]
fn a_slow_reload_does_not_hold_up_the_checks() {
    let folder = Folder::new();
    let db = office(&folder);
    let server = Config::new(&db.url()).start();
    // A view that takes seconds to read.
    db.run(
        "DROP TABLE sipwarden_trusted; CREATE VIEW sipwarden_trusted AS
        WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 6000000)
        SELECT '192.0.2.1' AS ip_addr, NULL AS mask, SUBSTR(MAX(i), 99) AS tag FROM n;",
    );
    let answered = std::thread::scope(|scope| {
        let reloading = scope.spawn(|| reload(&server).unwrap());
        let mut answered = 0;
        while !reloading.is_finished() {
            assert_serves(&server);
            answered += 1;
        }
        assert_eq!(reloading.join().unwrap()["generation"], 2);
        answered
    });
    assert!(answered > 10, "{answered} answers during the reload");
}

#[test]
fn tables_of_long_texts_are_read_to_the_end() {
    let folder = Folder::new();
    let db = office(&folder);
    let server = Config::new(&db.url()).start();
    // 20 MB, far more than the private memory of a process.
    db.run(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
        INSERT INTO sipwarden_brand SELECT i || printf('%.1000c', 'x'), 0 FROM n;",
    );
    let fault = reload(&server).unwrap_err();
    assert!(fault.contains("20000 bad rows"), "{fault}");
    assert_serves(&server);
    db.run("DELETE FROM sipwarden_brand WHERE id <> 'b';");
    assert_eq!(reload(&server).unwrap()["rows"]["brands"], 1);
}

#[test]
fn hostile_text_is_compared_and_shown_as_bytes() {
    let folder = Folder::new();
    let db = office(&folder);
    // A quote, an escape sequence, a line break, invalid UTF-8, a format directive.
    db.run(
        "INSERT INTO sipwarden_company VALUES ('a''b%s%n', 'b', 0, 0),
        (CAST(x'1b5b324a0a' AS TEXT), 'b', 0, 0);",
    );
    let server = Config::new(&db.url()).start();
    let quoted = server.ask("company", json!(["a'b%s%n"]));
    assert_eq!(quoted["company"], "a\\'b%s%n");
    let escape = server.ask("check", json!(["\u{1b}[2J\n", "127.0.0.1"]));
    assert_eq!(escape["reason"], "filter_off");
    assert_eq!(escape["company"], "\\u{1b}[2J\\n");
    db.run("INSERT INTO sipwarden_company VALUES ('no%s\x1b', 'no%s\x1b', 0, 0);");
    let fault = reload(&server).unwrap_err();
    assert!(
        fault.contains("brand_id \"no%s\\u{1b}\" is not a brand (company \"no%s\\u{1b}\")"),
        "{fault}"
    );
    db.run("UPDATE sipwarden_company SET id = CAST(x'fffe00' AS TEXT) WHERE id LIKE 'no%';");
    let fault = reload(&server).unwrap_err();
    assert!(fault.contains("id \"\\xff\\xfe\\0\" is not text"), "{fault}");
    assert!(!server.log().contains('\u{1b}'), "an escape sequence reached the log");
    assert_serves(&server);
}

#[test]
fn without_a_database_the_old_tables_serve_and_it_recovers() {
    let folder = Folder::new();
    let db = office(&folder);
    let server = Config::new(&db.url()).start();
    let away = folder.join("away.sqlite");
    std::fs::rename(db.path(), &away).unwrap();
    let fault = reload(&server).unwrap_err();
    assert!(fault.contains("it cannot be opened: No such file or directory; "), "{fault}");
    assert_serves(&server);
    assert!(!db.path().exists(), "SQLite's driver has made an empty one");
    std::fs::create_dir(db.path()).unwrap();
    let fault = reload(&server).unwrap_err();
    assert!(fault.contains("it cannot be opened: Is a directory: /"), "{fault}");
    assert_serves(&server);
    std::fs::remove_dir(db.path()).unwrap();
    std::fs::rename(&away, db.path()).unwrap();
    assert_eq!(reload(&server).unwrap()["generation"], 2);
    db.run("ALTER TABLE sipwarden_user RENAME COLUMN aor TO name;");
    let fault = reload(&server).unwrap_err();
    assert!(fault.contains("table sipwarden_user has no column aor: add it"), "{fault}");
    assert_serves(&server);
}

#[test]
fn too_little_room_names_the_parameter_and_a_value_that_would_do() {
    let folder = Folder::new();
    let db = office(&folder);
    let settings = "modparam(\"sipwarden\", \"snapshot_memory\", 2)\n";
    let server = Config::new(&db.url()).settings(settings).start();
    db.run(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
        INSERT INTO sipwarden_company SELECT 'company-' || i, 'b', 0, 0 FROM n;",
    );
    let fault = reload(&server).unwrap_err();
    assert!(fault.contains("snapshot_memory is too small"), "{fault}");
    assert_serves(&server);
    let words: Vec<&str> = fault.split(' ').collect();
    let at = words.iter().position(|w| w.starts_with("(MiB)")).expect("a value in MiB");
    let enough = format!("modparam(\"sipwarden\", \"snapshot_memory\", {})\n", words[at - 1]);
    let server = Config::new(&db.url()).settings(&enough).start();
    assert_eq!(reload(&server).unwrap()["rows"]["companies"], 20_001);
    let tight: u64 = words[at - 1].parse().unwrap();
    let short = format!("modparam(\"sipwarden\", \"snapshot_memory\", {})\n", tight - 1);
    assert!(Config::new(&db.url()).settings(&short).fail_to_start().contains("snapshot_memory"));
}

#[test]
fn bad_rows_can_be_skipped() {
    let folder = Folder::new();
    let db = office(&folder);
    let settings = "modparam(\"sipwarden\", \"reload_bad_rows\", \"skip\")\n";
    let server = Config::new(&db.url()).settings(settings).start();
    db.run(
        "INSERT INTO sipwarden_company_address VALUES ('office', 'wrong', NULL);
        INSERT INTO sipwarden_company_address VALUES ('office', '127.0.8.0/24', NULL);",
    );
    let done = reload(&server).unwrap();
    assert_eq!(done["skipped_rows"], 1);
    assert!(done["warnings"][0].as_str().unwrap().contains("wrong"), "{done}");
    assert_eq!(Phone::new("127.0.8.1", server.address()).ask("office").code, 1);
    assert_eq!(problems(&server)[0], "skipped: 1 in all, 1 shown");
    assert!(problems(&server)[1].contains("wrong"));
}

#[test]
fn a_writer_in_the_middle_of_its_work_does_not_fail_a_reload() {
    let folder = Folder::new();
    let db = office(&folder);
    let server = Config::new(&db.url()).start();
    let busy = Going::begin();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while busy.is_on() {
                db.run("BEGIN IMMEDIATE; UPDATE sipwarden_company SET max_calls = max_calls + 1; COMMIT;");
            }
        });
        let _end = busy.while_held();
        for _ in 0..100 {
            reload(&server).unwrap();
        }
    });
}

#[test]
fn a_table_that_is_missing_stops_the_start_and_not_the_server() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    let server = Config::new(&db.url()).start();
    db.run("DROP TABLE sipwarden_user;");
    let fault = reload(&server).unwrap_err();
    assert!(fault.contains("sipwarden_user"), "{fault}");
    server.ask("stats", json!([]));
    drop(server);
    let log = Config::new(&db.url()).fail_to_start();
    assert!(log.contains("table sipwarden_user cannot be read"), "{log}");
}
