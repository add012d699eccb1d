//! Calls that only ring: so many of a scope are admitted, and one that is answered makes room.

use std::collections::HashSet;

use super::{ROUTES, Stage, persistent};
use crate::Here;
use crate::support::call::{Caller, Endpoint};
use crate::support::host::Host;
use crate::support::proxy::{assert_nothing_left, calls, wait_for_calls};
use crate::support::{Folder, wait_for};
use libc::SIGTERM;
use serde_json::json;

/// The route, with CANCELs.
const CANCELS: &str = r#"
request_route {
    if (is_method("CANCEL")) {
        if (t_check_trans()) { t_relay(); }
        exit;
    }"#;

/// A proxy, and bob, who says only what a test wants.
struct Ringing {
    stage: Stage,
    bob: Endpoint,
}

impl Ringing {
    fn new(rows: &str, settings: &str) -> Self {
        let bob = Endpoint::new("127.0.0.1");
        let routes = ROUTES.replace("CALLEE", &bob.address().to_string());
        let routes = routes.replacen("request_route {", CANCELS, 1);
        // Longer than a test.
        let settings = Here::rings_for(60) + settings;
        let stage = Stage::with(rows, &routes, |config| config.settings(&settings));
        Ringing { stage, bob }
    }

    /// A call of company a with these further headers, of which the INVITE is sent.
    fn invite<'a>(&self, from: &'a Endpoint, headers: &[(&str, &str)]) -> Caller<'a> {
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let lines = format!("X-Company: a\r\n{lines}");
        let call = Caller::new(from, self.stage.server.address(), "a", &lines);
        call.invite();
        call
    }

    fn refusal(&self, from: &Endpoint, headers: &[(&str, &str)]) -> String {
        let reply = self.invite(from, headers).final_reply();
        assert_eq!(reply.status(), Some(403), "{}", reply.line);
        reply.line.split_once("No: ").unwrap().1.trim().to_owned()
    }

    /// Live calls and ringing ones of an id with a limit of ringing calls.
    fn counts(&self, kind: &str, id: &str) -> (u64, u64) {
        let answer = self.stage.server.ask("limits", json!([kind, id]));
        let limit = &answer["limits"][0];
        let number = |name: &str| limit[name].as_u64().unwrap_or_else(|| panic!("{answer}"));
        (number("calls"), number("ringing"))
    }

    fn wait_for_counts(&self, kind: &str, id: &str, expected: (u64, u64)) {
        wait_for(&format!("{kind} {id} to have {expected:?}"), || {
            (self.counts(kind, id) == expected).then_some(())
        });
    }

    /// The Call-IDs of all calls, and whether each one rings.
    fn listed(&self) -> Vec<(String, bool)> {
        let answer = self.stage.server.ask("calls", json!(["a"]));
        let all = answer["calls"].as_array().unwrap().iter();
        all.map(|call| (call["call_id"].as_str().unwrap().into(), call["ringing"] == 1)).collect()
    }

    fn end(self) {
        wait_for_calls(&self.stage.server, "a", 0);
        assert_nothing_left(&self.stage.server);
    }
}

const NUMBER: [(&str, &str); 2] = [("X-Flags", "o"), ("X-Scopes", "carrier=x;number=7")];

