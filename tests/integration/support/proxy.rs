//! A proxy whose script counts calls; headers of the INVITE steer the script.
//!
//! X-Do: before the checks `challenge`; after them `drop`, `reply`, `treply`, `newtran`,
//! `lifetime`, `bye` (lifetime with BYE), `serial`, `parallel`, `twice`, `implicit` (the script
//! makes no dialog), in Kamailio `spiral`. X-Roadwarrior: the AoR to ask for. X-Flags: of both.
//! X-Company: whom a re-INVITE is of.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::call::{Caller, Endpoint};
use super::config::Config;
use super::host::Host;
use super::running::{Running, free_port};
use super::scripts::PROXY;
use super::sqlite::Sqlite;
use super::wait_for;

/// A configuration with such a script, relaying to `callee`.
pub fn config<H: Host>(db_url: &str, callee: SocketAddr) -> Config<H> {
    let routes = PROXY.replace("DIALOG", H::DIALOG).replace("MORE", H::MORE);
    let routes = routes.replace("CALLEE", &callee.to_string());
    let mut config = Config::new(db_url).settings(H::TIMERS).routes(&routes);
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    config
}

/// Calls are counted by this in that script, in place of the one `cc_limit` that it has.
pub fn count_by<H: Host>(mut config: Config<H>, asks: &str) -> Config<H> {
    let asked = "cc_limit(\"$fd\", \"$var(flags)\")";
    assert_eq!(config.routes.matches(asked).count(), 1);
    config.routes = config.routes.replace(asked, asks);
    config
}

/// What keeps dialogs in a database, and with them what calls count for.
pub fn keep_dialogs(url: &str, db_mode: u32) -> String {
    format!(
        "modparam(\"dialog\", \"db_mode\", {db_mode})\nmodparam(\"dialog\", \"db_url\", \"{url}\")\n"
    )
}

/// Each change of a dialog is kept at once, and a next start listens at the same port.
pub fn keep_each_dialog<H: Host>(mut config: Config<H>, dialogs: &Sqlite) -> Config<H> {
    // SQLite's driver does not wait for another writer.
    config.workers = 1;
    config.settings(&keep_dialogs(&dialogs.url(), 1)).port(free_port())
}

/// A call of a user of `domain` that an AutoCallee answers; `headers` are whole lines.
pub fn call_up<'a, H: Host>(
    endpoint: &'a Endpoint,
    server: &Running<H>,
    domain: &str,
    headers: &str,
) -> Caller<'a> {
    let mut call = Caller::new(endpoint, server.address(), domain, headers);
    call.invite();
    let reply = call.final_reply();
    assert_eq!(reply.status(), Some(200), "{}", reply.line);
    call.ack();
    call
}

/// The same for storms: however long one takes here, no call is over by then, and a refusal
/// that gets lost is repeated.
pub fn unhurried<H: Host>(db_url: &str, callee: SocketAddr) -> Config<H> {
    config(db_url, callee).settings(LONG_CALLS).settings(H::REPEATS)
}

/// Calls that are up live for an hour, which no test takes: a minute is short on a busy machine.
pub const LONG_CALLS: &str = "modparam(\"dialog\", \"default_timeout\", 3600)\n";

/// Live calls of a company.
pub fn calls<H: Host>(server: &Running<H>, company: &str) -> u64 {
    server.ask("company", json!([company]))["calls"].as_u64().unwrap()
}

/// Waits until a company has so many live calls.
pub fn wait_for_calls<H: Host>(server: &Running<H>, company: &str, expected: u64) {
    wait_for(&format!("{company} to have {expected} calls"), || {
        (calls(server, company) == expected).then_some(())
    });
}

/// No lease is left, and no comparison with the dialogs has ever found a leak.
pub fn assert_nothing_left<H: Host>(server: &Running<H>) {
    let stats = wait_for("all leases to go", || {
        let stats = server.ask("stats", json!([]));
        (stats["calls"] == 0).then_some(stats)
    });
    assert_eq!(stats["call_scopes"], 0, "{stats}");
    assert_eq!(stats["counters"]["leases_leaked"], 0, "{stats}");
    let found = server.ask("reconcile", json!([]));
    assert_eq!(found["without_dialog"], 0, "{found}");
}

/// The calls that are listed.
pub fn listed<H: Host>(server: &Running<H>) -> Vec<Value> {
    server.ask("calls", json!([]))["calls"].as_array().unwrap().clone()
}
