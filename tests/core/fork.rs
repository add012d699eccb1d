//! Processes that share memory: children of fork share what is mapped.

use std::fs::{File, read_to_string};
use std::os::unix::fs::FileExt;

use sipwarden::shm::page_size;

/// How much is done: `all` by `make campaign`, `short` by `make test`.
pub fn amount(all: u64, short: u64) -> u64 {
    if std::env::var_os("CAMPAIGN").is_some() { all } else { short }
}

/// A forked process.
pub struct Child(libc::pid_t);

impl Child {
    /// Its exit status is what `act` returns. `act` must neither allocate nor lock
    /// anything of this process.
    pub fn start(act: impl FnOnce() -> i32) -> Self {
        // What a process learns once it must not learn in another thread right now: the child
        // would wait for that one, which it does not have.
        sipwarden::shm::process_id();
        // SAFETY: the child runs `act`, and ends without this process's destructors.
        Self(unsafe {
            match libc::fork() {
                0 => libc::_exit(act()),
                pid => pid,
            }
        })
    }

    /// Waits for its end, which must be one with status 0.
    pub fn wait(self) {
        let status = self.status();
        assert!(libc::WIFEXITED(status), "{} was killed: {status}", self.0);
        assert_eq!(libc::WEXITSTATUS(status), 0, "{}", self.0);
    }

    /// Ends it wherever it is.
    pub fn kill(self) {
        // SAFETY: a system call; the process is a child that nobody has waited for.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        assert!(libc::WIFSIGNALED(self.status()), "{} ended by itself", self.0);
    }

    fn status(&self) -> i32 {
        let mut status = 0;
        // SAFETY: waits for a child of this process.
        unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        status
    }
}

/// Each of `count` processes does what `act` does, which must be true.
pub fn fork_all(count: usize, act: impl Fn(usize) -> bool) {
    let children: Vec<_> = (0..count).map(|n| Child::start(|| i32::from(!act(n)))).collect();
    children.into_iter().for_each(Child::wait);
}

/// A forked process that goes on by instructions.
pub struct Stepped(Child);

impl Stepped {
    /// As [`Child::start`]; it waits before `act`.
    pub fn start(act: impl FnOnce() -> i32) -> Self {
        let null = std::ptr::null_mut::<libc::c_void>();
        let child = Child::start(|| {
            // It learns once what it is, in thousands of instructions.
            sipwarden::shm::process_id();
            // SAFETY: system calls of this process about itself.
            unsafe {
                libc::ptrace(libc::PTRACE_TRACEME, 0, null, null);
                libc::raise(libc::SIGSTOP);
            }
            act()
        });
        let status = child.status();
        assert!(libc::WIFSTOPPED(status), "it cannot be traced: {status}");
        Stepped(child)
    }

    /// Executes so many instructions, and kills it. Whether it had ended before.
    pub fn step_and_kill(self, instructions: usize) -> bool {
        let ended = self.step(instructions);
        if !ended {
            self.0.kill();
        }
        ended
    }

    /// Executes so many instructions, and after `meanwhile` all others: it ends with status 0.
    /// Whether it had ended before.
    pub fn step_and_go_on(self, instructions: usize, meanwhile: impl FnOnce()) -> bool {
        let ended = self.step(instructions);
        meanwhile();
        if !ended {
            let null = std::ptr::null_mut::<libc::c_void>();
            // SAFETY: the child is traced by this thread, and stopped.
            unsafe { libc::ptrace(libc::PTRACE_CONT, self.0.0, null, null) };
            self.0.wait();
        }
        ended
    }

    /// Executes all of its instructions. Says after which of them the memory has changed.
    pub fn writes(self, memory: &SharedMemory) -> Vec<usize> {
        let (mut writes, mut before) = (Vec::new(), memory.bytes());
        for steps in 1.. {
            let ended = self.step(1);
            let now = memory.bytes();
            if now != before {
                writes.push(steps);
                before = now;
            }
            if ended {
                break;
            }
        }
        writes
    }

    /// Executes so many instructions. Whether it has ended.
    fn step(&self, instructions: usize) -> bool {
        let null = std::ptr::null_mut::<libc::c_void>();
        (0..instructions).any(|_| {
            // SAFETY: the child is traced by this thread, and stopped.
            unsafe { libc::ptrace(libc::PTRACE_SINGLESTEP, self.0.0, null, null) };
            libc::WIFEXITED(self.0.status())
        })
    }
}

/// Memory that processes share.
pub struct SharedMemory {
    /// That of this process, by addresses.
    own: File,
    areas: Vec<(u64, usize)>,
}

impl SharedMemory {
    /// What `make` has mapped: with tests beside this one, perhaps some of theirs too.
    pub fn made_by<T>(make: impl FnOnce() -> T) -> (Self, T) {
        let before = shared_areas();
        let made = make();
        let mut areas = shared_areas();
        areas.retain(|area| !before.contains(area));
        (Self { own: File::open("/proc/self/mem").unwrap(), areas }, made)
    }

    /// Of the pages that somebody has touched: to look at the others would touch them. And it must be
    /// quick: who reads the clock reads it again when it has changed meanwhile, so for ever.
    fn bytes(&self) -> Vec<u8> {
        let (page, mut bytes) = (page_size(), Vec::new());
        for &(start, size) in &self.areas {
            let mut touched = vec![0u8; size / page];
            // SAFETY: asks about a mapping, a byte for each of its pages.
            unsafe { libc::mincore(start as *mut libc::c_void, size, touched.as_mut_ptr()) };
            for at in (0..touched.len()).filter(|at| touched[*at] & 1 == 1) {
                let from = bytes.len();
                bytes.resize(from + page, 0);
                self.own.read_exact_at(&mut bytes[from..], start + (at * page) as u64).unwrap();
            }
        }
        bytes
    }
}

/// Where they are, and their sizes.
fn shared_areas() -> Vec<(u64, usize)> {
    let maps = read_to_string("/proc/self/maps").unwrap();
    let shared = maps.lines().filter(|line| line.contains(" rw-s "));
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let area = |line: &str| {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        (number(start), (number(end) - number(start)) as usize)
    };
    shared.map(area).collect()
}
