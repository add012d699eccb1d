//! Explores every interleaving of small worlds.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use super::instances::{Instance, QUICK, spoilt, whole};
use super::marks::{Marked, mark};
use super::world::{Step, World};

/// States beyond which an exploration is given up, which is a failure; of a world that is too
/// large its definition says how many are enough.
const MOST: usize = 60_000_000;
/// States for which the shortest way to a fault is looked for.
const MOST_FOR_TRACE: usize = 4_000_000;

/// What is explored next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// The oldest: a trace is a shortest one, and many worlds are kept.
    Breadth,
    /// The newest: few are.
    Depth,
}

struct Found {
    what: &'static str,
    trace: Vec<Step>,
}

struct Checked {
    found: Option<Found>,
    states: usize,
    steps: u64,
    complete: bool,
    /// In breadth: all that so many steps lead to was looked at.
    depth: usize,
}

type Hashed = BuildHasherDefault<Marked>;

/// Keeps the marks of states; each with that of the one it was reached from.
struct Checker<'a> {
    instance: &'a Instance,
    seen: HashMap<u64, u64, Hashed>,
    /// From these on everything comes to rest as it should.
    rests: HashSet<u64, Hashed>,
    hash: ahash::RandomState,
}

impl Checker<'_> {
    fn mark(&self, world: &World) -> u64 {
        mark(&self.hash, self.instance, world)
    }

    /// What is wrong with where a world comes to rest.
    fn unrest(&mut self, world: &World, mark: u64) -> Option<&'static str> {
        if self.instance.admissions_only {
            return None;
        }
        let mut path = vec![mark];
        let mut world = world.clone();
        while !path.last().is_some_and(|mark| self.rests.contains(mark)) {
            match self.instance.quiet(&world) {
                Some(next) => world = next,
                None => {
                    let fault = self.instance.fault_at_rest(&world);
                    if fault.is_some() {
                        return fault;
                    }
                    break;
                }
            }
            path.push(self.mark(&world));
            if path.len() > 1_000 {
                return Some("nothing ever comes to rest");
            }
        }
        self.rests.extend(path);
        None
    }

    fn trace(&self, first: &World, to: u64, last: Option<Step>) -> Vec<Step> {
        let root = self.mark(first);
        let mut path = vec![to];
        while path.last() != Some(&root) {
            path.push(self.seen[path.last().unwrap()]);
        }
        let (mut world, mut out, mut steps) = (first.clone(), Vec::new(), Vec::new());
        for mark in path.iter().rev().skip(1) {
            self.instance.next(&world, &mut out);
            let step = out.drain(..).find_map(|(step, next)| {
                next.ok().filter(|next| self.mark(next) == *mark).map(|next| (step, next))
            });
            let (step, next) = step.expect("a step of the trace is found again");
            steps.push(step);
            world = next;
        }
        steps.extend(last);
        steps
    }
}

fn check(instance: &Instance, order: Order, most: usize) -> Checked {
    let mut checker = Checker {
        instance,
        seen: HashMap::default(),
        rests: HashSet::default(),
        hash: ahash::RandomState::with_seeds(1, 2, 3, 4),
    };
    let first = World::new(instance);
    let root = checker.mark(&first);
    checker.seen.insert(root, root);
    let mut queue = VecDeque::from([(root, first.clone())]);
    let (mut out, mut steps, mut complete) = (Vec::new(), 0, true);
    let mut found = None;
    let (mut depth, mut of_this_depth) = (0usize, 1);
    let next = |queue: &mut VecDeque<(u64, World)>| match order {
        Order::Breadth => queue.pop_front(),
        Order::Depth => queue.pop_back(),
    };
    'all: while let Some((from, world)) = next(&mut queue) {
        let fault = instance.fault_now(&world).or_else(|| checker.unrest(&world, from));
        if let Some(what) = fault {
            found = Some(Found { what, trace: checker.trace(&first, from, None) });
            break;
        }
        instance.next(&world, &mut out);
        for (step, next) in out.drain(..) {
            steps += 1;
            let Ok(next) = next else {
                let what = "a call was admitted above the limit";
                found = Some(Found { what, trace: checker.trace(&first, from, Some(step)) });
                break 'all;
            };
            let mark = checker.mark(&next);
            if let std::collections::hash_map::Entry::Vacant(entry) = checker.seen.entry(mark) {
                entry.insert(from);
                queue.push_back((mark, next));
            }
        }
        if checker.seen.len() > most {
            complete = false;
            break;
        }
        of_this_depth -= 1;
        if of_this_depth == 0 {
            (depth, of_this_depth) = (depth + 1, queue.len());
        }
    }
    // The last ones were reached, and not looked at.
    let depth = depth.saturating_sub(1);
    Checked { found, states: checker.seen.len(), steps, complete, depth }
}

/// Checks an instance and tells what came of it. Whether it is as expected.
fn report(instance: &Instance, is_spoilt: bool) -> bool {
    let began = Instant::now();
    let order = match instance.most {
        None if !is_spoilt => Order::Depth,
        _ => Order::Breadth,
    };
    let mut checked = check(instance, order, instance.most.unwrap_or(MOST));
    let (states, steps) = (checked.states, checked.steps);
    if order == Order::Depth && checked.found.is_some() {
        let shorter = check(instance, Order::Breadth, MOST_FOR_TRACE).found;
        checked.found = shorter.or(checked.found);
    }
    let what = match &checked.found {
        Some(found) => format!("{} after {} steps", found.what, found.trace.len()),
        None if checked.complete => "complete, nothing found".to_owned(),
        None if instance.most.is_some() => {
            format!("nothing found in all that {} steps lead to", checked.depth)
        }
        None => "nothing found, NOT COMPLETE".to_owned(),
    };
    let is_done = checked.complete || instance.most.is_some();
    let expected =
        if is_spoilt { checked.found.is_some() } else { checked.found.is_none() && is_done };
    let mark = if expected { "ok  " } else { "FAIL" };
    let seconds = began.elapsed().as_secs_f32();
    println!("{mark} {}: {what}; {states} states, {steps} steps, {seconds:.1} s", instance.name);
    if let Some(found) = checked.found.filter(|_| !expected || tells_traces()) {
        let last = found.trace.len().saturating_sub(200);
        found.trace.iter().skip(last).for_each(|step| println!("       {step:?}"));
    }
    expected
}

fn tells_traces() -> bool {
    std::env::var_os("CLUSTER_TRACES").is_some()
}

/// Those whose names begin with CLUSTER_ONLY.
fn chosen(instance: &Instance) -> bool {
    let only = std::env::var("CLUSTER_ONLY").unwrap_or_default();
    instance.name.starts_with(&only)
}

#[test]
fn small_worlds_never_exceed_a_limit_and_come_to_rest() {
    let wrong = whole().iter().take(QUICK).filter(|i| chosen(i) && !report(i, false)).count();
    assert_eq!(wrong, 0);
}

#[test]
fn each_rule_is_missed_when_it_is_left_out() {
    let wrong = spoilt().iter().filter(|i| chosen(i) && !report(i, true)).count();
    assert_eq!(wrong, 0);
}

#[test]
#[ignore = "takes minutes: make cluster-check"]
fn all_worlds_never_exceed_a_limit_and_come_to_rest() {
    let worlds: Vec<Instance> = whole().into_iter().filter(chosen).collect();
    let (next, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let explore = || {
        while let Some(world) = worlds.get(next.fetch_add(1, SeqCst)) {
            wrong.fetch_add(usize::from(!report(world, false)), SeqCst);
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(explore))));
    assert_eq!(wrong.into_inner(), 0);
}
