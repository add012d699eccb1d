//! Long walks through worlds that are too large to be explored: what happens next is drawn.

use proptest::prelude::*;

use super::instances::{Instance, walks};
use super::world::{Step, World};
use crate::random::next;

/// Walks, and from time to time lets everything come to rest. The steps at the limit.
fn walk(instance: &Instance, seed: u64, steps: usize) -> Result<u32, String> {
    let mut random = seed | 1;
    let mut world = World::new(instance);
    let (mut out, mut taken, mut full) = (Vec::new(), Vec::new(), 0);
    for at in 0..steps {
        instance.next(&world, &mut out);
        let mut place = next(&mut random) as usize % out.len();
        if matches!(out[place].0, Step::End(..) | Step::GiveUp(..)) {
            // Seldom enough for nodes to be at the limit.
            place = next(&mut random) as usize % out.len();
        }
        let (step, result) = out.swap_remove(place);
        taken.push(step);
        let Ok(next_world) = result else {
            return Err(format!("a call was admitted above the limit: {taken:?}"));
        };
        world = next_world;
        let calls: u32 = world.proxies.iter().map(|proxy| proxy.count(0)).sum();
        full += u32::from(calls >= instance.limits[0]);
        if let Some(fault) = instance.fault_now(&world) {
            return Err(format!("{fault}: {taken:?}"));
        }
        if at % 100 == 99 {
            let Some(rest) = instance.settle(world.clone()) else {
                return Err(format!("nothing ever comes to rest: {taken:?}"));
            };
            if let Some(fault) = instance.fault_at_rest(&rest) {
                return Err(format!("{fault}: {taken:?}"));
            }
        }
    }
    Ok(full)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60, failure_persistence: None, ..ProptestConfig::default()
    })]
    #[test]
    fn long_walks_never_exceed_a_limit_and_come_to_rest(seed in any::<u64>(), which in 0usize..6) {
        let instance = &walks()[which];
        let full = walk(instance, seed, 1_000);
        prop_assert!(full.is_ok(), "{}: {}", instance.name, full.unwrap_err());
    }
}

/// Each walk is often at the limit: else it would prove little.
#[test]
fn walks_reach_the_limit() {
    for instance in walks() {
        let walked = (1..6).map(|seed| walk(&instance, seed * 77_777, 2_000));
        let full: u32 = walked.map(|full| full.unwrap_or_else(|error| panic!("{error}"))).sum();
        assert!(full > 100, "{}: {full} steps at the limit", instance.name);
    }
}
