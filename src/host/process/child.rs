//! A program that the warden runs without waiting for it.
//!
//! Its input, output and errors are files in memory, so neither side ever waits for
//! the other to read.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::{Child as Process, Command, ExitStatus};

use crate::system::{detach, memory_file};

/// Most bytes that are read of what it prints.
const MOST: u64 = 64 << 20;
/// Most bytes of its errors.
const MOST_ERRORS: u64 = 1024;

/// Most programs that were killed and have not ended.
const MOST_DYING: usize = 4;

thread_local! {
    /// Programs that were killed. One that hangs in a system call ends when the kernel lets
    /// it; this process does not wait for that.
    static DYING: RefCell<Vec<Process>> = const { RefCell::new(Vec::new()) };
}

/// Reaps the killed programs that have ended; the number of the others. Called now and then.
pub fn reap() -> usize {
    DYING.with_borrow_mut(|dying| {
        dying.retain_mut(|process| matches!(process.try_wait(), Ok(None)));
        dying.len()
    })
}

/// A program that runs; killed when dropped.
pub struct Child {
    /// None only while it is dropped.
    process: Option<Process>,
    output: File,
    errors: File,
}

pub struct Done {
    pub success: bool,
    pub output: Vec<u8>,
    /// Its errors, or how it was ended.
    pub errors: String,
}

impl Child {
    /// Starts a program with an empty environment and without the host's open files.
    pub fn start(program: &Path, arguments: &[&str], input: &str) -> io::Result<Self> {
        let dying = reap();
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
        detach(&mut command);
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
        // No effect on a process that was reaped.
        let _ = process.kill();
        // The list may be gone, where this process is about to end.
        let _ = DYING.try_with(|dying| dying.borrow_mut().push(process));
    }
}

fn ended(status: ExitStatus) -> String {
    format!("it ended with {status}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::Tracer;

    #[test]
    fn no_more_is_read_than_may_be() {
        let arguments = ["-c", "head -c 70000000 /dev/zero; head -c 5000 /dev/zero >&2"];
        let mut child = Child::start(Path::new("/bin/sh"), &arguments, "").unwrap();
        let done = loop {
            if let Some(done) = child.poll().unwrap() {
                break done;
            }
            std::thread::yield_now();
        };
        assert!(done.success, "{}", done.errors);
        assert_eq!((done.output.len(), done.errors.len()), (64 << 20, 1024));
    }

    #[test]
    fn one_that_does_not_end_is_not_waited_for() {
        let child = Child::start(Path::new("/bin/sleep"), &["1000"], "").unwrap();
        let Some(tracer) = Tracer::of(child.process.as_ref().unwrap().id()) else {
            eprintln!("skipped: processes cannot be traced here");
            return;
        };
        drop(child);
        assert_eq!(reap(), 1);
        drop(tracer);
        while reap() > 0 {
            std::thread::yield_now();
        }
    }
}
