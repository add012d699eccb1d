//! Snapshots in shared memory: two halves used in turn.
//!
//! Generation g is in half g % 2. A half is written again only when it has no readers left.
//! After a publication the retired half gives its pages back as soon as its last reader has
//! left. Behind a snapshot is an array of marks, which readers may set.

use std::io;
use std::sync::atomic::AtomicU16;
use std::time::{Duration, Instant};

use parking_lot::lock_api::MutexGuard;

use super::area::{Area, Part, Shared, page_size};
use super::atomic::{AtomicU64, Ordering::*};
use super::futex::pause;
use super::mutex::{RawSharedMutex, SharedMutex};
use super::publication::{Publication, Reader};

/// How long a publication waits for readers of the half it needs. A reader is
/// in it for microseconds.
const GRACE: Duration = Duration::from_secs(5);

#[repr(C)]
#[cfg_attr(shuttle, derive(Default))]
struct Control {
    publication: Publication,
    /// Bytes of the snapshot in each half.
    lens: [AtomicU64; 2],
    /// Marks behind it.
    marks: [AtomicU64; 2],
    writer: SharedMutex<u8>,
}

// SAFETY: atomics, a zero-valid lock, and a publication that is `Shared`.
unsafe impl Shared for Control {}

/// The snapshots of all processes.
pub struct SnapshotStore {
    area: Area,
    control: &'static Control,
    half: usize,
}

/// Has the reload lock: publications come one after the other.
pub struct Writer<'a> {
    store: &'a SnapshotStore,
    _lock: MutexGuard<'a, RawSharedMutex, u8>,
}

/// A generation that stays readable as long as this lives.
pub struct Pinned<'a> {
    store: &'a SnapshotStore,
    reader: Reader,
    generation: u64,
}

/// A snapshot and its marks.
pub struct Generation<'a> {
    pub bytes: &'a [u8],
    pub marks: &'a [AtomicU16],
}

/// A publication that succeeded.
#[derive(Debug)]
pub struct Published {
    /// Number of the new generation, from 1.
    pub generation: u64,
    /// A process that still read the old one when the grace period ended; its
    /// memory is then given back with the next publication.
    pub lingering: Option<u32>,
}

/// A publication that failed; the old generation stays current.
#[derive(Debug)]
pub enum PublishError {
    /// The snapshot is larger than a half.
    TooLarge {
        /// Bytes of a half.
        room: usize,
    },
    /// A process has not left an old generation for 5 s.
    Busy { pid: u32 },
}

impl SnapshotStore {
    /// Reserves `bytes` of address space for both halves.
    pub fn new(bytes: usize) -> io::Result<Self> {
        let half = half_of(bytes, page_size());
        let area = Area::new(half * 2)?;
        Ok(SnapshotStore { area, control: Area::share_atomic()?, half })
    }

    /// Bytes of the largest snapshot.
    pub fn room(&self) -> usize {
        self.half
    }

