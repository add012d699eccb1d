//! What the kernel is asked for besides time and shared memory.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Bytes of address space that the process may map; None without a limit.
pub fn address_space_limit() -> Option<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills the structure.
    if unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) } != 0 {
        return None;
    }
    Some(limit.rlim_cur).filter(|limit| *limit != libc::RLIM_INFINITY).map(|limit| limit as usize)
}

/// A file without a name, in memory only.
///
/// # Errors
/// What the kernel says.
pub fn memory_file(label: &CStr) -> io::Result<File> {
    // SAFETY: the label outlives the call, which makes a new descriptor.
    let fd = unsafe { libc::memfd_create(label.as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Makes a program end with this process, and gives it none of its sockets.
pub fn detach(command: &mut Command) {
    // SAFETY: the closure makes system calls only, as is allowed after a fork.
    unsafe { command.pre_exec(detach_self) };
}

fn detach_self() -> io::Result<()> {
    // SAFETY: system calls without memory. What they cannot do on an old kernel does
    // no harm: the program runs for a moment only.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    Ok(())
}
