//! Calls that are ended when they have lasted their longest.

use std::time::Duration;

use super::{ROUTES, Stage};
use crate::support::proxy::wait_for_calls;
use crate::support::wait_for;

/// With kinds, ids and their longest calls, and these settings.
fn stage(rows: &str, settings: &str) -> Stage {
    let rows = format!("INSERT INTO sipwarden_limit (kind, id, longest) VALUES {rows};");
    Stage::with(&rows, ROUTES, |config| config.settings(settings))
}

#[test]
fn a_longest_call_is_ended_with_a_bye_to_both_ends() {
    let stage = stage("('carrier', 'x', 2), ('company', 'a', 3600)", "");
    let long = stage.scoped("", "").unwrap();
    let short = stage.scoped("", "carrier=x").unwrap();
    let (bye, _) = stage.endpoint.receive_within(Duration::from_secs(20)).expect("no BYE");
    assert_eq!((bye.method(), bye.header("Call-ID")), ("BYE", Some(&*short.call_id)));
    let is_live = |call_id: &str| stage.callee.observed().is_live(call_id);
    wait_for("the callee's BYE", || (!is_live(&short.call_id)).then_some(()));
    assert!(is_live(&long.call_id));
    wait_for_calls(&stage.server, "a", 1);
    wait_for("the event", || {
        stage.server.log().contains("event call_expired longest of a monitored 0").then_some(())
    });
    wait_for("the log", || stage.server.log().contains("both ends were sent a BYE").then_some(()));
    assert_eq!(stage.server.counter("calls_expired"), 1);
    stage.end(vec![long]);
}

#[test]
fn a_longest_call_spares_emergencies_and_monitor_mode_only_tells_it() {
    let rows = "('carrier', 'x', 1), ('carrier', 'y', 2)";
    let stage = self::stage(rows, "");
    let emergency = stage.scoped("e", "carrier=x").unwrap();
    let normal = stage.scoped("", "carrier=y").unwrap();
    let (bye, _) = stage.endpoint.receive_within(Duration::from_secs(20)).expect("no BYE");
    assert_eq!((bye.method(), bye.header("Call-ID")), ("BYE", Some(&*normal.call_id)));
    wait_for_calls(&stage.server, "a", 1);
    stage.end(vec![emergency]);

    let stage = self::stage(rows, "modparam(\"sipwarden\", \"monitor\", 1)\n");
    let call = stage.scoped("", "carrier=x").unwrap();
    wait_for("the event", || {
        let log = stage.server.log();
        let told = log.contains("goes on in monitor mode, else it would be ended");
        (told && log.contains("event call_expired longest of a monitored 1")).then_some(())
    });
    assert_eq!(stage.server.counter("calls_expired"), 0);
    wait_for_calls(&stage.server, "a", 1);
    stage.end(vec![call]);
}
