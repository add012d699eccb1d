//! Every ending of a call gives its slot back, once.

use std::time::Duration;

use serde_json::json;

use crate::host::OpenSips;
use crate::proxy::{assert_nothing_left, calls, config, wait_for_calls};
use crate::support::call::{Caller, Endpoint, Message};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for, wait_up_to};

struct Stage {
    opensips: OpenSips,
    caller: Endpoint,
    callee: Endpoint,
    _folder: Folder,
}

impl Stage {
    fn new() -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(
            "INSERT INTO sipwarden_brand VALUES ('b', 0);
             INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 1);",
        );
        let callee = Endpoint::new("127.0.0.1");
        let opensips = config(&db.url(), callee.address()).start();
        Stage { opensips, caller: Endpoint::new("127.0.0.1"), callee, _folder: folder }
    }

    /// A call that was sent, and whose INVITE the callee has.
    fn ringing(&self, headers: &str) -> (Caller<'_>, (Message, std::net::SocketAddr)) {
        let call = Caller::new(&self.caller, self.opensips.address(), "c", headers);
        call.invite();
        let invite = self.callee.request("INVITE");
        assert_eq!(calls(&self.opensips, "c"), 1);
        (call, invite)
    }

    fn answered(&self, headers: &str) -> (Caller<'_>, (Message, std::net::SocketAddr)) {
        let (mut call, invite) = self.ringing(headers);
        self.callee.reply(&invite, 200, "t");
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        let ack = self.callee.request("ACK");
        assert_eq!(calls(&self.opensips, "c"), 1);
        (call, ack)
    }

    /// The slot is there again, for one more call and no second one.
    fn is_free(&self) {
        wait_for_calls(&self.opensips, "c", 0);
        let (call, invite) = self.ringing("");
        let mut second = Caller::new(&self.caller, self.opensips.address(), "c", "");
        second.invite();
        let refused = second.final_reply();
        assert!(refused.line.contains("company_limit 1/1"), "{}", refused.line);
        self.callee.reply(&invite, 486, "t");
        self.final_of(call, 486);
        wait_for_calls(&self.opensips, "c", 0);
        assert_nothing_left(&self.opensips);
    }

    fn final_of(&self, mut call: Caller<'_>, status: u16) {
        assert_eq!(call.final_reply().status(), Some(status));
    }
}

#[test]
fn refused_by_the_callee() {
    let stage = Stage::new();
    // A 503 is passed on as 500.
    for status in [302, 404, 486, 504, 603] {
        let (call, invite) = stage.ringing("");
        stage.callee.reply(&invite, status, "t");
        stage.final_of(call, status);
        wait_for_calls(&stage.opensips, "c", 0);
    }
    stage.is_free();
}

#[test]
fn cancelled() {
    let stage = Stage::new();
    let (call, invite) = stage.ringing("");
    stage.callee.reply(&invite, 180, "t");
    call.cancel();
    let cancel = stage.callee.request("CANCEL");
    stage.callee.reply(&cancel, 200, "t");
    stage.callee.reply(&invite, 487, "t");
    stage.final_of(call, 487);
    stage.is_free();
}

#[test]
fn answered_although_it_was_cancelled() {
    let stage = Stage::new();
    let (mut call, invite) = stage.ringing("");
    stage.callee.reply(&invite, 180, "t");
    call.cancel();
    let cancel = stage.callee.request("CANCEL");
    stage.callee.reply(&cancel, 200, "t");
    stage.callee.reply(&invite, 200, "t");
    if call.final_reply().status() == Some(200) {
        call.ack();
        wait_for_calls(&stage.opensips, "c", 1);
        call.within("BYE");
        let bye = stage.callee.request("BYE");
        stage.callee.reply(&bye, 200, "t");
    }
    stage.is_free();
}

#[test]
fn nobody_answers() {
    let stage = Stage::new();
    let (call, _) = stage.ringing("");
    stage.final_of(call, 408);
    stage.is_free();
}

