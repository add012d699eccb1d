//! When the machine did not let the proxies, or the observer, run: verdicts that come late then
//! say nothing of the proxies.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::lives::Span;

/// Their pids.
pub type Processes = Arc<Mutex<Vec<u32>>>;

/// From one look to the next.
const LOOK: Duration = Duration::from_millis(250);
/// A thread that waited so long for a core from one look to the next did not run, in us.
const LONG: u64 = 100_000;

/// When none of them ran for long, in us since `began`.
pub fn watch(began: Instant, processes: &Processes, goes_on: impl Fn() -> bool) -> Vec<Span> {
    let us = || began.elapsed().as_micros() as u64;
    let (mut stalls, mut last, mut waited) = (Vec::new(), us(), HashMap::new());
    while goes_on() {
        sleep(LOOK);
        let now = us();
        let overslept = now - last > LOOK.as_micros() as u64 + LONG;
        let mut longest = 0;
        for pid in processes.lock().unwrap().iter() {
            for (thread, wait) in waits(*pid) {
                let before = waited.insert(thread, wait).unwrap_or(wait);
                longest = longest.max(wait.saturating_sub(before));
            }
        }
        if overslept || longest >= LONG {
            stalls.push((last, now));
        }
        last = now;
    }
    stalls
}

/// How long the threads of a process have waited for a core.
fn waits(pid: u32) -> Vec<(String, u64)> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let ns: u64 = text.split(' ').nth(1)?.parse().ok()?;
        Some((thread.file_name().into_string().ok()?, ns / 1000))
    };
    threads.flatten().filter_map(of).collect()
}
