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
        stage.wait_for_calls(0);
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
        stage.wait_for_calls(0);
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
    stage.hang_up(&mut call);
    stage.assert_free();
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
        stage.wait_for_calls(0);
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
        stage.wait_for_calls(0);
    }
    let call = stage.call("drop");
    call.invite();
    wait_for("the call to have been counted", || {
        (stage.server.counter("cc_call_counted") == 3).then_some(())
    });
    stage.assert_free();
}

#[test]
fn challenged_then_the_same_call_again() {
    let stage = Stage::new();
    let mut call = stage.call("challenge");
    call.invite();
    assert_eq!(call.final_reply().status(), Some(407));
    stage.wait_for_calls(0);
    call.add_header("Authorization: Digest x\r\n");
    call.invite_again();
    stage.answer(&mut call);
    assert_eq!(stage.calls(), 1);
    stage.hang_up(&mut call);
    stage.assert_free();
}
