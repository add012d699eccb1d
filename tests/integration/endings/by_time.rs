//! Calls that end by time or by an operator.

use super::*;

#[test]
fn lifetime_with_and_without_bye() {
    let stage = Stage::with_settings(
        "event_route[sipwarden:expired] {
    xlog(\"L_NOTICE\", \"told: $swd(event) $swd(reason) $swd(company) $swd(brand) $swd(text)\\n\");
}
",
    );
    for (doing, said) in [
        ("lifetime", "no BYE was sent, it may go on uncounted"),
        ("bye", "both ends get a BYE if they can be reached"),
    ] {
        let call = stage.call_up(doing);
        stage.wait_for_calls(0);
        let why = format!("the lifetime of its dialog is over; {said}");
        wait_for_line(&stage, &call, "c", &why);
        let told = format!("told: call_expired lifetime c brand {}", call.call_id);
        wait_for(&told, || stage.server.log().contains(&told).then_some(()));
        if doing == "bye" {
            stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
            stage.caller.reply(&stage.caller.request("BYE"), 200, "f");
        }
    }
    stage.assert_free_after(2);
}

#[test]
fn ended_by_an_operator_late_and_early() {
    let stage = Stage::new();
    stage.call_up("");
    let dialogs = stage.server.rpc("dlg.list", json!([]));
    let (entry, id) = (&dialogs[0]["h_entry"], &dialogs[0]["h_id"]);
    stage.server.rpc("dlg.end_dlg", json!([entry, id]));
    let bye = stage.callee.request("BYE");
    assert_eq!(stage.calls(), 1, "no end has answered yet");
    stage.callee.reply(&bye, 200, "t");
    stage.wait_for_calls(0);
    wait_for("the first dialog to go", || {
        stage.server.rpc("dlg.list", json!([])).as_array().is_some_and(Vec::is_empty).then_some(())
    });
    // An early dialog: 5.6 cannot end it, the call rings on and keeps its slot.
    let mut call = stage.call("");
    call.invite();
    let invite = stage.callee.request("INVITE");
    stage.callee.reply(&invite, 180, "t");
    let dialogs = wait_for("the dialog to ring", || {
        let dialogs = stage.server.rpc("dlg.list", json!([]));
        (dialogs[0]["state"] == 2).then_some(dialogs)
    });
    let ended = json!([dialogs[0]["h_entry"], dialogs[0]["h_id"]]);
    let _ = stage.server.try_rpc("dlg.end_dlg", ended);
    let cancelled = stage.callee.receive_within(Duration::from_millis(500));
    assert_eq!(stage.calls(), u64::from(cancelled.is_none()), "{cancelled:?}");
    stage.callee.reply(&invite, 487, "t");
    call.final_reply();
    stage.assert_free();
}

/// The dialog module's cleaner runs every 90 s.
#[test]
fn an_answer_without_ack_expires() {
    let stage = Stage::new();
    let mut call = stage.call("");
    call.invite();
    stage.callee.reply(&stage.callee.request("INVITE"), 200, "t");
    assert_eq!(call.final_reply().status(), Some(200));
    assert_eq!(stage.calls(), 1);
    crate::support::wait_up_to(Duration::from_secs(120), "the cleaner", || {
        (calls(&stage.server, "c") == 0).then_some(())
    });
    assert_eq!(stage.calls(), 0);
    wait_for_line(&stage, &call, "c", "its answer was never acknowledged; no BYE was sent");
    assert_nothing_left(&stage.server);
    assert_eq!(stage.server.counter("calls_expired"), 1);
}

#[test]
fn what_only_the_cleaner_of_dialogs_ends() {
    let stage = Stage::with_settings("modparam(\"tm\", \"fr_inv_timer\", 200000)\n");
    let forgotten = stage.call("newtran");
    forgotten.invite();
    stage.wait_for_calls(1);
    let other = Endpoint::new("127.0.0.1");
    let scopes = "X-Scopes: carrier=south;did=+34910000002\r\n";
    let rings = Caller::new(&other, stage.server.address(), "other", scopes);
    rings.invite();
    stage.callee.reply(&stage.callee.request("INVITE"), 180, "t");
    wait_for_calls(&stage.server, "other", 1);
    crate::support::wait_up_to(Duration::from_secs(120), "the cleaner", || {
        let both = calls(&stage.server, "c") + calls(&stage.server, "other");
        (both == 0).then_some(())
    });
    assert_eq!(stage.calls(), 0);
    let why = "it was not answered within the dialog module's early_timeout; no BYE was sent";
    wait_for_line(&stage, &forgotten, "c", why);
    wait_for_line(&stage, &rings, "other", why);
    assert_nothing_left(&stage.server);
    assert_eq!(stage.server.counter("calls_expired"), 2);
}
