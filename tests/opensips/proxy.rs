//! A proxy whose script counts calls; headers of the INVITE steer the script.

use std::net::SocketAddr;

use serde_json::json;

use crate::host::{Config, OpenSips};
use crate::support::wait_for;

/// Timers are short, so that endings that wait for them come soon.
const DIALOG: &str = r#"
modparam("tm", "fr_timeout", 2)
modparam("tm", "fr_inv_timeout", 3)
modparam("tm", "wt_timer", 2)
modparam("dialog", "default_timeout", 60)
"#;

/// X-Do: before the checks `challenge`; after them `drop`, `reply`, `treply`, `newtran`,
/// `lifetime`, `bye` (lifetime with BYE), `serial`, `parallel`, `twice`, `implicit` (the script
/// makes no dialog). X-Roadwarrior: the AoR to ask for. X-Flags: of both. X-Company: whom a
/// re-INVITE is of.
const ROUTES: &str = r#"
route {
    if (has_totag()) {
        if (loose_route()) {
            if (is_method("INVITE")) {
                $var(company) = $fd;
                if (is_present_hf("X-Company")) { $var(company) = $hdr(X-Company); }
                cc_limit("$var(company)");
                xlog("L_NOTICE", "re-INVITE: $swd(reason)\n");
            }
            if (is_method("BYE") && $hdr(X-Do) == "drop") { exit; }
            t_relay();
            exit;
        }
        if (is_method("ACK") && t_check_trans()) { t_relay(); }
        exit;
    }
    if (is_method("CANCEL")) {
        if (t_check_trans()) { t_relay(); }
        exit;
    }
    t_check_trans();
    if ($hdr(X-Do) == "challenge" && $hdr(Authorization) == NULL) {
        create_dialog();
        route(COUNT);
        sl_send_reply(407, "Authenticate");
        exit;
    }
    if ($hdr(X-Do) == "bye") {
        create_dialog("B");
    } else if ($hdr(X-Do) != "implicit") {
        create_dialog();
    }
    if ($hdr(X-Do) == "lifetime" || $hdr(X-Do) == "bye") { $DLG_timeout = 2; }
    route(COUNT);
    if ($hdr(X-Do) == "twice") { route(COUNT); }
    switch ($hdr(X-Do)) {
        case "drop":
            exit;
        case "reply":
            sl_send_reply(503, "No");
            exit;
        case "treply":
            t_newtran();
            t_reply(503, "No");
            exit;
        case "newtran":
            t_newtran();
            exit;
        case "serial":
            t_on_failure("NEXT");
            break;
        case "parallel":
            append_msg_branch("sip:bob@CALLEE;x=2");
            break;
    }
    record_route();
    $ru = "sip:bob@CALLEE";
    t_relay();
}
failure_route[NEXT] {
    if (t_was_cancelled()) { exit; }
    route(COUNT);
    $ru = "sip:bob@CALLEE;second=yes";
    t_relay();
}
route[COUNT] {
    $var(flags) = "";
    if (is_present_hf("X-Flags")) { $var(flags) = $hdr(X-Flags); }
    if (is_present_hf("X-Roadwarrior")) {
        if (!roadwarrior_acquire("$hdr(X-Roadwarrior)", "$fd", "$var(flags)")) {
            sl_send_reply(403, "Refused: $swd(reason) $swd(user_calls)/$swd(user_limit)");
            exit;
        }
    }
    if (!cc_limit("$fd", "$var(flags)")) {
        sl_send_reply(403, "Refused: $swd(reason) $swd(company_calls)/$swd(company_limit) $swd(brand_calls)/$swd(brand_limit)");
        exit;
    }
}
"#;

/// A configuration with the script above, relaying to `callee`.
pub fn config(db_url: &str, callee: SocketAddr) -> Config {
    let routes = ROUTES.replace("CALLEE", &callee.to_string());
    let mut config = Config::new(db_url).settings(DIALOG).routes(&routes);
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    config
}

/// Live calls of a company.
pub fn calls(opensips: &OpenSips, company: &str) -> u64 {
    opensips.rpc("sipwarden_company", json!([company]))["calls"].as_u64().unwrap()
}

/// Waits until a company has so many live calls.
pub fn wait_for_calls(opensips: &OpenSips, company: &str, expected: u64) {
    wait_for(&format!("{company} to have {expected} calls"), || {
        (calls(opensips, company) == expected).then_some(())
    });
}

/// No lease is left, and no comparison with the dialogs has ever found a leak.
pub fn assert_nothing_left(opensips: &OpenSips) {
    let stats = wait_for("all leases to go", || {
        let stats = opensips.rpc("sipwarden_stats", json!([]));
        (stats["calls"] == 0).then_some(stats)
    });
    assert_eq!(stats["call_scopes"], 0, "{stats}");
    assert_eq!(stats["counters"]["leases_leaked"], 0, "{stats}");
    let found = opensips.rpc("sipwarden_reconcile", json!([]));
    assert_eq!(found["without_dialog"], 0, "{found}");
}
