//! Calls that are never answered: refused, cancelled, challenged, timed out.

use super::*;

#[test]
fn final_errors() {
    let stage = Stage::new();
    for status in [302, 404, 486, 503, 603] {
        let mut call = stage.call("");
        call.invite();
        let invite = stage.callee.request("INVITE");
        stage.callee.reply(&invite, 180, "t");
        stage.callee.reply(&invite, status, "t");
        call.final_reply();
        wait_for_calls(&stage.kamailio, "c", 0);
    }
    stage.assert_free();
}

#[test]
fn cancel_before_and_while_ringing() {
    let stage = Stage::new();
    for ringing in [false, true] {
        let mut call = stage.call("");
        call.invite();
        let invite = stage.callee.request("INVITE");
        stage.callee.reply(&invite, if ringing { 180 } else { 100 }, "t");
        assert_eq!(stage.calls(), 1);
        call.cancel();
        let cancel = stage.callee.request("CANCEL");
        stage.callee.reply(&cancel, 200, "t");
        stage.callee.reply(&invite, 487, "t");
        assert_eq!(call.final_reply().status(), Some(487));
        wait_for_calls(&stage.kamailio, "c", 0);
    }
    stage.assert_free();
}

#[test]
fn cancel_that_crosses_the_answer_keeps_the_call() {
    let stage = Stage::new();
    let mut call = stage.call("");
    call.invite();
    let invite = stage.callee.request("INVITE");
    stage.callee.reply(&invite, 180, "t");
    call.cancel();
    stage.callee.request("CANCEL");
    // The callee answered before the CANCEL came.
    stage.callee.reply(&invite, 200, "t");
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();
    stage.callee.request("ACK");
    assert_eq!(stage.calls(), 1, "a live call without a slot");
    call.within("BYE");
    stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
    stage.assert_free();
}

#[test]
fn a_late_answer_after_the_cancelled_final_takes_the_slot_back_where_the_dialog_does() {
    let stage = Stage::with_settings("modparam(\"tm\", \"reply_relay_mode\", 0)\n");
    let mut call = stage.call("");
    call.invite();
    let invite = stage.callee.request("INVITE");
    stage.callee.reply(&invite, 180, "t");
    call.cancel();
    stage.callee.reply(&stage.callee.request("CANCEL"), 200, "t");
    stage.callee.reply(&invite, 487, "t");
    assert_eq!(call.final_reply().status(), Some(487));
    wait_for_calls(&stage.kamailio, "c", 0);
    stage.callee.reply(&invite, 200, "t");
    if call_was_resurrected(&stage) {
        assert_eq!(stage.kamailio.counter("calls_resumed"), 1);
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        call.within("BYE");
        stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
    }
    stage.assert_free();
}

/// Before 6.1 tm relays such an answer, and the dialog comes back.
fn call_was_resurrected(stage: &Stage) -> bool {
    let version = stage.kamailio.rpc("sipwarden.version", json!([]));
    let old = ["5.6.", "6.0."].iter().any(|v| version["kamailio"].as_str().unwrap().contains(v));
    if old {
        wait_for_calls(&stage.kamailio, "c", 1);
    }
    old
}

#[test]
fn nobody_answers() {
    let stage = Stage::new();
    // Not even a 100: fr_timer. Then ringing without end: fr_inv_timer.
    for rings in [false, true] {
        let mut call = stage.call("");
        call.invite();
        let invite = stage.callee.request("INVITE");
        if rings {
            stage.callee.reply(&invite, 180, "t");
        }
        assert_eq!(stage.calls(), 1);
        assert_eq!(call.final_reply().status(), Some(408));
        wait_for_calls(&stage.kamailio, "c", 0);
    }
    stage.assert_free();
}

#[test]
fn the_script_refuses_or_drops_after_the_slot_was_taken() {
    let stage = Stage::new();
    for doing in ["reply", "treply"] {
        let mut call = stage.call(doing);
        call.invite();
        assert_eq!(call.final_reply().status(), Some(503));
        wait_for_calls(&stage.kamailio, "c", 0);
    }
    let call = stage.call("drop");
    call.invite();
    wait_for("the call to have been counted", || {
        (stage.kamailio.counter("cc_call_counted") == 3).then_some(())
    });
    stage.assert_free();
}

#[test]
fn challenged_then_the_same_call_again() {
    let stage = Stage::new();
    let mut call = stage.call("challenge");
    call.invite();
    assert_eq!(call.final_reply().status(), Some(407));
    wait_for_calls(&stage.kamailio, "c", 0);
    call.add_header("Authorization: Digest x\r\n");
    call.invite_again();
    stage.callee.reply(&stage.callee.request("INVITE"), 200, "t");
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();
    assert_eq!(stage.calls(), 1);
    call.within("BYE");
    stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
    stage.assert_free();
}

#[test]
fn an_invite_repeated_after_a_failure_is_a_call_of_its_own() {
    let stage = Stage::new();
    // The script makes no dialog: cc_limit does.
    let mut call = stage.call("implicit");
    call.invite();
    stage.callee.reply(&stage.callee.request("INVITE"), 407, "t");
    assert_eq!(call.final_reply().status(), Some(407));
    wait_for_calls(&stage.kamailio, "c", 0);
    call.invite_again();
    stage.callee.reply(&stage.callee.request("INVITE"), 200, "t");
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();
    // The first INVITE's dialog goes with its transaction; the call stays.
    wait_for("the failed dialog to go", || {
        let dialogs = stage.kamailio.rpc("dlg.list", json!([]));
        (dialogs.as_array().unwrap().len() == 1 && dialogs[0]["state"] == 4).then_some(())
    });
    assert_eq!(stage.calls(), 1);
    call.within("BYE");
    stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
    stage.assert_free();
}
