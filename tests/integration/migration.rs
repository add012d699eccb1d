//! The guide that leads from stock modules: the old lines and the new ones give the same
//! answers to the same requests.

use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::digest::{challenge, credentials};
use crate::support::guide::block;
use crate::support::kamailio::{Config, Kamailio};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};

fn lines(name: &str) -> String {
    block("migration.md", name)
}

/// Tables with company 7, which may have two calls.
fn tables(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('1', 0);
        INSERT INTO sipwarden_company VALUES ('7', '1', 0, 2);",
    );
    db
}

/// The old lines, or the new ones, in front of an answer.
fn start(db: &Sqlite, sipwarden: bool, modules: &str, settings: &str, checks: &str) -> Kamailio {
    let checks = checks.replace("example.com", "test.invalid");
    let routes = format!("request_route {{\n{checks}\nsl_send_reply(\"200\", \"OK\");\n}}\n");
    let mut config = Config::new(&db.url()).settings(settings).routes(&routes);
    config.sipwarden = sipwarden;
    config.modules.push_str(modules);
    config.start()
}

fn status(kamailio: &Kamailio, source: &str) -> u16 {
    Phone::new(source, kamailio.address()).request("OPTIONS", "x", "").unwrap().status
}

#[test]
fn permissions() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO version (table_name, table_version) VALUES ('address', 6);
        CREATE TABLE address (id INTEGER PRIMARY KEY NOT NULL, grp INTEGER DEFAULT 1 NOT NULL,
            ip_addr VARCHAR(50) NOT NULL, mask INTEGER DEFAULT 32 NOT NULL,
            port SMALLINT DEFAULT 0 NOT NULL, tag VARCHAR(64));
        INSERT INTO address (grp, ip_addr, mask) VALUES (7, '127.1.0.0', 24), (7, '127.2.0.1', 32), (8, '127.3.0.1', 32);",
    );
    db.run(&lines("permissions-tables"));
    // The table of addresses alone.
    let settings = format!(
        "modparam(\"permissions\", \"db_url\", \"{}\")\nmodparam(\"permissions\", \"load_backends\", 1)\n",
        db.url()
    );
    let old = lines("permissions-before");
    let old = start(&db, false, "loadmodule \"permissions.so\"\n", &settings, &old);
    let new = start(&db, true, "", "", &lines("permissions-after"));
    for (source, expected) in [
        ("127.1.0.9", 200),
        ("127.1.1.9", 403),
        ("127.2.0.1", 200),
        ("127.2.0.2", 403),
        ("127.3.0.1", 403),
    ] {
        assert_eq!(status(&old, source), expected, "permissions, {source}");
        assert_eq!(status(&new, source), expected, "sipwarden, {source}");
    }
}

/// How many requests are answered before one is not.
fn answered(kamailio: &Kamailio) -> usize {
    let phone = Phone::new("127.9.0.1", kamailio.address());
    let answered = (0..100).take_while(|_| phone.request("OPTIONS", "x", "").is_some()).count();
    assert_eq!(status(kamailio, "127.9.0.2"), 200, "another source");
    answered
}

#[test]
fn pike_and_a_table_of_bans() {
    let folder = Folder::new();
    let db = tables(&folder);
    let old = start(&db, false, &lines("pike-settings"), "", &lines("pike-before"));
    let new = start(&db, true, "", &lines("flood-settings"), &lines("flood-after"));
    assert_eq!(answered(&new), 30);
    assert!((30..=60).contains(&answered(&old)));
}

/// Answers to six wrong passwords and a right one.
fn guesses(kamailio: &Kamailio) -> Vec<u16> {
    let phone = Phone::new("127.9.0.1", kamailio.address());
    let guess = |password: &str| {
        let fresh = Phone::new("127.9.0.2", kamailio.address());
        let nonce = challenge(&fresh, "REGISTER", "alice");
        let headers = credentials("REGISTER", "alice", password, &nonce);
        phone.request("REGISTER", "alice", &headers).unwrap().status
    };
    ["a", "b", "c", "d", "e", "f", "right"].map(guess).to_vec()
}

#[test]
fn bans_after_wrong_passwords() {
    let folder = Folder::new();
    let db = tables(&folder);
    let auth = "loadmodule \"auth.so\"\n";
    let htable = auth.to_owned() + &lines("htable-settings");
    let old = start(&db, false, &htable, "", &lines("htable-before"));
    let new = start(&db, true, auth, &lines("auth-settings"), &lines("auth-after"));
    let expected = [401, 401, 401, 401, 401, 403, 403];
    assert_eq!(guesses(&old), expected, "htable");
    assert_eq!(guesses(&new), expected, "sipwarden");
}

/// What callers are told who call one after the other.
fn counts_two_calls(checks: &str, settings: &str, sipwarden: bool) {
    let folder = Folder::new();
    let db = tables(&folder);
    let callee = AutoCallee::start("127.0.0.1");
    let routes = format!(
        "request_route {{
            if (has_totag()) {{ loose_route(); t_relay(); exit; }}
            {checks}
            record_route();
            $ru = \"sip:bob@{}\";
            t_relay();
        }}\n",
        callee.address
    );
    let mut config = Config::new(&db.url()).settings(settings).routes(&routes);
    config.sipwarden = sipwarden;
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    let kamailio = config.start();
    let phone = Endpoint::new("127.0.0.1");
    let call = || {
        let mut call = Caller::new(&phone, kamailio.address(), "c", "");
        call.invite();
        let status = call.final_reply().status();
        if status == Some(200) {
            call.ack();
        }
        (call, status)
    };
    let (mut first, status) = call();
    assert_eq!(status, Some(200));
    let (_second, status) = call();
    assert_eq!(status, Some(200));
    let (_third, status) = call();
    assert_eq!(status, Some(403));
    first.within("BYE");
    wait_for("the slot of the first call", || (call().1 == Some(200)).then_some(()));
}

#[test]
fn dialog_profiles() {
    counts_two_calls(&lines("profiles-before"), &lines("profiles-settings"), false);
    counts_two_calls(&lines("calls-after"), "", true);
}

#[test]
fn scanners_by_name() {
    let folder = Folder::new();
    let kamailio = start(&tables(&folder), true, "", "", &lines("scanners-after"));
    let phone = Phone::new("127.9.0.1", kamailio.address());
    phone.send("OPTIONS", "x", "User-Agent: friendly-scanner\r\n");
    let honest = phone.request("OPTIONS", "x", "User-Agent: Yealink T31\r\n");
    assert_eq!(honest.unwrap().status, 200);
    assert!(phone.heard_nothing(), "the scanner was answered");
}
