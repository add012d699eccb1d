//! A sliding window whose error is one-sided.
//!
//! Time is cut into slices, [`SLICES`] to a window. The current slice counts, and those before
//! it that are in the window with their whole length. So all counted events are from less
//! than one window: a source that keeps to its limit in every window is never over it. And
//! all of the last `(SLICES - 1) / SLICES` of a window is counted: no span of that length
//! ever passes more than the limit.

use bytemuck::{Pod, Zeroable};

/// Slices of a window. The window that is enforced is between 13/14 of the
/// configured one and all of it.
pub const SLICES: usize = 14;

/// Shortest window in ms: a slice of it is longer than the clock's ms.
const SHORTEST: u32 = SLICES as u32 + 1;

/// Slice numbers begin again here, after a year with the shortest window. A multiple of
/// [`SLICES`], so that neighbours stay side by side.
const PERIOD: u32 = (SLICES as u32) << 28;

/// How time is cut: slice number = time in ms * factor / 2^64.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
struct Slicing {
    factor: u64,
}

impl Slicing {
    /// For a window of `window` ms, [`SHORTEST`] at least.
    const fn new(window: u32) -> Self {
        let window = if window < SHORTEST { SHORTEST } else { window };
        // Rounded up: a slice is never too long, so that 14 of them fit.
        let numerator = (SLICES as u128) << 64;
        Slicing { factor: numerator.div_ceil(window as u128) as u64 }
    }

    /// Number of the slice at a time in ms, below [`PERIOD`].
    #[inline]
    const fn at(self, now: u64) -> u32 {
        let number = (now as u128 * self.factor as u128) >> 64;
        (number as u64 % PERIOD as u64) as u32
    }
}

/// How events are counted in windows; the same for all entries of one rule.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Counting {
    slicing: Slicing,
    /// Length of the window in ms.
    window: u32,
    /// Raised when the length changes: earlier counts then mean nothing.
    id: u32,
}

/// The lowest rank is evicted first: the events that still count, then how lately the last
/// one came.
pub type EvictionRank = (u32, i64);

impl Counting {
    pub const NONE: Self = Counting { slicing: Slicing::new(1000), window: 0, id: 0 };

    /// The counting in windows of `window` ms that follows on this one. The clock shows
    /// a time up to `tick` ms too early, so two events may seem nearer to each other
    /// than they are.
    #[must_use]
    pub const fn change(self, window: u32, tick: u32) -> Self {
        let id = if window == self.window { self.id } else { self.id.wrapping_add(1) };
        Counting { slicing: Slicing::new(window.saturating_sub(tick)), window, id }
    }

    /// Events in the window that ends at `now`; moves the window on. `id` is that of the
    /// counting that the window was last used with.
    #[inline]
    pub fn count(&self, window: &mut Window, id: &mut u8, now: u64) -> u32 {
        if *id != self.id as u8 {
            *id = self.id as u8;
            window.clear();
        }
        window.advance(self.slicing.at(now));
        window.sum()
    }

    /// As [`Counting::count`], where an event may be counted after later ones. Also returns the
    /// slice of its own time, for [`Window::add_in`]. None: the event is from before the window,
    /// so it has nothing in common with what is counted there. The caller keeps the window's
    /// length.
    pub fn count_in(&self, window: &mut Window, now: u64) -> Option<(u32, Slice)> {
        let to = self.slicing.at(now);
        let behind = ahead(to, window.newest);
        if ahead(window.newest, to) <= behind {
            window.advance(to);
            return Some((window.sum(), Slice(to)));
        }
        ((behind as usize) < SLICES).then(|| (window.sum(), Slice(to)))
    }

    /// Length of the window in ms.
    pub const fn window(&self) -> u32 {
        self.window
    }

    /// Begins anew, as if `events` had come at a time.
    pub fn restart(&self, window: &mut Window, id: &mut u8, at: u64, events: u32) {
        *id = self.id as u8;
        *window = Window { newest: self.slicing.at(at), ..Window::NONE };
        window.add(events);
    }

    /// Notes that something came, and counts nothing.
    pub fn touch(&self, window: &mut Window, now: u64) {
        window.newest = self.slicing.at(now);
    }

    pub fn eviction_rank(&self, window: &Window, id: u8, now: u64) -> EvictionRank {
        let behind = ahead(window.newest, self.slicing.at(now));
        let lately = -(i64::from(behind) * i64::from(self.window));
        let fresh = (behind as usize) < SLICES && id == self.id as u8;
        (if fresh { window.sum() } else { 0 }, lately)
    }
}

/// Slices from one number on to another.
const fn ahead(from: u32, to: u32) -> u32 {
    if to >= from { to - from } else { to + (PERIOD - from) }
}

/// A slice of a window, by its number.
#[derive(Clone, Copy, Debug)]
pub struct Slice(u32);

/// The events of one window, in 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Window {
    /// Number of the slice of the last event.
    newest: u32,
    /// Events per slice, two in a word; slice n is at n modulo [`SLICES`].
    words: [u32; SLICES / 2],
}

// It fits into words of 8 bytes.
const _: () = assert!(size_of::<Window>() % 8 == 0);

