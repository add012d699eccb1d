//! Limits of an operator's own kinds: carriers, called numbers, users' received calls.

mod added;
mod longest;
mod ringing;
mod room;
mod told;

use super::{Config, Server};
use crate::Here;
use crate::hosts::new_requests;
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::host::Host;
use crate::support::proxy::{assert_nothing_left, calls, config, keep_dialogs, wait_for_calls};
use crate::support::running::free_port;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use libc::SIGTERM;
use serde_json::json;

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('x', 0), ('y', 0);
INSERT INTO sipwarden_company VALUES ('a', 'x', 0, 100), ('b', 'y', 0, 100);
";

/// Asks what the headers say, and relays. A refusal names what refused.
pub const ROUTES: &str = concat!(
    new_requests!(),
    r#"    if (!cc_limit("$hdr(X-Company)", "$hdr(X-Flags)", "$hdr(X-Scopes)")) { route(REFUSE); }
    if ($hdr(X-Second) != $null && !cc_limit("$hdr(X-Second)", "i", "$hdr(X-Scopes2)")) {
        route(REFUSE);
    }
    record_route();
    $ru = "sip:bob@CALLEE";
    t_relay();
}
route[REFUSE] {
    sl_send_reply(403, "No: $swd(reason) $swd(code) $swd(limit_kind)=$swd(limit_id) $swd(calls)/$swd(limit)");
    exit;
}
event_route[sipwarden:limit] {
    xlog("L_NOTICE", "event $swd(event) $swd(reason) $swd(limit_kind)=$swd(limit_id) $swd(calls)/$swd(limit)\n");
}
event_route[sipwarden:expired] {
    xlog("L_NOTICE", "event $swd(event) $swd(reason) of $swd(company) monitored $swd(monitored)\n");
}
"#
);

pub struct Stage {
    pub server: Server,
    pub config: Config,
    pub endpoint: Endpoint,
    callee: AutoCallee,
    pub db: Sqlite,
    folder: Folder,
}

impl Stage {
    /// With these rows of limits, and these settings.
    pub fn new(rows: &str, settings: &str) -> Self {
        Self::with(rows, ROUTES, |config| config.settings(settings))
    }

    pub fn with(rows: &str, routes: &str, change: impl FnOnce(Config) -> Config) -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(TENANTS);
        db.run(rows);
        let callee = AutoCallee::start("127.0.0.1");
        let routes = routes.replace("CALLEE", &callee.address.to_string());
        let table = "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n";
        let config =
            config(&db.url(), callee.address).settings(table).routes(&routes).port(free_port());
        let config = change(config);
        let server = config.start();
        Stage { server, config, endpoint: Endpoint::new("127.0.0.1"), callee, db, folder }
    }

    /// A call with these headers: it is up, or the reason of its refusal.
    pub fn call(&self, headers: &[(&str, &str)]) -> Result<Caller<'_>, String> {
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut call = Caller::new(&self.endpoint, self.server.address(), "a", &lines);
        call.invite();
        let reply = call.final_reply();
        match reply.status() {
            Some(200) => {
                call.ack();
                Ok(call)
            }
            Some(403) => {
                call.refused(&reply);
                Err(reply.line.split_once("No: ").unwrap().1.trim().to_owned())
            }
            _ => panic!("{}", reply.line),
        }
    }

    /// A call of company a with these flags and scopes.
    pub fn scoped(&self, flags: &str, scopes: &str) -> Result<Caller<'_>, String> {
        self.call(&[("X-Company", "a"), ("X-Flags", flags), ("X-Scopes", scopes)])
    }

    pub fn refusal(&self, flags: &str, scopes: &str) -> String {
        self.scoped(flags, scopes).err().expect("the call was admitted")
    }

    pub fn hang_up(&self, mut call: Caller<'_>) {
        call.within("BYE");
    }

    /// All calls have gone, and nothing of them is left.
    pub fn end(&self, calls: Vec<Caller<'_>>) {
        calls.into_iter().for_each(|call| self.hang_up(call));
        wait_for_calls(&self.server, "a", 0);
        wait_for_calls(&self.server, "b", 0);
        assert_nothing_left(&self.server);
    }
}

