//! Every ending of a call gives its slots back exactly once: real SIP in a real
//! Kamailio, whose dialog module says of each ending something else.

use std::time::Duration;

use crate::support::Folder;
use crate::support::call::{Caller, Endpoint};
use crate::support::kamailio::Kamailio;
use crate::support::proxy::{assert_nothing_left, calls, config, listed, wait_for_calls};
use crate::support::sqlite::Sqlite;
use crate::support::wait_for;
use serde_json::json;

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('brand', 0);
INSERT INTO sipwarden_company VALUES ('c', 'brand', 1, 1), ('other', 'brand', 0, 0);
INSERT INTO sipwarden_user VALUES ('alice@c', 'c', 1);
";

/// A proxy, a caller of company `c` with one slot, and a callee.
struct Stage {
    kamailio: Kamailio,
    caller: Endpoint,
    callee: Endpoint,
    _folder: Folder,
}

impl Stage {
    fn new() -> Self {
        Self::with_settings("")
    }

    fn with_settings(settings: &str) -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(TENANTS);
        let callee = Endpoint::new("127.0.0.1");
        let kamailio = config(&db.url(), callee.address()).settings(settings).start();
        Stage { kamailio, caller: Endpoint::new("127.0.0.1"), callee, _folder: folder }
    }

    fn call(&self, doing: &str) -> Caller<'_> {
        let headers = match doing {
            "" => "X-Roadwarrior: alice@c\r\n".into(),
            doing => format!("X-Roadwarrior: alice@c\r\nX-Do: {doing}\r\n"),
        };
        Caller::new(&self.caller, self.kamailio.address(), "c", &headers)
    }

    /// A call that is up: INVITE, 200, ACK.
    fn call_up(&self, doing: &str) -> Caller<'_> {
        let mut call = self.call(doing);
        call.invite();
        self.callee.reply(&self.callee.request("INVITE"), 200, "t");
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        self.callee.request("ACK");
        assert_eq!(self.calls(), 1);
        call
    }

    fn calls(&self) -> u64 {
        calls(&self.kamailio, "c")
    }

    /// Nothing counts, now and when every process has had its turn.
    fn assert_counts_stay_zero(&self) {
        for _ in 0..20 {
            assert_eq!(self.calls(), 0);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All is back, the one slot can be taken again, and every call was hung up.
    fn assert_free(&self) {
        self.assert_free_after(0);
    }

    /// As [`Stage::assert_free`], but for some calls that ended by time.
    fn assert_free_after(&self, expired: u64) {
        wait_for_calls(&self.kamailio, "c", 0);
        let mut call = self.call_up("");
        call.within("BYE");
        self.callee.reply(&self.callee.request("BYE"), 200, "t");
        wait_for_calls(&self.kamailio, "c", 0);
        assert_nothing_left(&self.kamailio);
        assert_eq!(self.kamailio.counter("calls_expired"), expired);
    }

    /// The line that says that a call has ended by time, and why.
    fn wait_for_line(&self, call: &Caller<'_>, company: &str, why: &str) {
        let line =
            format!("the call {} of company \"{company}\" counts no more: {why}", call.call_id);
        wait_for(&line, || self.kamailio.log().contains(&line).then_some(()));
    }
}

#[test]
fn bye_from_either_side_lost_repeated_or_crossing() {
    let stage = Stage::new();
    let mut call = stage.call_up("");
    // While it is up, a second call is refused, by the user's limit first.
    let mut second = stage.call("");
    second.invite();
    let refused = second.final_reply();
    assert!(refused.line.contains("roadwarrior_limit 1/1"), "{}", refused.line);
    assert_eq!(stage.calls(), 1);
    // The slot comes back with the BYE, before it is answered; repeated BYEs and
    // a second one change nothing.
    call.within("BYE");
    stage.callee.request("BYE");
    wait_for_calls(&stage.kamailio, "c", 0);
    call.within("BYE");
    call.within("BYE");
    stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
    stage.assert_free();
}

#[test]
fn a_bye_that_the_script_drops_ends_the_call() {
    let stage = Stage::new();
    let mut call = stage.call_up("");
    call.within_with("BYE", "X-Do: drop\r\n");
    stage.assert_free();
}

#[test]
fn both_sides_hang_up_at_the_same_moment() {
    let stage = Stage::new();
    for _ in 0..10 {
        let mut call = stage.call("");
        call.invite();
        stage.callee.reply(&stage.callee.request("INVITE"), 200, "t");
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        let ack = stage.callee.request("ACK");
        assert_eq!(stage.calls(), 1);
        stage.callee.hang_up(&ack);
        call.within("BYE");
        stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
        stage.caller.reply(&stage.caller.request("BYE"), 200, "f");
        wait_for_calls(&stage.kamailio, "c", 0);
    }
    stage.assert_free();
}

#[test]
fn a_bye_that_is_answered_with_an_error_ends_the_call() {
    let stage = Stage::new();
    let mut call = stage.call_up("");
    call.within("BYE");
    stage.callee.reply(&stage.callee.request("BYE"), 481, "t");
    stage.assert_free();
}

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
fn lifetime_with_and_without_bye() {
    let stage = Stage::with_settings(
        "event_route[sipwarden:expired] {
    xlog(\"L_NOTICE\", \"told: $swd(event) $swd(reason) $swd(company) $swd(brand) $swd(text)\\n\");
}
",
    );
    for (doing, said) in [
        ("lifetime", "no BYE was sent, it may go on uncounted"),
        ("bye", "both ends were sent a BYE"),
    ] {
        let call = stage.call_up(doing);
        wait_for_calls(&stage.kamailio, "c", 0);
        let why = format!("the lifetime of its dialog is over; {said}");
        stage.wait_for_line(&call, "c", &why);
        let told = format!("told: call_expired lifetime c brand {}", call.call_id);
        wait_for(&told, || stage.kamailio.log().contains(&told).then_some(()));
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
    let dialogs = stage.kamailio.rpc("dlg.list", json!([]));
    let (entry, id) = (&dialogs[0]["h_entry"], &dialogs[0]["h_id"]);
    stage.kamailio.rpc("dlg.end_dlg", json!([entry, id]));
    wait_for_calls(&stage.kamailio, "c", 0);
    stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
    wait_for("the first dialog to go", || {
        stage
            .kamailio
            .rpc("dlg.list", json!([]))
            .as_array()
            .is_some_and(Vec::is_empty)
            .then_some(())
    });
    // An early dialog: 5.6 cannot end it, the call rings on and keeps its slot.
    let mut call = stage.call("");
    call.invite();
    let invite = stage.callee.request("INVITE");
    stage.callee.reply(&invite, 180, "t");
    let dialogs = wait_for("the dialog to ring", || {
        let dialogs = stage.kamailio.rpc("dlg.list", json!([]));
        (dialogs[0]["state"] == 2).then_some(dialogs)
    });
    let ended = json!([dialogs[0]["h_entry"], dialogs[0]["h_id"]]);
    let _ = stage.kamailio.try_rpc("dlg.end_dlg", ended);
    let cancelled = stage.callee.receive_within(Duration::from_millis(500));
    assert_eq!(stage.calls(), u64::from(cancelled.is_none()), "{cancelled:?}");
    stage.callee.reply(&invite, 487, "t");
    call.final_reply();
    stage.assert_free();
}

#[test]
fn serial_and_parallel_forks_count_once() {
    let stage = Stage::new();
    let mut call = stage.call("serial");
    call.invite();
    stage.callee.reply(&stage.callee.request("INVITE"), 486, "t");
    let second = stage.callee.request("INVITE");
    assert!(second.0.line.contains("second=yes"), "{}", second.0.line);
    assert_eq!(stage.calls(), 1);
    stage.callee.reply(&second, 200, "t");
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();
    call.within("BYE");
    stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
    wait_for_calls(&stage.kamailio, "c", 0);

    let mut call = stage.call("parallel");
    call.invite();
    let branches = [stage.callee.request("INVITE"), stage.callee.request("INVITE")];
    assert_eq!(stage.calls(), 1);
    stage.callee.reply(&branches[0], 486, "x");
    stage.callee.reply(&branches[1], 200, "t");
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();
    assert_eq!(stage.calls(), 1);
    call.within("BYE");
    stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
    stage.assert_free();
}

#[test]
fn a_spiral_a_second_pass_and_a_re_invite_count_once() {
    let stage = Stage::new();
    for doing in ["spiral", "twice"] {
        let mut call = stage.call_up(doing);
        let held = stage.kamailio.counter("cc_call_held");
        call.within("INVITE");
        stage.callee.reply(&stage.callee.request("INVITE"), 200, "t");
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        assert_eq!(stage.kamailio.counter("cc_call_held"), held + 1);
        assert_eq!(stage.calls(), 1);
        assert_eq!(listed(&stage.kamailio).len(), 1);
        call.within("BYE");
        stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
        wait_for_calls(&stage.kamailio, "c", 0);
    }
    stage.assert_free();
}

#[test]
fn a_re_invite_of_another_company_changes_nothing() {
    let stage = Stage::new();
    let mut call = stage.call_up("");
    call.within_with("INVITE", "X-Company: other\r\n");
    stage.callee.reply(&stage.callee.request("INVITE"), 200, "t");
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();
    assert_eq!(stage.kamailio.counter("cc_call_held_by_other"), 1);
    assert_eq!((stage.calls(), calls(&stage.kamailio, "other")), (1, 0));
    call.within("BYE");
    stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
    stage.assert_free();
}

#[test]
fn duplicate_invites_in_several_workers_count_once() {
    let stage = Stage::new();
    for _ in 0..25 {
        let mut call = stage.call("");
        for _ in 0..3 {
            call.invite();
        }
        let invite = stage.callee.request("INVITE");
        stage.callee.reply(&invite, 200, "t");
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        assert_eq!(stage.calls(), 1);
        call.within("BYE");
        stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
        wait_for_calls(&stage.kamailio, "c", 0);
    }
    stage.assert_free();
}

/// The dialog module's cleaner comes every 90 s: what only it ends.
#[test]
fn calls_with_one_call_id_cannot_share_a_slot() {
    let stage = Stage::new();
    let mut call = stage.call("");
    call.invite();
    let invite = stage.callee.request("INVITE");
    stage.callee.reply(&invite, 180, "t");
    // Same Call-ID and From tag, another CSeq and branch: another call.
    for _ in 0..3 {
        call.invite_again();
        let refused = call.final_reply();
        assert!(refused.line.contains("call_duplicate"), "{}", refused.line);
    }
    assert_eq!(stage.calls(), 1);
    stage.callee.reply(&invite, 486, "t");
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
        let dialogs = stage.kamailio.rpc("dlg.list", json!([]));
        (dialogs[0]["state"] == 3).then_some(())
    });
    stage.callee.hang_up(&invite);
    assert_eq!(call.final_reply().status(), Some(200));
    stage.caller.reply(&stage.caller.request("BYE"), 200, "f");
    call.ack();
    wait_for_calls(&stage.kamailio, "c", 0);
    // The late callback comes within half a second.
    stage.assert_counts_stay_zero();
}

