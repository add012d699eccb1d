//! Monotonic time, unaffected by changes of the system date; and the date itself.

/// Ms since the machine started, as exact as the kernel's tick (1 to 10 ms): a
/// tenth of the cost of the exact clock. The same in all processes.
pub fn monotonic() -> u64 {
    time_of(libc::CLOCK_MONOTONIC_COARSE)
}

/// Exact ms since the machine started, those in which it slept too. The same in all processes.
pub fn boottime() -> u64 {
    time_of(libc::CLOCK_BOOTTIME)
}

/// Ms between two times that [`monotonic`] shows, 1 to 10.
pub fn tick() -> u32 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: as in `time_of`.
    unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    (time.tv_nsec as u64).div_ceil(1_000_000).clamp(1, 10) as u32
}

/// Seconds from `now` until a time, both in ms, rounded, 1 at least.
pub fn seconds_left(until: u64, now: u64) -> u64 {
    (until.saturating_sub(now).saturating_add(500) / 1000).max(1)
}

/// Ms since 1970, as exact as the kernel's tick.
pub fn wall() -> u64 {
    time_of(libc::CLOCK_REALTIME_COARSE)
}

pub fn seconds() -> u64 {
    wall() / 1000
}

/// A time in ms that [`monotonic`] shows, in whole seconds.
pub fn whole_seconds(ms: u64) -> i64 {
    i64::try_from(ms / 1000).unwrap_or(i64::MAX)
}

/// Seconds since a time in seconds since 1970; 0 for a future one.
pub fn age(since: u64) -> u64 {
    seconds().saturating_sub(since)
}

/// A time in seconds since 1970 as text, in UTC.
pub fn date(seconds: u64) -> String {
    let time = libc::time_t::try_from(seconds).unwrap_or(libc::time_t::MAX);
    // SAFETY: all zero is a value of the structure.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: reads the time and fills the structure.
    if unsafe { libc::gmtime_r(&raw const time, &raw mut parts) }.is_null() {
        return format!("second {seconds}");
    }
    let (year, month) = (parts.tm_year + 1900, parts.tm_mon + 1);
    let libc::tm { tm_mday: day, tm_hour: hour, tm_min: minute, tm_sec: second, .. } = parts;
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The day of a time in seconds since 1970, in UTC.
pub fn day(seconds: u64) -> String {
    date(seconds).split(' ').next().unwrap_or_default().to_owned()
}

fn time_of(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the structure; these clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Both clocks at one moment, to compute one time from the other.
#[derive(Clone, Copy)]
pub struct Moment {
    /// Ms of the monotonic clock.
    pub monotonic: u64,
    pub wall: u64,
}

impl Moment {
    pub fn now() -> Self {
        Moment { monotonic: monotonic(), wall: wall() }
    }

    /// The date, in ms since 1970, of a monotonic time.
    pub fn date(self, monotonic: u64) -> u64 {
        self.wall.saturating_add(monotonic).saturating_sub(self.monotonic)
    }

    /// The monotonic time in s of a date in seconds since 1970; below 0 for dates before the
    /// machine started. What is still to come, by a date that was set back, is now.
    pub fn seconds_of(self, date: u64) -> i64 {
        let age = (self.wall / 1000).saturating_sub(date);
        whole_seconds(self.monotonic).saturating_sub_unsigned(age)
    }

    /// The monotonic time of a date; 0 for dates before the machine started.
    pub fn monotonic(self, date: u64) -> u64 {
        self.monotonic.saturating_add(date).saturating_sub(self.wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_began_at_a_date_has_lasted_as_long_however_long_the_machine_runs() {
        let moment = |monotonic, wall| Moment { monotonic, wall };
        assert_eq!(moment(100_500, 1_000_000_500).seconds_of(999_940), 40);
        // Before the machine was started anew, and in a future that was the present.
        assert_eq!(moment(100_500, 1_000_000_500).seconds_of(999_000), -900);
        assert_eq!(moment(100_500, 1_000_000_500).seconds_of(1_000_060), 100);
    }
}
