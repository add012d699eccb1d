//! The checker finds each kind of violation, and nothing in a history without one.

use super::checker::{Found, judge};
use super::history::{Attempt, Effect, Fault, History, Rules};
use crate::support::Folder;

const MS: u64 = 1000;
const C: &str = "company c";
const ROAD: &str = "roadwarrior a@c";
const TWO: &str = "roadwarrior two@c";

/// Two nodes; times are in ms.
fn history(attempts: Vec<Attempt>, faults: Vec<Fault>) -> History {
    let limits = [(C, 2), ("brand b", 3), (ROAD, 1), (TWO, 2), ("carrier n", 1)];
    let rules = Rules {
        nodes: 2,
        limits: limits.map(|(scope, limit)| (scope.to_owned(), limit)).into(),
        full: Vec::new(),
        late: 100 * MS,
        dead: 10_000 * MS,
    };
    History { rules, attempts, faults, stalls: Vec::new() }
}

/// A call that was admitted.
fn live(node: usize, scope: &str, asked: u64, bye: u64) -> Attempt {
    Attempt {
        call: format!("{node} at {asked}"),
        node,
        scopes: vec![scope.into()],
        asked: asked * MS,
        told: Some((asked + 8) * MS),
        verdict: "admitted".into(),
        reached: Some((asked + 5) * MS),
        passed: "call_counted".into(),
        answered: Some((asked + 8) * MS),
        bye: Some(bye * MS),
        gone: Some((bye + 5) * MS),
    }
}

fn alone(node: usize, scope: &str, asked: u64, bye: u64) -> Attempt {
    Attempt { passed: "call_counted_alone".into(), ..live(node, scope, asked, bye) }
}

fn refused(node: usize, scope: &str, asked: u64, verdict: &str) -> Attempt {
    Attempt {
        call: format!("{node} at {asked}"),
        node,
        scopes: vec![scope.into()],
        asked: asked * MS,
        told: Some((asked + 5) * MS),
        verdict: verdict.into(),
        ..Attempt::default()
    }
}

fn fault(effect: Effect, node: usize, from: u64, until: u64) -> Fault {
    let hits = matches!(effect, Effect::Silent | Effect::Dies);
    Fault {
        what: "a fault".into(),
        effect,
        hit: if hits { vec![node] } else { Vec::new() },
        nodes: vec![node],
        from: from * MS,
        healed: until * MS,
        until: until * MS,
    }
}

#[track_caller]
fn is_well(attempts: Vec<Attempt>, faults: Vec<Fault>) -> Found {
    let found = judge(&history(attempts, faults));
    assert!(found.is_well(), "{found}");
    found
}

#[track_caller]
fn finds(what: &str, attempts: Vec<Attempt>, faults: Vec<Fault>) {
    let found = judge(&history(attempts, faults));
    assert!(found.violations.iter().any(|said| said.contains(what)), "{what}: {found}");
}

#[test]
fn a_call_above_the_limit_is_found() {
    let two = || vec![live(0, C, 0, 900), live(1, C, 10, 900)];
    let with = |third: Attempt| two().into_iter().chain([third]).collect::<Vec<_>>();
    assert_eq!(is_well(with(live(0, C, 910, 999)), vec![]).most[C], 2);
    finds("3 calls at", with(live(0, C, 500, 999)), vec![]);
    finds("admitted to company c with 2", with(live(0, C, 500, 999)), vec![]);
    // Two came at the same time, so neither is one too many by itself.
    finds("2 calls at", vec![live(0, ROAD, 0, 99), live(1, ROAD, 0, 99)], vec![]);
    // Admitted just before one ended, it lived no moment beside both.
    let mut short = live(0, C, 890, 999);
    short.reached = Some(900 * MS);
    finds("admitted to company c with 2", with(short), vec![]);
    // All scopes count.
    let mut third = live(0, "carrier n", 500, 999);
    third.scopes.push(C.into());
    finds("company c: 3 calls", with(third), vec![]);
}

#[test]
fn a_limit_that_is_not_reached_is_found() {
    let mut one = history(vec![live(0, C, 0, 900)], vec![]);
    one.rules.full = vec![C.into()];
    assert_eq!(judge(&one).violations, ["company c: 1 of 2 slots were ever taken"]);
    one.attempts.push(live(1, C, 10, 900));
    assert!(judge(&one).is_well());
}

