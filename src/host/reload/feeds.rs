//! From the files of feeds to the current set: each file as a whole or not at all.

use std::fs::{Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::compile::{PATIENCE, too_large};
use crate::clock;
use crate::feeds::{self, BadLine, Entries, Feed, Source, Stamp, View};
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::report::events;
use crate::host::settings::FeedFile;
use crate::host::state::State;
use crate::host::state::feeds::{Feeds, with_feeds};
use crate::memory;
use crate::shm::{PublishError, Writer};

/// Bytes of the largest file that is read.
const MOST_BYTES: u64 = 256 << 20;
/// Mark of a file that is not there; 0 is that of none that was looked for.
const MISSING: u64 = 1;

/// What became of one feed.
struct Attempt {
    mark: u64,
    /// Lines and lines left out, or what is wrong, a line for each thing.
    result: Result<(u32, u32), Vec<String>>,
}

/// What became of all feeds: None where a file was not read.
pub struct Batch {
    attempts: Vec<Option<Attempt>>,
    /// What they list now; None if nothing has changed.
    set: Option<Vec<u128>>,
}

/// Names the version of a file: it changes with the file.
pub fn mark_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(MISSING, |of| mark(&of))
}

fn mark(of: &Metadata) -> u64 {
    let mut hasher = DefaultHasher::new();
    (of.dev(), of.ino(), of.size(), of.mtime(), of.mtime_nsec()).hash(&mut hasher);
    hasher.finish().max(MISSING + 1)
}

/// Reads the wanted files and compiles what all feeds list; `old` has those that stay. Asks
/// nothing but the disk, so any thread may do it.
pub fn read(files: &[FeedFile], wanted: impl Fn(usize) -> bool, old: Option<&View<'_>>) -> Batch {
    let (mut attempts, mut sources) = (Vec::new(), Vec::new());
    for (n, file) in files.iter().enumerate() {
        let (attempt, source) = match wanted(n).then(|| read_file(&file.path)) {
            None => (None, Source::Kept),
            Some((mark, Ok(feed))) => {
                let Entries { lines, left_out, .. } = feed.entries;
                (Some(Attempt { mark, result: Ok((lines, left_out)) }), Source::New(feed))
            }
            Some((mark, Err(why))) => (Some(Attempt { mark, result: Err(why) }), Source::Kept),
        };
        attempts.push(attempt);
        sources.push(source);
    }
    let is_new = |attempt: &Attempt| attempt.result.is_ok();
    if !attempts.iter().flatten().any(is_new) {
        return Batch { attempts, set: None };
    }
    // What has been read has half of this at most; what stays is copied.
    if let Err(why) = memory::ask_for(4 * old.map_or(0, View::bytes)) {
        let mut batch = Batch { attempts, set: None };
        batch.fail(&why);
        batch.read_again();
        return batch;
    }
    let set = feeds::compile(sources, old);
    let mut batch = Batch { attempts, set };
    if batch.set.is_none() {
        batch.fail("the feeds are larger than 4 GiB");
    }
    batch
}

/// The mark of a file, and what it lists or what is wrong with it.
fn read_file(path: &Path) -> (u64, Result<Feed, Vec<String>>) {
    let shown = path.display();
    let cannot = |e: &io::Error| vec![format!("{shown} cannot be read: {e}")];
    let mut options = OpenOptions::new();
    // A pipe in its place must not block.
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let opened = options.open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (of, file) = match opened {
        Ok(opened) => opened,
        Err(error) => return (mark_of(path), Err(cannot(&error))),
    };
    let wrong = |why: String| vec![format!("{shown} {why}")];
    let size = of.size();
    let refused = match size {
        _ if !of.is_file() => Some("is not a regular file".into()),
        0 => Some("is empty: a line with a comment says that this is meant".into()),
        size if size > MOST_BYTES => Some(format!("has {size} bytes, more than {MOST_BYTES}")),
        _ => None,
    };
    if let Some(why) = refused {
        return (mark(&of), Err(wrong(why)));
    }
    // The text, its prefixes in both forms, and what these grow to.
    if let Err(why) = memory::ask_for(12 * size as usize) {
        return (0, Err(wrong(format!("cannot be read: {why}"))));
    }
    let mut text = Vec::with_capacity(size as usize);
    let after = (&file).take(size + 1).read_to_end(&mut text).and_then(|_| file.metadata());
    match after {
        Err(error) => return (mark(&of), Err(cannot(&error))),
        Ok(after) if mark(&after) != mark(&of) => {
            return (0, Err(wrong("is being written: it will be read again".into())));
        }
        Ok(_) => {}
    }
    let stamp =
        Stamp { modified: u64::try_from(of.mtime()).unwrap_or(0), loaded: clock::seconds() };
    let read = feeds::parse(&text).map(|entries| Feed { entries, stamp }).map_err(|bad| {
        let lines = bad.kept.iter().map(BadLine::to_string);
        let mut lines: Vec<String> = lines.collect();
        if let Some(first) = lines.first_mut() {
            let all =
                if bad.count > 1 { format!("{} bad lines, ", bad.count) } else { String::new() };
            *first = format!("{shown}: {all}{first}");
        }
        lines
    });
    (mark(&of), read)
}