#[test]
fn of_a_storm_just_so_many_ring_and_every_end_makes_room() {
    const INVITES: usize = 60;
    const MOST: u64 = 10;
    let ringing = Ringing::new(
        "INSERT INTO sipwarden_limit (kind, id, direction, max_ringing) VALUES
             ('carrier', '*', 'out', 10), ('number', '*', 'any', 50);",
        "",
    );
    let (server, bob) = (&ringing.stage.server, &ringing.bob);
    let phones: Vec<_> = (0..INVITES).map(|_| Endpoint::new("127.0.0.1")).collect();
    let mut all: Vec<_> = phones.iter().map(|phone| ringing.invite(phone, &NUMBER)).collect();
    let mut invites: Vec<_> = (0..MOST).map(|_| bob.request("INVITE")).collect();
    invites.iter().for_each(|invite| bob.reply(invite, 180, "t"));
    let listed = ringing.listed();
    assert!(listed.iter().all(|(_, rings)| *rings), "{listed:?}");
    let up: HashSet<_> = listed.into_iter().map(|(call_id, _)| call_id).collect();
    assert_eq!(up.len() as u64, MOST);
    for call in all.iter_mut().filter(|call| !up.contains(&call.call_id)) {
        let reply = call.final_reply();
        assert!(reply.line.ends_with("No: ringing -23 carrier=x 10/10"), "{}", reply.line);
    }
    assert_eq!(server.counter("cc_call_counted"), MOST);
    assert!(server.counter("cc_ringing") >= INVITES as u64 - MOST);
    assert_eq!(ringing.counts("carrier", "x"), (MOST, MOST));
    assert_eq!(ringing.counts("number", "7"), (MOST, MOST), "a refusal has left a trace");
    wait_for("the event", || {
        server.log().contains("event limit ringing carrier=x 10/10").then_some(())
    });
    let told = server.ask("check", json!(["a", "127.0.0.1", "", "carrier=x", "o"]));
    assert_eq!(told["verdict"], "refused by cc_limit: ringing (-23)", "{told}");
    let told = told.to_string();
    assert!(told.contains("x\\\" has 10 of 10 ringing outbound calls"), "{told}");
    let denied = server.ask("denied", json!([]))["denied"][0].clone();
    let named = ["reason", "limit_kind", "limit_id", "limit_direction"].map(|name| &denied[name]);
    assert_eq!(named, [&json!("ringing"), &json!("carrier"), &json!("x"), &json!("out")]);

    // An answer makes room at once; the call still counts.
    let place = |all: &[Caller<'_>], invite: &(crate::support::call::Message, _)| {
        let call_id = invite.0.header("Call-ID").unwrap();
        all.iter().position(|call| call.call_id == call_id).unwrap()
    };
    let invite = invites.remove(0);
    let answered = place(&all, &invite);
    // Its 200 comes more than once.
    (0..3).for_each(|_| bob.reply(&invite, 200, "t"));
    assert_eq!(all[answered].final_reply().status(), Some(200));
    all[answered].ack();
    ringing.wait_for_counts("carrier", "x", (MOST, MOST - 1));
    assert!(ringing.listed().contains(&(all[answered].call_id.clone(), false)));
    let late = Endpoint::new("127.0.0.1");
    let mut more = [ringing.invite(&late, &NUMBER)];
    invites.push(bob.request("INVITE"));
    assert_eq!(ringing.counts("carrier", "x"), (MOST + 1, MOST));
    assert_eq!(ringing.refusal(&late, &NUMBER), "ringing -23 carrier=x 10/10");

    // So do an error and a CANCEL, with the call.
    let invite = invites.remove(0);
    bob.reply(&invite, 486, "t");
    let at = place(&all, &invite);
    assert_eq!(all[at].final_reply().status(), Some(486));
    ringing.wait_for_counts("carrier", "x", (MOST, MOST - 1));
    for invite in &invites {
        let call_id = invite.0.header("Call-ID").unwrap();
        let calls = all.iter_mut().chain(more.iter_mut());
        let call = calls.into_iter().find(|call| call.call_id == call_id).unwrap();
        bob.reply(invite, 180, "t");
        call.cancel();
        bob.reply(&bob.request("CANCEL"), 200, "t");
        bob.reply(invite, 487, "t");
        assert_eq!(call.final_reply().status(), Some(487));
    }
    ringing.wait_for_counts("carrier", "x", (1, 0));
    all[answered].within("BYE");
    bob.reply(&bob.request("BYE"), 200, "t");
    ringing.end();
}