#[test]
fn a_call_counts_in_all_its_scopes_or_in_none() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_limit (kind, id, direction, max_calls) VALUES
             ('carrier', 'x', 'any', 3), ('did', '*', 'in', 1), ('did', '+34', 'in', 2);",
        "",
    );
    let first = stage.scoped("i", "carrier=x;did=+35").unwrap();
    // The number is full, and its carrier keeps its place.
    assert_eq!(stage.refusal("i", "carrier=x;did=+35"), "limit -13 did=+35 1/1");
    let second = stage.scoped("i", "carrier=x;did=+34").unwrap();
    // Out of the company the number has no limit.
    let third = stage.scoped("o", "carrier=x;did=+35").unwrap();
    assert_eq!(stage.refusal("i", "did=+34;carrier=x"), "limit -13 carrier=x 3/3");
    assert_eq!(calls(&stage.server, "a"), 3);
    assert_eq!(stage.server.counter("cc_limit"), 2);
    // A scope without an id is none; an unknown kind does not count, and is complained of.
    let fourth = stage.scoped("i", "carrier=;did=<null>").unwrap();
    let fifth = stage.scoped("i", "carier=x").unwrap();
    wait_for("the complaint", || {
        stage.server.log().contains("cc_limit does not count \"carier\"").then_some(())
    });
    wait_for("the event", || {
        stage.server.log().contains("event limit limit carrier=x 3/3").then_some(())
    });
    stage.end(vec![first, second, third, fourth, fifth]);
}

#[test]
fn a_rate_refuses_what_is_above_it_and_a_refused_call_uses_none() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_limit (kind, id, max_calls, max_new, window_seconds) VALUES
             ('carrier', '*', NULL, 2, 3600), ('did', '7', 1, NULL, NULL);",
        "",
    );
    let first = stage.scoped("", "carrier=x;did=7").unwrap();
    for _ in 0..3 {
        assert_eq!(stage.refusal("", "carrier=x;did=7"), "limit -13 did=7 1/1");
    }
    let second = stage.scoped("", "carrier=x").unwrap();
    assert_eq!(stage.refusal("", "carrier=x"), "rate -14 carrier=x 2/2");
    // Another carrier has a rate of its own; an emergency asks for none.
    let third = stage.scoped("", "carrier=y").unwrap();
    let fourth = stage.scoped("e", "carrier=x").unwrap();
    stage.hang_up(first);
    assert_eq!(stage.refusal("", "carrier=x"), "rate -14 carrier=x 2/2");
    stage.end(vec![second, third, fourth]);
}

#[test]
fn reserved_slots_are_for_emergencies_and_the_limit_is_hard() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_limit (kind, id, max_calls, reserved) VALUES ('carrier', 'x', 3, 1);",
        "",
    );
    let up = vec![stage.scoped("", "carrier=x").unwrap(), stage.scoped("", "carrier=x").unwrap()];
    assert_eq!(stage.refusal("", "carrier=x"), "limit -13 carrier=x 2/2");
    let emergency = stage.scoped("e", "carrier=x").unwrap();
    assert_eq!(stage.refusal("e", "carrier=x"), "limit -13 carrier=x 3/3");
    stage.hang_up(emergency);
    stage.end(up);
}

#[test]
fn a_company_has_limits_by_direction_and_both_companies_of_a_call_count_it() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_limit (kind, id, direction, max_calls) VALUES
             ('company', 'b', 'in', 1), ('company', '*', 'out', 2), ('brand', 'x', 'any', 2);",
        "",
    );
    let between = [("X-Company", "a"), ("X-Flags", "o"), ("X-Second", "b")];
    let first = stage.call(&between).unwrap();
    assert_eq!((calls(&stage.server, "a"), calls(&stage.server, "b")), (1, 1));
    // Company b is full: nothing is left of a's.
    assert_eq!(stage.call(&between).err().unwrap(), "company_limit -7 company=b 1/1");
    wait_for_calls(&stage.server, "a", 1);
    let second = stage.scoped("o", "").unwrap();
    assert_eq!(stage.refusal("o", ""), "brand_limit -6 brand=x 2/2");
    let third = stage.call(&[("X-Company", "b"), ("X-Flags", "o")]).unwrap();
    stage.end(vec![first, second, third]);
}

#[test]
fn a_call_that_the_second_company_refuses_has_used_the_rate_of_the_first() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_limit (kind, id, max_new, window_seconds) VALUES
             ('company', 'a', 2, 3600);
         INSERT INTO sipwarden_limit (kind, id, direction, max_calls) VALUES
             ('company', 'b', 'in', 1);",
        "",
    );
    let between = [("X-Company", "a"), ("X-Flags", "o"), ("X-Second", "b")];
    let first = stage.call(&between).unwrap();
    assert_eq!(stage.call(&between).err().unwrap(), "company_limit -7 company=b 1/1");
    wait_for_calls(&stage.server, "a", 1);
    assert_eq!(stage.refusal("o", ""), "rate -14 company=a 2/2");
    stage.end(vec![first]);
}

