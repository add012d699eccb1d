//! `flood_check` on real SIP requests.

mod attackers;
mod functions;
mod operators;
mod settings;

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Config, Server};
use crate::support::running::free_port;
use crate::support::sip::{Phone, Told};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project, wait_for, wait_up_to};
use serde_json::{Value, json};

/// Drops what is refused without a word; answers what passes with the verdict. Who asks
/// with flag p is told either way.
const SCRIPT: &str = r#"
request_route {
    $var(flags) = "";
    if (is_present_hf("X-Flags")) { $var(flags) = $hdr(X-Flags); }
    if ($var(flags) == "b") {
        if (flood_blocked()) { $var(blocked) = "yes"; } else { $var(blocked) = "no"; }
        if (flood_blocked("$si") && $var(blocked) == "no") { $var(blocked) = "otherwise"; }
        if (flood_blocked("192.0.2.99")) { $var(blocked) = "another"; }
        flood_blocked("$si");
        append_to_reply("X-Blocked: $var(blocked) $swd(code)\r\n");
        sl_send_reply(200, "OK");
        exit;
    }
    if (!flood_check("$var(flags)")) {
        if ($var(flags) == "p") { sl_send_reply(403, "Blocked"); }
        exit;
    }
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    append_to_reply("X-Flood: $swd(class) $swd(requests)/$swd(request_limit) $swd(block_seconds)\r\n");
    sl_send_reply(200, "OK");
}
"#;

/// Lines about a run that is to last as long as a test, not 2 s.
pub const LONG_WINDOW: &str = "modparam(\"sipwarden\", \"flood_window\", \"600s\")\n";

pub fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('awide', 'b', 1, 0), ('office', 'b', 1, 0), ('open', 'b', 0, 0);
        INSERT INTO sipwarden_company_address VALUES ('office', '127.1.0.0/24', NULL),
            ('awide', '127.0.0.0/8', NULL), ('awide', '0.0.0.0/0', NULL), ('open', '127.2.0.0/24', NULL);
        INSERT INTO sipwarden_trusted VALUES ('127.3.0.1', NULL, 'exempt'), ('127.3.1.9', 32, NULL);",
    );
    db
}

pub fn config(db: &Sqlite) -> Config {
    let mut config = Config::new(&db.url()).routes(SCRIPT);
    config.workers = 8;
    config
}

/// The verdict on one request that passes.
pub fn passes(phone: &Phone) -> (Told, String) {
    let reply = phone.request("OPTIONS", "x", "").expect("a reply");
    (reply.told().unwrap(), reply.header("X-Flood").unwrap().to_owned())
}

/// As [`passes`], while the socket of the server may overflow: asks again, as
/// phones do.
fn passes_in_the_crowd(phone: &Phone) -> (Told, String) {
    let reply = (0..5).find_map(|_| phone.request("OPTIONS", "x", "")).expect("a reply");
    (reply.told().unwrap(), reply.header("X-Flood").unwrap().to_owned())
}

/// Sends a request that must not be answered: waits until it has been counted.
pub fn is_dropped(server: &Server, phone: &Phone) {
    let dropped = || {
        let stats = server.ask("stats", json!([]));
        ["flood_started", "flood_blocked", "flood_throttled"]
            .iter()
            .map(|name| stats["counters"][name].as_u64().unwrap())
            .sum::<u64>()
    };
    // Nor has an earlier one been answered late.
    assert!(phone.heard_nothing(), "an answer to a refused request");
    let before = dropped();
    phone.send("OPTIONS", "x", "");
    wait_for("the request to be refused", || (dropped() == before + 1).then_some(()));
    assert!(phone.heard_nothing(), "an answer to a refused request");
}

pub fn blocks(server: &Server) -> Vec<Value> {
    server.ask("blocks", json!([]))["blocks"].as_array().unwrap().clone()
}