#[test]
fn so_many_calls_of_a_user_ring_whoever_else_is_called() {
    let ringing = Ringing::new(
        "INSERT INTO sipwarden_limit (kind, id, direction, max_ringing) VALUES
            ('user', '*', 'in', 2), ('user', 'desk', 'in', 1);",
        "",
    );
    let (server, bob) = (&ringing.stage.server, &ringing.bob);
    let of = |user: &'static str| [("X-Flags", "i"), ("X-Scopes", user)];
    let phones = [(); 5].map(|()| Endpoint::new("127.0.0.1"));
    let mut at_the_desk = ringing.invite(&phones[0], &of("user=desk"));
    let invite = bob.request("INVITE");
    assert_eq!(ringing.refusal(&phones[4], &of("user=desk")), "ringing -23 user=desk 1/1");
    // Another one has calls of its own, and as many as the row for all says.
    let others = [1, 2].map(|n| {
        let call = ringing.invite(&phones[n], &of("user=anna"));
        (call, bob.request("INVITE"))
    });
    assert_eq!(ringing.refusal(&phones[4], &of("user=anna")), "ringing -23 user=anna 2/2");
    assert_eq!(ringing.counts("user", "desk"), (1, 1));
    assert_eq!(server.counter("cc_ringing"), 2);
    let told = server.ask("check", json!(["a", "127.0.0.1", "", "user=desk", "i"]));
    assert_eq!(told["verdict"], "refused by cc_limit: ringing (-23)", "{told}");
    // Once it is answered the next one may ring.
    bob.reply(&invite, 200, "t");
    assert_eq!(at_the_desk.final_reply().status(), Some(200));
    at_the_desk.ack();
    bob.request("ACK");
    ringing.wait_for_counts("user", "desk", (1, 0));
    let mut next = ringing.invite(&phones[3], &of("user=desk"));
    let second = bob.request("INVITE");
    assert_eq!(ringing.counts("user", "desk"), (2, 1));
    bob.reply(&second, 486, "t");
    assert_eq!(next.final_reply().status(), Some(486));
    for (mut call, invite) in others {
        bob.reply(&invite, 486, "t");
        assert_eq!(call.final_reply().status(), Some(486));
    }
    at_the_desk.within("BYE");
    bob.reply(&bob.request("BYE"), 200, "t");
    ringing.end();
}

#[test]
fn a_call_that_nobody_answers_in_time_makes_room() {
    let ringing = Ringing::new(
        "INSERT INTO sipwarden_limit (kind, id, max_ringing) VALUES ('company', '*', 1);",
        &Here::rings_for(2),
    );
    let phone = Endpoint::new("127.0.0.1");
    let mut call = ringing.invite(&phone, &[]);
    ringing.bob.reply(&ringing.bob.request("INVITE"), 180, "t");
    assert_eq!(ringing.refusal(&phone, &[]), "ringing -23 company=a 1/1");
    let reply = call.final_reply();
    assert_eq!(reply.status(), Some(408));
    ringing.wait_for_counts("company", "a", (0, 0));
    ringing.end();
}

#[test]
fn a_cancel_that_crosses_the_answer_leaves_a_call_that_does_not_ring() {
    let ringing = Ringing::new(
        "INSERT INTO sipwarden_limit (kind, id, max_ringing) VALUES ('company', '*', 1);",
        "",
    );
    let (phone, bob) = (Endpoint::new("127.0.0.1"), &ringing.bob);
    for is_answered_first in [false, true] {
        let mut call = ringing.invite(&phone, &[]);
        let invite = bob.request("INVITE");
        bob.reply(&invite, 180, "t");
        if is_answered_first {
            bob.reply(&invite, 200, "t");
            ringing.wait_for_counts("company", "a", (1, 0));
            call.cancel();
        } else {
            call.cancel();
            bob.request("CANCEL");
            bob.reply(&invite, 200, "t");
        }
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        bob.request("ACK");
        ringing.wait_for_counts("company", "a", (1, 0));
        // There is room for another one, and just for one.
        let other = Endpoint::new("127.0.0.1");
        let mut second = ringing.invite(&other, &[]);
        let invite = bob.request("INVITE");
        assert_eq!(ringing.refusal(&phone, &[]), "ringing -23 company=a 1/1");
        bob.reply(&invite, 603, "t");
        assert_eq!(second.final_reply().status(), Some(603));
        call.within("BYE");
        bob.reply(&bob.request("BYE"), 200, "t");
        ringing.wait_for_counts("company", "a", (0, 0));
    }
    ringing.end();
}

