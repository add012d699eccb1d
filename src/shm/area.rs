//! Anonymous shared mappings.

use std::io;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU16;

use once_cell::sync::OnceCell;

/// A shared mapping, all zero when new. Never unmapped: other modules may still
/// call into this one while Kamailio shuts down.
pub struct Area {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: Area is only an address range; every access goes through the typed
// accessors of this module, which state their own rules.
unsafe impl Send for Area {}
// SAFETY: as above.
unsafe impl Sync for Area {}

/// Types that may be in shared memory: atomics and plain numbers, valid when all bytes are
/// zero, without pointers into one process.
///
/// # Safety
/// The implementor guarantees all of that, and `Sync`-safe access.
pub unsafe trait Shared: Sync {}

// SAFETY: an atomic, zero is a value.
unsafe impl Shared for std::sync::atomic::AtomicU64 {}
// SAFETY: as above.
unsafe impl Shared for std::sync::atomic::AtomicU32 {}

#[cfg(shuttle)]
thread_local! {
    /// Mappings, and what stands for them.
    static SHARED: std::cell::RefCell<Vec<Box<dyn std::any::Any>>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Goes with the schedule that has it.
#[cfg(shuttle)]
struct Mapping(NonNull<u8>, usize);

#[cfg(shuttle)]
impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: who frees what was shared knows of nobody that still uses it.
        unsafe { libc::munmap(self.0.as_ptr().cast(), self.1) };
    }
}

/// Bytes of a page: 4096, on some kernels 16 or 64 KiB.
pub fn page_size() -> usize {
    static SIZE: OnceCell<usize> = OnceCell::new();
    // SAFETY: asks for a number.
    let ask = || usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0);
    (*SIZE.get_or_init(ask)).max(1)
}

impl Area {
    /// Reserves `len` bytes, rounded up to whole pages. Pages that are never
    /// touched cost nothing.
    ///
    /// # Errors
    /// What the kernel says, for example that address space is limited.
    pub fn new(len: usize) -> io::Result<Self> {
        let len = len.checked_next_multiple_of(page_size()).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a new anonymous mapping touches no memory of ours.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base: NonNull<u8> = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        // With Kamailio's mlock_pages the kernel has filled and locked all of it by now;
        // without, this does nothing. Failing is harmless.
        // SAFETY: the new mapping, which is not in use yet.
        unsafe {
            libc::munlock(base.as_ptr().cast(), len);
            libc::madvise(base.as_ptr().cast(), len, libc::MADV_REMOVE);
        }
        #[cfg(shuttle)]
        SHARED.with_borrow_mut(|kept| kept.push(Box::new(Mapping(base, len))));
        Ok(Area { base, len })
    }

    /// Maps one value of `T` for the life of the process family.
    pub fn share<T: Shared>() -> io::Result<&'static T> {
        let area = Area::new(size_of::<T>())?;
        // SAFETY: the mapping is page-aligned, large enough, zero (valid for
        // `Shared`) and never unmapped.
        Ok(unsafe { area.base.cast::<T>().as_ref() })
    }

    /// Maps `count` values of `T` for the life of the process family.
    #[cfg(not(shuttle))]
    pub fn share_slice<T: Shared>(count: usize) -> io::Result<&'static [T]> {
        let bytes = count.checked_mul(size_of::<T>()).ok_or(io::ErrorKind::InvalidInput)?;
        let area = Area::new(bytes.max(1))?;
        // SAFETY: as in `share`, for `count` values.
        Ok(unsafe { std::slice::from_raw_parts(area.base.cast::<T>().as_ptr(), count) })
    }

    /// The scheduler's atomics cannot be in a mapping: they are kept until
    /// [`Area::free_shared`].
    #[cfg(shuttle)]
    pub fn share_slice<T: Default + 'static>(count: usize) -> io::Result<&'static [T]> {
        let values: Vec<T> = (0..count).map(|_| T::default()).collect();
        // SAFETY: the vector keeps its values where they are; who frees it knows of nobody that
        // still uses them.
        let shared = unsafe { std::slice::from_raw_parts(values.as_ptr(), count) };
        SHARED.with_borrow_mut(|kept| kept.push(Box::new(values)));
        Ok(shared)
    }

    /// Frees all that this thread has shared: there are as many ledgers as schedules.
    ///
    /// # Safety
    /// Nobody uses any of it any more.
    #[cfg(shuttle)]
    pub unsafe fn free_shared() {
        SHARED.with_borrow_mut(Vec::clear);
    }

    /// As [`Area::share`], of what has atomics that a scheduler may need to know.
    #[cfg(not(shuttle))]
    pub fn share_atomic<T: Shared>() -> io::Result<&'static T> {
        Area::share()
    }

    #[cfg(shuttle)]
    pub fn share_atomic<T: Default + 'static>() -> io::Result<&'static T> {
        Self::share_slice(1)?.first().ok_or(io::ErrorKind::OutOfMemory.into())
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The atomic at an offset; None if it is not inside, or the offset is odd.
    ///
    /// # Safety
    /// While the result lives, these two bytes are accessed as atomics only.
    #[inline]
    pub unsafe fn atomic(&self, offset: usize) -> Option<&AtomicU16> {
        if offset >= self.len || offset % 2 != 0 {
            return None;
        }
        // SAFETY: inside the mapping, whose length is even, and aligned, as its base is; any
        // bytes are a value; the caller keeps other accesses away.
        Some(unsafe { self.base.add(offset).cast().as_ref() })
    }

    /// A part of it; None if it is not inside.
    pub fn part(&self, offset: usize, len: usize) -> Option<Part<'_>> {
        let end = offset.checked_add(len)?;
        if end > self.len {
            return None;
        }
        // SAFETY: offset is inside the mapping.
        let base = unsafe { self.base.add(offset) };
        Some(Part { base, len, area: PhantomData })
    }
}

