//! Every ending of a call gives its slots back exactly once: real SIP in a real
//! Kamailio, whose dialog module says of each ending something else.

mod by_time;
mod hang_up;
mod once;
mod unanswered;

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
