//! What Kamailio's dialog module makes of answers and repeats.

use super::*;

#[test]
fn a_bye_that_overtakes_the_answer_is_not_undone() {
    // The worker of the answer is slow to say that the call is up.
    let stage = Stage::with_settings(
        "loadmodule \"cfgutils.so\"\nevent_route[dialog:start] { usleep(\"400000\"); }\n",
    );
    let mut call = stage.call("");
    call.invite();
    let invite = stage.callee.request("INVITE");
    stage.callee.reply(&invite, 200, "t");
    // A BYE before the dialog knows of the answer is one to nothing.
    wait_for("the dialog to be answered", || {
        let dialogs = stage.server.rpc("dlg.list", json!([]));
        (dialogs[0]["state"] == 3).then_some(())
    });
    stage.callee.hang_up(&invite);
    assert_eq!(call.final_reply().status(), Some(200));
    stage.caller.reply(&stage.caller.request("BYE"), 200, "f");
    call.ack();
    stage.wait_for_calls(0);
    // The late callback comes within half a second.
    assert_counts_stay_zero(&stage);
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
    stage.wait_for_calls(0);
    stage.callee.reply(&invite, 200, "t");
    if call_was_resurrected(&stage) {
        assert_eq!(stage.server.counter("calls_resumed"), 1);
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        stage.hang_up(&mut call);
    }
    stage.assert_free();
}

/// Before 6.1 tm relays such an answer, and the dialog comes back.
fn call_was_resurrected(stage: &Stage) -> bool {
    let version = stage.server.rpc("sipwarden.version", json!([]));
    let old = ["5.6.", "6.0."].iter().any(|v| version["kamailio"].as_str().unwrap().contains(v));
    if old {
        stage.wait_for_calls(1);
    }
    old
}

#[test]
fn an_invite_repeated_after_a_failure_is_a_call_of_its_own() {
    let stage = Stage::new();
    // The script makes no dialog: cc_limit does.
    let mut call = stage.call("implicit");
    call.invite();
    stage.callee.reply(&stage.callee.request("INVITE"), 407, "t");
    assert_eq!(call.final_reply().status(), Some(407));
    stage.wait_for_calls(0);
    call.invite_again();
    stage.answer(&mut call);
    // The first INVITE's dialog goes with its transaction; the call stays.
    wait_for("the failed dialog to go", || {
        let dialogs = stage.server.rpc("dlg.list", json!([]));
        (dialogs.as_array().unwrap().len() == 1 && dialogs[0]["state"] == 4).then_some(())
    });
    assert_eq!(stage.calls(), 1);
    stage.hang_up(&mut call);
    stage.assert_free();
}

#[test]
fn a_spiral_counts_once() {
    let stage = Stage::new();
    let mut call = stage.call_up("spiral");
    stage.assert_re_invite_is_held(&mut call);
    stage.assert_free();
}
