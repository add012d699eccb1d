//! System calls besides time and shared memory.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
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

/// The full name of this machine.
pub fn host_name() -> Option<String> {
    let mut name = [0u8; 256];
    // SAFETY: fills at most so many bytes.
    if unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) } != 0 {
        return None;
    }
    let name = CStr::from_bytes_until_nul(&name).ok()?;
    name.to_str().ok().map(str::to_owned)
}

/// A file without a name, in memory only.
pub fn memory_file(label: &CStr) -> io::Result<File> {
    // SAFETY: the label outlives the call, which makes a new descriptor.
    let fd = unsafe { libc::memfd_create(label.as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and owned by nothing else.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Locks a file for this process, until it is closed. False if another one has locked it.
pub fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: a system call on a descriptor that is open.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) }
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

#[cfg(test)]
pub(crate) mod tests {
    /// A process that traces another one and never reaps it. Until the tracer is dropped, the
    /// other one cannot be waited for.
    pub struct Tracer(libc::pid_t);

    impl Tracer {
        /// None where that is not allowed.
        pub fn of(pid: u32) -> Option<Self> {
            let mut pipe = [0; 2];
            // SAFETY: fills the array.
            assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
            let [read, write] = pipe;
            // SAFETY: the child makes system calls only.
            let tracer = unsafe { libc::fork() };
            if tracer == 0 {
                // SAFETY: system calls on numbers and one byte.
                unsafe {
                    let ok = libc::ptrace(libc::PTRACE_SEIZE, pid as libc::pid_t, 0, 0) == 0;
                    libc::write(write, (&raw const ok).cast(), 1);
                    libc::alarm(60);
                    libc::pause();
                    libc::_exit(0);
                }
            }
            let tracer = Tracer(tracer);
            let mut ok = 0u8;
            // SAFETY: reads one byte into one.
            unsafe { libc::read(read, (&raw mut ok).cast(), 1) };
            (ok == 1).then_some(tracer)
        }
    }

    impl Drop for Tracer {
        fn drop(&mut self) {
            // SAFETY: ends a child of this process.
            unsafe {
                libc::kill(self.0, libc::SIGKILL);
                libc::waitpid(self.0, std::ptr::null_mut(), 0);
            }
        }
    }
}
