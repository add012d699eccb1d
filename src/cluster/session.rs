//! The session of a node: from JOIN to member, and over at the first doubt.

use super::message::{Join, Seen, Stamp};
use super::setup::Setup;
use super::trust::{Times, Trust};

/// How far a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// None.
    #[default]
    Down,
    /// JOIN was sent.
    Joining,
    /// The node's claims are being set.
    Publishing,
    /// Calls may be counted.
    Member,
}

/// A session and what the node keeps from one to the next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    phase: Phase,
    stamp: Stamp,
    /// Members that the node knows, itself too.
    known: Vec<u64>,
    /// The newest member, as the server says.
    newest: u64,
    /// What the node has last told the server that it knows.
    told: u64,
    /// The node was never a member while no barrier was up.
    fresh: bool,
    /// When the last beat was sent that is proven to have arrived.
    proven: Option<u64>,
}

impl Default for Session {
    fn default() -> Self {
        Session {
            phase: Phase::Down,
            stamp: Stamp::default(),
            known: Vec::new(),
            newest: 0,
            told: 0,
            fresh: true,
            proven: None,
        }
    }
}

impl Session {
    /// How far it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the node is a member.
    pub fn is_member(&self) -> bool {
        self.phase == Phase::Member
    }

    /// Names the session in a request.
    pub fn stamp(&mut self) -> Stamp {
        self.told = self.stamp.knows;
        self.stamp
    }

    /// The number, session and incarnation.
    pub fn named(&self) -> Stamp {
        self.stamp
    }

    /// Members that the node knows.
    pub fn known(&self) -> &[u64] {
        &self.known
    }

    /// Whether the node may know too little of the other members.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Begins a session on a connection that leads to `server`.
    pub fn join(&mut self, setup: &Setup, server: &str, next_incarnation: u64, now: u64) -> Join {
        self.phase = Phase::Joining;
        Join {
            number: Some(self.stamp.number).filter(|number| *number != 0),
            incarnation: self.stamp.incarnation,
            next_incarnation,
            instance: setup.instance,
            name: setup.name.clone(),
            fingerprint: setup.fingerprint,
            server: server.to_owned(),
            known: self.known.clone(),
            fresh: self.fresh || self.is_out_of_date(&setup.times, now),
        }
    }

    /// Others may have become members that the node does not know: it may have been given up.
    fn is_out_of_date(&self, times: &Times, now: u64) -> bool {
        self.proven.is_none_or(|sent| now.saturating_sub(sent) >= times.dead)
    }

    /// JOIN, sent at `sent`, has succeeded and is proven to have.
    pub fn joined(&mut self, stamp: Stamp, members: Vec<u64>, sent: u64) {
        self.phase = Phase::Publishing;
        self.stamp = stamp;
        (self.newest, self.told) = (stamp.knows, 0);
        self.known = members;
        self.proven = Some(sent);
    }

    /// All claims are set, and all members know this one.
    pub fn published(&mut self, seen: Seen) {
        self.phase = Phase::Member;
        self.see(seen);
    }

    /// An answer to a beat that was sent at `sent`, and is proven to have arrived.
    pub fn beaten(&mut self, seen: Seen, members: Vec<u64>, sent: u64) {
        self.proven = self.proven.max(Some(sent));
        self.stamp.knows = seen.newest;
        self.known = members;
        // The newest one may have gone: who waited to hear of it would beat for ever.
        self.newest = seen.newest;
        self.see(seen);
    }

    /// What an answer says of the server.
    pub fn see(&mut self, seen: Seen) {
        self.newest = self.newest.max(seen.newest);
        if self.is_member() && !seen.barrier {
            self.fresh = false;
        }
    }

    /// Whether a beat is due before its time: there is a member that this node does not know,
    /// or that waits until this node has told that it knows it.
    pub fn wants_beat(&self) -> bool {
        let tells = self.is_member() && self.told < self.stamp.knows;
        self.phase >= Phase::Publishing && (self.newest > self.stamp.knows || tells)
    }

    /// The session is over: what the next one needs is kept, and no more.
    pub fn end(&mut self) {
        self.phase = Phase::Down;
        (self.stamp.session, self.stamp.knows) = (0, 0);
        (self.newest, self.told) = (0, 0);
    }

    /// Deadlines for workers.
    pub fn trust(&self, times: &Times) -> Trust {
        let until = self.proven.map_or(0, |sent| sent.saturating_add(times.trust));
        Trust { admits_until: if self.is_member() { until } else { 0 }, refuses_until: until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_is_due_for_a_new_member_and_not_for_one_that_has_gone() {
        let seen = |newest| Seen { barrier: false, newest };
        let mut session = Session::default();
        session.joined(Stamp { number: 1, session: 1, incarnation: 1, knows: 1 }, vec![1], 0);
        session.published(seen(1));
        session.stamp();
        assert!(!session.wants_beat());
        session.see(seen(4));
        assert!(session.wants_beat());
        session.beaten(seen(4), vec![1, 4], 10);
        session.stamp();
        assert!(!session.wants_beat());
        session.beaten(seen(1), vec![1], 20);
        session.stamp();
        assert!(!session.wants_beat());
    }
}
