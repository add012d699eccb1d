//! Calls that have lasted their longest: what becomes of their BYEs is told.

use serde_json::json;

use crate::host::{Config, OpenSips};
use crate::support::Folder;
use crate::support::call::{Caller, Endpoint, answer};
use crate::support::proxy::{assert_nothing_left, config, wait_for_calls};
use crate::support::sqlite::Sqlite;

/// As that of a browser: nobody can be asked for it.
const NOWHERE: &str = "sip:anybody@df7jal23ls0d.invalid";
const CANNOT: &str = "cannot be ended: it has lasted as long as `longest` of limit_table allows, \
                      but not both ends can be sent a BYE";

struct Stage {
    opensips: OpenSips,
    caller: Endpoint,
    callee: Endpoint,
    _folder: Folder,
}

impl Stage {
    /// With calls that may last two seconds.
    fn new() -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(
            "INSERT INTO sipwarden_brand VALUES ('b', 0);
             INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 0);
             INSERT INTO sipwarden_limit (kind, id, longest) VALUES ('company', 'c', 2);",
        );
        let callee = Endpoint::new("127.0.0.1");
        let mut config: Config = config(&db.url(), callee.address())
            .settings("modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n");
        config.routes.push_str(
            "event_route[E_SIPWARDEN_EXPIRED] {\n    xlog(\"L_NOTICE\", \"told: \
             $param(event) $param(reason)\\n\");\n}\n",
        );
        Stage {
            opensips: config.start(),
            caller: Endpoint::new("127.0.0.1"),
            callee,
            _folder: folder,
        }
    }

    /// A call that was answered with this contact, of a caller with that one.
    fn call(&self, caller: Option<&str>, contact: &str) -> Caller<'_> {
        let mut call = Caller::new(&self.caller, self.opensips.address(), "c", "");
        call.contact = caller.map(Into::into);
        call.invite();
        let (invite, from) = self.callee.request("INVITE");
        self.callee.send(&answer(&invite, 200, "t", contact), from);
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        call
    }
}

#[test]
fn both_ends_get_a_bye() {
    let stage = Stage::new();
    let contact = format!("<sip:bob@{}>", stage.callee.address());
    let call = stage.call(None, &contact);
    stage.callee.request("ACK");
    let bye = stage.callee.request("BYE");
    assert_eq!(bye.0.header("Call-ID"), Some(&*call.call_id));
    stage.callee.reply(&bye, 200, "t");
    stage.opensips.wait_for_line("both ends were sent a BYE");
    wait_for_calls(&stage.opensips, "c", 0);
    assert_eq!(stage.opensips.counter("calls_expired"), 1);
    assert_nothing_left(&stage.opensips);
}

/// Where it cannot be sent the dialog module takes that end for gone.
#[test]
fn that_it_cannot_be_sent_is_told() {
    for reached in [true, false] {
        let stage = Stage::new();
        let contact = match reached {
            true => format!("<sip:bob@{}>", stage.callee.address()),
            false => format!("<{NOWHERE}>"),
        };
        stage.call(Some(NOWHERE), &contact);
        if reached {
            stage.callee.request("ACK");
            let bye = stage.callee.request("BYE");
            stage.callee.reply(&bye, 200, "t");
        }
        stage.opensips.wait_for_line(CANNOT);
        stage.opensips.wait_for_line("told: call_expired longest");
        wait_for_calls(&stage.opensips, "c", 0);
        assert_eq!(stage.opensips.counter("calls_expired"), 1);
        assert_eq!(stage.opensips.ask("calls", json!(["c"]))["total"], 0);
        assert_nothing_left(&stage.opensips);
    }
}
