//! A node: what its broker sends, and what it makes of the answers.

use std::collections::BTreeSet;

use super::asks::{Answer, Ask};
use super::batch::Batch;
use super::books::Books;
use super::counts::Counts;
use super::key::Key;
use super::message::{Claim, Reply, Request, Take};
use super::mirror::Mirror;
use super::publication::Publication;
use super::session::{Phase, Session};
use super::setup::Setup;
use super::trust::{Times, Trust};

/// What operators are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another node has this name.
    NameTaken,
    /// The secret or a setting differs from that of the others.
    Differs,
    /// The server's memory was emptied, or is another one.
    Rejoin,
    /// The server had given this node up.
    Fenced,
    /// The server has lost a claim.
    Lost(Key),
    /// The server answered what was not asked.
    Garbled,
}

/// What an answer brings about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// For workers that wait.
    pub answers: Vec<(u64, Answer)>,
    /// For operators.
    pub events: Vec<Event>,
}

/// On the way on the connection of claims. At most one at a time, so that no two requests
/// are about the same scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Flight {
    Publish(Vec<Claim>),
    Published,
    Batch(Batch),
}

/// The broker's state. All numbers of scopes are in the [`Books`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Node {
    session: Session,
    mirror: Mirror,
    asks: Vec<Ask>,
    flight: Option<Flight>,
    publication: Publication,
    /// Scopes to settle.
    due: BTreeSet<Key>,
    /// Claims to assert.
    again: Vec<Key>,
    /// Scopes that the last answer said are full.
    full: BTreeSet<Key>,
}

impl Node {
    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What this node has claimed.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Deadlines for workers.
    pub fn trust(&self, times: &Times) -> Trust {
        self.session.trust(times)
    }

    /// Whether a request of claims has no answer yet.
    pub fn is_waiting(&self) -> bool {
        self.flight.is_some()
    }

    /// A worker asks; it has raised `waiting` in the scopes.
    pub fn ask(&mut self, ask: Ask) {
        self.asks.push(ask);
    }

    /// A worker waits no more: what is not sent is not sent any more.
    pub fn withdraw(&mut self, id: u64) {
        self.asks.retain(|ask| ask.id != id);
    }

    /// Asks that are not answered.
    pub fn asks(&self) -> &[Ask] {
        &self.asks
    }

    /// JOIN, for a connection that leads to `server`.
    pub fn join(&mut self, setup: &Setup, server: &str, incarnation: u64, now: u64) -> Request {
        Request::Join(self.session.join(setup, server, incarnation, now))
    }

    /// The answer to a JOIN that was sent at `sent`. `proven`: all replicas have it.
    pub fn joined(
        &mut self,
        reply: Reply,
        proven: bool,
        sent: u64,
        books: &mut impl Books,
    ) -> Outcome {
        match reply {
            Reply::Joined { stamp, members, .. } if proven => {
                self.session.joined(stamp, members, sent);
                let asked = self.asks.iter().flat_map(|ask| &ask.wants).map(|want| want.key);
                let keys = self.mirror.keys().chain(books.all()).chain(asked);
                self.publication = Publication::new(keys);
                Outcome::default()
            }
            Reply::Joined { .. } => self.end(),
            other => self.over(&other),
        }
    }

    /// A beat, with the time at which it is sent.
    pub fn beat(&mut self) -> Option<Request> {
        let runs = self.session.phase() >= Phase::Publishing;
        runs.then(|| Request::Beat(self.session.stamp()))
    }

    /// The answer to a beat of this session that was sent at `sent`. `proven`: the server is
    /// the one that was joined, and all its replicas have the beat. One that is not proven
    /// says nothing.
    pub fn beaten(&mut self, reply: Reply, proven: bool, sent: u64) -> Outcome {
        match reply {
            Reply::Beaten { seen, members } => {
                if proven {
                    self.session.beaten(seen, members, sent);
                }
                Outcome::default()
            }
            other => self.over(&other),
        }
    }

