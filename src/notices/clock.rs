//! The clock of the server, of which notices have their times.

/// Ms by which the server's clock may differ from what it showed before: less is an answer that
/// was late.
const STEP: u64 = 10_000;

/// The server's clock as it last was seen.
#[derive(Default)]
pub struct ServerClock(Option<(u64, u64)>);

impl ServerClock {
    /// It showed `server` when the node's own clock showed `own`, in ms. By how much it was set
    /// since the last time, if it was.
    pub fn see(&mut self, server: u64, own: u64) -> Option<Set> {
        let (before, at) = self.0.replace((server, own))?;
        let expected = before.saturating_add(own.saturating_sub(at));
        (server.abs_diff(expected) > STEP).then(|| match server.checked_sub(expected) {
            Some(ms) => Set::Forward(ms),
            None => Set::Back,
        })
    }
}

/// A clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// By so many ms.
    Forward(u64),
    Back,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_set_when_it_shows_what_no_late_answer_explains() {
        let mut clock = ServerClock::default();
        let seen: Vec<_> = [(500_000, 0), (509_000, 5_000), (521_000, 6_001), (500_000, 7_000)]
            .map(|(server, own)| clock.see(server, own))
            .into();
        assert_eq!(seen, [None, None, Some(Set::Forward(10_999)), Some(Set::Back)]);
    }
}
