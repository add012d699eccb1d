//! A program that the module's own process runs without waiting for it.
//!
//! Its input, output and errors are files in memory, so neither side ever waits for
//! the other to read.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::{Child as Process, Command, ExitStatus};

use crate::system::{detach, memory_file};

/// Most bytes that are read of what it prints.
const MOST: u64 = 64 << 20;
/// Most bytes of its errors.
const MOST_ERRORS: u64 = 1024;

/// A program that runs; killed when dropped.
pub struct Child {
    process: Process,
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
        let mut stdin = memory_file(c"input")?;
        stdin.write_all(input.as_bytes())?;
        stdin.rewind()?;
        let (output, errors) = (memory_file(c"output")?, memory_file(c"errors")?);
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("LC_ALL", "C");
        command.stdin(stdin).stdout(output.try_clone()?).stderr(errors.try_clone()?);
        detach(&mut command);
        Ok(Child { process: command.spawn()?, output, errors })
    }

    /// None while it runs.
    ///
    /// # Errors
    /// What it printed cannot be read.
    pub fn poll(&mut self) -> io::Result<Option<Done>> {
        let Some(status) = self.process.try_wait()? else { return Ok(None) };
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
        // Of one that has ended already neither does anything.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ended(status: ExitStatus) -> String {
    format!("it ended with {status}")
}
