//! Whole runs on MariaDB and PostgreSQL with the project's own schema: calls are
//! counted and refused, limits follow a reload, and two proxies share an audit table.

use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::kamailio::{Config, Kamailio};
use crate::support::proxy::{self, assert_nothing_left, calls, wait_for_calls};
use crate::support::running::free_port;
use crate::support::servers::Server;
use crate::support::sip::Phone;
use crate::support::{wait_for, wait_up_to};
use serde_json::json;

fn calls_are_counted_and_refused(server: &Server) {
    server.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 3);
         INSERT INTO sipwarden_company VALUES ('c.example', 'b', 1, 2), ('d.example', 'b', 0, 0);
         INSERT INTO sipwarden_company_address VALUES ('c.example', '127.20.0.0', 16);
         INSERT INTO sipwarden_user VALUES ('alice@c.example', 'c.example', 1);",
    );
    let callee = Endpoint::new("127.30.0.1");
    let mut config: Config = proxy::config(&server.url(), callee.address())
        .settings(&format!("modparam(\"sipwarden\", \"audit_url\", \"{}\")\n", server.url()));
    config.modules = config.modules.replace("loadmodule \"db_sqlite.so\"\n", server.driver());
    let kamailio = config.start();
    let phone = Endpoint::new("127.20.0.1");
    let call = |domain: &str, headers: &str| {
        let mut caller = Caller::new(&phone, kamailio.address(), domain, headers);
        caller.invite();
        let invite = callee.request("INVITE");
        callee.reply(&invite, 200, "t");
        assert_eq!(caller.final_reply().status(), Some(200));
        caller.ack();
        caller
    };
    let refused = |from: &Endpoint, domain: &str, headers: &str| {
        let mut caller = Caller::new(from, kamailio.address(), domain, headers);
        caller.invite();
        let reply = caller.final_reply();
        assert_eq!(reply.status(), Some(403));
        reply.line
    };
    let mut up = vec![call("c.example", ""), call("c.example", "")];
    assert!(refused(&phone, "c.example", "").contains("company_limit 2/2 2/3"));
    up.push(call("d.example", ""));
    assert!(refused(&phone, "d.example", "").contains("brand_limit"));

    // A higher limit holds with the next reload, a lower one ends no call.
    server.run("UPDATE sipwarden_brand SET max_calls = 9; UPDATE sipwarden_company SET max_calls = 3 WHERE id = 'c.example';");
    kamailio.rpc("sipwarden.reload", json!([]));
    let roadwarrior = "X-Roadwarrior: alice@c.example\r\n";
    up.push(call("c.example", roadwarrior));
    let elsewhere = Endpoint::new("127.21.0.1");
    server.run("UPDATE sipwarden_company SET max_calls = 1 WHERE id = 'c.example';");
    kamailio.rpc("sipwarden.reload", json!([]));
    wait_for_calls(&kamailio, "c.example", 3);
    assert!(refused(&elsewhere, "c.example", roadwarrior).contains("company_limit"));
    server.run("UPDATE sipwarden_user SET external_calls = 0;");
    kamailio.rpc("sipwarden.reload", json!([]));
    assert!(refused(&elsewhere, "c.example", roadwarrior).contains("roadwarrior_none"));

    for mut caller in up {
        caller.within("BYE");
        let bye = callee.request("BYE");
        callee.reply(&bye, 200, "t");
    }
    assert_nothing_left(&kamailio);
    for reason in ["company_limit", "brand_limit", "roadwarrior_none"] {
        wait_for(reason, || {
            let sql = format!("SELECT COUNT(*) FROM sipwarden_audit WHERE reason = '{reason}'");
            (server.query(&sql) != "0").then_some(())
        });
    }
}

#[test]
fn mariadb_counts() {
    calls_are_counted_and_refused(&Server::mariadb());
}

#[test]
fn postgresql_counts() {
    calls_are_counted_and_refused(&Server::postgres());
}

const KEPT: usize = 24;

