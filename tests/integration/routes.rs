//! In which kinds of routes the functions work, and where calls are counted.

use crate::support::call::{Caller, Endpoint};
use crate::support::kamailio::{Config, Kamailio};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use serde_json::json;

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 2), ('office', 'b', 1, 0);
INSERT INTO sipwarden_user VALUES ('two@office', 'office', 2);
";

fn config(folder: &Folder, routes: &str) -> Config {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TENANTS);
    let mut config = Config::new(&db.url()).routes(routes);
    config.workers = 2;
    config.modules.push_str(
        "loadmodule \"dialog.so\"\nloadmodule \"async.so\"\n\
         modparam(\"dialog\", \"dlg_match_mode\", 1)\n",
    );
    config
}

/// Where the callee listens.
fn to(callee: &Endpoint, routes: &str) -> String {
    routes.replace("CALLEE", &format!("sip:{}", callee.address()))
}

fn calls(kamailio: &Kamailio) -> Vec<serde_json::Value> {
    kamailio.rpc("sipwarden.calls", json!([]))["calls"].as_array().unwrap().clone()
}

/// What every script does with requests of calls that are up.
const WITHIN: &str = r#"
route[WITHIN] {
    if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
    if (has_totag()) { loose_route(); t_relay(); exit; }
    if (t_precheck_trans()) { t_check_trans(); exit; }
    t_check_trans();
}
route[ADMIT] {
    cc_limit("c", "o");
    xlog("L_NOTICE", "admit: $swd(code) $swd(reason)\n");
    if ($swd(code) < 0) { t_reply("503", "$swd(reason)"); exit; }
    roadwarrior_acquire("two@office", "office");
    xlog("L_NOTICE", "roadwarrior: $swd(code) $swd(reason) $swd(ip)\n");
    if ($avp(recorded) == $null) { record_route(); }
    $du = "CALLEE";
    t_relay();
    exit;
}
"#;

/// One call, from the INVITE to the BYE: it counts once, for the company and for the
/// roadwarrior, and leaves the counts. `first` is done before the callee rings.
fn a_call_counts(kamailio: &Kamailio, callee: &Endpoint, what: &str, first: impl Fn()) {
    let phone = Endpoint::new("127.0.0.1");
    let before = kamailio.counter("cc_call_counted");
    let mut caller = Caller::new(&phone, kamailio.address(), "office", "");
    caller.invite();
    first();
    let invite = callee.request("INVITE");
    let live = calls(kamailio);
    assert_eq!(live.len(), 1, "{what}: {live:?}");
    let shown = ["company", "user"].map(|name| live[0][name].as_str().unwrap());
    assert_eq!(shown, ["c", "two@office"], "{what}");
    callee.reply(&invite, 200, "t");
    assert_eq!(caller.final_reply().status(), Some(200), "{what}");
    caller.ack();
    callee.request("ACK");
    assert_eq!(kamailio.counter("cc_call_counted"), before + 1, "{what}");
    assert_eq!(calls(kamailio).len(), 1, "{what}");
    caller.within("BYE");
    let bye = callee.request("BYE");
    callee.reply(&bye, 200, "t");
    wait_for(what, || calls(kamailio).is_empty().then_some(()));
    let dialogs = || kamailio.rpc("dlg.stats_active", json!([]))["all"] == 0;
    wait_for("the dialogs to end", || dialogs().then_some(()));
    assert_eq!(kamailio.counter("leases_leaked"), 0, "{what}");
}

#[test]
fn a_call_is_counted_in_a_route_that_goes_on_after_a_suspension() {
    let suspensions = [
        ("async_route", "async_route(\"ADMIT\", \"1\");"),
        ("async_task_route", "async_task_route(\"ADMIT\");"),
        ("dialog made before", "dlg_manage(); async_task_route(\"ADMIT\");"),
        ("counted before", "cc_limit(\"c\", \"o\"); async_task_route(\"ADMIT\");"),
        ("record_route before", "record_route(); $avp(recorded) = 1; async_task_route(\"ADMIT\");"),
    ];
    for spirals in ["1", "0"] {
        for (what, suspend) in suspensions {
            let folder = Folder::new();
            let callee = Endpoint::new("127.0.0.2");
            let routes =
                to(&callee, &format!("request_route {{ route(WITHIN); {suspend} }}\n{WITHIN}"));
            let settings = format!(
                "async_workers=2\nmodparam(\"async\", \"workers\", 1)\n\
                 modparam(\"dialog\", \"detect_spirals\", {spirals})\n"
            );
            let kamailio = config(&folder, &routes).settings(&settings).start();
            let what = format!("{what}, detect_spirals {spirals}");
            a_call_counts(&kamailio, &callee, &what, || ());
            a_call_counts(&kamailio, &callee, &what, || ());
            let log = kamailio.log();
            assert!(log.contains("roadwarrior: 4 roadwarrior_counted 127.0.0.1"), "{what}: {log}");
            let admitted = match what.starts_with("counted") {
                true => "admit: 2 call_held",
                false => "admit: 1 call_counted",
            };
            assert_eq!(log.matches(admitted).count(), 2, "{what}: {log}");
        }
    }
}