impl Batch {
    /// Nothing of it can be published.
    fn fail(&mut self, why: &str) {
        for attempt in self.attempts.iter_mut().flatten() {
            if attempt.result.is_ok() {
                attempt.result = Err(vec![why.to_owned()]);
            }
        }
        self.set = None;
    }

    /// With the next look, though the files have not changed.
    fn read_again(&mut self) {
        self.attempts.iter_mut().flatten().for_each(|attempt| attempt.mark = 0);
    }

    /// Publishes what was read, and tells of each feed.
    pub fn publish(mut self, state: &State, feeds: &Feeds, writer: &Writer<'_>) {
        if let Some(set) = &self.set {
            let bytes: &[u8] = bytemuck::cast_slice(set);
            match writer.publish(bytes, 0, |_, _| {}) {
                Ok(_) => {}
                Err(PublishError::TooLarge { room }) => {
                    self.fail(&too_large("blocklist_memory", bytes.len(), room));
                }
                Err(PublishError::Busy { pid }) => {
                    let why = format!("process {pid} has not left what was listed before for 5 s");
                    self.fail(&why);
                    self.read_again();
                }
            }
        }
        let lines_before = |n| {
            with_feeds(feeds, |view, _| view.feed(n).map(|feed| feed.count()))
                .flatten()
                .unwrap_or(0)
        };
        for (n, (file, note)) in feeds.all().enumerate() {
            let Some(Some(attempt)) = self.attempts.get(n) else { continue };
            match &attempt.result {
                Ok(lines) => {
                    let was_wrong = !note.problem().is_empty();
                    note.set_tried(attempt.mark, &[]);
                    tell_loaded(file, *lines, lines_before(n), was_wrong);
                }
                Err(problem) => {
                    note.set_tried(attempt.mark, problem);
                    tell_failure(state, file, problem, lines_before(n));
                }
            }
        }
    }
}

fn tell_loaded(file: &FeedFile, (lines, left_out): (u32, u32), prefixes: u64, was_wrong: bool) {
    counters::count_own(Own::FeedLoads);
    let (name, path) = (&file.name, file.path.display());
    let again = if was_wrong { " again" } else { "" };
    log::info(format_args!(
        "feed {name} loaded{again} from {path}: {lines} lines, {prefixes} prefixes"
    ));
    if left_out > 0 {
        log::warning(format_args!(
            "feed {name}: {left_out} of its lines are of private or reserved addresses and refuse \
             nobody"
        ));
    }
}

fn tell_failure(state: &State, file: &FeedFile, problem: &[String], prefixes: u64) {
    counters::count_own(Own::FeedFailures);
    let name = &file.name;
    let first = problem.first().map_or("", String::as_str);
    events::reloaded(state, Err(&format!("feed {name}: {first}")));
    let before = match prefixes {
        0 => "it lists nothing".into(),
        count => format!("the {count} prefixes that it had stay in force"),
    };
    log::error(format_args!("feed {name} was not loaded: {first}; {before}"));
    for line in problem.iter().skip(1) {
        log::error(format_args!("feed {name}: {line}"));
    }
}

/// Reads the files that are new now, at the start and with `sipwarden.reload`. One that was
/// wrong is read again when it has changed.
pub fn load(state: &State) {
    let Some(feeds) = &state.feeds else { return };
    let writer = match feeds.store.writer(PATIENCE) {
        Ok(writer) => writer,
        Err(pid) => {
            log::error(format_args!("the feeds were not read: process {pid} is reading them"));
            return;
        }
    };
    let all = feeds.all().map(|(file, note)| mark_of(&file.path) != note.tried());
    let all: Vec<bool> = all.collect();
    let wanted = |n: usize| all.get(n) == Some(&true);
    let batch = with_feeds(feeds, |view, _| read(&feeds.files, wanted, Some(view)))
        .unwrap_or_else(|| read(&feeds.files, wanted, None));
    batch.publish(state, feeds, &writer);
}
