//! Companies, brands and scopes for a monitoring system: few at a time, by events.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering::Relaxed;

use super::route::run_route;
use crate::clock;
use crate::events::{Event, EventKind, Subject};
use crate::host::contract::log;
use crate::host::state::usage::{Load, Usage, brands, companies, room, scopes};
use crate::host::state::{State, with_snapshot};
use crate::ledger::Direction;
use crate::memory;

/// Ms between two rounds.
const PERIOD: u64 = 10_000;
/// The busiest companies, and brands, are always reported. Others are when they come near to
/// their limit.
const BUSIEST: usize = 20;
/// At most so many are reported within [`LIFE`].
const MOST: usize = 200;
/// So many of these are kept for those near to their limit.
const KEPT_FOR_NEAR: usize = 100;
/// Ms for which a monitoring system may show a reported value: the minute after which
/// `http.cfg` forgets it, and the round in which it does.
const LIFE: u64 = 60_000 + 2 * PERIOD;

thread_local! {
    static TOLD: Cell<u64> = const { Cell::new(0) };
    /// Companies, brands, and other limits.
    static LABELS: RefCell<[Labels; 3]> =
        const { RefCell::new([Labels::NONE, Labels::NONE, Labels::NONE]) };
    static COMPLAINED: Cell<bool> = const { Cell::new(false) };
}

/// One to report: it is found again by its texts and its direction.
struct Gauge<'a> {
    /// Company and brand; of another scope kind and id.
    names: [&'a [u8]; 2],
    direction: Direction,
    load: Load,
}

impl<'a> From<&Usage<'a>> for Gauge<'a> {
    fn from(usage: &Usage<'a>) -> Self {
        let names = [usage.company, usage.brand];
        Gauge { names, direction: Direction::Any, load: usage.load }
    }
}

/// Those reported within [`LIFE`].
struct Labels {
    /// Names and direction, and when they were last reported.
    alive: Vec<([Vec<u8>; 2], Direction, u64)>,
}

impl Labels {
    const NONE: Self = Labels { alive: Vec::new() };

    /// Those of a ranking to report at `now`, and the number of those without room.
    fn choose<'a>(&mut self, ranked: &'a [Gauge<'a>], now: u64) -> (Vec<&'a Gauge<'a>>, usize) {
        self.alive.retain(|(.., told)| now.saturating_sub(*told) < LIFE);
        let (mut chosen, mut left_out) = (Vec::new(), 0);
        for (n, gauge) in ranked.iter().enumerate() {
            let is_near = gauge.load.is_near();
            if n >= BUSIEST && !is_near {
                continue;
            }
            let room = if is_near { MOST } else { MOST - KEPT_FOR_NEAR };
            let known = |(names, direction, _): &&mut ([Vec<u8>; 2], Direction, u64)| {
                *names == gauge.names && *direction == gauge.direction
            };
            if let Some((.., told)) = self.alive.iter_mut().find(known) {
                *told = now;
            } else if self.alive.len() < room {
                self.alive.push((gauge.names.map(<[u8]>::to_vec), gauge.direction, now));
            } else {
                left_out += 1;
                continue;
            }
            chosen.push(gauge);
        }
        (chosen, left_out)
    }
}

