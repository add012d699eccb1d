//! Endings that are OpenSIPS's own; those of each host are in tests/hosts.

use serde_json::json;

use crate::hosts::endings::Stage;
use crate::support::wait_for;

#[test]
fn a_transaction_that_nobody_answers() {
    let stage = Stage::new();
    let call = stage.call("newtran");
    call.invite();
    // Seen in the count only.
    wait_for("the call to be counted", || {
        (stage.server.counter("cc_call_counted") > 0).then_some(())
    });
    stage.assert_free();
}

#[test]
fn its_lifetime_is_over() {
    let stage = Stage::new();
    let _silent = stage.call_up("lifetime");
    stage.wait_for_calls(0);
    let _call = stage.call_up("bye");
    let bye = stage.callee.request("BYE");
    stage.callee.reply(&bye, 200, "t");
    stage.assert_free_after(2);
    wait_for("both to be said", || {
        (stage.server.log().matches("counts no more: ").count() == 2).then_some(())
    });
}

#[test]
fn an_operator_ends_it() {
    let stage = Stage::new();
    let call = stage.call_up("");
    stage.server.rpc("dlg_end_dlg", json!({"dialog_id": call.call_id}));
    let bye = stage.callee.request("BYE");
    stage.callee.reply(&bye, 200, "t");
    stage.wait_for_calls(0);
    stage.assert_free();
}