#[test]
fn an_emergency_passes_a_roadwarriors_limit() {
    let stage = Stage::new();
    let mut first = stage.call_up("");
    let headers = "X-Roadwarrior: alice@c\r\nX-Flags: eo\r\n";
    let mut emergency = Caller::new(&stage.caller, stage.kamailio.address(), "c", headers);
    emergency.invite();
    stage.callee.reply(&stage.callee.request("INVITE"), 200, "t");
    assert_eq!(emergency.final_reply().status(), Some(200));
    emergency.ack();
    assert_eq!(stage.calls(), 2);
    for call in [&mut first, &mut emergency] {
        call.within("BYE");
        stage.callee.reply(&stage.callee.request("BYE"), 200, "t");
    }
    stage.assert_free();
}

#[test]
fn dialogs_that_go_while_their_call_is_counted_leave_nothing() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TENANTS);
    let caller = Endpoint::new("127.0.0.1");
    // No pre-check: several workers make and destroy the dialog of one INVITE.
    let mut config = config(&db.url(), caller.address())
        .routes("request_route { if (is_method(\"INVITE\")) { cc_limit(\"other\"); } exit; }\n");
    config.workers = 8;
    let kamailio = config.start();
    let judged = || -> u64 {
        let names = ["cc_call_counted", "cc_call_held", "cc_internal_error"];
        names.iter().map(|name| kamailio.counter(name)).sum()
    };
    for round in 1..=100u64 {
        for _ in 0..20 {
            let call = Caller::new(&caller, kamailio.address(), "other", "");
            (0..4).for_each(|_| call.invite());
        }
        wait_for("the INVITEs to be judged", || (judged() >= round * 60).then_some(()));
    }
    assert!(kamailio.counter("cc_call_counted") >= 2000);
    assert_nothing_left(&kamailio);
}

