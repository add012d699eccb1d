//! Follows the files of feeds: what has changed is read. In threads, since a disk may be slow
//! or never answer.

use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::trouble::Trouble;
use crate::feeds::View;
use crate::host::contract::log;
use crate::host::reload::feeds::{Batch, mark_of, read};
use crate::host::settings::at;
use crate::host::state::State;
use crate::host::state::feeds::{Feeds, with_feeds};
use crate::memory;

/// Bytes of the stack of a thread that reads.
const STACK: usize = 1 << 20;
/// Ms after which a disk does not answer.
const SLOW: u64 = 30_000;

/// What a thread is doing. It must not log, count, or use shared memory.
enum Job {
    /// Looking for the marks of all files.
    Look(JoinHandle<Vec<u64>>),
    /// Reading what has changed since this generation.
    Read(JoinHandle<Batch>, u64),
}

/// In one process, the warden.
pub struct FeedsKeeper {
    job: Option<Job>,
    /// When it began.
    began: u64,
    /// Marks at the last look.
    seen: Vec<u64>,
    /// What was read, while another process reads.
    done: Option<(Batch, u64)>,
    looked: u64,
    trouble: Trouble,
}

impl FeedsKeeper {
    pub const NEW: Self = FeedsKeeper {
        job: None,
        began: 0,
        seen: Vec::new(),
        done: None,
        looked: 0,
        trouble: Trouble::NONE,
    };

    /// Does what is due and never waits. `now` is in ms.
    pub fn follow(&mut self, state: &State, feeds: &Feeds, now: u64) {
        match self.job.take() {
            Some(Job::Look(thread)) if thread.is_finished() => {
                let marks = thread.join().unwrap_or_default();
                self.compare(feeds, marks, now);
            }
            Some(Job::Read(thread, generation)) if thread.is_finished() => {
                self.done = thread.join().ok().map(|batch| (batch, generation));
            }
            other => self.job = other,
        }
        self.publish(state, feeds);
        if self.job.is_some() {
            if now.saturating_sub(self.began) >= SLOW {
                self.complain("the disk does not answer", now);
            }
            return;
        }
        let interval = u64::try_from(state.values.int(at::BLOCKLIST_INTERVAL)).unwrap_or(0) * 1000;
        if interval > 0 && self.done.is_none() && now.saturating_sub(self.looked) >= interval {
            self.looked = now;
            let files = feeds.files.clone();
            let look = move || files.iter().map(|file| mark_of(&file.path)).collect();
            self.begin(spawn(look).map(Job::Look), now);
        }
    }

    fn begin(&mut self, job: Result<Job, String>, now: u64) {
        match job {
            Ok(job) => (self.job, self.began) = (Some(job), now),
            Err(why) => self.complain(&why, now),
        }
    }

    /// Begins to read the files that have changed. A file that is still being written has
    /// another mark with each look.
    fn compare(&mut self, feeds: &Feeds, marks: Vec<u64>, now: u64) {
        if self.trouble.is_over() {
            log::info(format_args!("the files of feeds are followed again"));
        }
        let is_same = |n: usize, mark: u64| self.seen.get(n) == Some(&mark);
        let notes = feeds.all().zip(&marks).enumerate();
        let changed: Vec<bool> = notes
            .map(|(n, ((_, note), mark))| note.tried() != *mark && is_same(n, *mark))
            .collect();
        self.seen = marks;
        if !changed.contains(&true) {
            return;
        }
        let old = with_feeds(feeds, |view, pinned| {
            memory::ask_for(view.bytes())?;
            Ok::<_, String>((view.copied(), pinned.generation()))
        });
        let (old, generation) = match old.transpose() {
            Ok(old) => old.unwrap_or_default(),
            Err(why) => return self.complain(&why, now),
        };
        let files = feeds.files.clone();
        let job = move || {
            let wanted = |n: usize| changed.get(n) == Some(&true);
            read(&files, wanted, View::new(bytemuck::cast_slice(&old)).as_ref())
        };
        self.begin(spawn(job).map(|thread| Job::Read(thread, generation)), now);
    }

    /// Publishes what was read, unless another process has read the files meanwhile: then they
    /// are looked at anew.
    fn publish(&mut self, state: &State, feeds: &Feeds) {
        let Some((batch, generation)) = self.done.take() else { return };
        match feeds.store.writer(Duration::ZERO) {
            Ok(writer) if feeds.store.publication().current() == generation => {
                batch.publish(state, feeds, &writer);
            }
            Ok(_) => {}
            Err(_) => self.done = Some((batch, generation)),
        }
    }

    fn complain(&mut self, why: &str, now: u64) {
        if self.trouble.is_due(now) {
            log::error(format_args!(
                "the files of feeds are not followed: {why}; what they listed stays in force (tried \
                 again, said once a minute)"
            ));
        }
    }
}

fn spawn<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, String> {
    let thread = Builder::new().name("sipwarden".into()).stack_size(STACK);
    thread.spawn(job).map_err(|e| format!("there is no thread to read them: {e}"))
}
