//! When a node does something by itself: beats, attempts to join, the end of a dead link.

use super::trust::Times;

/// First wait before a node joins again, in ms; it doubles.
const FIRST_WAIT: u64 = 200;
/// The longest.
const LONGEST_WAIT: u64 = 2_000;
/// How soon PUBLISHED is asked again while members do not know this node.
const ASK_AGAIN: u64 = 50;

/// A node's next deadlines, in ms of its clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    next_beat: u64,
    next_join: u64,
    next_request: u64,
    wait: u64,
    /// When the request was sent that has no answer.
    asked: Option<u64>,
}

impl Pace {
    /// Whether a beat is due; `early`: there is news of members.
    pub fn beat_is_due(&self, now: u64, early: bool) -> bool {
        early || now >= self.next_beat
    }

    /// A beat was sent.
    pub fn beaten(&mut self, now: u64, times: &Times) {
        self.next_beat = now.saturating_add(times.beat);
    }

    /// Whether to try to join.
    pub fn join_is_due(&self, now: u64) -> bool {
        now >= self.next_join
    }

    /// The session is over. `random`: drawn for this wait, so that nodes do not come all at
    /// once: the first wait is up to one beat.
    pub fn broke(&mut self, now: u64, times: &Times, random: u64) {
        let spread = random.checked_rem(times.beat.max(1)).unwrap_or(0);
        self.next_join = now.saturating_add(if self.wait == 0 { spread } else { self.wait });
        self.wait = self.wait.saturating_mul(2).clamp(FIRST_WAIT, LONGEST_WAIT);
        self.asked = None;
    }

    /// The node is a member.
    pub fn joined(&mut self) {
        self.wait = 0;
    }

    /// Some members do not know this node yet.
    pub fn unknown(&mut self, now: u64) {
        self.next_request = now.saturating_add(ASK_AGAIN);
    }

    /// Whether the next request of claims may be sent.
    pub fn may_ask(&self, now: u64) -> bool {
        self.asked.is_none() && now >= self.next_request
    }

    /// A request of claims was sent.
    pub fn asked(&mut self, now: u64) {
        self.asked = Some(now);
    }

    /// Its answer has come, however late.
    pub fn answered(&mut self) {
        self.asked = None;
    }

    /// Whether the link is dead: no answer for `dead_link` ms. A late answer is no lost one,
    /// so this is much longer than any worker waits.
    pub fn link_is_dead(&self, now: u64, dead_link: u64) -> bool {
        self.asked.is_some_and(|asked| now.saturating_sub(asked) >= dead_link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_begin_anew_with_a_member() {
        let (mut pace, times) = (Pace::default(), Times::default());
        pace.broke(1_000, &times, 2_345);
        assert!(!pace.join_is_due(1_344) && pace.join_is_due(1_345));
        let mut waits = Vec::new();
        for _ in 0..6 {
            pace.broke(0, &times, 7);
            waits.push((0..).find(|now| pace.join_is_due(*now)).unwrap());
        }
        assert_eq!(waits, [200, 400, 800, 1_600, 2_000, 2_000]);
        pace.joined();
        pace.broke(0, &times, 7);
        assert!(pace.join_is_due(7));
    }

    #[test]
    fn a_late_answer_keeps_the_link() {
        let mut pace = Pace::default();
        pace.asked(100);
        assert!(!pace.may_ask(100) && !pace.link_is_dead(1_099, 1_000));
        pace.answered();
        assert!(pace.may_ask(1_100) && !pace.link_is_dead(9_999, 1_000));
        pace.asked(1_100);
        assert!(pace.link_is_dead(2_100, 1_000));
    }

    #[test]
    fn news_of_members_make_a_beat_due() {
        let (mut pace, times) = (Pace::default(), Times::default());
        pace.beaten(500, &times);
        assert!(!pace.beat_is_due(1_499, false) && pace.beat_is_due(1_500, false));
        assert!(pace.beat_is_due(501, true));
    }
}