/// Several workers write dialogs; after a crash those that live count, and no other.
fn calls_live_on_after_a_crash(server: &Server) {
    server.create_dialog_tables();
    server.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 0);",
    );
    let callee = AutoCallee::start("127.0.0.1");
    let mut config: Config = proxy::config(&server.url(), callee.address)
        .settings(&proxy::keep_dialogs(&server.url(), 1))
        .port(free_port());
    config.modules = config.modules.replace("loadmodule \"db_sqlite.so\"\n", server.driver());
    let mut kamailio = config.start();
    let phones = [(); 2 * KEPT].map(|()| Endpoint::new("127.0.0.1"));
    let caller = |phone| Caller::new(phone, kamailio.address(), "c", "");
    // All at once, so that several workers write.
    let mut up: Vec<_> = phones.iter().map(caller).collect();
    up.iter().for_each(Caller::invite);
    for call in &mut up {
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
    }
    let stored = |rows: usize| {
        wait_for("the rows of dialogs", || {
            let found = server.query("SELECT COUNT(*) FROM dialog WHERE state = 4;");
            (found == rows.to_string()).then_some(())
        });
    };
    stored(2 * KEPT);
    up.drain(KEPT..).for_each(|mut call| call.within("BYE"));
    stored(KEPT);
    kamailio.stop(libc::SIGKILL);
    kamailio = config.start();
    assert_eq!(calls(&kamailio, "c"), KEPT as u64, "{}", kamailio.log());
    up.iter_mut().for_each(|call| call.within("BYE"));
    assert_nothing_left(&kamailio);
    stored(0);
    assert_eq!(server.query("SELECT COUNT(*) FROM dialog;"), "0");
}

#[test]
fn mariadb_keeps_calls() {
    calls_live_on_after_a_crash(&Server::mariadb());
}

#[test]
fn postgresql_keeps_calls() {
    calls_live_on_after_a_crash(&Server::postgres());
}

/// AoRs that both proxies refuse at the same time.
const AORS: usize = 300;
/// How often each does.
const TIMES: usize = 2;

fn two_proxies_share_the_audit_table(server: &Server, patience: &str) {
    server.run("INSERT INTO sipwarden_brand VALUES ('b', 0); INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0);");
    let proxies = [(); 2].map(|()| server.audited().settings(patience).start());
    let ask = |kamailio: &Kamailio| {
        let phone = Phone::new("127.9.0.1", kamailio.address());
        for n in 0..TIMES * AORS {
            let header = format!("X-Aor: u{}@x\r\n", n % AORS);
            assert_eq!(phone.request("OPTIONS", "x", &header).map(|reply| reply.status), Some(403));
        }
    };
    std::thread::scope(|scope| {
        for kamailio in &proxies {
            scope.spawn(|| ask(kamailio));
        }
    });
    // No row is missed and no hit is lost, whoever of them writes first.
    let expected = (2 * TIMES * AORS).to_string();
    let mut seen = String::new();
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_up_to(std::time::Duration::from_secs(40), "all hits", || {
            seen = server
                .query("SELECT SUM(hits) FROM sipwarden_audit WHERE reason = 'roadwarrior_none'");
            (seen == expected).then_some(())
        });
    }));
    assert!(told.is_ok(), "{seen} hits of {expected}");
    let rows =
        server.query("SELECT COUNT(*) FROM sipwarden_audit WHERE reason = 'roadwarrior_none'");
    assert_eq!(rows, AORS.to_string());
    for kamailio in &proxies {
        assert_eq!(kamailio.counter("audit_lost"), 0);
        assert!(!kamailio.log().contains("audit rows are not written"), "{}", kamailio.log());
    }
}

#[test]
fn mariadb_is_shared() {
    // With its two seconds the driver repeats, on a busy machine, what has been written.
    let patience = "modparam(\"db_mysql\", \"timeout_interval\", 30)\n";
    two_proxies_share_the_audit_table(&Server::mariadb(), patience);
}

#[test]
fn postgresql_is_shared() {
    two_proxies_share_the_audit_table(&Server::postgres(), "");
}
