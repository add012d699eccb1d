//! When workers do not even wait for the server.

/// Closed: workers wait for answers. Open: they do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    timeouts: u32,
    open: bool,
}

/// Calls in a row that got no answer in time.
const TIMEOUTS: u32 = 3;

impl Breaker {
    /// As one word, for shared memory; all zero is a closed one.
    pub fn bits(self) -> u64 {
        u64::from(self.timeouts) << 1 | u64::from(self.open)
    }

    /// From such a word.
    pub fn of(bits: u64) -> Self {
        Breaker { timeouts: u32::try_from(bits >> 1).unwrap_or(u32::MAX), open: bits & 1 != 0 }
    }

    /// Whether workers do not wait.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// A call got no answer in time.
    pub fn timed_out(&mut self) {
        self.timeouts = self.timeouts.saturating_add(1);
        self.open |= self.timeouts >= TIMEOUTS;
    }

    /// An answer came, in time or late. A session that goes on is as good as ever.
    pub fn answered(&mut self) {
        *self = Breaker::default();
    }

    /// The session is over, or trust has ended.
    pub fn broke(&mut self) {
        self.open = true;
    }

    /// The node is a member.
    pub fn joined(&mut self) {
        *self = Breaker::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_timeouts_in_a_row_open_it_and_an_answer_closes_it() {
        let mut breaker = Breaker::default();
        breaker.timed_out();
        breaker.timed_out();
        breaker.answered();
        breaker.timed_out();
        breaker.timed_out();
        assert!(!breaker.is_open());
        breaker.timed_out();
        assert!(breaker.is_open());
        breaker.answered();
        assert!(!breaker.is_open());
        breaker.broke();
        assert!(breaker.is_open());
        breaker.joined();
        assert!(!breaker.is_open());
    }
}
