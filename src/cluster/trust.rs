//! How long a node may rely on what the server has told it.

/// Times that all nodes have in common, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Times {
    /// From one beat to the next.
    pub beat: u64,
    /// A node that had no proven answer to a beat sent within this time uses its claims no more.
    pub trust: u64,
    /// A node that has been silent for this time loses its claims.
    pub dead: u64,
}

impl Default for Times {
    fn default() -> Self {
        Times { beat: 1_000, trust: 3_000, dead: 10_000 }
    }
}

impl Times {
    /// Whether a node stops using its claims well before others may.
    pub fn fit(&self) -> bool {
        self.beat > 0
            && self.trust > self.beat
            && self.dead >= self.trust.saturating_mul(2).saturating_add(self.beat)
    }
}

/// Deadlines, in ms of the node's clock, which counts the time while the machine sleeps too.
/// Each worker compares them with the clock when it judges a call, so nobody has to be awake
/// for them to pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Trust {
    /// Until then calls that are covered may be counted; 0: the node has no session.
    pub admits_until: u64,
    /// Until then a call that the cluster cannot judge is refused; later the policy judges it.
    pub refuses_until: u64,
}

impl Trust {
    /// Whether a covered call may be counted.
    pub fn admits(&self, now: u64) -> bool {
        now < self.admits_until
    }
}