#[test]
fn the_script_ends_it() {
    let stage = Stage::new();
    for (what, status) in
        [("reply", Some(503)), ("treply", Some(503)), ("drop", None), ("newtran", None)]
    {
        let header = format!("X-Do: {what}\r\n");
        let mut call = Caller::new(&stage.caller, stage.opensips.address(), "c", &header);
        call.invite();
        match status {
            Some(status) => assert_eq!(call.final_reply().status(), Some(status), "{what}"),
            // Seen in the count only.
            None => wait_for("the call to be counted", || {
                (stage.opensips.counter("cc_call_counted") > 0).then_some(())
            }),
        }
        wait_up_to(Duration::from_secs(30), what, || {
            (calls(&stage.opensips, "c") == 0).then_some(())
        });
    }
    assert_eq!(stage.opensips.counter("cc_call_counted"), 4);
    stage.is_free();
}

#[test]
fn either_end_hangs_up() {
    let stage = Stage::new();
    let (mut call, _) = stage.answered("");
    call.within("BYE");
    let bye = stage.callee.request("BYE");
    wait_for_calls(&stage.opensips, "c", 0);
    stage.callee.reply(&bye, 200, "t");
    let (_call, ack) = stage.answered("X-Do: implicit\r\n");
    stage.callee.hang_up(&ack);
    stage.is_free();
}

#[test]
fn its_lifetime_is_over() {
    let stage = Stage::new();
    let (_silent, _) = stage.answered("X-Do: lifetime\r\n");
    wait_for_calls(&stage.opensips, "c", 0);
    let (_call, _) = stage.answered("X-Do: bye\r\n");
    let bye = stage.callee.request("BYE");
    stage.callee.reply(&bye, 200, "t");
    stage.is_free();
    wait_for("both to be said", || {
        let log = stage.opensips.log();
        (log.matches("counts no more: ").count() == 2).then_some(())
    });
    assert_eq!(stage.opensips.counter("calls_expired"), 2);
}

#[test]
fn an_operator_ends_it() {
    let stage = Stage::new();
    let (call, _) = stage.answered("");
    stage.opensips.rpc("dlg_end_dlg", json!({"dialog_id": call.call_id}));
    let bye = stage.callee.request("BYE");
    stage.callee.reply(&bye, 200, "t");
    wait_for_calls(&stage.opensips, "c", 0);
    stage.is_free();
}

#[test]
fn it_is_forked() {
    let stage = Stage::new();
    let (call, first) = stage.ringing("X-Do: serial\r\n");
    stage.callee.reply(&first, 486, "t");
    let second = stage.callee.request("INVITE");
    assert_eq!(calls(&stage.opensips, "c"), 1);
    stage.callee.reply(&second, 486, "t");
    stage.final_of(call, 486);
    wait_for_calls(&stage.opensips, "c", 0);
    let (call, one) = stage.ringing("X-Do: parallel\r\n");
    let other = stage.callee.request("INVITE");
    assert_eq!(calls(&stage.opensips, "c"), 1);
    stage.callee.reply(&one, 486, "t");
    stage.callee.reply(&other, 486, "u");
    stage.final_of(call, 486);
    stage.is_free();
}

#[test]
fn the_caller_was_asked_for_a_password() {
    let stage = Stage::new();
    let mut call = Caller::new(&stage.caller, stage.opensips.address(), "c", "X-Do: challenge\r\n");
    call.invite();
    assert_eq!(call.final_reply().status(), Some(407));
    wait_for_calls(&stage.opensips, "c", 0);
    call.add_header("Authorization: yes\r\n");
    call.invite_again();
    let invite = stage.callee.request("INVITE");
    assert_eq!(calls(&stage.opensips, "c"), 1);
    stage.callee.reply(&invite, 486, "t");
    stage.final_of(call, 486);
    stage.is_free();
}

#[test]
fn it_was_asked_for_twice_and_in_a_reinvite() {
    let stage = Stage::new();
    let (mut call, _) = stage.answered("X-Do: twice\r\n");
    call.within("INVITE");
    let again = stage.callee.request("INVITE");
    stage.callee.reply(&again, 200, "t");
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();
    wait_for("the re-INVITE to be judged", || {
        stage.opensips.log().contains("re-INVITE: call_held").then_some(())
    });
    assert_eq!(calls(&stage.opensips, "c"), 1);
    call.within("BYE");
    let bye = stage.callee.request("BYE");
    stage.callee.reply(&bye, 200, "t");
    stage.is_free();
}
