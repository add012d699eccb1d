//! Which blocked sources go on sending: only their packets are dropped in the kernel.

use std::collections::HashMap;

use crate::address::Prefix;
use crate::flood::Block;

/// Ms in which a source must send `after` requests.
const PERIOD: u64 = 10_000;

/// Blocked sources with the requests that were refused lately.
#[derive(Debug, Default)]
pub struct Offenders {
    known: HashMap<Prefix, Offender>,
    round: u64,
}

#[derive(Debug)]
struct Offender {
    since: u64,
    /// Requests refused at that time.
    seen: u32,
    is_persistent: bool,
    round: u64,
}

impl Offenders {
    /// True once the blocked source has sent `after` requests in one [`PERIOD`]; stays true
    /// until it is unblocked. With 0 always true. Call once per block and round.
    pub fn is_persistent(&mut self, block: &Block, after: u32, now: u64) -> bool {
        let round = self.round;
        let young = now.saturating_sub(block.since) < PERIOD;
        let offender = self.known.entry(block.prefix).or_insert_with(|| Offender {
            since: if young { block.since } else { now },
            seen: if young { 0 } else { block.seen },
            is_persistent: false,
            round,
        });
        offender.round = round;
        // A new block of the source counts from 0.
        offender.seen = offender.seen.min(block.seen);
        offender.is_persistent |= block.seen - offender.seen >= after;
        if now.saturating_sub(offender.since) >= PERIOD {
            (offender.since, offender.seen) = (now, block.seen);
        }
        offender.is_persistent
    }

    /// Marks a source as persistent: it was before a restart.
    pub fn resume(&mut self, prefix: Prefix, now: u64) {
        let round = self.round;
        let offender = Offender { since: now, seen: 0, is_persistent: true, round };
        self.known.insert(prefix, offender);
    }

    /// Ends a round: forgets the sources without a block in it.
    pub fn end_round(&mut self) {
        let round = self.round;
        self.known.retain(|_, offender| offender.round == round);
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
    fn only_sources_that_send_much_within_ten_seconds_are_persistent() {
        let mut offenders = Offenders::default();
        // 99 in each ten seconds: never.
        for second in 0..300 {
            let seen = second as u32 * 99 / 10;
            assert!(
                !offenders.is_persistent(&block(seen, 500), 100, 500 + second * 1000),
                "{second}"
            );
            offenders.end_round();
        }
        // Then 100 more within ten seconds: from now on.
        let seen = 2960;
        assert!(!offenders.is_persistent(&block(seen, 500), 100, 300_500));
        assert!(offenders.is_persistent(&block(seen + 100, 500), 100, 301_000));
        offenders.end_round();
        assert!(offenders.is_persistent(&block(seen + 100, 500), 100, 600_000));
        // Replaced by another block: still.
        assert!(offenders.is_persistent(&block(0, 600_001), 100, 600_001));
        offenders.end_round();
        // Lifted, and blocked anew: not any more.
        offenders.end_round();
        assert!(!offenders.is_persistent(&block(99, 700_000), 100, 700_001));
    }

    #[test]
    fn without_a_threshold_at_once_and_after_a_restart_again() {
        let mut offenders = Offenders::default();
        assert!(offenders.is_persistent(&block(0, 0), 0, 0));
        let mut offenders = Offenders::default();
        assert!(
            !offenders.is_persistent(&block(5000, 0), 100, 20_000),
            "an old block counts from now on"
        );
        offenders.resume(block(0, 0).prefix, 20_000);
        assert!(offenders.is_persistent(&block(5000, 0), 100, 20_000));
    }
}
