//! What nodes ask of the server, and what it answers.

use super::key::Key;

/// Names the session of a node in each of its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The node's number.
    pub number: u64,
    /// The session, as JOIN gave it.
    pub session: u64,
    /// The incarnation of the server's memory that it is a session of.
    pub incarnation: u64,
    /// The newest member that the node knows.
    pub knows: u64,
}

/// A claim: so many slots of a scope are the node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The scope.
    pub key: Key,
    /// Slots.
    pub slots: u32,
}

/// What a waiting call lacks: all of it is given or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Group {
    /// One slot more in each of these scopes, none of them twice. The numbers are the limits.
    pub lacks: Vec<Claim>,
}

/// A node comes, or comes back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Join {
    /// Its number, if it has one.
    pub number: Option<u64>,
    /// The incarnation that it last was in; 0: none.
    pub incarnation: u64,
    /// The incarnation to begin, if the server's memory is new: drawn at random, never 0.
    pub next_incarnation: u64,
    /// Names the start of the host: drawn at random before it forks.
    pub instance: u128,
    /// The node's name.
    pub name: String,
    /// Of the secret and of all settings that must agree.
    pub fingerprint: u128,
    /// The server that the connection leads to: its run and its history.
    pub server: String,
    /// Numbers of the members that the node knows.
    pub known: Vec<u64>,
    /// They may be not all.
    pub fresh: bool,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Begins a session.
    Join(Join),
    /// Sets claims, whatever the limits.
    Publish(Stamp, Vec<Claim>),
    /// All claims are set.
    Published(Stamp),
    /// The node lives.
    Beat(Stamp),
    /// Lowers, then forces, then takes.
    Batch {
        /// The session.
        stamp: Stamp,
        /// Claims that become smaller.
        lowers: Vec<Claim>,
        /// Claims that become larger, whatever the limits.
        forces: Vec<Claim>,
        /// Claims that become larger within the limits.
        takes: Vec<Group>,
    },
    /// The node goes, and its calls with it.
    Leave(Stamp),
}

/// The server's state, as each answer within a session tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Nothing is granted: not all claims are published.
    pub barrier: bool,
    /// The newest member.
    pub newest: u64,
}

/// What became of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Take {
    /// Each scope of the group has one slot more. The claims now.
    Granted(Vec<u32>),
    /// One of its scopes is full.
    Full {
        /// Its place in the group.
        place: u32,
        /// The claims of all nodes in it.
        total: u32,
    },
    /// Nothing is granted: not all claims are published.
    Busy,
}

impl Take {
    /// Whether it can be the answer for a group.
    pub(super) fn fits(&self, group: &Group) -> bool {
        match self {
            Take::Granted(claims) => claims.len() == group.lacks.len(),
            Take::Full { place, .. } => (*place as usize) < group.lacks.len(),
            Take::Busy => true,
        }
    }
}

impl Reply {
    /// The server's state, if the answer tells it.
    pub fn seen(&self) -> Option<Seen> {
        match *self {
            Reply::Joined { seen, .. }
            | Reply::Member(seen)
            | Reply::Unknown(seen)
            | Reply::Beaten { seen, .. }
            | Reply::Batch { seen, .. } => Some(seen),
            _ => None,
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// A session begins.
    Joined {
        /// The node's number, the session and its incarnation. The node knows the newest.
        stamp: Stamp,
        /// The server's state.
        seen: Seen,
        /// The members, and others that are expected.
        members: Vec<u64>,
    },
    /// Another instance with this name is alive.
    NameTaken,
    /// The secret or a setting differs from that of the members.
    Differs,
    /// The server's memory is another one: join again.
    Rejoin,
    /// The session has ended: join again.
    Fenced,
    /// To PUBLISH: the claims are set.
    Set,
    /// To PUBLISHED: the node is a member.
    Member(Seen),
    /// To PUBLISHED: not yet, some members do not know the node. Ask again.
    Unknown(Seen),
    /// To BEAT.
    Beaten {
        /// The server's state.
        seen: Seen,
        /// The members, and others that are expected.
        members: Vec<u64>,
    },
    /// To a batch.
    Batch {
        /// The server's state.
        seen: Seen,
        /// The claims after the lowers, then those after the forces.
        claims: Vec<u32>,
        /// What became of the takes.
        takes: Vec<Take>,
    },
    /// To LEAVE.
    Left,
}