    /// The next request on the connection of claims, and answers that need none.
    pub fn next(&mut self, books: &mut impl Books) -> (Option<Request>, Vec<(u64, Answer)>) {
        if self.flight.is_some() {
            return (None, Vec::new());
        }
        match self.session.phase() {
            Phase::Publishing => (Some(self.publish(books)), Vec::new()),
            Phase::Member => self.batch(books),
            Phase::Down | Phase::Joining => (None, Vec::new()),
        }
    }

    fn publish(&mut self, books: &mut impl Books) -> Request {
        let claims = self.publication.portion(books);
        let stamp = self.session.stamp();
        if claims.is_empty() {
            self.flight = Some(Flight::Published);
            return Request::Published(stamp);
        }
        claims.iter().for_each(|claim| self.mirror.touch(claim.key));
        self.flight = Some(Flight::Publish(claims.clone()));
        Request::Publish(stamp, claims)
    }

    fn batch(&mut self, books: &mut impl Books) -> (Option<Request>, Vec<(u64, Answer)>) {
        let mut batch = Batch::default();
        if !books.marked(&mut self.due) {
            self.due.extend(self.mirror.keys().chain(books.all()));
        }
        batch.settle(&mut self.due, &self.mirror, books);
        batch.assert(&mut self.again, books);
        let answers = batch.take(&self.asks, &self.full, books);
        for (id, _) in &answers {
            self.withdraw(*id);
        }
        if batch.is_empty() {
            return (None, answers);
        }
        batch.keys().for_each(|key| self.mirror.touch(key));
        let request = Request::Batch {
            stamp: self.session.stamp(),
            lowers: batch.lowers.clone(),
            forces: batch.forces.clone(),
            takes: batch.takes.iter().map(|(_, group)| group.clone()).collect(),
        };
        self.flight = Some(Flight::Batch(batch));
        (Some(request), answers)
    }

    /// The answer to the request of claims that is on its way.
    pub fn reply(&mut self, reply: Reply, books: &mut impl Books) -> Outcome {
        match (self.flight.take(), reply) {
            (Some(Flight::Publish(claims)), Reply::Set) => {
                for claim in claims {
                    books.with(claim.key, |counts| counts.publish(claim.slots));
                    self.note(claim.key, claim.slots, claim.slots, books);
                    self.mirror.forget(claim.key);
                }
                Outcome::default()
            }
            (Some(Flight::Published), Reply::Member(seen)) => {
                self.session.published(seen);
                Outcome::default()
            }
            (Some(Flight::Published), Reply::Unknown(seen)) => {
                self.session.see(seen);
                Outcome::default()
            }
            (Some(Flight::Batch(batch)), Reply::Batch { seen, claims, takes }) => {
                self.session.see(seen);
                self.apply(&batch, &claims, takes, books)
            }
            (_, other) => self.over(&other),
        }
    }

    fn apply(
        &mut self,
        batch: &Batch,
        claims: &[u32],
        takes: Vec<Take>,
        books: &mut impl Books,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let wanted = batch.lowers.len() + batch.forces.len();
        // Before anything of it is done: who asked gets an answer in any case.
        let fits = takes.len() == batch.takes.len()
            && batch.takes.iter().zip(&takes).all(|((_, group), take)| take.fits(group));
        if claims.len() != wanted || !fits {
            return self.over(&Reply::Set);
        }
        let mut lost = None;
        let (lowered, forced) = claims.split_at(batch.lowers.len().min(claims.len()));
        for (change, &claim) in batch.lowers.iter().zip(lowered) {
            let expected = self.mirror.claimed(change.key).min(change.slots);
            lost = lost.or(self.note(change.key, expected, claim, books));
        }
        for (change, &claim) in batch.forces.iter().zip(forced) {
            let expected = self.mirror.claimed(change.key).max(change.slots);
            books.with(change.key, |counts| counts.force(change.slots.min(claim)));
            lost = lost.or(self.note(change.key, expected, claim, books));
        }
        self.full.clear();
        for ((id, group), take) in batch.takes.iter().zip(takes) {
            let answer = match take {
                Take::Granted(claims) => {
                    for (lack, claim) in group.lacks.iter().zip(claims) {
                        let expected = self.mirror.claimed(lack.key).saturating_add(1);
                        let grant = |counts: &mut Counts| counts.grant();
                        lost = lost.or(self.note_after(lack.key, expected, claim, books, grant));
                    }
                    Answer::Look
                }
                Take::Full { place, total } => match group.lacks.get(place as usize) {
                    Some(&Claim { key, .. }) => {
                        self.full.insert(key);
                        Answer::Full { key, total }
                    }
                    None => Answer::Busy,
                },
                Take::Busy => Answer::Busy,
            };
            self.withdraw(*id);
            outcome.answers.push((*id, answer));
        }
        self.share_full(&mut outcome, books);
        // Nothing is on its way any more.
        batch.keys().for_each(|key| self.mirror.forget(key));
        if let Some(key) = lost {
            self.assert_all(books);
            outcome.events.push(Event::Lost(key));
        }
        outcome
    }

