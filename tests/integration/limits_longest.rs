//! Calls that cannot be ended when they have lasted their longest, and a date that is set.

use std::time::Duration;

use crate::hosts::limits::{ROUTES, Stage};
use crate::support::call::{Caller, Endpoint, answer};
use crate::support::preload;
use crate::support::proxy::{calls, wait_for_calls};
use crate::support::{Folder, wait_for};
use serde_json::json;

/// As that of a browser: nobody can be asked for it.
const NOWHERE: &str = "sip:anybody@df7jal23ls0d.invalid";
const CANNOT: &str = "cannot be ended: it has lasted as long as `longest` of limit_table allows, \
                      but not both ends can be sent a BYE";

/// A call that may last two seconds, of a caller that cannot be reached.
fn call_from_nowhere<'a>(stage: &'a Stage, bob: &Endpoint, contact: &str) -> Caller<'a> {
    let lines = "X-Company: a\r\nX-Scopes: carrier=x\r\n";
    let mut call = Caller::new(&stage.endpoint, stage.server.address(), "a", lines);
    call.contact = Some(NOWHERE.into());
    call.invite();
    let (invite, from) = bob.request("INVITE");
    bob.send(&answer(&invite, 200, "b", contact), from);
    let reply = call.final_reply();
    assert_eq!(reply.status(), Some(200), "{}", reply.line);
    call.ack();
    call
}

fn stage_of(bob: &Endpoint) -> Stage {
    let routes = ROUTES.replace("CALLEE", &bob.address().to_string());
    let rows = "INSERT INTO sipwarden_limit (kind, id, longest) VALUES ('carrier', 'x', 2);";
    Stage::with(rows, &routes, |config| config)
}

fn wait_for_line(stage: &Stage, line: &str) {
    wait_for(line, || stage.server.log().contains(line).then_some(()));
}

#[test]
fn a_longest_call_whose_ends_cannot_be_reached_goes_on_and_counts() {
    let bob = Endpoint::new("127.0.0.1");
    let stage = stage_of(&bob);
    let call = call_from_nowhere(&stage, &bob, &format!("<{NOWHERE}>"));
    wait_for_line(&stage, CANNOT);
    wait_for_line(&stage, "event call_expired longest of a monitored 0");
    let dialog = || stage.server.rpc("dlg.list", json!([]))[0].clone();
    assert_eq!((calls(&stage.server, "a"), &dialog()["state"]), (1, &json!(4)));
    assert_eq!(stage.server.counter("calls_expired"), 1);
    let listed = stage.server.rpc("sipwarden.calls", json!(["a"]))["calls"][0].clone();
    let left = listed["seconds_left"].as_u64().unwrap();
    assert!((1..=60).contains(&left), "it is tried again in {left} s");
    // No operator can end it either.
    let known = dialog();
    stage.server.rpc("dlg.end_dlg", json!([known["h_entry"], known["h_id"]]));
    assert_eq!((calls(&stage.server, "a"), &dialog()["state"]), (1, &json!(4)));
    stage.end(vec![call]);
    assert_eq!(stage.server.log().matches(CANNOT).count(), 1);
}

#[test]
fn a_longest_call_of_which_one_end_can_be_reached_ends() {
    let bob = Endpoint::new("127.0.0.1");
    let stage = stage_of(&bob);
    call_from_nowhere(&stage, &bob, &format!("<sip:bob@{}>", bob.address()));
    let bye = bob.request("BYE");
    wait_for_line(&stage, CANNOT);
    assert_eq!(calls(&stage.server, "a"), 1);
    bob.reply(&bye, 200, "b");
    wait_for_calls(&stage.server, "a", 0);
    assert_eq!(stage.server.counter("calls_expired"), 1);
    stage.end(vec![]);
}

/// Shows a date of tomorrow from the moment on at which a file is there.
const STEPPING_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
	long rc = syscall(SYS_clock_gettime, clock, time);

	if(clock == CLOCK_REALTIME_COARSE && access(getenv("TOMORROW"), F_OK) == 0)
		time->tv_sec += 86400;
	return (int)rc;
}
"#;

#[test]
fn a_date_that_is_set_forward_ends_no_call() {
    let folder = Folder::new();
    let tomorrow = folder.join("tomorrow");
    let library = preload::library_of(folder.path(), STEPPING_CLOCK);
    let rows = "INSERT INTO sipwarden_limit (kind, id, longest) VALUES
                    ('carrier', 'x', 3600), ('carrier', 'y', 1);";
    let stage = Stage::with(rows, ROUTES, |mut config| {
        config.preload(&library, "TOMORROW", &tomorrow);
        config
    });
    let long = stage.scoped("", "carrier=x").unwrap();
    std::fs::write(&tomorrow, "").unwrap();
    let loaded = || stage.server.rpc("sipwarden.stats", json!([]))["age_seconds"].as_u64();
    assert!(loaded() > Some(86_000), "the date is that of tomorrow");
    // The recorder has looked when this one has ended.
    let short = stage.scoped("", "carrier=y").unwrap();
    let (bye, _) = stage.endpoint.receive_within(Duration::from_secs(20)).expect("no BYE");
    assert_eq!((bye.method(), bye.header("Call-ID")), ("BYE", Some(&*short.call_id)));
    wait_for_calls(&stage.server, "a", 1);
    let listed = stage.server.rpc("sipwarden.calls", json!(["a"]))["calls"][0].clone();
    let of = |name: &str| listed[name].as_u64().unwrap();
    assert!(of("age_seconds") < 600 && of("seconds_left") > 3000, "{listed}");
    stage.end(vec![long]);
}
