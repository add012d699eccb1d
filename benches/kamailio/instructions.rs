//! Whole calls by instructions: what the workers of Kamailio run for one. CPU times drown
//! in noise; this count is the same in each run but for a few in a thousand.

use std::fs;

use serde_json::{Value, json};

use super::callgrind::{self, Count};
use super::report::{Bound, Section, number};
use super::support::kamailio::{Kamailio, free_port};
use super::whole::{ADDRESSES, Ground, NAMES, config, gateway, place_calls};

/// Until each caller has called.
const FIRST_CALLS: u32 = ADDRESSES;
/// Under callgrind a worker is about fifty times slower.
const CALLS_PER_SECOND: u32 = 20;

pub fn section() -> Section {
    let calls = if super::quick() { 60 } else { 400 };
    let mut section = Section::new(
        "Instructions per whole call",
        &format!(
            "The calls of the section above, {calls} of them at {CALLS_PER_SECOND} a second, \
             after the first {FIRST_CALLS} (so each source has called before), under \
             `valgrind --tool=callgrind`: instructions that the workers run from the arrival of \
             each message to its end (`receive_msg`, in user space), per call, with `-x fm`. \
             Start-up, timers and the kernel are left out. Callgrind knows no misses of caches. \
             The floor: functions of the benchmarks' own module, called as sipwarden's are, that \
             evaluate their arguments and do nothing. They alone cost about the 1 % that the checks may \
             cost more than none, so that the target is for what is above the floor."
        ),
    );
    if callgrind::is_missing(&mut section) {
        section.figure(TITLE, None, "% of a call", BOUND);
        return section;
    }
    let ground = Ground::new();
    let names = [NAMES[0], NAMES[1], NAMES[2], "the floor"];
    let all = [0, 1, 2, 3].map(|which| {
        println!("  {}", names[which]);
        per_call(which, calls, &ground)
    });
    let [none, ours, theirs, floor] = all;
    let more = |count: f64| (count / none - 1.0) * 100.0;
    let rows = names.iter().zip(all).map(|(name, count)| {
        section.value(format!("instructions per whole call, {name}"), count, "instructions");
        let more = if count == none { "-".into() } else { number(more(count)) + " %" };
        vec![(*name).into(), number(count), more]
    });
    let rows = rows.collect();
    section.table(&["checks", "instructions per call", "more than no checks"], rows);
    section.figure(TITLE, Some(more(ours) - more(floor)), "% of a call", BOUND);
    let [ours, theirs, floor] = [ours, theirs, floor].map(|count| number(more(count)));
    section.note(format!(
        "against no checks: {ours} % more; the floor: {floor} %; stock modules: {theirs} %"
    ));
    section
}

const TITLE: &str = "instructions per whole call, sipwarden above the floor";
const BOUND: Bound = Bound::AtMost(1.0);

/// Instructions of all workers per call, without what only the first calls do: functions of
/// libraries are looked up, and sources get their entries.
fn per_call(which: usize, calls: u32, ground: &Ground) -> f64 {
    let [few, many] = [FIRST_CALLS, FIRST_CALLS + calls].map(|n| of_calls(which, n, ground));
    many.per_call(few, calls).all
}

/// Instructions of all workers for so many calls.
fn of_calls(which: usize, calls: u32, ground: &Ground) -> Count {
    let port = free_port();
    let _gateway = gateway(port);
    let counts = ground.path().join(format!("callgrind.{which}.{calls}"));
    fs::create_dir(&counts).unwrap();
    let mut config = config(which, "fm", port, ground);
    config.wrapper = callgrind::wrapper(&counts);
    let mut kamailio = config.start();
    let workers = workers(&kamailio);
    place_calls(&kamailio, calls, CALLS_PER_SECOND, ground);
    kamailio.stop(libc::SIGTERM);
    Count::of(&counts, &workers)
}

/// Pids of those that receive SIP over UDP.
fn workers(kamailio: &Kamailio) -> Vec<u64> {
    let all = kamailio.rpc("core.psx", json!([]));
    let receives = |process: &&Value| {
        process["DSC"].as_str().is_some_and(|what| what.contains("udp receiver"))
    };
    let workers = all.as_array().unwrap().iter().filter(receives);
    workers.map(|process| process["PID"].as_u64().unwrap()).collect()
}
