//! What a node does with a call that the cluster cannot judge.

use super::trust::Trust;

/// How many of a limit a node admits by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// No new calls.
    Closed,
    /// One part of as many as there are nodes, at least one.
    Equal,
    /// So many parts of a thousand; a thousand is the whole limit, at every node.
    Parts(u32),
    /// All calls.
    Open,
}

impl Share {
    /// Calls that a node admits of a limit. `nodes`: as many as there are, if that is known.
    /// A node that does not know it admits none.
    pub fn of(self, limit: u32, nodes: Option<u32>) -> u32 {
        match self {
            Share::Closed => 0,
            Share::Open => u32::MAX,
            Share::Parts(parts) => {
                let slots = u64::from(limit).saturating_mul(u64::from(parts)) / 1000;
                u32::try_from(slots).unwrap_or(u32::MAX)
            }
            Share::Equal => nodes.map_or(0, |nodes| (limit / nodes.max(1)).max(1).min(limit)),
        }
    }
}

/// What is known of an outage.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// The node's deadlines.
    pub trust: Trust,
    /// The policy judges from here on although the node still trusts the server, in ms since
    /// it got no answer; None: not before its trust has ended.
    pub grace: Option<u64>,
    /// When the call got no answer.
    pub since: u64,
    /// The server grants nothing to anybody: the policy judges at once.
    pub barrier: bool,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Refused for now: the cluster will know soon.
    Wait,
    /// Counted by the policy.
    Admit,
    /// Refused by the policy.
    Refuse,
}

impl Outage {
    /// Whether the policy judges at `now`.
    pub fn is_on(&self, now: u64) -> bool {
        let over = |grace: u64| now >= self.since.saturating_add(grace);
        self.barrier || now >= self.trust.refuses_until || self.grace.is_some_and(over)
    }

    /// Judges a call by its scopes: the node's own calls and what it admits of the limit.
    pub fn judge(
        &self,
        now: u64,
        mut scopes: impl Iterator<Item = (u32, u32)>,
        heard_full: bool,
    ) -> Judgement {
        if !self.is_on(now) {
            Judgement::Wait
        } else if !(self.barrier && heard_full) && scopes.all(|(calls, share)| calls < share) {
            Judgement::Admit
        } else {
            Judgement::Refuse
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound that is written down: all nodes cut off, each with what it had.
    #[test]
    fn an_equal_share_keeps_the_total_within_its_bound() {
        for limit in 1..40 {
            for nodes in 1..8 {
                let share = Share::Equal.of(limit, Some(nodes));
                // One had all; each other one fills its share.
                let worst = limit.max(share) + (nodes - 1) * share;
                assert!(worst < limit + limit.max(nodes), "limit {limit}, {nodes} nodes: {worst}");
                assert!(share * nodes >= limit.min(nodes) && share <= limit);
            }
        }
    }

    #[test]
    fn shares() {
        assert_eq!(Share::Equal.of(30, Some(4)), 7);
        assert_eq!(Share::Equal.of(2, Some(4)), 1);
        assert_eq!(Share::Equal.of(2, None), 0, "how many share is not known");
        assert_eq!(Share::Closed.of(30, Some(1)), 0);
        assert_eq!(Share::Parts(1000).of(30, None), 30);
        assert_eq!(Share::Parts(500).of(30, None), 15);
        assert_eq!(Share::Open.of(1, None), u32::MAX);
    }

    #[test]
    fn the_policy_judges_only_when_trust_has_ended() {
        let trust = Trust { admits_until: 0, refuses_until: 3000 };
        let outage = Outage { trust, grace: None, since: 100, barrier: false };
        let judge = |outage: Outage, now, calls| outage.judge(now, [(calls, 2)].into_iter(), true);
        assert_eq!(judge(outage, 2999, 0), Judgement::Wait);
        assert_eq!(judge(outage, 3000, 1), Judgement::Admit);
        assert_eq!(judge(outage, 3000, 2), Judgement::Refuse);
        let graced = Outage { grace: Some(500), ..outage };
        assert_eq!(judge(graced, 599, 0), Judgement::Wait);
        assert_eq!(judge(graced, 600, 0), Judgement::Admit);
        let barrier = Outage { barrier: true, ..outage };
        assert_eq!(judge(barrier, 100, 0), Judgement::Refuse, "the total was at the limit");
        assert_eq!(barrier.judge(100, [(0, 2)].into_iter(), false), Judgement::Admit);
    }
}