/// Runs the event `gauge` in the script for those to report, each [`PERIOD`].
pub fn tell(state: &State, now: u64) {
    if now.saturating_sub(TOLD.get()) < PERIOD {
        return;
    }
    TOLD.set(now);
    // Without memory nothing is told in this round.
    if !memory::has_room(room(state)) {
        return;
    }
    let events = with_snapshot(|view, _| {
        LABELS.with_borrow_mut(|labels| {
            let mut events = Vec::new();
            let mut all_left_out = 0;
            let scopes = scopes(state, view);
            let limited = scopes.iter().filter(|scope| scope.load.limit.calls > 0);
            let limited = limited.map(|scope| Gauge {
                names: [scope.word, &scope.id],
                direction: scope.direction,
                load: scope.load,
            });
            let [companies, brands] = [companies(state, view), brands(state, view)];
            let [companies, brands] = [&companies, &brands].map(|all| all.iter().map(Gauge::from));
            let ranked: [Vec<_>; 3] = [companies.collect(), brands.collect(), limited.collect()];
            let events_of: [fn(&Gauge<'_>) -> Event; 3] = [event, event, scope_event];
            for ((labels, ranked), event) in labels.iter_mut().zip(&ranked).zip(events_of) {
                let (chosen, left_out) = labels.choose(ranked, now);
                events.extend(chosen.into_iter().map(event));
                all_left_out += left_out;
            }
            note_left_out(state, all_left_out);
            events
        })
    });
    // The snapshot is unpinned before the script runs.
    for event in events.iter().flatten() {
        run_route("gauge", event);
    }
}

fn event(gauge: &Gauge<'_>) -> Event {
    let [company, brand] = gauge.names;
    event_of(gauge, &Subject { company, brand, ..Subject::default() })
}

/// That of another scope.
fn scope_event(gauge: &Gauge<'_>) -> Event {
    let text = gauge.names.join(&b'=');
    event_of(gauge, &Subject { text: &text, ..Subject::default() })
}

fn event_of(gauge: &Gauge<'_>, subject: &Subject<'_>) -> Event {
    let Load { calls, limit } = gauge.load;
    let event = Event::new(EventKind::NearLimit, clock::wall(), subject);
    event.with_near_limit(gauge.direction, calls, &limit)
}

fn note_left_out(state: &State, left_out: usize) {
    state.gauges_left_out.store(left_out as u64, Relaxed);
    if left_out > 0 && !COMPLAINED.replace(true) {
        log::warning(format_args!(
            "{left_out} companies, brands and scopes are not told to monitoring: there is room for {MOST} \
             of each within {} s; gauges_left_out tells how many there are (said once)",
            LIFE / 1000
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Limit;

    fn gauge(company: &str, calls: u32) -> Gauge<'_> {
        let limit = Limit { near: 80, ..Limit::calls(10) };
        let names = [company.as_bytes(), b"b"];
        Gauge { names, direction: Direction::Any, load: Load { calls, limit } }
    }

    #[test]
    fn never_more_are_alive_than_there_is_room_for_and_the_near_come_first() {
        let names: Vec<_> = (0..2000).map(|n| n.to_string()).collect();
        let mut labels = Labels::NONE;
        let mut told = Vec::new();
        for round in 0..100usize {
            let now = 1000 + round as u64 * PERIOD;
            // Others are busy in each round, and one comes near to its limit.
            let busy = names.iter().cycle().skip(round * 37).take(50).map(|name| gauge(name, 3));
            let near = format!("near {round}");
            let ranked: Vec<_> = [gauge(&near, 9)].into_iter().chain(busy).collect();
            let (chosen, left_out) = labels.choose(&ranked, now);
            assert!(chosen.iter().any(|gauge| gauge.names[0] == near.as_bytes()), "{round}");
            assert_eq!(chosen.len() + left_out, BUSIEST, "{round}");
            told.extend(chosen.iter().map(|gauge| (gauge.names[0].to_vec(), now)));
            let mut alive: Vec<_> =
                told.iter().filter(|(_, at)| now - at < LIFE).map(|(name, _)| name).collect();
            alive.sort();
            alive.dedup();
            assert!(alive.len() <= MOST, "{round}: {}", alive.len());
        }
        // One that stays is reported each time.
        let mut labels = Labels::NONE;
        let ranked: Vec<_> = names.iter().map(|name| gauge(name, 9)).collect();
        for round in 0..20u64 {
            let (chosen, left_out) = labels.choose(&ranked, round * PERIOD);
            assert_eq!((chosen.len(), left_out), (MOST, 2000 - MOST));
            assert_eq!(chosen[0].names[0], b"0");
        }
    }
}
