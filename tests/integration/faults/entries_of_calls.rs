//! A panic in an entry that counts calls, or is told of what becomes of them: counts are right
//! again by themselves.

use super::*;
use crate::support::PATIENCE;
use crate::support::panics::{assert_reported, injected};

/// A call whose dialog ends by time; nobody is told, so the reaper finds it.
#[test]
fn a_panic_where_a_call_expires_frees_its_slot_late() {
    let site = Site::new().settings("modparam(\"sipwarden\", \"reaper_interval\", 1)\n");
    let mut kamailio = injected(site.config, "DialogExpired").start();
    let endpoint = Endpoint::new("127.0.0.1");
    call_up(&endpoint, &kamailio, "c", "X-Do: lifetime\r\n");
    assert_reported(&kamailio, "DialogExpired");
    proxy::wait_for_calls(&kamailio, "c", 0);
    under_calls(&kamailio, || ());
    assert!(kamailio.runs());
}

/// What proves a source, the answer to a keepalive, and the end of calls that have lasted too
/// long: without them calls are counted as ever.
#[test]
fn a_panic_in_what_is_told_of_live_calls_changes_no_count() {
    for entry in ["DialogRequest", "EndCalls"] {
        let site = Site::new();
        let mut kamailio = injected(site.config, entry).start();
        let endpoint = Endpoint::new("127.0.0.1");
        let mut up: Vec<_> = (0..2).map(|_| call_up(&endpoint, &kamailio, "c", "")).collect();
        assert!(answer_to(&endpoint, &kamailio, "c").contains("company_limit 2/2"));
        up.iter_mut().for_each(|call| call.within("BYE"));
        assert_reported(&kamailio, entry);
        proxy::wait_for_calls(&kamailio, "c", 0);
        under_calls(&kamailio, || ());
        proxy::assert_nothing_left(&kamailio);
        assert!(kamailio.runs());
    }
}

/// Without an answer of the ledger a reply stays what it is: the dialog module judges it.
#[test]
fn a_panic_where_an_answer_to_a_keepalive_is_judged_ends_no_call() {
    let site = Site::new();
    let mut kamailio = injected(site.config, "DialogCounts").start();
    let endpoint = Endpoint::new("127.0.0.1");
    let mut call = call_up(&endpoint, &kamailio, "c", "");
    // Once the ACK has been there.
    wait_for("a panic", || {
        call.reply_unasked(404, "OPTIONS");
        (kamailio.counter("panics") > 0).then_some(())
    });
    assert_reported(&kamailio, "DialogCounts");
    assert_eq!(proxy::calls(&kamailio, "c"), 1);
    call.within("BYE");
    proxy::wait_for_calls(&kamailio, "c", 0);
    proxy::assert_nothing_left(&kamailio);
    assert!(kamailio.runs());
}

/// Calls that are restored and not counted: their requests pass, and no count goes wrong.
#[test]
fn a_panic_where_calls_are_restored_leaves_them_uncounted() {
    let site = Site::new();
    let dialogs = Sqlite::dialogs(&site.folder);
    let config = keep_each_dialog(site.config, &dialogs);
    let mut kamailio = config.start();
    let endpoint = Endpoint::new("127.0.0.1");
    let mut call = call_up(&endpoint, &kamailio, "c", "");
    let stored = || dialogs.query("SELECT COUNT(*) FROM dialog_vars;");
    wait_for("the dialog to be stored", || (stored().trim() != "0").then_some(()));
    kamailio.stop(libc::SIGTERM);
    let mut kamailio = injected(config, "DialogRestored").start();
    assert_reported(&kamailio, "DialogRestored");
    assert_eq!(proxy::calls(&kamailio, "c"), 0);
    call.within("BYE");
    assert_eq!(call.answer_within("BYE", PATIENCE).unwrap().status(), Some(200));
    let mut other = call_up(&endpoint, &kamailio, "c", "");
    other.within("BYE");
    proxy::assert_nothing_left(&kamailio);
    assert!(kamailio.runs());
}
