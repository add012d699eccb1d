//! The process that resolves host names: it waits for the resolver, so that nothing else does.
//!
//! It publishes the tables anew where a name has come to mean other addresses. What a name
//! means is then in the snapshot like any range, and costs requests nothing.

use std::cell::RefCell;
use std::collections::HashMap;

use super::trouble::Trouble;
use crate::clock;
use crate::host::contract::log;
use crate::host::contract::resolver::ask;
use crate::host::reload::names::publish_answers;
use crate::host::report::names::report_change;
use crate::host::settings::at;
use crate::host::state::{self, State, with_snapshot};
use crate::names::{Answers, Book, Meaning, Remark, Terms};
use crate::printable::Printable;

/// Ms for which names are resolved before what they mean is published.
const ASKING: u64 = 1000;
/// Ms between two publications.
const PERIOD: u64 = 1000;
/// They take at most one part in so many of the time.
const SHARE: u64 = 10;

thread_local! {
    static RESOLVER: RefCell<Resolver> = RefCell::new(Resolver::default());
}

/// After `init`: whether the process is needed.
pub fn is_needed() -> bool {
    state::get().is_some_and(|state| state.settings.host_names > 0)
}

/// Called all the time, in a process that may wait for a resolver.
pub fn resolve() {
    let Some(state) = state::get() else { return };
    RESOLVER.with_borrow_mut(|resolver| resolver.turn(state));
}

struct Resolver {
    book: Book,
    /// Generation whose names are in the book, and what they mean there.
    generation: u64,
    published: Answers,
    /// What was told of each name.
    told: HashMap<Box<[u8]>, Meaning>,
    /// Not before then.
    due: u64,
    unresolved: Trouble,
    unpublished: Trouble,
}

impl Default for Resolver {
    fn default() -> Self {
        Resolver {
            book: Book::default(),
            generation: 0,
            published: Answers::new(),
            told: HashMap::new(),
            due: 0,
            unresolved: Trouble::NONE,
            unpublished: Trouble::NONE,
        }
    }
}

fn terms(state: &State) -> Terms {
    let ms = |index| u64::try_from(state.values.int(index)).unwrap_or(0) * 1000;
    Terms {
        shortest: ms(at::HOST_NAME_MIN_TTL),
        longest: ms(at::HOST_NAME_MAX_TTL),
        keep: ms(at::HOST_NAME_KEEP),
    }
}

impl Resolver {
    fn turn(&mut self, state: &State) {
        let started = clock::monotonic();
        let terms = terms(state);
        self.look(terms, started);
        let mut now = started;
        let mut has_asked = false;
        while now.saturating_sub(started) < ASKING {
            let Some((name, family)) = self.book.next(now) else { break };
            let answer = ask(&name, family);
            now = clock::monotonic();
            self.book.answered(&name, family, answer, terms, now);
            has_asked = true;
        }
        self.book.expire(now);
        if has_asked {
            state.names.write(&self.book);
            self.complain(now);
        }
        self.publish(state, now);
    }

    /// Takes the names of the current tables.
    fn look(&mut self, terms: Terms, now: u64) {
        let known = self.generation;
        let current = with_snapshot(|view, pinned| {
            (pinned.generation() != known).then(|| (pinned.generation(), view.answers()))
        });
        let Some((generation, answers)) = current.flatten() else { return };
        let names = answers.iter().map(|(name, addresses)| (&**name, addresses.clone()));
        self.book.use_names(names, terms.keep, now);
        for (name, addresses) in &answers {
            // What an earlier run has told.
            self.told
                .entry(name.clone())
                .or_insert_with(|| Meaning { addresses: addresses.clone(), remark: Remark::None });
        }
        self.told.retain(|name, _| answers.contains_key(name));
        (self.generation, self.published) = (generation, answers);
    }

    /// Publishes what names mean where that has changed, and tells of it.
    fn publish(&mut self, state: &State, now: u64) {
        if now < self.due {
            return;
        }
        let answers = self.book.answers();
        if answers != self.published {
            let result = publish_answers(state, answers);
            let ended = clock::monotonic();
            self.due = ended + PERIOD.max(SHARE * ended.saturating_sub(now));
            if result == Ok(false) {
                return;
            }
            if let Err(why) = result {
                if self.unpublished.is_due(now) {
                    log::error(format_args!(
                        "host names mean what they meant before: {why} (tried again, said once a \
                         minute)"
                    ));
                }
                return;
            }
            if self.unpublished.is_over() {
                log::info(format_args!("host names mean what the resolver says again"));
            }
            self.look(terms(state), ended);
        }
        self.tell(state);
    }

    fn tell(&mut self, state: &State) {
        for (name, told) in &mut self.told {
            let meaning = self.book.meaning(name);
            // Silence changes nothing until an answer has been good for too long.
            let is_silent = meaning.remark == Remark::Silent && told.addresses.is_empty();
            if *told != meaning && !is_silent {
                // That all is well again is told where addresses change.
                if told.addresses != meaning.addresses || meaning.remark != Remark::None {
                    report_change(state, name, told, &meaning);
                }
                *told = meaning;
            }
        }
    }

    fn complain(&mut self, now: u64) {
        match self.book.silent() {
            Some((count, first)) if self.unresolved.is_due(now) => log::error(format_args!(
                "the resolver does not answer for {count} host names, for example {}; their last \
                 answers are good for a time (tried again, said once a minute)",
                Printable::full(first)
            )),
            None if self.unresolved.is_over() => {
                log::info(format_args!("the resolver answers for all host names again"));
            }
            _ => {}
        }
    }
}