#[test]
fn limits_follow_a_reload_and_kinds_keep_their_calls() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES ('carrier', 'x', 2);",
        "",
    );
    let reload = |sql: &str| {
        stage.db.run(sql);
        stage.server.ask("reload", json!([]))
    };
    let up = vec![stage.scoped("", "carrier=x").unwrap(), stage.scoped("", "carrier=x").unwrap()];
    let loaded = reload(
        "DELETE FROM sipwarden_limit; INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES ('did', '7', 1);",
    );
    assert_eq!(loaded["rows"]["limits"], 1, "{loaded}");
    // Nothing limits the carrier; its calls are counted all the same.
    let third = stage.scoped("", "carrier=x;did=7").unwrap();
    reload("INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES ('carrier', '*', 3);");
    assert_eq!(stage.refusal("", "carrier=x"), "limit -13 carrier=x 3/3");
    reload("UPDATE sipwarden_limit SET max_calls = 1;");
    assert_eq!(stage.refusal("", "carrier=x"), "limit -13 carrier=x 3/1");
    assert_eq!(stage.refusal("", "did=7"), "limit -13 did=7 1/1");
    reload("UPDATE sipwarden_limit SET max_calls = 4;");
    let fourth = stage.scoped("", "carrier=x;did=7").unwrap();
    assert_eq!(stage.refusal("", "carrier=x"), "limit -13 carrier=x 4/4");
    let bad = stage
        .server
        .try_ask("reload", {
            stage
                .db
                .run("INSERT INTO sipwarden_limit (kind, id, reserved) VALUES ('did', '8', 2);");
            json!([])
        })
        .unwrap_err();
    assert!(bad.contains("sipwarden_limit row 3: reserved \"2\" has no max_calls"), "{bad}");
    stage.end(up.into_iter().chain([third, fourth]).collect());
}

/// Dialogs are kept, and with them what calls count for.
fn persistent(dialogs: &Sqlite) -> String {
    let period = "modparam(\"dialog\", \"db_update_period\", 1)\n";
    keep_dialogs(&dialogs.url(), 2) + period + Here::WHOLE_DIALOGS
}

/// Waits until so many values are stored with the dialogs.
fn wait_until_remembered(dialogs: &Sqlite, values: u32) {
    wait_for("the dialogs to be stored", || {
        let stored: u32 = dialogs.query(Here::REMEMBERED).trim().parse().unwrap();
        (stored >= values).then_some(())
    });
}

#[test]
fn a_restart_restores_all_scopes_of_a_call() {
    let folder = Folder::new();
    let dialogs = Here::dialogs(&folder);
    let settings = persistent(&dialogs);
    let mut stage = Stage::new(
        "INSERT INTO sipwarden_limit (kind, id, direction, max_calls, longest) VALUES
             ('carrier', 'x|# %', 'out', 1, NULL), ('did', '*', 'in', 1, 3600),
             ('company', 'b', 'in', 1, NULL);",
        &settings,
    );
    let up = stage
        .call(&[
            ("X-Company", "a"),
            ("X-Flags", "o"),
            ("X-Scopes", "carrier=x|# %"),
            ("X-Second", "b"),
            ("X-Scopes2", "did=+34"),
        ])
        .unwrap();
    let call_id = up.call_id.clone();
    wait_until_remembered(&dialogs, 3);
    drop(up);
    for _ in 0..2 {
        stage.server.stop(SIGTERM);
        stage.server = stage.config.start();
        assert_eq!((calls(&stage.server, "a"), calls(&stage.server, "b")), (1, 1));
        assert_eq!(stage.refusal("o", "carrier=x|# %"), "limit -13 carrier=x|# % 1/1");
        assert_eq!(stage.refusal("i", "did=+34"), "limit -13 did=+34 1/1");
        let second = stage.call(&[("X-Company", "b"), ("X-Flags", "i")]).err().unwrap();
        assert_eq!(second, "company_limit -7 company=b 1/1");
    }
    let listed = stage.server.ask("calls", json!(["b"]));
    assert_eq!(listed["calls"][0]["call_id"], json!(call_id), "{listed}");
    // A company that has gone meanwhile takes no call out of the other scopes.
    stage.server.stop(SIGTERM);
    stage.db.run("DELETE FROM sipwarden_company WHERE id = 'b';");
    stage.server = stage.config.start();
    assert_eq!(stage.refusal("i", "did=+34"), "limit -13 did=+34 1/1");
    stage.db.run("INSERT INTO sipwarden_company VALUES ('b', 'y', 0, 100);");
    stage.server.ask("reload", json!([]));
    assert_eq!(calls(&stage.server, "b"), 1);
}

