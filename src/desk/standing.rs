//! What the broker tells all workers: whether the node may use its slots, and what becomes of
//! calls that nobody can judge.

use std::io;

use crate::cluster::{Breaker, Outage, Share, Stamp, Trust};
use crate::shm::Area;
use crate::shm::atomic::{AtomicU64, Ordering::Relaxed};

/// One word for each of these.
#[derive(Clone, Copy)]
enum Of {
    AdmitsUntil,
    RefusesUntil,
    /// Nothing is granted to anybody yet.
    Barrier,
    Breaker,
    /// Members seen at a time, the most.
    Nodes,
    /// Members now.
    Members,
    Timeout,
    Policy,
    PolicyUser,
    Size,
    Replicas,
    Number,
    Session,
    Incarnation,
    Claims,
    Asked,
    TimedOut,
    Batches,
    Sessions,
    RoundTrip,
    Count,
}

/// In shared memory.
pub struct Standing(&'static [AtomicU64]);

/// What operators have set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policies {
    /// Ms that a worker waits.
    pub timeout: u64,
    /// For brands, companies and scopes of the operator's own.
    pub shared: Share,
    /// For slots of roadwarriors.
    pub user: Share,
    /// Nodes there are; 0: as many as were seen.
    pub size: u32,
    /// Replicas that must have each beat.
    pub replicas: u32,
}

/// What the broker counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Members now.
    pub members: u64,
    /// Scopes with a claim of this node.
    pub claims: u64,
    /// Questions of workers.
    pub asked: u64,
    /// Those without an answer in time.
    pub timed_out: u64,
    /// Requests of claims that the server has answered.
    pub batches: u64,
    /// Sessions so far.
    pub sessions: u64,
    /// The last round trip in us.
    pub round_trip: u64,
}

impl Standing {
    /// Maps it: no session, and nothing is set.
    pub fn new() -> io::Result<Self> {
        Ok(Standing(Area::share_slice(Of::Count as usize)?))
    }

    /// Sets what operators have said.
    pub fn set_policies(&self, policies: &Policies) {
        self.set(Of::Timeout, policies.timeout);
        self.set(Of::Policy, number(policies.shared));
        self.set(Of::PolicyUser, number(policies.user));
        self.set(Of::Size, policies.size.into());
        self.set(Of::Replicas, policies.replicas.into());
    }

    /// What operators have said.
    pub fn policies(&self) -> Policies {
        Policies {
            timeout: self.get(Of::Timeout),
            shared: share(self.get(Of::Policy)),
            user: share(self.get(Of::PolicyUser)),
            size: self.get(Of::Size) as u32,
            replicas: self.get(Of::Replicas) as u32,
        }
    }

    /// The node's deadlines.
    pub fn trust(&self) -> Trust {
        Trust { admits_until: self.get(Of::AdmitsUntil), refuses_until: self.get(Of::RefusesUntil) }
    }

    /// A session goes on, begins or ends.
    pub fn set_trust(&self, trust: Trust) {
        self.set(Of::AdmitsUntil, trust.admits_until);
        self.set(Of::RefusesUntil, trust.refuses_until);
    }

    /// Whether the server grants nothing, as its last answer says.
    pub fn set_barrier(&self, barrier: bool) {
        self.set(Of::Barrier, barrier.into());
    }

    /// Whether calls are judged by all nodes' numbers at `now`.
    pub fn is_exact(&self, now: u64) -> bool {
        self.trust().admits(now) && self.get(Of::Barrier) == 0
    }

    /// An outage for a call that got no answer at `since`; `barrier`: nobody gets any.
    pub fn outage(&self, since: u64, barrier: bool) -> Outage {
        Outage { trust: self.trust(), grace: None, since, barrier }
    }

    /// Whether workers wait for answers.
    pub fn is_open(&self) -> bool {
        self.breaker().is_open()
    }

    /// Changes the breaker.
    pub fn break_with(&self, change: impl Fn(&mut Breaker)) {
        let Some(word) = self.0.get(Of::Breaker as usize) else { return };
        let changed = |bits: u64| {
            let mut breaker = Breaker::of(bits);
            change(&mut breaker);
            Some(breaker.bits())
        };
        let _ = word.fetch_update(Relaxed, Relaxed, changed);
    }

    fn breaker(&self) -> Breaker {
        Breaker::of(self.get(Of::Breaker))
    }

    /// Nodes that share limits, if that is known.
    pub fn nodes(&self) -> Option<u32> {
        let size = self.get(Of::Size);
        let nodes = if size > 0 { size } else { self.get(Of::Nodes) };
        u32::try_from(nodes).ok().filter(|nodes| *nodes > 0)
    }

    /// So many members there are now.
    pub fn see_members(&self, members: u64) {
        self.set(Of::Members, members);
        self.set(Of::Nodes, self.get(Of::Nodes).max(members));
    }

    /// The session, for who ends it when the host stops.
    pub fn stamp(&self) -> Stamp {
        Stamp {
            number: self.get(Of::Number),
            session: self.get(Of::Session),
            incarnation: self.get(Of::Incarnation),
            knows: 0,
        }
    }

    /// A session begins or ends.
    pub fn set_stamp(&self, stamp: Stamp) {
        self.set(Of::Number, stamp.number);
        self.set(Of::Session, stamp.session);
        self.set(Of::Incarnation, stamp.incarnation);
    }

    /// Counts a question, and whether no answer came in time.
    pub fn count_ask(&self, timed_out: bool) {
        self.add(Of::Asked);
        if timed_out {
            self.add(Of::TimedOut);
        }
    }

    /// Counts a session.
    pub fn count_session(&self) {
        self.add(Of::Sessions);
    }

    /// Counts an answer of the server that took so many us, with so many claims now.
    pub fn count_batch(&self, us: u64, claims: u64) {
        self.add(Of::Batches);
        self.set(Of::RoundTrip, us);
        self.set(Of::Claims, claims);
    }

    /// What was counted.
    pub fn numbers(&self) -> Numbers {
        Numbers {
            members: self.get(Of::Members),
            claims: self.get(Of::Claims),
            asked: self.get(Of::Asked),
            timed_out: self.get(Of::TimedOut),
            batches: self.get(Of::Batches),
            sessions: self.get(Of::Sessions),
            round_trip: self.get(Of::RoundTrip),
        }
    }

    fn get(&self, of: Of) -> u64 {
        self.0.get(of as usize).map_or(0, |word| word.load(Relaxed))
    }

    fn set(&self, of: Of, value: u64) {
        if let Some(word) = self.0.get(of as usize) {
            word.store(value, Relaxed);
        }
    }

    fn add(&self, of: Of) {
        if let Some(word) = self.0.get(of as usize) {
            word.fetch_add(1, Relaxed);
        }
    }
}

fn number(share: Share) -> u64 {
    match share {
        Share::Closed => 0,
        Share::Equal => 1,
        Share::Open => 2,
        Share::Parts(parts) => 3 + u64::from(parts),
    }
}

fn share(number: u64) -> Share {
    match number {
        0 => Share::Closed,
        1 => Share::Equal,
        2 => Share::Open,
        parts => Share::Parts(u32::try_from(parts - 3).unwrap_or(u32::MAX)),
    }
}