impl Window {
    pub const NONE: Self = Window { newest: 0, words: [0; SLICES / 2] };

    #[inline]
    pub fn add_one(&mut self) {
        let newest = self.newest;
        if let Some(slice) = self.slices().get_mut(position(newest)) {
            *slice = slice.saturating_add(1);
        }
    }

    /// Counts one event in a slice from [`Counting::count_in`].
    pub fn add_in(&mut self, Slice(number): Slice) {
        if let Some(slice) = self.slices().get_mut(position(number)) {
            *slice = slice.saturating_add(1);
        }
    }

    pub fn add(&mut self, more: u32) {
        let newest = self.newest;
        if let Some(slice) = self.slices().get_mut(position(newest)) {
            *slice = slice.saturating_add(u16::try_from(more).unwrap_or(u16::MAX));
        }
    }

    #[inline]
    pub fn clear(&mut self) {
        self.words = Default::default();
    }

    /// The space of the slices, for other use while nothing is counted. It must be cleared
    /// before the next count.
    #[inline]
    pub fn words_mut(&mut self) -> &mut [u32; SLICES / 2] {
        &mut self.words
    }

    #[inline]
    pub fn words(&self) -> &[u32; SLICES / 2] {
        &self.words
    }

    #[inline]
    fn slices(&mut self) -> &mut [u16; SLICES] {
        bytemuck::cast_mut(&mut self.words)
    }

    /// Moves on to slice `to` and clears the slices that have left the window. A step back
    /// in time begins a new window: else the same time would be counted twice.
    #[inline]
    fn advance(&mut self, to: u32) {
        let newest = self.newest;
        let ahead = ahead(newest, to);
        if ahead == 0 {
            return;
        }
        if (ahead as usize) < SLICES {
            for n in 1..=ahead {
                if let Some(slice) = self.slices().get_mut(position(newest + n)) {
                    *slice = 0;
                }
            }
        } else {
            self.clear();
        }
        self.newest = to;
    }

    #[inline]
    fn sum(&self) -> u32 {
        let slices: &[u16; SLICES] = bytemuck::cast_ref(&self.words);
        slices.iter().map(|n| u32::from(*n)).sum()
    }
}