#[test]
fn the_limit_of_a_long_id_is_told_in_listings() {
    let long = |last: char| format!("sip.a-carrier-with-a-long-name.example.{last}");
    let stage = Stage::new(
        &format!(
            "INSERT INTO sipwarden_limit (kind, id, max_calls, near_percent) VALUES
                 ('carrier', '*', 30, NULL), ('carrier', '{}', 2, 50);",
            long('x')
        ),
        "",
    );
    let up = ['x', 'y'].map(|last| stage.scoped("", &format!("carrier={}", long(last))).unwrap());
    let top = stage.server.ask("top", json!([]));
    let told = top["scopes"].as_array().unwrap().iter();
    let told: Vec<_> = told.map(|row| [&row["id"], &row["max_calls"], &row["near"]]).collect();
    // Of an id that no row has, the first 32 bytes are kept.
    let cut = long('y')[..32].to_owned() + "...";
    assert_eq!(
        told,
        [[&json!(long('x')), &json!(2), &json!(1)], [&json!(cut), &json!(30), &json!(0)]]
    );
    stage.end(up.into());
}

#[test]
fn more_scopes_than_a_call_can_have_are_refused() {
    let stage =
        Stage::new("INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES ('did', '*', 9);", "");
    let scopes = |count: usize| (0..count).map(|n| format!("did={n};")).collect::<String>();
    assert_eq!(stage.refusal("", &scopes(11)), "too_many_scopes -16 <null>=<null> <null>/<null>");
    assert_eq!(stage.refusal("", "did"), "internal_error -9 <null>=<null> <null>/<null>");
    let ten = stage.scoped("", &scopes(10)).unwrap();
    stage.end(vec![ten]);
    // What the script writes down stops the start.
    let wrong = [
        ("did=1;carrier", "the scope \\\"carrier\\\" is not kind=id"),
        ("company=x", "\\\"company\\\" cannot be named as a scope"),
        (&scopes(11), "at most 12 scopes"),
    ];
    for (scopes, why) in wrong {
        let routes = ROUTES.replace("$hdr(X-Scopes2)", scopes);
        let config: Config = config(&stage.db.url(), stage.callee.address).routes(&routes);
        let log = config.fail_to_start();
        let why = why.replace('\\', "");
        assert!(log.contains(&why), "{log} lacks {why}");
    }
    assert!(stage.folder.join("tables.sqlite").exists());
}

/// Calls of many kinds at once, from several threads, over several workers.
#[test]
fn a_storm_with_several_kinds_admits_just_what_all_of_them_allow() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_limit (kind, id, direction, max_calls, max_new, window_seconds) VALUES
             ('carrier', '*', 'any', 10, NULL, NULL), ('did', '*', 'in', 4, NULL, NULL),
             ('group', 'g', 'any', 25, NULL, NULL), ('user', '*', 'in', NULL, 7, 3600);",
        "",
    );
    const THREADS: usize = 4;
    const CALLS: usize = 60;
    let admitted: Vec<String> = std::thread::scope(|scope| {
        let storm = |thread: usize| {
            let endpoint = Endpoint::new("127.0.0.1");
            let mut admitted = Vec::new();
            for n in 0..CALLS {
                let (carrier, did, user) = (n % 3, (thread * CALLS + n) % 16, n % 5);
                let scopes = format!("carrier={carrier};did={did};group=g;user={user}");
                let headers = format!("X-Company: a\r\nX-Flags: i\r\nX-Scopes: {scopes}\r\n");
                let mut call = Caller::new(&endpoint, stage.server.address(), "a", &headers);
                call.invite();
                let reply = call.final_reply();
                if reply.status() == Some(200) {
                    call.ack();
                    admitted.push(scopes);
                } else {
                    call.refused(&reply);
                }
            }
            admitted
        };
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || storm(n))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let of =
        |scope: &str| admitted.iter().filter(|all| all.split(';').any(|one| one == scope)).count();
    assert_eq!(admitted.len(), 25);
    assert_eq!(calls(&stage.server, "a"), 25);
    for n in 0..16 {
        assert!(of(&format!("carrier={n}")) <= 10);
        assert!(of(&format!("did={n}")) <= 4);
        assert!(of(&format!("user={n}")) <= 7);
    }
    assert!(stage.server.counter("cc_limit") > 0);
}

#[test]
fn a_kind_without_a_row_is_told_once_by_all_workers() {
    let rows = "INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES ('carrier', '*', 99);";
    let stage = Stage::with(rows, ROUTES, |mut config| {
        config.workers = 4;
        config
    });
    let told = |kind: &str| {
        let line = format!("cc_limit does not count \"{kind}\"");
        stage.server.log().matches(&line).count()
    };
    let call_for = |scopes: &str| {
        let calls: Vec<_> = (0..40).map(|_| stage.scoped("o", scopes).unwrap()).collect();
        stage.end(calls);
    };
    call_for("carrier=x;did=7");
    call_for("group=y");
    assert_eq!([told("did"), told("group")], [1, 1]);
    // Another kind than before: the script may have been mistyped.
    stage.db.run("INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES ('did', '*', 99);");
    stage.server.ask("reload", json!([]));
    call_for("did=7");
    call_for("group=y");
    assert_eq!([told("did"), told("group")], [1, 2]);
}