#[test]
fn an_answer_without_ack_expires() {
    let stage = Stage::new();
    let mut call = stage.call("");
    call.invite();
    stage.callee.reply(&stage.callee.request("INVITE"), 200, "t");
    assert_eq!(call.final_reply().status(), Some(200));
    assert_eq!(stage.calls(), 1);
    crate::support::wait_up_to(Duration::from_secs(120), "the cleaner", || {
        (stage.calls() == 0).then_some(())
    });
    stage.wait_for_line(&call, "c", "its answer was never acknowledged; no BYE was sent");
    assert_nothing_left(&stage.kamailio);
    assert_eq!(stage.kamailio.counter("calls_expired"), 1);
}

#[test]
fn what_only_the_cleaner_of_dialogs_ends() {
    let stage = Stage::with_settings("modparam(\"tm\", \"fr_inv_timer\", 200000)\n");
    let forgotten = stage.call("newtran");
    forgotten.invite();
    wait_for_calls(&stage.kamailio, "c", 1);
    let other = Endpoint::new("127.0.0.1");
    let rings = Caller::new(&other, stage.kamailio.address(), "other", "");
    rings.invite();
    stage.callee.reply(&stage.callee.request("INVITE"), 180, "t");
    wait_for_calls(&stage.kamailio, "other", 1);
    crate::support::wait_up_to(Duration::from_secs(120), "the cleaner", || {
        let both = calls(&stage.kamailio, "c") + calls(&stage.kamailio, "other");
        (both == 0).then_some(())
    });
    let why = "it was not answered within the dialog module's early_timeout; no BYE was sent";
    stage.wait_for_line(&forgotten, "c", why);
    stage.wait_for_line(&rings, "other", why);
    assert_nothing_left(&stage.kamailio);
    assert_eq!(stage.kamailio.counter("calls_expired"), 2);
}