/// A byte range of an [`Area`].
#[derive(Clone, Copy)]
pub struct Part<'a> {
    base: NonNull<u8>,
    len: usize,
    area: PhantomData<&'a Area>,
}

impl<'a> Part<'a> {
    /// A part of it; None if it is not inside.
    pub fn part(self, offset: usize, len: usize) -> Option<Part<'a>> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: offset is inside the mapping.
        Some(Part { base: unsafe { self.base.add(offset) }, len, area: PhantomData })
    }

    /// The part as atomics; empty if it is not aligned.
    ///
    /// # Safety
    /// While the slice lives, the part is accessed as atomics only.
    pub unsafe fn atomics(self) -> &'a [AtomicU16] {
        let base: *const AtomicU16 = self.base.as_ptr().cast();
        if !base.is_aligned() {
            return &[];
        }
        // SAFETY: inside the mapping, aligned, any bytes are a value; the caller keeps other
        // accesses away.
        unsafe { std::slice::from_raw_parts(base, self.len / size_of::<AtomicU16>()) }
    }

    /// The bytes.
    ///
    /// # Safety
    /// No process may write to the part while the slice lives.
    pub unsafe fn bytes(self) -> &'a [u8] {
        // SAFETY: inside the mapping, always initialised; the caller keeps
        // writers away.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), self.len) }
    }

    /// Copies `bytes` to the start of the part. False if they do not fit.
    ///
    /// # Safety
    /// No process may read or write the part during the call.
    pub unsafe fn write(self, bytes: &[u8]) -> bool {
        if bytes.len() > self.len {
            return false;
        }
        // SAFETY: inside the mapping, which no private slice overlaps; the
        // caller keeps other processes away.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.as_ptr(), bytes.len()) };
        true
    }

    /// Gives the pages back to the system; they read as zero afterwards. The
    /// part must begin and end at page boundaries.
    ///
    /// # Safety
    /// No process may read or write the part during the call.
    pub unsafe fn discard(self) -> io::Result<()> {
        // SAFETY: the range is inside a shared mapping of ours; MADV_REMOVE
        // frees its backing store for all processes.
        let rc = unsafe { libc::madvise(self.base.as_ptr().cast(), self.len, libc::MADV_REMOVE) };
        if rc == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Bytes of it that take memory, in whole pages.
    pub fn resident(self) -> usize {
        let mut map = vec![0u8; self.len.div_ceil(page_size())];
        // SAFETY: the range is mapped and the vector has a byte per page.
        let rc = unsafe { libc::mincore(self.base.as_ptr().cast(), self.len, map.as_mut_ptr()) };
        if rc != 0 {
            return 0;
        }
        map.iter().filter(|page| **page & 1 != 0).count() * page_size()
    }
}
