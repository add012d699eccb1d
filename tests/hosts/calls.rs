//! Whose call it is: listings, numbers of two companies, and calls with one Call-ID.

use super::{Config, Server};
use crate::hosts::new_requests;
use crate::support::Folder;
use crate::support::call::{Caller, Endpoint};
use crate::support::proxy::{assert_nothing_left, calls, config, wait_for_calls};
use crate::support::sqlite::Sqlite;
use serde_json::{Value, json};

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('x', 20), ('y', 30);
INSERT INTO sipwarden_company VALUES ('a', 'x', 1, 10), ('b', 'y', 1, 7);
INSERT INTO sipwarden_user VALUES ('alice@a', 'a', 2);
";

/// Asks what the headers say, and relays.
const ROUTES: &str = concat!(
    new_requests!(),
    r#"    if ($hdr(X-Roadwarrior) != $null) {
        roadwarrior_acquire("$hdr(X-Roadwarrior)", "$fd");
    }
    if ($hdr(X-From) != $null) {
        cc_limit("$hdr(X-From)", "o");
    }
    if ($hdr(X-To) != $null) {
        cc_limit("$hdr(X-To)", "i");
    }
    xlog("L_NOTICE", "told: $swd(reason) company $swd(company_calls)/$swd(company_limit) brand $swd(brand_calls)/$swd(brand_limit) user $swd(user_calls)/$swd(user_limit)\n");
    record_route();
    $ru = "sip:bob@CALLEE";
    t_relay();
}
"#
);

struct Stage {
    server: Server,
    caller: Endpoint,
    callee: Endpoint,
    _folder: Folder,
}

impl Stage {
    fn new() -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(TENANTS);
        let callee = Endpoint::new("127.0.0.1");
        let routes = ROUTES.replace("CALLEE", &callee.address().to_string());
        let config: Config = config(&db.url(), callee.address());
        let server = config.routes(&routes).start();
        Stage { server, caller: Endpoint::new("127.0.0.1"), callee, _folder: folder }
    }

    fn up(&self, headers: &str) -> Caller<'_> {
        let mut call = Caller::new(&self.caller, self.server.address(), "a", headers);
        call.invite();
        self.callee.reply(&self.callee.request("INVITE"), 200, "t");
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        self.callee.request("ACK");
        call
    }

    fn hang_up(&self, mut call: Caller<'_>) {
        call.within("BYE");
        self.callee.reply(&self.callee.request("BYE"), 200, "t");
    }

    fn listed(&self, company: &str) -> Vec<Value> {
        let listed = self.server.ask("calls", json!([company]));
        let all = listed["calls"].as_array().unwrap().clone();
        assert_eq!(listed["total"], all.len());
        all
    }
}

#[test]
fn a_roadwarriors_call_is_listed_for_his_company_and_does_not_count_for_it() {
    let stage = Stage::new();
    let first = stage.up("X-Roadwarrior: alice@a\r\n");
    let second = stage.up("X-Roadwarrior: alice@a\r\nX-From: a\r\n");
    let listed = stage.listed("a");
    assert_eq!(listed.len(), 2, "{listed:?}");
    let of = |call: &Caller<'_>| {
        listed.iter().find(|row| row["call_id"] == *call.call_id).unwrap().clone()
    };
    let told = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        (text("company"), text("brand"), text("user"), row["counts_for_company"].clone())
    };
    let row = |brand: &str, counts| ("a".into(), brand.into(), "alice@a".into(), json!(counts));
    assert_eq!(told(&of(&first)), row("", 0));
    assert_eq!(told(&of(&second)), row("x", 1));
    assert_eq!(calls(&stage.server, "a"), 1);
    assert_eq!(stage.listed("b").len(), 0);
    let log = stage.server.log();
    let line = "told: roadwarrior_counted company <null>/<null> brand <null>/<null> user 1/2";
    assert!(log.contains(line), "{log}");
    stage.hang_up(first);
    stage.hang_up(second);
    wait_for_calls(&stage.server, "a", 0);
    assert_nothing_left(&stage.server);
}

#[test]
fn the_numbers_are_those_of_one_company() {
    let stage = Stage::new();
    let mut up =
        vec![stage.up("X-From: a\r\n"), stage.up("X-From: a\r\n"), stage.up("X-To: b\r\n")];
    // A user of a calls one of b: his third call of 10, the other's company has 1 of 7.
    up.push(stage.up("X-From: a\r\nX-To: b\r\n"));
    let log = stage.server.log();
    let line = "told: call_counted company 2/7 brand 2/30 user <null>/<null>";
    assert!(log.contains(line), "{log}");
    assert_eq!((calls(&stage.server, "a"), calls(&stage.server, "b")), (3, 2));
    up.into_iter().for_each(|call| stage.hang_up(call));
    wait_for_calls(&stage.server, "a", 0);
    assert_nothing_left(&stage.server);
}

#[test]
fn calls_that_share_a_call_id_are_released_together_and_that_is_said() {
    let stage = Stage::new();
    let proxy = stage.server.address();
    // A proxy in front has forked: the same Call-ID with other From tags.
    let mut calls_up: Vec<_> = (0..3)
        .map(|_| {
            let mut call = Caller::new(&stage.caller, proxy, "a", "X-From: a\r\n");
            call.call_id = "shared@test".into();
            call.invite();
            stage.callee.reply(&stage.callee.request("INVITE"), 200, "t");
            assert_eq!(call.final_reply().status(), Some(200));
            call.ack();
            stage.callee.request("ACK");
            call
        })
        .collect();
    let single = stage.up("X-From: a\r\n");
    assert_eq!(calls(&stage.server, "a"), 4);
    let said = stage.server.ask("release", json!(["shared@test"]));
    assert_eq!(said["released"], 3);
    assert_eq!(calls(&stage.server, "a"), 1);
    let said = stage.server.ask("release", json!([single.call_id]));
    assert_eq!(said["released"], 1);
    let log = stage.server.log();
    assert!(log.contains("took all calls of Call-ID shared@test out of the counts: 3"), "{log}");
    for call in &mut calls_up {
        call.within("BYE");
        stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
    }
    stage.hang_up(single);
    assert_nothing_left(&stage.server);
}
