//! No room for another id of a scope.

use super::Stage;
use crate::support::call::Caller;
use crate::support::proxy::{calls, wait_for_calls};
use crate::support::wait_for;
use serde_json::json;

/// Kinds of which each call names an id that no other call names.
const KINDS: usize = 10;
const MAX_CALLS: u64 = 16;

/// Scopes of one call.
fn ids(call: usize) -> String {
    let ids: Vec<_> = (0..KINDS).map(|kind| format!("k{kind}=n{call}")).collect();
    ids.join(";")
}

#[test]
fn without_room_for_another_id_calls_are_refused_but_not_emergencies() {
    let rows: Vec<_> = (0..KINDS).map(|kind| format!("('k{kind}', '*', 'any', 9)")).collect();
    let stage = Stage::new(
        &format!(
            "INSERT INTO sipwarden_limit (kind, id, direction, max_calls) VALUES {};",
            rows.join(", ")
        ),
        &format!("modparam(\"sipwarden\", \"max_calls\", {MAX_CALLS})\n"),
    );
    let server = &stage.server;
    let mut up: Vec<Caller<'_>> = Vec::new();
    let refusal = loop {
        assert!(up.len() < MAX_CALLS as usize, "there is room for all");
        match stage.scoped("o", &ids(up.len())) {
            Ok(call) => up.push(call),
            Err(refusal) => break refusal,
        }
    };
    let admitted = up.len() as u64;
    assert!(admitted > 1, "{refusal}");
    assert!(refusal.starts_with("scopes_full -15 "), "{refusal}");
    assert_eq!(server.counter("cc_scopes_full"), 1);
    assert_eq!(server.counter("cc_ledger_full"), 0);
    let words = "calls are refused: there is no room for another id of a scope";
    wait_for("the complaint", || server.log().contains(words).then_some(()));
    assert!(server.log().contains("raise max_calls (said once a minute)"));
    // The refusal has left no trace, neither of the call nor of its ids.
    assert_eq!(calls(server, "a"), admitted);
    let of_refused = server.ask("limits", json!(["k0", format!("n{admitted}")]));
    assert_eq!(of_refused["limits"][0]["calls"], 0, "{of_refused}");
    // Ids that are known have room, and so have companies: those are of the tables.
    up.push(stage.scoped("o", &ids(0)).unwrap());
    up.push(stage.call(&[("X-Company", "b")]).unwrap());
    // An emergency passes.
    let urgent = stage.scoped("eo", &ids(99)).unwrap();
    assert_eq!(server.counter("emergency_uncounted"), 1);
    assert!(stage.refusal("o", &ids(99)).starts_with("scopes_full -15 "));
    assert_eq!(server.counter("cc_scopes_full"), 2);
    // The ids of a call that ends go with its record; nobody else names those of the second one.
    let records = || server.ask("stats", json!([]))["calls"].as_u64().unwrap();
    assert_eq!(records(), admitted + 2);
    stage.hang_up(up.remove(1));
    wait_for_calls(server, "a", admitted);
    wait_for("the record to be free", || (records() == admitted + 1).then_some(()));
    let again = stage.scoped("o", &ids(99)).unwrap();
    assert_eq!(server.counter("cc_scopes_full"), 2);
    up.extend([urgent, again]);
    stage.end(up);
}
