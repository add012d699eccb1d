//! Calls and dialogs: counted, ended, resumed, restored.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sipwarden::host::abi::{
    SW_DIALOG_ANSWERED, SW_DIALOG_ENDED, SW_DIALOG_GONE, SW_DIALOG_LOADED, SW_DIALOG_RESUMED,
    SW_EXPIRY_LIFETIME,
};
use sipwarden::shm::Area;
use sipwarden::tables::Table;

use super::alone::alone;
use super::door;
use super::request::Request;
use super::start::started;
use super::world::{events, logged, rows, world};
use crate::fork::Child;

fn invite(call_id: &str) -> Request {
    Request::invite("192.0.2.7", call_id)
}

/// The name of a call's dialog.
fn dialog(call_id: &str) -> (u32, u32) {
    world().dialogs.iter().find(|dialog| dialog.call_id == call_id).unwrap().name
}

fn live(company: &str) -> Value {
    door::ask("calls", json!({"company": company}))["total"].clone()
}

fn reason(request: &Request) -> Value {
    door::variable(request, "reason")
}

#[test]
fn calls_count_up_to_the_limit_as_long_as_their_dialogs_live() {
    alone(|| {
        started(&[]);
        assert_eq!(door::cc_limit(&invite("one"), "7", "o"), 1);
        assert_eq!(door::cc_limit(&invite("one"), "7", "o"), 2);
        assert_eq!(door::cc_limit(&invite("two"), "7", ""), 1);
        let third = invite("three");
        assert_eq!(door::cc_limit(&third, "7", ""), -7);
        assert_eq!(reason(&third), "company_limit");
        let numbers = ["company_calls", "company_limit"].map(|name| door::variable(&third, name));
        assert_eq!(numbers, [json!(2), json!(2)]);
        assert_eq!(door::cc_limit(&third, "7", "e"), 3);
        assert_eq!(live("7"), 3);
        {
            let world = world();
            assert_eq!(world.held, 0, "each dialog was given back");
            let remembers = &world.dialogs[0].remembers;
            assert_eq!(
                (&*remembers["sipwarden_company"], &*remembers["sipwarden_flags"]),
                ("7", "o")
            );
        }
        assert!(door::dialog_counts(dialog("one")));
        door::dialog_event(SW_DIALOG_ENDED, dialog("one"));
        assert!(!door::dialog_counts(dialog("one")));
        assert_eq!(live("7"), 2);
        door::dialog_event(SW_DIALOG_RESUMED, dialog("one"));
        assert_eq!(live("7"), 3);
        for call in ["one", "two", "three"] {
            door::dialog_event(SW_DIALOG_GONE, dialog(call));
        }
        assert_eq!(live("7"), 0);
    });
}