#[test]
fn a_refusal_with_a_free_slot_is_found() {
    let with = |last: Attempt| vec![live(0, C, 0, 500), live(1, C, 10, 900), last];
    is_well(with(refused(1, C, 200, "company_limit")), vec![]);
    let found = is_well(with(refused(1, C, 550, "company_limit")), vec![]);
    assert_eq!(found.free, 45 * MS, "free since the BYE was answered");
    finds("slot free for", with(refused(1, C, 700, "company_limit")), vec![]);
    // A slot of another kind of scope is no reason.
    finds("brand_limit while", with(refused(1, C, 200, "brand_limit")), vec![]);
    finds("slot free", vec![refused(0, "carrier n", 200, "limit")], vec![]);
    is_well(vec![live(1, "carrier n", 0, 500), refused(0, "carrier n", 200, "limit")], vec![]);
    // A call that was itself refused may have had its user's slot for a moment.
    let mut passing = refused(0, C, 198, "company_limit");
    passing.scopes.push(ROAD.into());
    let full = with(passing).into_iter();
    is_well(full.chain([refused(1, ROAD, 200, "roadwarrior_limit")]).collect(), vec![]);
    // Two that had one in turn: the first has given it back late.
    let in_turn = |first: u64| {
        let mut passing = [first, 215].map(|asked| refused(0, C, asked, "company_limit"));
        passing.iter_mut().for_each(|call| call.scopes.push(TWO.into()));
        let refused = refused(1, TWO, 218, "roadwarrior_limit");
        with(refused).into_iter().chain(passing).collect()
    };
    is_well(in_turn(200), vec![]);
    finds("roadwarrior_limit of roadwarrior two@c", in_turn(50), vec![]);
    // The slot was given for a call that another one of its node overtook.
    let overtaken = |told: u64| {
        let mut slow = refused(0, "carrier n", 190, "limit");
        slow.told = Some(told * MS);
        vec![slow, refused(1, "carrier n", 200, "limit"), live(0, "carrier n", 210, 500)]
    };
    is_well(overtaken(216), vec![]);
    finds("limit of carrier n", overtaken(212), vec![]);
    // On a machine that runs nothing nobody can tell.
    let mut late = history(with(refused(1, C, 700, "company_limit")), vec![]);
    late.stalls.push((650 * MS, 690 * MS));
    assert_eq!((judge(&late).is_well(), judge(&late).unjudged), (true, 1));
}

#[test]
fn a_verdict_of_an_outage_without_one_is_found() {
    let away = || vec![fault(Effect::Away, 0, 1000, 5000)];
    for verdict in ["cluster_wait", "cluster_down", "ledger_full"] {
        is_well(vec![refused(0, C, 2000, verdict)], away());
        finds("while all was well", vec![refused(0, C, 6000, verdict)], away());
        finds("while all was well", vec![refused(1, C, 2000, verdict)], away());
    }
    let mut unanswered = refused(0, C, 6000, "unanswered");
    unanswered.told = None;
    finds("no answer", vec![unanswered], away());
    is_well(vec![alone(0, C, 2000, 3000)], away());
    finds("while all was well", vec![alone(0, C, 6000, 7000)], away());
    // A machine that does not run them for half a second may part them.
    let mut starved = history(vec![alone(0, C, 6000, 7000)], away());
    starved.stalls = vec![(5200 * MS, 5450 * MS), (5500 * MS, 5700 * MS)];
    assert!(!judge(&starved).is_well());
    starved.stalls.push((5750 * MS, 5850 * MS));
    assert!(judge(&starved).is_well());
    // The others know of it when the node is back.
    for (asked, is_known) in [(6200, false), (13_000, true)] {
        let calls = [0, 10].map(|later| live(1, C, asked + later, asked + 100));
        let own = alone(0, C, 6000, 20_000);
        starved.attempts = [own].into_iter().chain(calls).collect();
        let found = judge(&starved);
        assert_eq!(found.violations.iter().any(|what| what.contains("admitted to")), is_known);
    }
}

#[test]
fn a_policy_that_admits_too_much_is_found() {
    let both = vec![fault(Effect::Away, 0, 1000, 5000), fault(Effect::Away, 1, 1000, 5000)];
    // The share of a limit of 2 is 1, so the total is 3 at most.
    let before = || vec![live(0, C, 0, 9000), live(0, C, 10, 9000)];
    let with = |more: Vec<Attempt>| before().into_iter().chain(more).collect::<Vec<_>>();
    is_well(with(vec![alone(1, C, 2000, 9000)]), both.clone());
    finds("above the share", with(vec![alone(0, C, 2000, 9000)]), both.clone());
    let two = vec![alone(1, C, 2000, 9000), alone(1, C, 2020, 9000)];
    finds("4 calls at", with(two), both.clone());
    finds("above the share", vec![alone(0, ROAD, 2000, 9000)], both.clone());
    let mut user = alone(0, ROAD, 2000, 9000);
    user.passed += " roadwarrior_counted";
    is_well(vec![user], both.clone());
    // The others know of it only when the node is back.
    let one = || vec![fault(Effect::Away, 0, 1000, 5000)];
    let beside = vec![live(1, C, 0, 9000), alone(0, C, 2000, 9000), live(1, C, 3000, 9000)];
    is_well(beside, one());
    let later = vec![live(1, C, 0, 9000), alone(0, C, 2000, 9000), live(1, C, 6000, 9000)];
    finds("admitted to company c", later, one());
    // By all nodes' numbers it was one too many.
    finds("admitted to company c", with(vec![live(1, C, 2000, 9000)]), both.clone());
    // When all is exact again nobody gets a slot until the sum is below the limit.
    let then = vec![alone(1, C, 2000, 9000), live(1, C, 6000, 9000)];
    finds("admitted to company c", with(then), both);
}

