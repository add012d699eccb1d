//! Which blocked sources go on sending: only those are worth a drop in the kernel.

use std::collections::HashMap;

use crate::address::Prefix;
use crate::flood::Block;

/// Ms in which a source must send `after` requests.
pub const PERIOD: u64 = 10_000;

/// Remembers of each block how many requests it has refused lately.
#[derive(Debug, Default)]
pub struct Pursuit {
    watched: HashMap<Prefix, Watched>,
    round: u64,
}

#[derive(Debug)]
struct Watched {
    since: u64,
    /// Requests refused at that time.
    seen: u32,
    goes_on: bool,
    round: u64,
}

impl Pursuit {
    /// Whether the source of a block has sent `after` requests within
    /// [`PERIOD`] since it was blocked; once it has, that holds as long as it stays
    /// blocked. 0: at once. To be asked about each block, once a round.
    pub fn goes_on(&mut self, block: &Block, after: u32, now: u64) -> bool {
        let round = self.round;
        let young = now.saturating_sub(block.since) < PERIOD;
        let watched = self.watched.entry(block.prefix).or_insert_with(|| Watched {
            since: if young { block.since } else { now },
            seen: if young { 0 } else { block.seen },
            goes_on: false,
            round,
        });
        watched.round = round;
        // A block that was replaced counts anew.
        watched.seen = watched.seen.min(block.seen);
        watched.goes_on |= block.seen - watched.seen >= after;
        if now.saturating_sub(watched.since) >= PERIOD {
            (watched.since, watched.seen) = (now, block.seen);
        }
        watched.goes_on
    }

    /// A source is known to go on, from before a restart.
    pub fn resume(&mut self, prefix: Prefix, now: u64) {
        let round = self.round;
        let watched = Watched { since: now, seen: 0, goes_on: true, round };
        self.watched.insert(prefix, watched);
    }

    /// Ends a round: those that were not asked about are blocked no more.
    pub fn end_round(&mut self) {
        let round = self.round;
        self.watched.retain(|_, watched| watched.round == round);
        self.round += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::Reason;
    use crate::source::Learnt;

    fn block(seen: u32, since: u64) -> Block {
        Block {
            prefix: Prefix::parse("192.0.2.1", None).unwrap(),
            class: None,
            since,
            until: since + 300_000,
            seen,
            times: 1,
            reason: Reason::Flood,
            ways: Learnt::Packet.into(),
        }
    }

    #[test]
    fn only_who_sends_much_within_ten_seconds_goes_on() {
        let mut pursuit = Pursuit::default();
        // 99 in each ten seconds: never.
        for second in 0..300 {
            let seen = second as u32 * 99 / 10;
            assert!(!pursuit.goes_on(&block(seen, 500), 100, 500 + second * 1000), "{second}");
            pursuit.end_round();
        }
        // Then 100 more within ten seconds: from now on.
        let seen = 2960;
        assert!(!pursuit.goes_on(&block(seen, 500), 100, 300_500));
        assert!(pursuit.goes_on(&block(seen + 100, 500), 100, 301_000));
        pursuit.end_round();
        assert!(pursuit.goes_on(&block(seen + 100, 500), 100, 600_000));
        // Replaced by another block: still.
        assert!(pursuit.goes_on(&block(0, 600_001), 100, 600_001));
        pursuit.end_round();
        // Lifted, and blocked anew: not any more.
        pursuit.end_round();
        assert!(!pursuit.goes_on(&block(99, 700_000), 100, 700_001));
    }

    #[test]
    fn without_a_threshold_at_once_and_after_a_restart_again() {
        let mut pursuit = Pursuit::default();
        assert!(pursuit.goes_on(&block(0, 0), 0, 0));
        let mut pursuit = Pursuit::default();
        assert!(!pursuit.goes_on(&block(5000, 0), 100, 20_000), "an old block counts from now on");
        pursuit.resume(block(0, 0).prefix, 20_000);
        assert!(pursuit.goes_on(&block(5000, 0), 100, 20_000));
    }
}
