//! Every ending of a call gives its slots back exactly once: real SIP in a real server, whose
//! dialog module says of each ending something else.

mod hang_up;
mod once;
mod unanswered;

use super::{Config, Server};
use crate::support::Folder;
use crate::support::call::{Caller, Endpoint};
use crate::support::proxy::{assert_nothing_left, calls, config, count_by, listed, wait_for_calls};
use crate::support::sqlite::Sqlite;
use crate::support::wait_for;
use serde_json::json;

/// One call in each scope of a call of company `c`; of another company's calls none has a limit.
const TABLES: &str = "
INSERT INTO sipwarden_brand VALUES ('brand', 1), ('others', 0);
INSERT INTO sipwarden_company VALUES ('c', 'brand', 1, 1), ('other', 'others', 0, 0);
INSERT INTO sipwarden_user VALUES ('alice@c', 'c', 1);
INSERT INTO sipwarden_limit (kind, id, direction, max_calls) VALUES
    ('carrier', 'north', 'any', 1), ('did', '*', 'out', 1), ('user', 'alice@c', 'any', 1);
";
const LIMITS: &str = "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n";
/// What the script names for a call of company `c`.
const SCOPES: &str = "carrier=north;did=+34910000001;user=alice@c";

/// The headers of such a call.
fn headers(flags: &str) -> String {
    format!("X-Roadwarrior: alice@c\r\nX-Flags: {flags}\r\nX-Scopes: {SCOPES}\r\n")
}

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
        db.run(TABLES);
        let callee = Endpoint::new("127.0.0.1");
        let config: Config =
            config(&db.url(), callee.address()).settings(LIMITS).settings(settings);
        let asks = "cc_limit(\"$fd\", \"$var(flags)\", \"$hdr(X-Scopes)\")";
        let server = count_by(config, asks).start();
        Stage { server, caller: Endpoint::new("127.0.0.1"), callee, _folder: folder }
    }

    pub fn call(&self, doing: &str) -> Caller<'_> {
        let mut headers = headers("o");
        if !doing.is_empty() {
            headers.push_str(&format!("X-Do: {doing}\r\n"));
        }
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
        self.wait_for_calls(0);
    }

    /// Live calls: the company has as many as its brand, the user, and each scope that the script
    /// names.
    pub fn calls(&self) -> u64 {
        let told = self.server.ask("check", json!(["c", "127.0.0.1", "alice@c", SCOPES, "o"]));
        let (user, limits) = (&told["roadwarrior"], &told["cc_limit"]);
        let named = limits["scopes"].as_array().unwrap();
        let kinds: Vec<_> = named.iter().map(|of| of["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["carrier", "did", "user"]);
        let mut others = named.iter().map(|of| &of["calls"]);
        let company = &limits["company_calls"];
        assert!(
            others.all(|calls| calls == company)
                && user["user_calls"] == *company
                && limits["brand_calls"] == *company,
            "{told}"
        );
        company.as_u64().unwrap()
    }

    /// Waits until the company has so many calls: at once each of its calls' scopes has as many.
    pub fn wait_for_calls(&self, expected: u64) {
        wait_for_calls(&self.server, "c", expected);
        assert_eq!(self.calls(), expected);
    }

    /// All is back, the one slot of each scope can be taken again, and every call was hung up.
    pub fn assert_free(&self) {
        self.assert_free_after(0);
    }

    /// As [`Stage::assert_free`], but for some calls that ended by time.
    pub fn assert_free_after(&self, expired: u64) {
        self.wait_for_calls(0);
        let mut call = self.call_up("");
        self.hang_up(&mut call);
        self.wait_for_calls(0);
        assert_nothing_left(&self.server);
        assert_eq!(self.server.counter("calls_expired"), expired);
    }
}