#[test]
fn both_companies_of_a_call_ring_until_it_is_answered_and_emergencies_pass() {
    let ringing = Ringing::new(
        "INSERT INTO sipwarden_limit (kind, id, max_ringing) VALUES
            ('company', 'b', 1), ('company', 'a', 2), ('brand', '*', 9);",
        "",
    );
    let (server, bob) = (&ringing.stage.server, &ringing.bob);
    let phones = [(); 3].map(|()| Endpoint::new("127.0.0.1"));
    let both = [("X-Flags", "o"), ("X-Second", "b")];
    let mut first = ringing.invite(&phones[0], &both);
    let invite = bob.request("INVITE");
    assert_eq!(
        [("company", "a"), ("company", "b"), ("brand", "y")]
            .map(|(kind, id)| { ringing.counts(kind, id) }),
        [(1, 1); 3]
    );
    assert_eq!(ringing.refusal(&phones[1], &both), "ringing -23 company=b 1/1");
    wait_for_calls(server, "a", 1);
    assert_eq!(ringing.counts("company", "a"), (1, 1));
    // An emergency is not refused, and rings like others.
    let urgent: Vec<_> = phones[1..]
        .iter()
        .map(|phone| {
            let call = ringing.invite(phone, &[("X-Flags", "eo")]);
            (call, bob.request("INVITE"))
        })
        .collect();
    assert_eq!(ringing.counts("company", "a"), (3, 3));
    assert_eq!(server.counter("cc_call_emergency"), 2);
    bob.reply(&invite, 200, "t");
    assert_eq!(first.final_reply().status(), Some(200));
    first.ack();
    ringing.wait_for_counts("company", "a", (3, 2));
    assert_eq!(ringing.counts("company", "b"), (1, 0));
    assert_eq!(ringing.counts("brand", "y"), (1, 0));
    for (mut call, invite) in urgent {
        bob.reply(&invite, 503, "t");
        call.final_reply();
    }
    first.within("BYE");
    bob.reply(&bob.request("BYE"), 200, "t");
    wait_for_calls(server, "b", 0);
    ringing.end();
}

#[test]
fn after_a_restart_answered_calls_do_not_ring() {
    let folder = Folder::new();
    let dialogs = Here::dialogs(&folder);
    let mut ringing = Ringing::new(
        "INSERT INTO sipwarden_limit (kind, id, direction, max_ringing) VALUES
            ('company', 'a', 'any', 1), ('carrier', 'x', 'any', 1);",
        &persistent(&dialogs),
    );
    let phones = [(); 2].map(|()| Endpoint::new("127.0.0.1"));
    let mut up = ringing.invite(&phones[0], &NUMBER);
    let invite = ringing.bob.request("INVITE");
    ringing.bob.reply(&invite, 200, "t");
    assert_eq!(up.final_reply().status(), Some(200));
    up.ack();
    ringing.bob.request("ACK");
    let rings = ringing.invite(&phones[1], &NUMBER);
    ringing.bob.reply(&ringing.bob.request("INVITE"), 180, "t");
    wait_for_calls(&ringing.stage.server, "a", 2);
    let stored = || dialogs.query("SELECT COUNT(*) FROM dialog WHERE state = 4;");
    wait_for("the dialog to be stored", || (stored().trim() == "1").then_some(()));
    ringing.stage.server.stop(SIGTERM);
    drop(rings);
    ringing.stage.server = ringing.stage.config.start();
    // The one that rang is of a transaction that is gone.
    assert_eq!(calls(&ringing.stage.server, "a"), 1);
    assert_eq!(ringing.counts("company", "a"), (1, 0));
    assert_eq!(ringing.counts("carrier", "x"), (1, 0));
    let mut next = ringing.invite(&phones[1], &NUMBER);
    let invite = ringing.bob.request("INVITE");
    assert_eq!(ringing.counts("company", "a"), (2, 1));
    ringing.bob.reply(&invite, 486, "t");
    next.final_reply();
    up.within("BYE");
    ringing.bob.reply(&ringing.bob.request("BYE"), 200, "t");
    ringing.end();
}