/// Then a BYE is known by a parameter that Record-Route may not have.
#[test]
fn a_mode_of_the_dialog_module_that_loses_the_end_of_calls_is_warned_of() {
    let folder = Folder::new();
    let callee = Endpoint::new("127.0.0.2");
    let routes =
        format!("request_route {{ route(WITHIN); async_task_route(\"ADMIT\"); }}\n{WITHIN}");
    let settings = "async_workers=1\nmodparam(\"dialog\", \"dlg_match_mode\", 0)\n";
    let kamailio = config(&folder, &to(&callee, &routes)).settings(settings).start();
    a_call_counts(&kamailio, &callee, "record_route afterwards", || ());
    let line = "set its parameter dlg_match_mode to 1 (said once a minute)";
    assert_eq!(kamailio.log().matches(line).count(), 1, "{}", kamailio.log());
}

/// A refusal leaves nothing behind, and an INVITE that is repeated after it counts.
#[test]
fn a_refusal_after_a_suspension_leaves_no_trace() {
    let folder = Folder::new();
    let callee = Endpoint::new("127.0.0.2");
    let routes = to(
        &callee,
        &format!(
            "request_route {{ route(WITHIN); async_task_route(\"FIRST\"); }}
             route[FIRST] {{
                 if (!is_present_hf(\"X-Auth\")) {{
                     cc_limit(\"c\", \"o\");
                     t_reply(\"407\", \"Who\");
                     exit;
                 }}
                 route(ADMIT);
             }}\n{WITHIN}"
        ),
    );
    let kamailio = config(&folder, &routes).settings("async_workers=1\n").start();
    let phone = Endpoint::new("127.0.0.1");
    for n in 1..=4 {
        let mut caller = Caller::new(&phone, kamailio.address(), "office", "");
        caller.invite();
        assert_eq!(caller.final_reply().status(), Some(407));
        caller.add_header("X-Auth: yes\r\n");
        caller.invite_again();
        let invite = callee.request("INVITE");
        assert_eq!(calls(&kamailio).len(), 1, "call {n}");
        callee.reply(&invite, 486, "t");
        assert_eq!(caller.final_reply().status(), Some(486));
        callee.request("ACK");
        wait_for("no call", || calls(&kamailio).is_empty().then_some(()));
    }
    assert_eq!(kamailio.counter("cc_call_counted"), 8);
}

/// Also while it is suspended.
#[test]
fn a_caller_may_give_up_while_suspended() {
    let folder = Folder::new();
    let callee = Endpoint::new("127.0.0.2");
    let routes = format!(
        "request_route {{ route(WITHIN); cc_limit(\"c\"); async_route(\"ADMIT\", \"2\"); }}\n{WITHIN}"
    );
    let settings = "modparam(\"async\", \"workers\", 1)\n";
    let kamailio = config(&folder, &to(&callee, &routes)).settings(settings).start();
    let phone = Endpoint::new("127.0.0.1");
    let mut caller = Caller::new(&phone, kamailio.address(), "office", "");
    caller.invite();
    wait_for("the call", || (calls(&kamailio).len() == 1).then_some(()));
    caller.cancel();
    assert_eq!(caller.final_reply().status(), Some(487));
    wait_for("no call", || calls(&kamailio).is_empty().then_some(()));
}

#[test]
fn a_call_is_counted_first_when_its_first_branch_has_failed() {
    let folder = Folder::new();
    let (first, callee) = (Endpoint::new("127.0.0.3"), Endpoint::new("127.0.0.2"));
    let routes = to(
        &callee,
        &format!(
            "request_route {{
                 route(WITHIN);
                 record_route();
                 $avp(recorded) = 1;
                 t_on_failure(\"NEXT\");
                 $du = \"sip:{}\";
                 t_relay();
             }}
             failure_route[NEXT] {{
                 cc_limit(\"c\", \"o\");
                 if ($swd(code) < 0) {{ t_reply(\"503\", \"$swd(reason)\"); exit; }}
                 route(ADMIT);
             }}\n{WITHIN}",
            first.address()
        ),
    );
    let kamailio = config(&folder, &routes).start();
    for _ in 0..2 {
        a_call_counts(&kamailio, &callee, "failure_route", || {
            let invite = first.request("INVITE");
            first.reply(&invite, 486, "b");
        });
    }
    // In the failure route it counts; the second question finds it counted.
    assert!(kamailio.log().contains("admit: 2 call_held"));
}

#[test]
fn a_route_that_cannot_count_calls_stops_the_start() {
    for route in [
        "branch_route[X]",
        "onreply_route[X]",
        "reply_route",
        "onsend_route",
        "event_route[tm:local-request]",
        "event_route[tm:branch-failure:X]",
        "event_route[sl:filtered-ack]",
        "event_route[dialog:start]",
        "event_route[htable:mod-init]",
    ] {
        for call in [
            "cc_limit(\"c\")",
            "cc_limit(\"c\", \"o\")",
            "roadwarrior_acquire(\"a\", \"c\")",
            "roadwarrior_acquire(\"a\", \"c\", \"o\")",
            "roadwarrior_acquire(\"a\", \"c\", \"o\", \"192.0.2.1\")",
        ] {
            let folder = Folder::new();
            let routes =
                format!("{} {{ if (!{call}) {{ exit; }} }}\nrequest_route {{ exit; }}\n", route);
            let log = config(&folder, &routes).fail_to_start();
            let said = log.contains(
                "count calls in request_route, in failure_route and in the routes that these call or \
                 suspend to",
            );
            assert!(said, "{route} {call}: {log}");
        }
    }
}

/// What is called from such a route is found at run time: nothing is counted.
#[test]
fn a_call_is_not_counted_from_within_another_kind_of_route() {
    let folder = Folder::new();
    let callee = Endpoint::new("127.0.0.2");
    let routes = to(
        &callee,
        &format!(
            "request_route {{
                 route(WITHIN);
                 t_on_branch(\"B\");
                 t_on_reply(\"R\");
                 $du = \"CALLEE\";
                 t_relay();
             }}
             branch_route[B] {{ $var(where) = \"branch\"; route(ASK); }}
             onreply_route[R] {{ $var(where) = \"onreply\"; route(ASK); }}
             reply_route {{ $var(where) = \"reply\"; route(ASK); }}
             event_route[tm:local-request] {{ $var(where) = \"local\"; route(ASK); }}
             route[ASK] {{
                 cc_limit(\"c\");
                 xlog(\"L_NOTICE\", \"in $var(where): $swd(code) $swd(reason)\\n\");
                 cc_limit(\"c\", \"e\");
                 xlog(\"L_NOTICE\", \"emergency in $var(where): $swd(code)\\n\");
                 roadwarrior_acquire(\"two@office\", \"office\");
                 xlog(\"L_NOTICE\", \"roadwarrior in $var(where): $swd(code) $swd(reason)\\n\");
             }}\n{WITHIN}"
        ),
    );
    let mut config = config(&folder, &routes);
    config.modules.push_str("loadmodule \"uac.so\"\n");
    let kamailio = config.start();
    let phone = Endpoint::new("127.0.0.1");
    let mut caller = Caller::new(&phone, kamailio.address(), "office", "");
    caller.invite();
    let invite = callee.request("INVITE");
    callee.reply(&invite, 200, "t");
    assert_eq!(caller.final_reply().status(), Some(200));
    let invite = |callee: &Endpoint| {
        kamailio.try_rpc(
            "tm.t_uac_start",
            json!([
                "INVITE",
                format!("sip:{}", callee.address()),
                ".",
                ".",
                "From: <sip:click@office>;tag=1\r\nTo: <sip:x@office>\r\nContact: <sip:y@127.0.0.1>\r\n",
                ""
            ]),
        )
    };
    invite(&callee).unwrap();
    callee.request("INVITE");
    for place in ["branch", "onreply", "reply", "local"] {
        let line = format!("in {place}: -9 internal_error");
        wait_for(&line, || kamailio.log().contains(&line).then_some(()));
        let line = format!("emergency in {place}: 3");
        wait_for(&line, || kamailio.log().contains(&line).then_some(()));
    }
    assert_eq!(calls(&kamailio).len(), 0);
    assert_eq!(kamailio.counter("cc_call_counted"), 0);
    let log = kamailio.log();
    assert!(log.contains("cc_limit cannot count a call: it is asked in a branch"), "{log}");
    assert!(log.contains("roadwarrior in branch: -9 internal_error"), "{log}");
}

#[test]
fn a_call_is_counted_after_t_continue() {
    let folder = Folder::new();
    let callee = Endpoint::new("127.0.0.2");
    let routes = to(
        &callee,
        &format!(
            "request_route {{
                 if (is_method(\"OPTIONS\")) {{
                     t_continue(\"$sht(t=>index)\", \"$sht(t=>label)\", \"ADMIT\");
                     sl_send_reply(\"200\", \"OK\");
                     exit;
                 }}
                 route(WITHIN);
                 t_suspend();
                 $sht(t=>index) = $T(id_index);
                 $sht(t=>label) = $T(id_label);
             }}\n{WITHIN}"
        ),
    );
    let mut config = config(&folder, &routes);
    config
        .modules
        .push_str("loadmodule \"htable.so\"\nmodparam(\"htable\", \"htable\", \"t=>size=4\")\n");
    let kamailio = config.start();
    let other = Phone::new("127.0.0.4", kamailio.address());
    for _ in 0..2 {
        a_call_counts(&kamailio, &callee, "t_continue", || {
            wait_for("the suspension", || {
                kamailio.try_rpc("htable.get", json!(["t", "label"])).ok()
            });
            assert_eq!(other.request("OPTIONS", "x", "").unwrap().status, 200);
        });
        kamailio.rpc("htable.flush", json!(["t"]));
    }
}

/// What judges sources works wherever there is a message.
#[test]
fn sources_are_judged_in_every_kind_of_route() {
    let folder = Folder::new();
    let callee = Endpoint::new("127.0.0.2");
    let ask = |place: &str| {
        let one = |call: &str| {
            let what = call[..8].replace('"', "'");
            format!("{call}; xlog(\"L_NOTICE\", \"{place} {what}: $swd(reason)\\n\");")
        };
        [
            "flood_check()",
            "check_company_ip(\"office\")",
            "check_country(\"ES\", \"192.0.2.1\")",
            "auth_check(\"alice@office\")",
            "auth_failed(\"alice@office\", \"token\")",
            "auth_ok(\"alice@office\")",
            "grant(\"office\", \"60\", \"192.0.2.1\")",
        ]
        .map(one)
        .concat()
    };
    let places = [
        ("request", "route[Q]"),
        ("failure", "failure_route[F]"),
        ("branch", "branch_route[B]"),
        ("onreply", "onreply_route[R]"),
        ("reply", "reply_route"),
        ("onsend", "onsend_route"),
        ("local", "event_route[tm:local-request]"),
    ];
    let blocks = places.map(|(place, block)| {
        let then = match place {
            "failure" => "t_reply(\"480\", \"failure route ran\");",
            _ => "",
        };
        format!("{block} {{ {} {then} }}\n", ask(place))
    });
    let routes = format!(
        "request_route {{
             route(Q);
             $uac_req(method) = \"OPTIONS\"; $uac_req(ruri) = \"CALLEE\";
             $uac_req(furi) = \"sip:y@127.0.0.1\"; $uac_req(turi) = \"CALLEE\";
             uac_req_send();
             t_on_branch(\"B\"); t_on_failure(\"F\"); t_on_reply(\"R\");
             $du = \"CALLEE\";
             t_relay();
         }}\n{}",
        blocks.concat()
    );
    let mut config = config(&folder, &to(&callee, &routes));
    config.modules.push_str("loadmodule \"uac.so\"\n");
    let kamailio = config.start();
    let phone = Endpoint::new("127.0.0.1");
    let mut caller = Caller::new(&phone, kamailio.address(), "office", "");
    caller.invite();
    let invite = callee.request("INVITE");
    callee.reply(&invite, 486, "b");
    assert_eq!(caller.final_reply().status(), Some(480));
    for (place, _) in &places {
        let line = |what: &str, reason: &str| {
            let line = format!("{place} {what}: {reason}");
            wait_for(&line, || kamailio.log().contains(&line).then_some(()));
        };
        let sent = *place != "local";
        line("flood_ch", if sent { "under_limit" } else { "flood_untracked" });
        line("check_co", if sent { "denied_no_ranges" } else { "internal_error" });
        line("auth_che", if sent { "auth_clear" } else { "auth_untracked" });
        line("auth_fai", if sent { "auth_counted" } else { "auth_untracked" });
        line("grant('o", "grant_given");
        line("auth_ok(", if sent { "auth_cleared" } else { "auth_untracked" });
    }
}
