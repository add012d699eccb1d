//! What the two threads of the broker share: the node, and what it says of itself.

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::post::PostBox;
use crate::clock;
use crate::cluster::{Answer, Event, Node, Outcome, Pace, Phase, Reply};
use crate::desk::Desk;
use crate::host::settings::ClusterSettings;
use crate::host::state::State;

/// A line for the log. Only the first thread may call the host.
pub enum Line {
    Info(String),
    Warning(String),
    Error(String),
}

/// Shared by both threads.
pub struct Room {
    pub state: &'static State,
    pub desk: &'static Desk,
    pub settings: &'static ClusterSettings,
    inner: Mutex<Inner>,
    /// Wakes the thread of beats.
    pub news: Condvar,
    /// What is told to other nodes, and heard of them.
    pub post: PostBox,
}

/// Under the lock of both threads, which is never held around a request.
#[derive(Default)]
pub struct Inner {
    pub node: Node,
    pub pace: Pace,
    /// Raised with each session that begins or ends: an answer to an older one is none.
    pub epoch: u64,
    /// The server that the session is one of.
    pub server: String,
    /// How many members there were, as last told; None: this node was none, or its end was told.
    members: Option<u64>,
    /// Why it is not one, as last told.
    why: String,
    pub lines: Vec<Line>,
}

impl Room {
    pub fn new(
        state: &'static State,
        desk: &'static Desk,
        settings: &'static ClusterSettings,
    ) -> Self {
        let post = PostBox::default();
        Room { state, desk, settings, inner: Mutex::default(), news: Condvar::new(), post }
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// Hands answers over, and tells workers how the node stands.
    pub fn settle(&self, inner: &mut Inner, outcome: Outcome) {
        for event in outcome.events {
            self.tell_event(inner, event);
        }
        self.answer(outcome.answers);
        self.publish(inner);
    }

    pub fn answer(&self, answers: Vec<(u64, Answer)>) {
        for (id, answer) in answers {
            if let Answer::Full { key, total } = answer {
                self.state.ledger.hear(key, total);
            }
            self.desk.answer(id, answer);
        }
    }

    /// Notes what an answer says of the server.
    pub fn see(&self, reply: &Reply) {
        if let Some(seen) = reply.seen() {
            self.desk.standing.set_barrier(seen.barrier);
        }
    }

    fn tell_event(&self, inner: &mut Inner, event: Event) {
        let node = &self.settings.setup.name;
        let why = match event {
            Event::NameTaken => {
                format!(
                    "another node has the name {node}, or had it within the last 3 s: after a \
                     crash this one joins by itself; else set cluster_node on one of them, and \
                     restart it"
                )
            }
            Event::Differs => "cluster_secret, cluster_trust, cluster_dead or the version differ \
                               from what the server has of this cluster: make them the same on \
                               all nodes, and restart those that had others; nothing needs to be \
                               done to the server"
                .to_owned(),
            Event::Rejoin => "its memory was emptied, or it is another server now".to_owned(),
            Event::Fenced => "it had given this node up".to_owned(),
            Event::Garbled => "it answers what was not asked".to_owned(),
            Event::Lost(_) => {
                inner.lines.push(Line::Warning(
                    "the cluster's server has lost slots of this node; they are told again"
                        .to_owned(),
                ));
                return;
            }
        };
        // An event ends the session; what it means for calls is told with its end.
        self.over(inner, &why);
    }

    /// The session is over.
    pub fn end(&self, inner: &mut Inner, why: &str) {
        let outcome = inner.node.end();
        self.over(inner, why);
        self.settle(inner, outcome);
    }

    fn over(&self, inner: &mut Inner, why: &str) {
        let now = clock::boottime();
        inner.epoch += 1;
        inner.pace.broke(now, &self.settings.setup.times, getrandom::u64().unwrap_or(now));
        self.desk.standing.break_with(|breaker| breaker.broke());
        let up = inner.members.take().is_some();
        if up || inner.why != why {
            let what = if up {
                "the session with the cluster is over"
            } else {
                "no session with the cluster"
            };
            inner.lines.push(Line::Error(format!("{what}: {why}")));
            inner.why = why.to_owned();
        }
        self.news.notify_all();
    }

    /// Tells workers how the node stands.
    pub fn publish(&self, inner: &mut Inner) {
        let session = inner.node.session();
        let trust = inner.node.trust(&self.settings.setup.times);
        self.desk.standing.set_trust(trust);
        let members = session.known().len() as u64;
        let is_member = session.phase() == Phase::Member;
        self.desk.standing.see_members(if is_member { members } else { 0 });
        self.desk.standing.set_stamp(if session.phase() >= Phase::Publishing {
            session.named()
        } else {
            Default::default()
        });
        if !is_member {
            return;
        }
        let line = match inner.members.replace(members) {
            Some(before) if before == members => return,
            Some(before) => {
                let line = format!("limits are shared by {}, before by {before}", nodes(members));
                if members < before { Line::Warning(line) } else { Line::Info(line) }
            }
            None => {
                inner.why.clear();
                inner.pace.joined();
                self.desk.standing.count_session();
                self.desk.standing.break_with(|breaker| breaker.joined());
                let (name, nodes) = (&self.settings.setup.name, nodes(members));
                Line::Info(format!("node {name} shares its limits: {nodes}"))
            }
        };
        inner.lines.push(line);
    }
}

fn nodes(count: u64) -> String {
    format!("{count} {}", if count == 1 { "node" } else { "nodes" })
}