#[inline]
fn position(number: u32) -> usize {
    number as usize % SLICES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(newest: u32, slices: u32) -> Window {
        let mut window = Window { newest, ..Window::NONE };
        (0..slices).for_each(|_| window.add_one());
        window
    }

    #[test]
    fn fourteen_slices_never_exceed_the_window_and_thirteen_nearly_fill_it() {
        for window in [100u32, 101, 999, 1000, 1999, 2000, 2800, 3_600_000] {
            let slicing = Slicing::new(window);
            // At the start, and after half a year.
            for base in [0u64, 15_768_000_000] {
                let mut begins = Vec::new();
                let mut last = slicing.at(base);
                for now in base + 1..base + 4 * u64::from(window.min(5000)) + 100 {
                    let number = slicing.at(now);
                    assert!(number - last <= 1);
                    if number != last {
                        begins.push(now);
                    }
                    last = number;
                }
                for pair in begins.windows(SLICES + 1) {
                    // The last ms of the 14th slice against the first of the 1st.
                    assert!(pair[SLICES] - 1 - pair[0] < u64::from(window));
                }
                for pair in begins.windows(SLICES) {
                    let span = (pair[SLICES - 1] - pair[0]) as f64;
                    assert!(span >= f64::from(window) * 13.0 / 14.0 - 1.0, "{window}: {span}");
                }
            }
        }
    }

    #[test]
    fn no_window_is_too_short_to_be_cut() {
        for window in 0..SHORTEST {
            assert_eq!(Slicing::new(window), Slicing::new(SHORTEST));
        }
        let counting = Counting::NONE.change(5, 10);
        let (mut window, mut id) = (Window::NONE, 0);
        for now in 0..1000 {
            assert!(counting.count(&mut window, &mut id, now) <= SLICES as u32);
            window.add_one();
        }
        assert_eq!(counting.count(&mut window, &mut id, u64::MAX), 0);
    }

    #[test]
    fn a_window_forgets_what_has_left_it() {
        let mut window = Window::NONE;
        for slice in 0..40 {
            window.advance(slice);
            window.add_one();
            assert_eq!(window.sum(), slice.min(13) + 1);
        }
        window.advance(39 + 5);
        assert_eq!(window.sum(), 9);
        window.advance(39 + 14);
        assert_eq!(window.sum(), 0);
    }

    #[test]
    fn numbers_begin_again_without_a_seam() {
        let mut window = Window { newest: PERIOD - 20, ..Window::NONE };
        for n in 0..40u32 {
            let to = (u64::from(PERIOD - 20 + n) % u64::from(PERIOD)) as u32;
            window.advance(to);
            window.add_one();
            assert_eq!(window.sum(), n.min(13) + 1);
        }
        assert_eq!(ahead(PERIOD - 1, 2), 3);
        let slicing = Slicing::new(1400);
        let last = u64::from(PERIOD) * 100;
        assert_eq!((slicing.at(last - 1), slicing.at(last)), (PERIOD - 1, 0));
    }

    #[test]
    fn a_step_back_begins_anew() {
        let mut window = counted(100, 3);
        window.advance(99);
        assert_eq!((window.sum(), window.newest), (0, 99));
    }

    #[test]
    fn an_event_that_is_late_counts_in_the_slice_of_its_time() {
        let counting = Counting::NONE.change(1400, 0);
        let mut window = Window::NONE;
        counting.restart(&mut window, &mut 0, 10_050, 1);
        let mut count = |now| {
            let (events, slice) = counting.count_in(&mut window, now)?;
            window.add_in(slice);
            Some(events)
        };
        // That of 8.75 s is in the oldest slice; of those of the window before none counts.
        let came = [9_850, 8_750, 8_650, 5_000, 10_050].map(&mut count);
        assert_eq!(came, [Some(1), Some(2), None, None, Some(3)]);
        // It goes first, that of 9.85 s two slices before those of 10.05 s.
        let came = [10_160, 11_160, 11_260, 11_460].map(&mut count);
        assert_eq!(came, [Some(3), Some(4), Some(4), Some(3)]);
    }

    #[test]
    fn another_length_begins_a_new_count_and_lets_what_was_counted_be_evicted() {
        let first = Counting::NONE.change(2000, 0);
        let (mut window, mut id) = (Window::NONE, 0);
        first.count(&mut window, &mut id, 5000);
        window.add(7);
        // Another tick is no other window.
        let ticking = first.change(2000, 4);
        assert_eq!(ticking.count(&mut window, &mut id, 5000), 7);
        let longer = ticking.change(4000, 4);
        assert_eq!(longer.eviction_rank(&window, id, 5000).0, 0);
        assert_eq!(longer.count(&mut window, &mut id, 5000), 0);
        assert_eq!(longer.change(2000, 4).count(&mut window, &mut id, 5000), 0);
    }

    #[test]
    fn the_rank_is_what_counts_and_then_how_lately_it_came() {
        let counting = Counting::NONE.change(1400, 0);
        let rank = |at, events, now| {
            let (mut window, mut id) = (Window::NONE, 0);
            counting.restart(&mut window, &mut id, at, events);
            counting.eviction_rank(&window, id, now)
        };
        assert!(rank(10_000, 5, 10_000) > rank(10_000, 4, 10_000));
        assert!(rank(9_000, 4, 10_000) < rank(9_500, 4, 10_000));
        assert!(rank(1_000, 9, 10_000) < rank(10_000, 1, 10_000));
        assert_eq!(rank(1_000, 9, 10_000).0, 0);
        let mut idle = Window::NONE;
        counting.touch(&mut idle, 10_000);
        assert_eq!(counting.eviction_rank(&idle, 0, 10_000), (0, 0));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Events(u16),
        Wait(u32),
        Back(u32),
        Restart(u32),
        Window(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (1u16..50).prop_map(Step::Events),
            4 => prop_oneof![0u32..200, 0u32..5000, Just(1400)].prop_map(Step::Wait),
            1 => (1u32..3000).prop_map(Step::Back),
            1 => (0u32..200).prop_map(Step::Restart),
            1 => prop_oneof![100u32..5000, Just(2000)].prop_map(Step::Window),
        ];
        prop::collection::vec(step, 1..200)
    }

    proptest! {
        /// Against a list of all events with the numbers of their slices.
        #[test]
        fn a_window_counts_what_a_list_of_all_events_does(
            steps in steps(),
            tick in 0u32..10,
            start in prop_oneof![Just(0u64), 0u64..10_000_000_000],
        ) {
            let mut counting = Counting::NONE.change(2000, tick);
            let (mut window, mut id) = (Window::NONE, 0);
            let mut events: Vec<u32> = Vec::new();
            let (mut now, mut last) = (start, 0);
            for step in steps {
                let slice = |counting: &Counting, now| counting.slicing.at(now);
                match step {
                    Step::Wait(ms) => now += u64::from(ms),
                    Step::Back(ms) => now = now.saturating_sub(u64::from(ms)),
                    Step::Window(ms) if ms != counting.window => {
                        counting = counting.change(ms, tick);
                        // What is counted next begins the new window.
                        events.clear();
                        last = 0;
                    }
                    Step::Window(ms) => counting = counting.change(ms, tick),
                    Step::Restart(count) => {
                        counting.restart(&mut window, &mut id, now, count);
                        last = slice(&counting, now);
                        events = vec![last; count as usize];
                    }
                    Step::Events(count) => {
                        for _ in 0..count {
                            let current = slice(&counting, now);
                            if current < last {
                                events.clear();
                            }
                            last = current;
                            let counts = |at: &&u32| current - **at < SLICES as u32;
                            let expected = events.iter().filter(counts).count() as u32;
                            // The rank does not move the window on.
                            prop_assert!(counting.eviction_rank(&window, id, now).0 >= expected);
                            prop_assert_eq!(counting.count(&mut window, &mut id, now), expected);
                            window.add_one();
                            events.push(current);
                        }
                    }
                }
            }
        }
    }
}