    /// Calls that did not ask, and lack a scope that is full, share the answer.
    fn share_full(&mut self, outcome: &mut Outcome, books: &mut impl Books) {
        let told: Vec<_> = outcome.answers.clone();
        for (_, answer) in told {
            let Answer::Full { key, .. } = answer else { continue };
            let is_short = |ask: &Ask, books: &mut _| {
                ask.names(key) && Books::with(books, key, |counts| counts.lacks(0))
            };
            let (short, others) =
                self.asks.drain(..).partition::<Vec<_>, _>(|ask| is_short(ask, books));
            self.asks = others;
            outcome.answers.extend(short.into_iter().map(|ask| (ask.id, answer)));
        }
    }

    /// Notes a claim. The key, if the server has lost slots of it.
    fn note(&mut self, key: Key, expected: u32, claim: u32, books: &mut impl Books) -> Option<Key> {
        self.note_after(key, expected, claim, books, |_| {})
    }

    /// The same, after a change of the scope's numbers.
    fn note_after(
        &mut self,
        key: Key,
        expected: u32,
        claim: u32,
        books: &mut impl Books,
        change: impl FnOnce(&mut Counts),
    ) -> Option<Key> {
        self.mirror.note(key, expected, claim);
        let needs = books.with(key, |counts| {
            change(counts);
            counts.needs(claim)
        });
        if needs {
            self.due.insert(key);
        }
        (claim < expected).then_some(key)
    }

    /// Asserts all claims, a portion with each batch: once a minute, and when one was lost.
    pub fn assert_all(&mut self, books: &impl Books) {
        let keys: BTreeSet<Key> = self.mirror.keys().chain(books.all()).collect();
        self.again = keys.into_iter().collect();
    }

    /// The session is over: the connection is broken, or an answer did not come in time.
    pub fn end(&mut self) -> Outcome {
        self.session.end();
        self.flight = None;
        self.full.clear();
        self.again.clear();
        self.due.clear();
        self.publication = Publication::default();
        let answers = self.asks.drain(..).map(|ask| (ask.id, Answer::Down)).collect();
        Outcome { answers, events: Vec::new() }
    }

    /// The same, after an answer that ends it.
    fn over(&mut self, reply: &Reply) -> Outcome {
        let mut outcome = self.end();
        outcome.events.push(match reply {
            Reply::NameTaken => Event::NameTaken,
            Reply::Differs => Event::Differs,
            Reply::Rejoin => Event::Rejoin,
            Reply::Fenced => Event::Fenced,
            _ => Event::Garbled,
        });
        outcome
    }

    /// Goes for good: the calls have ended, or nobody shall count them.
    pub fn leave(&mut self) -> Option<Request> {
        let runs = self.session.phase() >= Phase::Publishing;
        runs.then(|| Request::Leave(self.session.stamp()))
    }

    /// The mirror, what is due and what is full. For the checker of the protocol alone: it leaves
    /// out rules, each of which must be missed, and what makes no difference.
    #[doc(hidden)]
    pub fn parts(&mut self) -> (&mut Mirror, &mut BTreeSet<Key>, &mut BTreeSet<Key>) {
        (&mut self.mirror, &mut self.due, &mut self.full)
    }
}
