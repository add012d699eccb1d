//! What comes to a call that counts already: other companies, another direction, an
//! emergency, a restart.

use std::time::Duration;

use super::{ROUTES, Stage, persistent, wait_until_remembered};
use crate::Here;
use crate::hosts::new_requests;
use crate::support::call::{Caller, Endpoint};
use crate::support::host::Host;
use crate::support::proxy::{calls, wait_for_calls};
use crate::support::{Folder, wait_for};
use libc::SIGTERM;
use serde_json::{Value, json};

/// Asks about a second company, if there is one, with flags of its own.
fn routes() -> String {
    ROUTES.replace("\"$hdr(X-Second)\", \"i\"", "\"$hdr(X-Second)\", \"$hdr(X-Flags2)\"")
}

/// The call as it is listed for a company.
fn listed(stage: &Stage, company: &str, call_id: &str) -> Value {
    let all = stage.server.ask("calls", json!([company]));
    let calls = all["calls"].as_array().unwrap().clone();
    calls.into_iter().find(|call| call["call_id"] == call_id).unwrap_or_else(|| panic!("{all}"))
}

/// b forwards to c what it does not answer.
const FORWARDING: &str = concat!(
    new_requests!(),
    r#"    if (!cc_limit("a", "o", "carrier=x") || !cc_limit("b", "i")) { sl_send_reply(403, "No: $swd(reason)"); exit; }
    record_route();
    t_on_failure("FORWARD");
    $ru = "sip:bob@BOB";
    t_relay();
}
failure_route[FORWARD] {
    if (!cc_limit("b", "o") || !cc_limit("c", "i", "did=7")) {
        $var(why) = "No: " + $swd(reason) + " " + $swd(limit_kind) + "=" + $swd(limit_id);
        t_reply(403, "$var(why)");
        exit;
    }
    $ru = "sip:carol@CALLEE";
    t_relay();
}
"#
);

#[test]
fn a_call_that_is_forwarded_counts_for_all_companies_until_it_ends() {
    let bob = Endpoint::new("127.0.0.1");
    let routes = FORWARDING.replace("BOB", &bob.address().to_string());
    let stage = Stage::with(
        "INSERT INTO sipwarden_company VALUES ('c', 'y', 0, 100);
         INSERT INTO sipwarden_limit (kind, id, direction, max_calls) VALUES
             ('company', 'b', 'out', 5), ('did', '7', 'in', 1), ('carrier', 'x', 'any', 9);",
        &routes,
        |config| config,
    );
    let forwarded = || {
        let mut call = Caller::new(&stage.endpoint, stage.server.address(), "a", "");
        call.invite();
        let invite = bob.request("INVITE");
        bob.reply(&invite, 486, "b");
        let reply = call.final_reply();
        match reply.status() {
            Some(200) => {
                call.ack();
                Ok(call)
            }
            _ => Err(reply.line.split_once("No: ").unwrap().1.trim().to_owned()),
        }
    };
    let count = |of: &str| calls(&stage.server, of);
    let up = forwarded().unwrap();
    assert_eq!(["a", "b", "c"].map(count), [1, 1, 1]);
    for company in ["a", "b", "c"] {
        let call = listed(&stage, company, &up.call_id);
        assert_eq!((&call["company"], &call["brand"]), (&json!("a, b, c"), &json!("x, y")));
        let scopes: Vec<_> = call["scopes"].as_array().unwrap().clone();
        for scope in ["company=a (out)", "company=b (in, out)", "company=c (in)", "did=7 (in)"] {
            assert!(scopes.contains(&json!(scope)), "{scopes:?}");
        }
    }
    // In the statistics it is one call, from a.
    let counted = || ["calls_outbound", "calls_inbound"].map(|name| stage.server.counter(name));
    assert_eq!(counted(), [1, 0]);
    // The number is full: the second call is refused there, and counts nowhere any more.
    assert_eq!(forwarded().err().unwrap(), "limit did=7");
    for company in ["a", "b", "c"] {
        wait_for_calls(&stage.server, company, 1);
    }
    stage.hang_up(up);
    wait_for_calls(&stage.server, "c", 0);
    let up = forwarded().unwrap();
    assert_eq!(counted(), [3, 0]);
    stage.hang_up(up);
    wait_for_calls(&stage.server, "c", 0);
    stage.end(vec![]);
}

#[test]
fn a_call_that_ends_by_time_is_told_of_both_companies() {
    let rows = "INSERT INTO sipwarden_limit (kind, id, longest) VALUES ('company', 'b', 1);";
    let stage = Stage::with(rows, &routes(), |config| config);
    let headers = [("X-Company", "a"), ("X-Flags", "o"), ("X-Second", "b"), ("X-Flags2", "i")];
    let call = stage.call(&headers).unwrap();
    let (bye, _) = stage.endpoint.receive_within(Duration::from_secs(20)).expect("no BYE");
    assert_eq!((bye.method(), bye.header("Call-ID")), ("BYE", Some(&*call.call_id)));
    for told in ["event call_expired longest of a, b", "of company \"a, b\" counts no more"] {
        wait_for(told, || stage.server.log().contains(told).then_some(()));
    }
    assert_eq!(stage.server.counter("calls_expired"), 1);
    stage.end(vec![]);
}

/// Time that has passed before a restart is taken from what is left of a call.
#[test]
fn a_restart_gives_no_call_more_time_and_keeps_what_was_added() {
    let folder = Folder::new();
    let dialogs = Here::dialogs(&folder);
    let rows = "INSERT INTO sipwarden_limit (kind, id, direction, max_calls, longest) VALUES
                    ('carrier', 'hour', 'any', NULL, 3600), ('carrier', 'two', 'any', NULL, 7200),
                    ('company', 'a', 'in', 1, NULL);";
    let mut stage = Stage::with(rows, &routes(), |config| config.settings(&persistent(&dialogs)));
    let hour = stage.scoped("o", "carrier=hour").unwrap();
    let two = stage.scoped("o", "carrier=two").unwrap();
    // Asked again, it is an emergency, and within the company.
    let second = [("X-Second", "a"), ("X-Flags2", "ei")];
    let first = [("X-Company", "a"), ("X-Flags", "o"), ("X-Scopes", "carrier=hour")];
    let emergency = stage.call(&[first.as_slice(), &second].concat()).unwrap();
    let ids = [hour, two, emergency].map(|call| call.call_id);
    let is_right = |stage: &Stage| {
        let call = listed(stage, "a", &ids[2]);
        assert_eq!((&call["emergency"], &call["seconds_left"]), (&json!(1), &json!(0)), "{call}");
        assert!(call["scopes"].as_array().unwrap().contains(&json!("company=a (in, out)")));
    };
    is_right(&stage);
    wait_until_remembered(&dialogs, 9);
    stage.server.stop(SIGTERM);
    // As if they had begun an hour ago, less a moment.
    dialogs.run("UPDATE dialog SET start_time = start_time - 3598;");
    stage.server = stage.config.start();
    let (bye, _) = stage.endpoint.receive_within(Duration::from_secs(30)).expect("no BYE");
    assert_eq!((bye.method(), bye.header("Call-ID")), ("BYE", Some(&*ids[0])));
    wait_for_calls(&stage.server, "a", 2);
    let left = listed(&stage, "a", &ids[1])["seconds_left"].as_u64().unwrap();
    assert!((1..=3602).contains(&left), "{left}");
    is_right(&stage);
    assert_eq!(
        stage.call(&[("X-Company", "a"), ("X-Flags", "i")]).err().unwrap(),
        "company_limit -7 company=a 1/1"
    );
}
