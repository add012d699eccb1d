//! Rates of calls that wait for slots which all nodes share: a rate is judged by when a call
//! came, and used by calls that are counted, however long they have waited.

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use sipwarden::cluster::Phase;

use super::ledgers::{Judged, Placed, Proxy, RATE};
use super::server::Server;

/// A rate's window in ms, and the least of it that is enforced.
const WINDOW: u64 = 1_000;
const ENFORCED: u64 = WINDOW * 13 / 14;
/// Ms that a call waits at most.
const PATIENCE: u64 = 400;

#[derive(Clone, Copy, Debug)]
enum Step {
    Place(usize),
    Exchange(usize),
    End(usize),
    GiveUp(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..2_usize;
    prop_oneof![
        4 => node.clone().prop_map(Step::Place),
        4 => node.clone().prop_map(Step::Exchange),
        3 => node.clone().prop_map(Step::End),
        1 => node.prop_map(Step::GiveUp),
        4 => (1..350_u64).prop_map(Step::Pass),
    ]
}

/// Rules that may be left out. Each must be missed.
#[derive(Clone, Copy)]
struct Rules {
    /// By when a call came, not by when it was served.
    by_arrival: bool,
    /// A call that waits has not used the rate.
    taken_last: bool,
}

const ALL: Rules = Rules { by_arrival: true, taken_last: true };

fn play(steps: &[Step], rules: Rules) -> [usize; 2] {
    let (mut server, mut now, mut id) = (Server::default(), 1_000_000, 0);
    let mut proxies = [Proxy::new(1), Proxy::new(2)];
    while server.barrier || !proxies.iter().all(|p| p.node.session().phase() == Phase::Member) {
        now += 100;
        for proxy in &mut proxies {
            proxy.exchange(&mut server, now, &mut id);
        }
    }
    proxies.iter_mut().for_each(|proxy| proxy.by_arrival = rules.by_arrival);
    let mut checked = [0; 2];
    for (at, step) in steps.iter().enumerate() {
        match *step {
            Step::Place(node) => {
                let proxy = &mut proxies[node];
                let placed = Placed { rated: true, ..Placed::new(at as u64 + 1, now) };
                id += 1;
                proxy.place(placed, id);
                if !rules.taken_last && proxy.waiting.contains_key(&id) {
                    use_rate(proxy, at as u64 + 1_000_000, now);
                }
            }
            Step::Exchange(node) => drop(proxies[node].exchange(&mut server, now, &mut id)),
            Step::End(node) => {
                if let Some(ended) = proxies[node].live.pop() {
                    assert!(proxies[node].ledger.forget(ended.dialog));
                }
            }
            Step::GiveUp(node) => give_up(&mut proxies[node], |_| true),
            Step::Pass(ms) => now += ms,
        }
        for (proxy, checked) in proxies.iter_mut().zip(&mut checked) {
            give_up(proxy, |placed| placed.came + PATIENCE < now);
            check(&proxy.judged[*checked..], &proxy.judged[..*checked]);
            *checked = proxy.judged.len();
        }
    }
    let all = proxies.iter().flat_map(|proxy| &proxy.judged);
    let refused = all.clone().filter(|(_, judged)| *judged == Judged::RefusedByRate).count();
    [all.count() - refused, refused]
}

/// Counts a call in the rate that ends at once.
fn use_rate(proxy: &mut Proxy, dialog: u64, came: u64) {
    let before = proxy.judged.len();
    let placed = Placed { rated: true, ..Placed::new(dialog, came) };
    if proxy.count_at_once(&placed) {
        assert!(proxy.ledger.forget(placed.dialog));
    }
    proxy.judged.truncate(before);
}

fn give_up(proxy: &mut Proxy, is_meant: impl Fn(&Placed) -> bool) {
    let meant = proxy.waiting.iter().filter(|(_, (placed, _))| is_meant(placed));
    let ids: Vec<u64> = meant.map(|(id, _)| *id).collect();
    for id in ids {
        let (_, waiting) = proxy.waiting.remove(&id).unwrap();
        proxy.node.withdraw(id);
        proxy.ledger.stop_waiting(&waiting);
    }
}

/// Judges what is new beside what was before it.
fn check(new: &[(u64, Judged)], before: &[(u64, Judged)]) {
    let mut counted: Vec<u64> = Vec::new();
    counted.extend(before.iter().filter(|(_, j)| *j == Judged::Counted).map(|(came, _)| *came));
    for &(came, judged) in new {
        let within = |from: u64, to: u64| {
            counted.iter().filter(|other| (from..=to).contains(*other)).count() as u32
        };
        if judged == Judged::RefusedByRate {
            // Calls that came later may have been counted before it.
            let later = counted.iter().copied().filter(|at| (came..=came + PATIENCE).contains(at));
            let mut ends = later.chain([came]);
            let fair = ends.any(|end| within(end - WINDOW + 1, end) >= RATE);
            assert!(fair, "a call of {came} is refused: {counted:?}");
            continue;
        }
        counted.push(came);
        // Those that came before it are forgotten while it waits.
        let span = ENFORCED - PATIENCE;
        for &from in counted.iter().filter(|from| (came - span + 1..=came).contains(*from)) {
            let calls = counted.iter().filter(|at| (from..from + span).contains(*at)).count();
            assert!(calls as u32 <= RATE, "{calls} calls from {from} on: {counted:?}");
        }
    }
}

fn played(rules: Rules) -> Result<[usize; 2], TestError<Vec<Step>>> {
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::with_cases(300)
    });
    let seen = std::cell::Cell::new([0; 2]);
    runner.run(&prop::collection::vec(step(), 1..300), |steps| {
        let [counted, refused] = play(&steps, rules);
        let [all_counted, all_refused] = seen.get();
        seen.set([all_counted + counted, all_refused + refused]);
        Ok(())
    })?;
    Ok(seen.get())
}

#[test]
fn waiting_for_a_slot_uses_no_rate_and_pushes_no_calls_together() {
    let seen = played(ALL).unwrap();
    assert!(seen.iter().all(|times| *times > 500), "{seen:?}");
}

#[test]
fn each_rule_of_rates_is_missed_when_it_is_left_out() {
    assert!(played(Rules { by_arrival: false, ..ALL }).is_err(), "judged by when it is served");
    assert!(played(Rules { taken_last: false, ..ALL }).is_err(), "used by those that wait");
}
