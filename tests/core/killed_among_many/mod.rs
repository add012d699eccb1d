//! Eight processes, then sixteen, that read and write the same memory. Some are killed, readers
//! and writers, wherever they are, and others begin in their places. Who lives goes on and never
//! sees half of anything; what the dead held is free in the end.

mod grants;
mod ledger;
mod lines;
mod ring;
mod snapshots;

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use sipwarden::shm::Area;

use crate::fork::{Child, amount};
use crate::random::next;

const SIZES: [usize; 2] = [8, 16];
/// Far above what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process does again and again, by its place: whether all that it has seen was right.
/// The number is its own, to draw from.
type Round<'a> = &'a dyn Fn(usize, &mut u64) -> bool;

struct Crowd<'a> {
    round: Round<'a>,
    members: Vec<Option<Child>>,
    /// That each place has done.
    rounds: &'static [AtomicU64],
    /// Place + 1 of one that has seen what was wrong.
    wrong: &'static AtomicU64,
    stop: &'static AtomicU64,
    random: u64,
}

impl<'a> Crowd<'a> {
    fn begin(processes: usize, round: Round<'a>) -> Self {
        let rounds = Area::share_slice(processes).unwrap();
        let [wrong, stop] = [(); 2].map(|()| Area::share().unwrap());
        let mut crowd = Crowd { round, members: Vec::new(), rounds, wrong, stop, random: 88 };
        for place in 0..processes {
            let member = crowd.member(place);
            crowd.members.push(Some(member));
        }
        crowd
    }

    fn member(&mut self, place: usize) -> Child {
        let mut random = next(&mut self.random);
        let (round, rounds, wrong, stop) = (self.round, self.rounds, self.wrong, self.stop);
        Child::start(move || {
            while stop.load(SeqCst) == 0 {
                if !round(place, &mut random) {
                    wrong.store(place as u64 + 1, SeqCst);
                    return 1;
                }
                rounds[place].fetch_add(1, SeqCst);
            }
            0
        })
    }

    fn all_rounds(&self) -> u64 {
        self.rounds.iter().map(|of_place| of_place.load(SeqCst)).sum()
    }

    fn wait_until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is(self) {
            assert_eq!(self.wrong.load(SeqCst), 0, "the place whose process saw what was wrong");
            assert!(begun.elapsed() < PATIENCE, "{what}");
            std::thread::yield_now();
        }
    }

    /// At a moment within the next so many rounds of all.
    fn kill_one(&mut self, within: u64) -> usize {
        let place = next(&mut self.random) as usize % self.members.len();
        let at = self.all_rounds() + next(&mut self.random) % within;
        self.wait_until("nobody goes on", |crowd| crowd.all_rounds() >= at);
        self.members[place].take().into_iter().for_each(Child::kill);
        self.members[place] = Some(self.member(place));
        place
    }

    fn all_go_on(&self) {
        let before: Vec<u64> = self.rounds.iter().map(|of_place| of_place.load(SeqCst)).collect();
        for (place, before) in before.into_iter().enumerate() {
            let goes_on = |crowd: &Self| crowd.rounds[place].load(SeqCst) > before + 1;
            self.wait_until(&format!("the process at place {place} stands still"), goes_on);
        }
    }

    fn end(mut self) {
        self.stop.store(1, SeqCst);
        self.members.iter_mut().filter_map(Option::take).for_each(Child::wait);
    }
}

/// Nobody outlives a test that fails.
impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        self.stop.store(1, SeqCst);
    }
}

/// Kills some of `processes`, each at a moment within the next `within` rounds of all. `died`
/// looks after each death of the process at a place: whether it was in the midst of something.
/// Says how many were killed.
fn kill_some(
    processes: usize,
    within: u64,
    round: impl Fn(usize, &mut u64) -> bool,
    mut died: impl FnMut(usize) -> bool,
) -> u64 {
    let mut crowd = Crowd::begin(processes, &round);
    let (kills, mut killed, mut amidst) = (amount(400, 24), 0, 0);
    while killed < kills || amidst < kills / 12 {
        assert!(killed < 100 * kills, "{amidst} of {killed} were in the midst of something");
        let place = crowd.kill_one(within);
        killed += 1;
        amidst += u64::from(died(place));
    }
    crowd.all_go_on();
    crowd.end();
    killed
}

/// Whether a lock was taken over since it was last asked.
fn lock_taken_over() -> impl FnMut(usize) -> bool {
    let mut seen = sipwarden::shm::takeovers();
    move |_| {
        let now = sipwarden::shm::takeovers();
        std::mem::replace(&mut seen, now) != now
    }
}
