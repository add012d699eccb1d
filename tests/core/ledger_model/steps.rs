//! What may happen to the ledger and its model, drawn.

use proptest::prelude::*;
use sipwarden::ledger::{Direction, Enforcement, Limit, Rate, ScopeKind};

use super::records::Room;
use super::{Attempt, LATEST, Want, kind};

#[derive(Clone, Debug)]
pub enum Step {
    Take { attempt: Attempt, later: u64, late: u64 },
    Release(u64),
    Resume(u64),
    Forget(u64),
    Expire(u64),
    Answer(u64),
    Sweep,
}

/// Windows of all rates, in s.
pub const WINDOWS: [u32; 2] = [14, 28];

fn rate() -> impl Strategy<Value = Rate> {
    let on = (1u32..4, prop_oneof![Just(WINDOWS[0]), Just(WINDOWS[1])]);
    prop_oneof![
        2 => Just(Rate::NONE),
        1 => on.prop_map(|(calls, window)| Rate::new(calls, window, 0).unwrap()),
    ]
}

fn limit() -> impl Strategy<Value = Limit> {
    let longest = prop_oneof![4 => Just(0u32), 1 => 1u32..100];
    let calls = prop_oneof![2 => Just(0u32), 3 => 1u32..5];
    let ringing = prop_oneof![2 => Just(0u16), 1 => 1u16..4];
    (calls, 0u32..3, longest, ringing, rate()).prop_map(
        |(calls, reserved, longest, ringing, rate)| Limit {
            calls,
            reserved,
            longest,
            ringing,
            near: 0,
            rate,
        },
    )
}

fn want(room: Room) -> impl Strategy<Value = Want> {
    let direction = prop_oneof![Just(Direction::Any), Just(Direction::In), Just(Direction::Out)];
    (0..room.kinds, 0..room.ids, direction, limit(), limit(), prop::bool::weighted(0.2)).prop_map(
        |(n, id, direction, limit, directed, shown)| Want {
            name: (kind(n), id),
            direction,
            limit,
            directed,
            counts: kind(n) != ScopeKind::COMPANY || !shown,
        },
    )
}

fn attempt(room: Room) -> impl Strategy<Value = Attempt> {
    let enforcement = prop_oneof![
        6 => Just(Enforcement::Full),
        1 => Just(Enforcement::Monitor),
        1 => Just(Enforcement::Reserved),
        1 => Just(Enforcement::Off),
        1 => Just(Enforcement::Within),
    ];
    let wants = prop::collection::vec(want(room), 0..6);
    let invite = prop_oneof![3 => Just(0u32), 1 => 1u32..3];
    let is = (prop::bool::weighted(0.2), prop::bool::weighted(0.8));
    (0..room.dialogs, invite, wants, enforcement, is).prop_map(
        |(dialog, invite, wants, enforcement, (emergency, rings))| Attempt {
            dialog,
            invite,
            wants,
            enforcement,
            emergency,
            rings,
            came: 0,
            began: 0,
        },
    )
}

/// ms that a call waits before it is judged: mostly less than a window.
fn late() -> impl Strategy<Value = u64> {
    prop_oneof![12 => Just(0u64), 4 => 0u64..4000, 1 => 0..LATEST]
}

/// One step.
pub fn step(room: Room) -> impl Strategy<Value = Step> {
    let dialogs = || 0..room.dialogs;
    prop_oneof![
        12 => (attempt(room), 0u64..3000, late())
            .prop_map(|(attempt, later, late)| Step::Take { attempt, later, late }),
        2 => dialogs().prop_map(Step::Release),
        2 => dialogs().prop_map(Step::Resume),
        3 => dialogs().prop_map(Step::Forget),
        1 => dialogs().prop_map(Step::Expire),
        3 => dialogs().prop_map(Step::Answer),
        1 => Just(Step::Sweep),
    ]
}
