//! Questions of workers, each in a slot of its own, and the answers.
//!
//! ```text
//! free -> taken -> asked -> answering -> answered -> free
//!                    \-> free: the worker has left
//! ```
//!
//! A slot's state has the number of its turn, so an answer to an older question is none.

use std::hint::spin_loop;
use std::io;
use std::time::Instant;

use crate::cluster::{Answer, Ask, Key, Want, fits_lua};
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering::*};
use crate::shm::{Area, bits, futex_wait, futex_wake, process_id};

/// More than workers that can wait at a time; a schedule has few.
const SLOTS: usize = if cfg!(shuttle) { 2 } else { 1024 };
/// Most that one call can ask for: of 12 scopes two directions, two parts each.
const WANTS: usize = 48;
const _: () = assert!(fits_lua(WANTS));
/// Words of a want: its key and its limit.
const WANT: usize = 3;
/// Words of a slot: the number of wants; the answer; the wants.
const ANSWER: usize = 1;
const FIRST: usize = 5;
const WORDS: usize = FIRST + WANTS * WANT;

const FREE: u32 = 0;
const TAKEN: u32 = 1;
const ASKED: u32 = 2;
const ANSWERING: u32 = 3;
const ANSWERED: u32 = 4;
const KIND: u32 = 7;
const TURN: u32 = 8;

/// All slots.
pub struct Slots {
    states: &'static [AtomicU32],
    words: &'static [AtomicU64],
    /// Bits of the slots with a new question.
    asked: &'static [AtomicU64],
}

/// A question that was put.
pub struct Question {
    slot: usize,
    state: u32,
}

impl Slots {
    /// Maps them, all free.
    pub fn new() -> io::Result<Self> {
        Ok(Slots {
            states: Area::share_slice(SLOTS)?,
            words: Area::share_slice(SLOTS * WORDS)?,
            asked: Area::share_slice(SLOTS.div_ceil(64))?,
        })
    }

    /// None if all slots are in use.
    pub fn put(&self, wants: impl Iterator<Item = Want>) -> Option<Question> {
        let first = process_id() as usize;
        let mut places = (0..SLOTS).map(|n| (first + n) % SLOTS);
        let (slot, turn) = places.find_map(|slot| Some((slot, self.claim(slot)?)))?;
        let words = self.words_of(slot)?;
        let mut count = 0;
        for (want, to) in wants.zip(words.get(FIRST..)?.chunks_exact(WANT)) {
            let of = [(want.key.0 >> 64) as u64, want.key.0 as u64, want.limit.into()];
            to.iter().zip(of).for_each(|(to, word)| to.store(word, Relaxed));
            count += 1;
        }
        words.first()?.store(count, Relaxed);
        let state = turn | ASKED;
        self.states.get(slot)?.store(state, Release);
        self.asked.get(slot / 64)?.fetch_or(1 << (slot % 64), Release);
        Some(Question { slot, state })
    }

    /// The turn of a slot that was free.
    fn claim(&self, slot: usize) -> Option<u32> {
        let state = self.states.get(slot)?;
        let seen = state.load(Relaxed);
        if seen & KIND != FREE {
            return None;
        }
        let turn = (seen & !KIND).wrapping_add(TURN);
        state.compare_exchange(seen, turn | TAKEN, Acquire, Relaxed).ok().map(|_| turn)
    }

    /// The answer, if it comes before `deadline`. The slot is free then.
    pub fn wait(&self, question: Question, deadline: Instant) -> Option<Answer> {
        let Question { slot, state: asked } = question;
        let state = self.states.get(slot)?;
        let turn = asked & !KIND;
        loop {
            let seen = state.load(Acquire);
            if seen == turn | ANSWERED {
                let answer = self.read_answer(slot);
                state.store(turn | FREE, Release);
                return answer;
            }
            if seen != asked {
                // The broker is about to answer.
                spin_loop();
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                futex_wait(state, asked, left);
            } else if state.compare_exchange(asked, turn | FREE, Relaxed, Relaxed).is_ok() {
                return None;
            }
        }
    }

    /// New questions.
    pub fn take(&self, mut each: impl FnMut(Ask)) {
        for (n, word) in self.asked.iter().enumerate() {
            if word.load(Relaxed) == 0 {
                continue;
            }
            let asked = bits(word.swap(0, Acquire)).map(|bit| n * 64 + bit);
            asked.filter_map(|slot| self.read(slot)).for_each(&mut each);
        }
    }

    fn read(&self, slot: usize) -> Option<Ask> {
        let state = self.states.get(slot)?.load(Acquire);
        let words = self.words_of(slot)?;
        let count = usize::try_from(words.first()?.load(Relaxed)).ok()?;
        let wants = words.get(FIRST..)?.chunks_exact(WANT).take(count).filter_map(|of| {
            let word = |n: usize| of.get(n).map(|word| word.load(Relaxed));
            let key = Key(u128::from(word(0)?) << 64 | u128::from(word(1)?));
            Some(Want { key, limit: word(2)? as u32 })
        });
        let ask = Ask::new(id_of(slot, state), wants);
        // Not a mixture with the question of another turn.
        self.is_waited_for(ask.id).then_some(ask)
    }

    pub fn is_waited_for(&self, id: u64) -> bool {
        let (slot, state) = of_id(id);
        let now = self.states.get(slot).map(|state| state.load(Acquire));
        state & KIND == ASKED && now == Some(state)
    }

    pub fn answer(&self, id: u64, answer: Answer) {
        let (slot, asked) = of_id(id);
        let (Some(state), Some(words)) = (self.states.get(slot), self.words_of(slot)) else {
            return;
        };
        let turn = asked & !KIND;
        if asked & KIND != ASKED
            || state.compare_exchange(asked, turn | ANSWERING, Acquire, Relaxed).is_err()
        {
            return;
        }
        let (kind, key, total) = match answer {
            Answer::Look => (0, Key(0), 0),
            Answer::Full { key, total } => (1, key, total),
            Answer::Busy => (2, Key(0), 0),
            Answer::Down => (3, Key(0), 0),
        };
        let of = [kind, (key.0 >> 64) as u64, key.0 as u64, total.into()];
        let to = words.iter().skip(ANSWER).take(FIRST - ANSWER);
        to.zip(of).for_each(|(to, word)| to.store(word, Relaxed));
        state.store(turn | ANSWERED, Release);
        futex_wake(state);
    }

    fn read_answer(&self, slot: usize) -> Option<Answer> {
        let words = self.words_of(slot)?;
        let word = |n: usize| words.get(ANSWER + n).map(|word| word.load(Relaxed));
        Some(match word(0)? {
            0 => Answer::Look,
            1 => {
                let key = Key(u128::from(word(1)?) << 64 | u128::from(word(2)?));
                Answer::Full { key, total: word(3)? as u32 }
            }
            2 => Answer::Busy,
            _ => Answer::Down,
        })
    }

    fn words_of(&self, slot: usize) -> Option<&'static [AtomicU64]> {
        self.words.get(slot * WORDS..(slot + 1) * WORDS)
    }
}

fn id_of(slot: usize, state: u32) -> u64 {
    u64::from(state) << 32 | slot as u64
}

fn of_id(id: u64) -> (usize, u32) {
    (id as u32 as usize, (id >> 32) as u32)
}