#[test]
fn a_call_rings_until_it_is_answered_whichever_is_told_first() {
    alone(|| {
        started(&[]);
        let rings = || {
            let calls = door::ask("calls", json!({"company": "7"}))["calls"].clone();
            let calls = calls.as_array().unwrap().clone();
            calls.iter().map(|call| call["ringing"].as_u64().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(
            [("one", 1), ("two", 1), ("three", -7)]
                .map(|(call, expected)| { door::cc_limit(&invite(call), "7", "") == expected }),
            [true; 3]
        );
        assert_eq!(rings(), [1, 1]);
        (0..2).for_each(|_| door::dialog_event(SW_DIALOG_ANSWERED, dialog("one")));
        assert_eq!(rings(), [0, 1]);
        door::dialog_event(SW_DIALOG_GONE, dialog("two"));
        // It was answered before it is counted: whoever told that has found no call.
        world().dialogs.iter_mut().for_each(|of| of.is_answered |= of.call_id == "three");
        door::dialog_event(SW_DIALOG_ANSWERED, dialog("three"));
        assert_eq!(door::cc_limit(&invite("three"), "7", ""), 1);
        assert_eq!(rings(), [0, 0]);
        for call in ["one", "three"] {
            door::dialog_event(SW_DIALOG_GONE, dialog(call));
        }
        door::dialog_restored((7, 7), "back", ["7", "", "o"]);
        assert_eq!(rings(), [0]);
    });
}

#[test]
fn a_call_without_a_dialog_or_in_the_wrong_route_is_told() {
    alone(|| {
        started(&[]);
        let within = Request { within: true, ..Request::from("192.0.2.7") };
        assert_eq!(door::cc_limit(&within, "7", ""), 4);
        assert!(door::cc_limit(&Request::from("192.0.2.7"), "7", "") < 0);
        assert!(logged("the fake host has no dialog of this call"));
        let misplaced = Request { misplaced: true, ..invite("one") };
        assert!(door::cc_limit(&misplaced, "7", "") < 0);
        assert_eq!(live("7"), 0);
    });
}

#[test]
fn roadwarriors_have_calls_of_their_own() {
    alone(|| {
        started(&[]);
        let far = |call_id| Request::invite("203.0.113.9", call_id);
        let acquire =
            |request: &Request, aor, flags| door::roadwarrior_acquire(request, aor, "7", flags);
        let alice = "alice@example.com";
        assert_eq!(acquire(&invite("near"), alice, ""), 1);
        assert_eq!(acquire(&far("one"), alice, ""), 4);
        assert_eq!(acquire(&far("one"), alice, ""), 5);
        assert_eq!(acquire(&far("two"), alice, ""), -5);
        assert_eq!(acquire(&far("two"), alice, "e"), 4);
        assert_eq!(acquire(&far("three"), "bob@example.com", ""), -4);
        assert_eq!(world().dialogs[0].remembers["sipwarden_user"], alice);
        ["one", "two"].iter().for_each(|call| door::dialog_event(SW_DIALOG_ENDED, dialog(call)));
        assert_eq!(acquire(&far("four"), alice, ""), 4);
    });
}

#[test]
fn a_call_that_ends_by_time_is_an_event_with_its_reason() {
    alone(|| {
        started(&[]);
        assert_eq!(door::cc_limit(&invite("long"), "7", ""), 1);
        door::dialog_expired(dialog("long"), SW_EXPIRY_LIFETIME, true);
        door::record();
        assert_eq!(live("7"), 0);
        let told = events("expired");
        assert_eq!(told.len(), 1, "{told:?}");
        let of = |name: &str| told[0][name].clone();
        assert_eq!([of("event"), of("call_id"), of("company")], ["call_expired", "long", "7"]);
        assert!(logged("both ends get a BYE if they can be reached"));
    });
}

/// The recorder's work until something is so.
fn record_until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:#?}", world().log);
        door::record();
        std::thread::yield_now();
    }
}

#[test]
fn a_longest_call_that_cannot_be_ended_counts_on_and_is_told_once() {
    alone(|| {
        rows(
            Table::Limit,
            &[&["company", "7", "any", "NULL", "NULL", "NULL", "NULL", "1", "NULL", "NULL"]],
        );
        started(&[("limit_table", json!("sipwarden_limit"))]);
        world().is_mute = true;
        assert_eq!(door::cc_limit(&invite("long"), "7", ""), 1);
        record_until(|| !events("expired").is_empty());
        assert!(logged("not both ends can be sent a BYE; it counts while its dialog lives"));
        assert_eq!(live("7"), 1);
        // It is tried again after a minute, not twice a second.
        let left = door::ask("calls", json!(["7"]))["calls"][0]["seconds_left"].clone();
        assert!((50..=60).contains(&left.as_u64().unwrap()), "{left}");
        door::dialog_event(SW_DIALOG_GONE, dialog("long"));
        world().is_mute = false;
        assert_eq!(door::cc_limit(&invite("longer"), "7", ""), 1);
        record_until(|| events("expired").len() > 1);
        assert!(logged("both ends were sent a BYE"));
        let told: Vec<_> = events("expired").iter().map(|told| told["call_id"].clone()).collect();
        assert_eq!(told, ["long", "longer"]);
    });
}