#[test]
fn slots_of_a_dead_node_are_free_in_time() {
    let dies = || vec![fault(Effect::Dies, 0, 1000, 20_000)];
    let mut dead = live(0, C, 0, 0);
    (dead.bye, dead.gone) = (None, None);
    let with = |last: Attempt| vec![dead.clone(), live(1, C, 10, 90_000), last];
    is_well(with(refused(1, C, 12_900, "company_limit")), dies());
    finds("slot free", with(refused(1, C, 13_200, "company_limit")), dies());
    is_well(with(live(1, C, 11_000, 12_000)), dies());
    // Its own calls are what it may get wrong meanwhile, not those of the others.
    is_well(with(refused(0, C, 3000, "cluster_down")), dies());
    finds("while all was well", with(refused(1, C, 3000, "cluster_wait")), dies());
    let mut lost = refused(0, C, 990, "lost");
    lost.told = None;
    is_well(with(lost.clone()), dies());
    lost.asked = 30_000 * MS;
    finds("no answer", with(lost), dies());
}

#[test]
fn slots_of_a_silent_node_are_used_no_sooner_than_they_may() {
    let silent = || vec![fault(Effect::Silent, 0, 1000, 30_000)];
    let with = |last: Attempt| vec![live(0, C, 0, 50_000), live(0, C, 10, 15_000), last];
    finds("admitted to company c", with(live(1, C, 9000, 20_000)), silent());
    is_well(with(live(1, C, 10_500, 20_000)), silent());
    // One that was silent for a short time is one call as ever.
    let shortly = vec![fault(Effect::Silent, 0, 1000, 3000)];
    let one = is_well(vec![live(0, C, 0, 50_000), live(1, C, 4000, 50_000)], shortly.clone());
    assert_eq!(one.most[C], 2);
    finds("admitted to company c", with(live(1, C, 4000, 20_000)), shortly);
    // Back again it counts.
    finds(
        "admitted to company c",
        vec![live(0, C, 0, 50_000), live(0, C, 10, 50_000), live(1, C, 30_500, 40_000)],
        silent(),
    );
    // The others hear of the end of a call when the node is given up.
    let ended = |asked| {
        vec![live(0, C, 0, 2000), live(1, C, 10, 50_000), refused(1, C, asked, "company_limit")]
    };
    is_well(ended(12_900), silent());
    finds("slot free", ended(13_200), silent());
    // Twice the limit and the policy's part, and no more.
    let mut many = vec![live(0, C, 0, 50_000), live(0, C, 10, 50_000)];
    many.extend((0..3).map(|n| live(1, C, 15_000 + n, 40_000)));
    is_well(many.clone(), silent());
    many.extend((0..2).map(|n| live(1, C, 16_000 + n, 40_000)));
    finds("6 calls at", many, silent());
}

#[test]
fn what_a_server_forgets_is_bounded() {
    let forgets = || vec![fault(Effect::Forgets, 0, 1000, 3000)];
    let with = |n: u64, asked: u64| {
        let more = (0..n).map(|n| live(1, C, asked + 20 * n, 9000));
        [live(0, C, 0, 9000), live(0, C, 10, 9000)].into_iter().chain(more).collect::<Vec<_>>()
    };
    is_well(with(2, 1500), forgets());
    finds("5 calls at", with(3, 1500), forgets());
    finds("admitted to company c", with(1, 4000), forgets());
}

#[test]
fn a_node_that_does_not_come_back_is_found() {
    let away = || vec![fault(Effect::Away, 0, 1000, 5000)];
    let mut calls = vec![live(1, C, 0, 90_000), live(1, C, 10, 6000)];
    calls.extend((0..60).map(|n| refused(0, C, 5200 + 10 * n, "company_limit")));
    finds("node 0 admits nothing after", calls.clone(), away());
    calls.push(live(0, C, 6100, 7000));
    is_well(calls, away());
}

#[test]
fn a_history_is_saved_and_read_back() {
    let folder = Folder::new();
    let path = folder.join("history.jsonl");
    let silent = vec![fault(Effect::Silent, 0, 1000, 30_000), fault(Effect::Dies, 1, 1, 2)];
    let calls = vec![live(0, C, 0, 50_000), live(1, ROAD, 7, 9), refused(1, C, 8, "cluster_wait")];
    let mut saved = history(calls, silent);
    saved.rules.full.push(ROAD.into());
    saved.stalls.push((5, 6));
    saved.save(&path);
    let read = History::read(&path);
    assert_eq!(read, saved);
    assert_eq!(judge(&read).violations, judge(&saved).violations);
}

/// Judges a history that was kept: `CLUSTER_HISTORY=FILE cargo test --test integration
/// cluster::violations::a_kept_history -- --ignored --nocapture`.
#[test]
#[ignore]
fn a_kept_history_is_judged_again() {
    let path = std::env::var("CLUSTER_HISTORY").expect("CLUSTER_HISTORY names a file");
    let found = judge(&History::read(path.as_ref()));
    println!("{found}");
    assert!(found.is_well());
}