    pub fn publication(&self) -> &'static Publication {
        &self.control.publication
    }

    /// Bytes of both halves that take memory now.
    pub fn resident(&self) -> usize {
        self.area.part(0, self.area.len()).map_or(0, Part::resident)
    }

    /// Takes the reload lock; waits for a reload of another process.
    ///
    /// # Errors
    /// Pid of the process that has kept it for `timeout`.
    pub fn writer(&self, timeout: Duration) -> Result<Writer<'_>, u32> {
        // SAFETY: the raw lock is only asked and, if `acquire` has it, handed to
        // the guard made right after.
        let raw = unsafe { self.control.writer.raw() };
        if !raw.acquire(Some(timeout)) {
            return Err(raw.owner());
        }
        // SAFETY: this thread has the lock and no guard of it exists.
        let lock = unsafe { self.control.writer.make_guard_unchecked() };
        Ok(Writer { store: self, _lock: lock })
    }

    /// The current generation, readable until the result is dropped; None if
    /// nothing was published. Wait-free but for a reload in between.
    pub fn pin(&self, reader: Reader) -> Option<Pinned<'_>> {
        let generation = self.control.publication.pin(reader);
        let pinned = Pinned { store: self, reader, generation };
        (generation != 0).then_some(pinned)
    }

    fn half_of(&self, generation: u64) -> Option<Part<'_>> {
        self.area.part((generation % 2) as usize * self.half, self.half)
    }

    fn len_of(&self, generation: u64) -> &AtomicU64 {
        of_half(&self.control.lens, generation)
    }

    fn mark_count_of(&self, generation: u64) -> &AtomicU64 {
        of_half(&self.control.marks, generation)
    }

    /// The marks of a generation.
    ///
    /// # Safety
    /// It is not written while the slice lives.
    unsafe fn marks_of(&self, generation: u64) -> &[AtomicU16] {
        let offset = marks_at(self.len_of(generation).load(Relaxed) as usize);
        let count = self.mark_count_of(generation).load(Relaxed) as usize;
        let part = self.half_of(generation).and_then(|half| half.part(offset, 2 * count));
        // SAFETY: marks are only accessed as atomics; the caller keeps the writer away.
        part.map_or(&[], |part| unsafe { part.atomics() })
    }

    /// Waits until no process reads a stale generation; the pid of one that
    /// still does after [`GRACE`].
    fn grace(&self, stale: impl Fn(u64) -> bool) -> Result<(), u32> {
        let started = Instant::now();
        let mut time = Duration::from_micros(20);
        while let Some(pid) = self.control.publication.reader_of(&stale) {
            if started.elapsed() > GRACE {
                return Err(pid);
            }
            pause(time);
            time = (time * 2).min(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Bytes of a half: whole pages, since the kernel takes no others back.
fn half_of(bytes: usize, page: usize) -> usize {
    (bytes / 2).next_multiple_of(page)
}

fn of_half(numbers: &[AtomicU64; 2], generation: u64) -> &AtomicU64 {
    let [even, odd] = numbers;
    if generation % 2 == 0 { even } else { odd }
}

/// Where marks begin behind so many bytes: they share no cache line with the snapshot.
fn marks_at(bytes: usize) -> usize {
    bytes.next_multiple_of(128)
}

impl Writer<'_> {
    /// Copies `bytes` into the free half and makes it the current generation, with so many
    /// marks, all zero. `carry` then gets the old generation, if there is one, and the new
    /// one, whose marks readers set already.
    ///
    /// # Errors
    /// Too large, or a reader does not leave; nothing has changed then.
    pub fn publish(
        &self,
        bytes: &[u8],
        marks: usize,
        carry: impl FnOnce(Option<Generation<'_>>, &Generation<'_>),
    ) -> Result<Published, PublishError> {
        let store = self.store;
        let too_large = PublishError::TooLarge { room: store.half };
        let size = marks_at(bytes.len()).saturating_add(marks.saturating_mul(2));
        if size > store.half {
            return Err(too_large);
        }
        let old = store.control.publication.current();
        let generation = old + 1;
        let same_half = |g: u64| g != old && g % 2 == generation % 2;
        store.grace(same_half).map_err(|pid| PublishError::Busy { pid })?;
        let Some(half) = store.half_of(generation) else {
            return Err(too_large);
        };
        // SAFETY: only the owner of the lock writes, and no reader is left in this half: new
        // ones pin `old`, which is the other half.
        unsafe { half.write(bytes) };
        store.len_of(generation).store(bytes.len() as u64, Relaxed);
        store.mark_count_of(generation).store(marks as u64, Relaxed);
        let new = self.generation(generation);
        // The half may have served before.
        new.marks.iter().for_each(|mark| mark.store(0, Relaxed));
        store.control.publication.publish(generation);
        // The last marks are set while the last readers leave.
        let lingering = store.grace(|g| g <= old).err();
        carry((old != 0).then(|| self.generation(old)), &new);
        if let (None, Some(half)) = (lingering, store.half_of(old)) {
            // SAFETY: no reader is left in it and new ones pin its successor.
            // Failing is harmless: the pages stay and are written again later.
            let _ = unsafe { half.discard() };
        }
        Ok(Published { generation, lingering })
    }

    /// What was written last into a half. Its memory is not given back meanwhile: the
    /// publication that does it has this writer.
    fn generation(&self, generation: u64) -> Generation<'_> {
        let len = self.store.len_of(generation).load(Relaxed) as usize;
        let part = self.store.half_of(generation).and_then(|half| half.part(0, len));
        Generation {
            // SAFETY: only the owner of the lock writes, and it does not while it reads.
            bytes: part.map_or(&[], |part| unsafe { part.bytes() }),
            // SAFETY: as above.
            marks: unsafe { self.store.marks_of(generation) },
        }
    }
}

impl Pinned<'_> {
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The snapshot, aligned to a page.
    pub fn bytes(&self) -> &[u8] {
        let len = self.store.len_of(self.generation).load(Relaxed) as usize;
        let offset = (self.generation % 2) as usize * self.store.half;
        match self.store.area.part(offset, len) {
            // SAFETY: the pin keeps the writer out of this half.
            Some(part) => unsafe { part.bytes() },
            None => &[],
        }
    }

    /// One of its marks, as [`Pinned::marks`] has them: in fewer steps, for requests.
    #[inline]
    pub fn mark(&self, at: usize) -> Option<&AtomicU16> {
        let store = self.store;
        let count = store.mark_count_of(self.generation).load(Relaxed) as usize;
        let len = store.len_of(self.generation).load(Relaxed) as usize;
        let half = (self.generation % 2) as usize * store.half;
        if at >= count {
            return None;
        }
        // SAFETY: as in `marks`.
        unsafe { store.area.atomic(half + marks_at(len) + 2 * at) }
    }

    /// Its marks, which any reader may set.
    #[inline]
    pub fn marks(&self) -> &[AtomicU16] {
        // SAFETY: the pin keeps the writer out of this half.
        unsafe { self.store.marks_of(self.generation) }
    }
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        self.store.control.publication.unpin(self.reader);
    }
}