#[test]
fn an_emergency_is_one_also_where_it_is_asked_about_again() {
    alone(|| {
        let hard = ["carrier", "x", "any", "1", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL"];
        rows(Table::Limit, &[&hard]);
        started(&[("limit_table", json!("sipwarden_limit"))]);
        let ask =
            |call_id: &str, flags| door::cc_limit_scopes(&invite(call_id), "7", flags, "carrier=x");
        assert_eq!((ask("first", ""), ask("second", "")), (1, -13));
        assert_eq!(door::cc_limit(&invite("third"), "7", "e"), 3);
        // In a failure route, say, where the script has no flag.
        assert_eq!(ask("third", ""), 3);
        assert_eq!(ask("third", ""), 2);
    });
}

#[test]
fn calls_are_counted_anew_after_a_process_has_died_and_the_log_says_so() {
    alone(|| {
        started(&[]);
        let counted = Area::share::<AtomicU64>().unwrap();
        record_until(|| {
            let before = counted.load(SeqCst);
            let child = Child::start(|| {
                loop {
                    door::cc_limit(&invite("killed"), "7", "");
                    door::dialog_event(SW_DIALOG_GONE, (0, 1));
                    counted.fetch_add(1, SeqCst);
                }
            });
            while counted.load(SeqCst) < before + 20 {
                std::thread::yield_now();
            }
            child.kill();
            logged("all calls were counted anew")
        });
        // It may have died between the call and its end.
        door::dialog_event(SW_DIALOG_GONE, (0, 1));
        assert_eq!(live("7"), 0);
    });
}

#[test]
fn restored_calls_count_again() {
    alone(|| {
        started(&[]);
        door::dialog_restored((1, 7), "old", ["7", "alice@example.com", "i"]);
        door::dialog_restored((1, 8), "older", ["gone", "", ""]);
        assert!(logged("company \"gone\" is gone: its restored call older counts for no brand"));
        assert_eq!(live("gone"), 1);
        door::dialog_event(SW_DIALOG_GONE, (1, 8));
        let calls = door::ask("calls", json!(["7"]));
        assert_eq!(calls["total"], 1);
        let call = &calls["calls"][0];
        let of = |name: &str| call[name].clone();
        assert_eq!([of("call_id"), of("user"), of("dialog")], ["old", "alice@example.com", "1:7"]);
        assert_eq!(of("direction"), "in");
        // This host does not know the dialog.
        let found = door::ask("reconcile", json!([]));
        assert_eq!([&found["leases"], &found["without_dialog"], &found["freed"]], [1, 1, 0]);
        assert_eq!(door::ask("release", json!({"call-id": "old"}))["released"], 1);
        assert_eq!(live("7"), 0);
    });
}

#[test]
fn a_host_says_what_it_can_do_with_dialogs() {
    alone(|| {
        world().dialog_support = SW_DIALOG_LOADED;
        started(&[]);
        assert!(logged("dialogs cannot be looked up in this Fake"));
        assert!(door::rpc("reconcile", json!([])).is_err());
        // Nothing is kept with a dialog that does not outlive a restart.
        assert_eq!(door::cc_limit(&invite("one"), "7", ""), 1);
        assert!(world().dialogs[0].remembers.is_empty());
    });
}

/// Each process tries the same calls; together they get as many as the limit allows.
#[test]
fn the_limit_is_exact_over_processes() {
    alone(|| {
        started(&[]);
        let children: Vec<Child> = (0..4u32)
            .map(|process| {
                Child::start(move || {
                    (0..50).for_each(|n| {
                        // Dialogs of one host have names of their own.
                        world().dialogs.clear();
                        let call_id = format!("{process}-{n}");
                        let place = world().dialog(&call_id, true).unwrap();
                        world().dialogs[place].name = (process, n);
                        door::cc_limit(&invite(&call_id), "7", "");
                    });
                    0
                })
            })
            .collect();
        children.into_iter().for_each(Child::wait);
        assert_eq!(live("7"), 2);
    });
}
