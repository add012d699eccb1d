//! A panic in an entry that is asked at the start, or by monitoring: it costs what was asked for,
//! and Kamailio starts and serves.

use super::*;
use crate::support::panics::{assert_injected, assert_reported, injected};

/// Settings with which these processes are wanted.
const HOST_NAMES: &str = "modparam(\"sipwarden\", \"host_names\", 1)\n";
pub(super) const SHARED_LIMITS: &str = "
modparam(\"sipwarden\", \"cluster_url\", \"redis://127.0.0.1:1\")
modparam(\"sipwarden\", \"cluster_secret\", \"0123456789abcdef0123456789abcdef\")
modparam(\"sipwarden\", \"cluster_node\", \"one\")
";

/// Names are not resolved, and limits are judged by the policy.
#[test]
fn a_panic_where_a_process_is_asked_for_leaves_out_that_process() {
    for (entry, process, settings) in [
        ("CanResolve", "sipwarden resolver", HOST_NAMES),
        ("CanServe", "sipwarden broker", SHARED_LIMITS),
    ] {
        for entry in ["", entry] {
            let site = Site::new().settings(settings);
            let mut kamailio = injected(site.config, entry).start();
            assert_eq!(kamailio.processes("sipwarden warden").len(), 1);
            assert_eq!(kamailio.processes(process).len(), usize::from(entry.is_empty()));
            if !entry.is_empty() {
                assert_reported(&kamailio, entry);
                under_calls(&kamailio, || ());
            }
            assert_ends(&mut kamailio);
        }
    }
}

/// The tables of the last run go on serving; a reload by hand brings the database's.
#[test]
fn a_panic_where_the_loader_is_asked_for_leaves_reloads_by_hand() {
    let mut site = Site::new();
    let mut kamailio = site.config.start();
    site.wait_for_files(&kamailio);
    kamailio.stop(libc::SIGTERM);
    site.db.run("ALTER TABLE sipwarden_trusted RENAME TO gone;");
    site.config = injected(site.config, "CanLoad");
    let mut kamailio = site.config.start();
    assert_reported(&kamailio, "CanLoad");
    assert!(kamailio.processes("sipwarden loader").is_empty());
    under_calls(&kamailio, || ());
    assert_eq!(kamailio.counter("tables_from_file"), 1);
    site.db.run("ALTER TABLE gone RENAME TO sipwarden_trusted;");
    kamailio.rpc("sipwarden.reload", json!([]));
    assert_eq!(kamailio.counter("tables_from_file"), 0);
    assert_ends(&mut kamailio);
}

/// A letter that is no flag stops the start; unchecked it is ignored, and said when it is used.
#[test]
fn a_panic_in_a_check_of_flags_leaves_it_to_the_call() {
    let mut site = Site::new();
    site.config.routes = site.config.routes.replace("\"$var(flags)\"", "\"Q\"");
    let log = site.config.fail_to_start();
    assert!(log.contains("has no flag \"Q\"") && !log.contains("this one is ignored"), "{log}");
    let mut kamailio = injected(site.config, "CheckFlags").start();
    under_calls(&kamailio, || assert_reported(&kamailio, "CheckFlags"));
    kamailio.wait_for_line("cc_limit has no flag \"Q\"");
    assert!(kamailio.log().contains("this one is ignored"));
    assert_ends(&mut kamailio);
}

#[test]
fn a_panic_in_the_list_of_methods_leaves_none_and_calls_are_judged() {
    let site = Site::new();
    let mut kamailio = injected(site.config, "RpcMethod").start();
    let fault = kamailio.try_rpc("sipwarden.stats", json!([])).unwrap_err();
    assert!(fault.contains("Method Not Found"), "{fault}");
    let endpoint = Endpoint::new("127.0.0.1");
    under_calls(&kamailio, || {
        let mut up: Vec<_> = (0..2).map(|_| call_up(&endpoint, &kamailio, "c", "")).collect();
        assert!(answer_to(&endpoint, &kamailio, "c").contains("company_limit 2/2"));
        up.iter_mut().for_each(|call| call.within("BYE"));
    });
    assert_injected(&kamailio.log(), "RpcMethod");
    assert_ends(&mut kamailio);
}

/// Counters, and what the module's own method says, are as ever.
#[test]
fn a_panic_in_a_gauge_tells_zero() {
    for (entry, room) in [("", false), ("Gauge", true)] {
        let site = Site::new();
        let mut kamailio = injected(site.config, entry).start();
        under_calls(&kamailio, || ());
        let told = kamailio.rpc("stats.get_statistics", json!(["sipwarden:"])).to_string();
        assert_eq!(told.contains("sipwarden:calls_room = 0\""), room, "{told}");
        assert!(!told.contains("sipwarden:cc_call_counted = 0\""), "{told}");
        assert!(told.contains("sipwarden:cc_call_counted = "), "{told}");
        assert!(kamailio.counter("calls_room") > 0);
        if room {
            assert_reported(&kamailio, entry);
        }
        assert_ends(&mut kamailio);
    }
}