#[cfg(test)]
mod tests {
    use super::super::owner::{id_of, own_thread};
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn publish(
        store: &SnapshotStore,
        bytes: &[u8],
        marks: usize,
    ) -> Result<Published, PublishError> {
        store.writer(NOW).unwrap().publish(bytes, marks, |_, _| {})
    }

    #[test]
    fn marks_of_the_generation_before_are_carried_over() {
        let store = SnapshotStore::new(2 * page_size()).unwrap();
        // SAFETY: a store of this test's own, one thread.
        let slot = unsafe { store.publication().claim() }.unwrap();
        for n in 1..=5u16 {
            let carry = |old: Option<Generation<'_>>, new: &Generation<'_>| {
                assert_eq!((new.bytes.len(), new.marks.len()), (64, 3));
                assert!(new.marks.iter().all(|mark| mark.load(Relaxed) == 0));
                let Some(old) = old else { return assert_eq!(n, 1) };
                assert_eq!(old.bytes, [n as u8 - 1; 64]);
                new.marks
                    .iter()
                    .zip(old.marks)
                    .for_each(|(to, from)| to.store(from.load(Relaxed), Relaxed));
            };
            store.writer(NOW).unwrap().publish(&[n as u8; 64], 3, carry).unwrap();
            let pinned = store.pin(slot).unwrap();
            assert_eq!(pinned.marks()[2].fetch_add(1, Relaxed), n - 1);
            assert_eq!(pinned.mark(2).map(|mark| mark.load(Relaxed)), Some(n));
            assert!(pinned.mark(3).is_none());
        }
    }

    #[test]
    fn halves_are_whole_pages_of_any_size() {
        assert_eq!([4096, 16384, 65536].map(|page| half_of(8194, page)), [8192, 16384, 65536]);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let page = page_size();
        let store = SnapshotStore::new(2 * page).unwrap();
        // SAFETY: a store of this test's own, one thread.
        let slot = unsafe { store.publication().claim() }.unwrap();
        assert!(store.pin(slot).is_none());
        publish(&store, &[1; 64], 0).unwrap();
        for (bytes, marks) in [(page + 1, 0), (page, 1), (page - 127, 1)] {
            let error = publish(&store, &vec![2; bytes], marks).unwrap_err();
            assert!(matches!(error, PublishError::TooLarge { room } if room == page));
        }
        let pinned = store.pin(slot).unwrap();
        assert_eq!((pinned.generation(), pinned.bytes()), (1, &[1u8; 64][..]));
    }

    #[test]
    fn a_reader_that_is_stopped_delays_only_writers() {
        let store = SnapshotStore::new(2 * page_size()).unwrap();
        publish(&store, &[1; 64], 0).unwrap();
        // SAFETY: the only slot of this thread in a store of this test's own.
        let pinned = store.pin(unsafe { store.publication().claim() }.unwrap()).unwrap();
        let this = id_of(own_thread());
        let look = || {
            // SAFETY: as above, of another thread.
            let pinned = store.pin(unsafe { store.publication().claim() }?)?;
            Some((pinned.generation(), pinned.bytes().to_vec()))
        };
        let read = || std::thread::scope(|scope| scope.spawn(look).join().unwrap());
        // The other half is free: this one is served.
        let second = publish(&store, &[2; 64], 0).unwrap();
        assert_eq!((second.generation, second.lingering), (2, Some(this)));
        assert_eq!(read(), Some((2, vec![2; 64])));
        // The next one needs the half that is read.
        let third = publish(&store, &[3; 64], 0).unwrap_err();
        assert!(matches!(third, PublishError::Busy { pid } if pid == this), "{third:?}");
        assert_eq!(read(), Some((2, vec![2; 64])));
        assert_eq!((pinned.generation(), pinned.bytes()), (1, &[1u8; 64][..]));
        drop(pinned);
        let third = publish(&store, &[3; 64], 0).unwrap();
        assert_eq!((third.generation, third.lingering), (3, None));
        assert_eq!(read(), Some((3, vec![3; 64])));
    }

    #[test]
    fn a_second_writer_is_told_who_holds_the_lock() {
        let store = SnapshotStore::new(2 * page_size()).unwrap();
        let first = store.writer(NOW).unwrap();
        assert_eq!(store.writer(NOW).err(), Some(std::process::id()));
        drop(first);
        assert!(store.writer(NOW).is_ok());
    }

    #[test]
    fn the_retired_half_gives_its_memory_back() {
        let store = SnapshotStore::new(64 * page_size()).unwrap();
        for n in 0..10u8 {
            publish(&store, &vec![n; 20 * page_size()], 0).unwrap();
            assert_eq!(store.resident(), 20 * page_size());
        }
    }
}
