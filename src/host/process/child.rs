//! A program that the warden runs without waiting for it.
//!
//! Its input, output and errors are files in memory, so neither side ever waits for
//! the other to read.

use std::cell::RefCell;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::FromRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child as Process, Command, ExitStatus};

/// Most bytes that are read of what it prints.
const MOST: u64 = 64 << 20;
/// Most bytes of its errors.
const MOST_ERRORS: u64 = 1024;

/// Most programs that were killed and have not ended.
const MOST_DYING: usize = 4;

thread_local! {
    /// Programs that were killed. One that waits within the kernel ends when the kernel
    /// lets it: nobody waits for that here.
    static DYING: RefCell<Vec<Process>> = const { RefCell::new(Vec::new()) };
}

/// Forgets the killed programs that have ended; how many have not.
fn bury() -> usize {
    DYING.with_borrow_mut(|dying| {
        dying.retain_mut(|process| matches!(process.try_wait(), Ok(None)));
        dying.len()
    })
}

/// A program that runs; killed when dropped.
pub struct Child {
    /// Always there, until it is dropped.
    process: Option<Process>,
    output: File,
    errors: File,
}

/// How it ended.
pub struct Done {
    /// Whether it succeeded.
    pub success: bool,
    /// What it printed.
    pub output: Vec<u8>,
    /// Its errors, or how it was ended.
    pub errors: String,
}

impl Child {
    /// Starts a program with an environment of its own and none of Kamailio's files.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(program: &Path, arguments: &[&str], input: &str) -> io::Result<Self> {
        let dying = bury();
        if dying >= MOST_DYING {
            return Err(io::Error::other(format!("{dying} runs were killed and do not end")));
        }
        let mut stdin = memory_file(c"input")?;
        stdin.write_all(input.as_bytes())?;
        stdin.rewind()?;
        let (output, errors) = (memory_file(c"output")?, memory_file(c"errors")?);
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("LC_ALL", "C");
        command.stdin(stdin).stdout(output.try_clone()?).stderr(errors.try_clone()?);
        // SAFETY: the closure makes system calls only, as is allowed after a fork.
        unsafe { command.pre_exec(detach) };
        Ok(Child { process: Some(command.spawn()?), output, errors })
    }

    /// None while it runs.
    ///
    /// # Errors
    /// What it printed cannot be read.
    pub fn poll(&mut self) -> io::Result<Option<Done>> {
        let status = self.process.as_mut().map(Process::try_wait).transpose()?;
        let Some(status) = status.flatten() else { return Ok(None) };
        let mut output = Vec::new();
        self.output.rewind()?;
        (&self.output).take(MOST).read_to_end(&mut output)?;
        let mut errors = Vec::new();
        self.errors.rewind()?;
        (&self.errors).take(MOST_ERRORS).read_to_end(&mut errors)?;
        let mut errors = String::from_utf8_lossy(&errors).trim().to_owned();
        if errors.is_empty() && !status.success() {
            errors = ended(status);
        }
        Ok(Some(Done { success: status.success(), output, errors }))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // Does nothing to one that was seen to end.
        let _ = process.kill();
        // The list may be gone, where this process is about to end.
        let _ = DYING.try_with(|dying| dying.borrow_mut().push(process));
    }
}

fn ended(status: ExitStatus) -> String {
    format!("it ended with {status}")
}

fn memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: the name outlives the call, which makes a new descriptor.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// In the new process: it ends with this one, and gets none of Kamailio's sockets.
fn detach() -> io::Result<()> {
    // SAFETY: system calls without memory. What they cannot do on an old kernel does
    // no harm: the program runs for a moment only.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that traces another one and never asks what became of it: until it ends,
    /// nobody can wait for that one to the end.
    fn tracer_of(pid: libc::pid_t) -> Option<libc::pid_t> {
        let mut pipe = [0; 2];
        // SAFETY: fills the array.
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
        let [read, write] = pipe;
        // SAFETY: the child makes system calls only.
        let tracer = unsafe { libc::fork() };
        if tracer == 0 {
            // SAFETY: system calls on numbers and one byte.
            unsafe {
                let ok = libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) == 0;
                libc::write(write, (&raw const ok).cast(), 1);
                libc::alarm(60);
                libc::pause();
                libc::_exit(0);
            }
        }
        let mut ok = 0u8;
        // SAFETY: reads one byte into one.
        unsafe { libc::read(read, (&raw mut ok).cast(), 1) };
        (ok == 1).then_some(tracer)
    }

    #[test]
    fn one_that_does_not_end_is_not_waited_for() {
        let child = Child::start(Path::new("/bin/sleep"), &["1000"], "").unwrap();
        let pid = child.process.as_ref().unwrap().id() as libc::pid_t;
        let Some(tracer) = tracer_of(pid) else {
            eprintln!("skipped: processes cannot be traced here");
            return;
        };
        drop(child);
        assert_eq!(bury(), 1);
        // SAFETY: ends a child of this process.
        unsafe {
            libc::kill(tracer, libc::SIGKILL);
            libc::waitpid(tracer, std::ptr::null_mut(), 0);
        }
        while bury() > 0 {
            std::thread::yield_now();
        }
    }
}
