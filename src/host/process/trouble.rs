//! Failures that last.

/// Ms between two lines about the same one.
const PERIOD: u64 = 60_000;

/// A job that is tried again and again: its failure is logged once a minute.
pub struct Trouble(Option<u64>);

impl Trouble {
    pub const NONE: Self = Trouble(None);

    /// It has failed at `now`, in ms: whether to log that.
    pub fn is_due(&mut self, now: u64) -> bool {
        let due = self.0.is_none_or(|at| now.saturating_sub(at) >= PERIOD);
        if due {
            self.0 = Some(now);
        }
        due
    }

    /// It has worked: whether a failure was logged before.
    pub fn is_over(&mut self) -> bool {
        self.0.take().is_some()
    }
}
