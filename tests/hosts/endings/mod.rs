//! Every ending of a call gives its slots back exactly once: real SIP in a real server, whose
//! dialog module says of each ending something else.

mod hang_up;
mod once;
mod unanswered;

use super::{Config, Server};
use crate::support::Folder;
use crate::support::call::{Caller, Endpoint};
use crate::support::proxy::{assert_nothing_left, calls, config, listed, wait_for_calls};
use crate::support::sqlite::Sqlite;
use crate::support::wait_for;

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('brand', 0);
INSERT INTO sipwarden_company VALUES ('c', 'brand', 1, 1), ('other', 'brand', 0, 0);
INSERT INTO sipwarden_user VALUES ('alice@c', 'c', 1);
";

/// A proxy, a caller of company `c` with one slot, and a callee.
pub struct Stage {
    pub server: Server,
    pub caller: Endpoint,
    pub callee: Endpoint,
    _folder: Folder,
}

impl Stage {
    pub fn new() -> Self {
        Self::with_settings("")
    }

    pub fn with_settings(settings: &str) -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(TENANTS);
        let callee = Endpoint::new("127.0.0.1");
        let config: Config = config(&db.url(), callee.address()).settings(settings);
        let server = config.start();
        Stage { server, caller: Endpoint::new("127.0.0.1"), callee, _folder: folder }
    }

    pub fn call(&self, doing: &str) -> Caller<'_> {
        let headers = match doing {
            "" => "X-Roadwarrior: alice@c\r\n".into(),
            doing => format!("X-Roadwarrior: alice@c\r\nX-Do: {doing}\r\n"),
        };
        Caller::new(&self.caller, self.server.address(), "c", &headers)
    }

    /// A call that is up: INVITE, 200, ACK.
    pub fn call_up(&self, doing: &str) -> Caller<'_> {
        let mut call = self.call(doing);
        call.invite();
        self.answer(&mut call);
        self.callee.request("ACK");
        assert_eq!(self.calls(), 1);
        call
    }

    /// The callee answers the INVITE that it gets.
    pub fn answer(&self, call: &mut Caller<'_>) {
        self.callee.reply(&self.callee.request("INVITE"), 200, "t");
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
    }

    pub fn hang_up(&self, call: &mut Caller<'_>) {
        call.within("BYE");
        self.callee.reply(&self.callee.request("BYE"), 200, "t");
    }

    /// An INVITE within the call is counted with it; then it ends.
    pub fn assert_re_invite_is_held(&self, call: &mut Caller<'_>) {
        let held = self.server.counter("cc_call_held");
        call.within("INVITE");
        self.answer(call);
        assert_eq!(self.server.counter("cc_call_held"), held + 1);
        assert_eq!(self.calls(), 1);
        assert_eq!(listed(&self.server).len(), 1);
        self.hang_up(call);
        wait_for_calls(&self.server, "c", 0);
    }

    pub fn calls(&self) -> u64 {
        calls(&self.server, "c")
    }

    /// All is back, the one slot can be taken again, and every call was hung up.
    pub fn assert_free(&self) {
        self.assert_free_after(0);
    }

    /// As [`Stage::assert_free`], but for some calls that ended by time.
    pub fn assert_free_after(&self, expired: u64) {
        wait_for_calls(&self.server, "c", 0);
        let mut call = self.call_up("");
        self.hang_up(&mut call);
        wait_for_calls(&self.server, "c", 0);
        assert_nothing_left(&self.server);
        assert_eq!(self.server.counter("calls_expired"), expired);
    }
}
