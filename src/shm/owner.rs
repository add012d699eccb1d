//! Owners of locks and reader slots: a word that names a process or a thread.
//!
//! The kernel reuses the id of a process that has ended. So the word also has a mark of its
//! owner's start time, which another process with the same id does not have.
//!
//! ```text
//! unused: 1 bit (a lock's own) | mark: 8 bits, 0 if it is not known | id: 23 bits
//! ```

use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use once_cell::sync::OnceCell;

/// The kernel's ids are below 2^22.
const ID_BITS: u32 = 23;
const ID: u32 = (1 << ID_BITS) - 1;
/// Marks, 0 aside.
const MARKS: u64 = 255;

/// Word of the calling process; its only thread changes it.
static PROCESS: AtomicU32 = AtomicU32::new(0);
static WATCHING: OnceCell<bool> = OnceCell::new();

extern "C" fn forget() {
    PROCESS.store(0, Relaxed);
}

/// The word of the calling process, without a system call each time.
pub fn own_process() -> u32 {
    match PROCESS.load(Relaxed) {
        0 => learn(),
        word => word,
    }
}

#[cold]
fn learn() -> u32 {
    let word = word_of(std::process::id());
    // SAFETY: the handler is a single atomic store.
    let watch = || unsafe { libc::pthread_atfork(None, None, Some(forget)) } == 0;
    if *WATCHING.get_or_init(watch) {
        PROCESS.store(word, Relaxed);
    }
    word
}

/// Pid of the calling process.
pub fn process_id() -> u32 {
    id_of(own_process())
}

/// The word of the calling thread; in the first thread of a process it has the
/// process's id.
#[cfg(not(shuttle))]
pub fn own_thread() -> u32 {
    // SAFETY: asks for a number.
    let id = unsafe { libc::gettid() };
    word_of(u32::try_from(id).unwrap_or(0))
}

/// The scheduler's threads are one of the kernel's.
#[cfg(shuttle)]
pub fn own_thread() -> u32 {
    usize::from(shuttle::thread::current().id()) as u32 + 1
}

/// The id in an owner's word.
pub fn id_of(word: u32) -> u32 {
    word & ID
}

fn mark_of(word: u32) -> u32 {
    (word & !(1 << 31)) >> ID_BITS
}

fn word_of(id: u32) -> u32 {
    id | stat_of(id).map_or(0, |stat| stat.mark) << ID_BITS
}

/// Whether no process has the id of an owner: one system call. A zombie counts as alive, and
/// so does another process with the same id: see [`is_gone`].
pub fn is_unknown(word: u32) -> bool {
    let id = id_of(word) as libc::pid_t;
    if id == 0 {
        return true;
    }
    // The scheduler's threads do not die.
    if cfg!(shuttle) {
        return false;
    }
    // SAFETY: signal 0 only asks whether the process exists.
    let rc = unsafe { libc::kill(id, 0) };
    rc != 0 && std::io::Error::last_os_error().raw_os_error() != Some(libc::EPERM)
}

/// Whether an owner has ended. Reads a file of `/proc`; without one (in a chroot) the result
/// is that of [`is_unknown`].
pub fn is_gone(word: u32) -> bool {
    if is_unknown(word) {
        return true;
    }
    if cfg!(shuttle) {
        return false;
    }
    let Some(stat) = stat_of(id_of(word)) else { return false };
    stat.has_ended || mark_of(word) != 0 && mark_of(word) != stat.mark
}

struct Stat {
    /// It is a zombie.
    has_ended: bool,
    /// Of its start, never 0.
    mark: u32,
}

/// Allocates nothing.
fn stat_of(id: u32) -> Option<Stat> {
    let mut path = [0u8; 32];
    write!(&mut path[..], "/proc/{id}/stat").ok()?;
    let path = std::str::from_utf8(path.split(|byte| *byte == 0).next()?).ok()?;
    let mut text = [0u8; 1024];
    let read = File::open(path).ok()?.read(&mut text).ok()?;
    // The name, in parentheses, may contain any sign.
    let behind = text.get(..read)?.rsplit(|byte| *byte == b')').next()?;
    let mut fields = std::str::from_utf8(behind).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    // From the state on: threads are field 17, the start in clock ticks is field 19.
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    let start: u64 = fields.nth(1)?.parse().ok()?;
    // Other threads may run on after the first one has ended.
    let has_ended = matches!(state, "Z" | "X") && threads <= 1;
    Some(Stat { has_ended, mark: (start % MARKS) as u32 + 1 })
}

#[cfg(all(test, not(shuttle)))]
pub(super) mod tests {
    use super::*;

    /// An owner that has ended, and whose id this process has now.
    pub fn with_reused_id() -> u32 {
        let own = own_process();
        let mark = mark_of(own) % MARKS as u32 + 1;
        id_of(own) | mark << ID_BITS
    }

    /// A zombie; the caller waits for it.
    #[allow(clippy::unwrap_used)]
    pub fn zombie() -> std::process::Child {
        let child = std::process::Command::new("true").spawn().unwrap();
        while !stat_of(child.id()).unwrap().has_ended {
            std::thread::yield_now();
        }
        child
    }

    #[test]
    fn an_owner_differs_from_the_next_process_with_its_id() {
        let own = own_process();
        assert_eq!(id_of(own), std::process::id());
        assert_ne!(mark_of(own), 0);
        assert!(!is_gone(own) && !is_gone(id_of(own)));
        let reused = with_reused_id();
        assert!(!is_unknown(reused) && is_gone(reused));
    }

    #[test]
    fn a_process_that_has_ended_is_gone_before_it_is_waited_for() {
        let mut child = zombie();
        assert!(!is_unknown(child.id()) && is_gone(child.id()));
        child.wait().unwrap();
        assert!(is_unknown(child.id()) && is_gone(child.id()));
    }

    #[test]
    fn each_thread_has_a_word_of_its_own() {
        let own = own_thread();
        let other = std::thread::spawn(own_thread).join().unwrap();
        assert_ne!(id_of(own), id_of(other));
        assert!(!is_gone(own));
        while !is_gone(other) {
            std::thread::yield_now();
        }
    }
}
