//! The file in which blocks and bans survive a restart.
//!
//! A line of text per block: prefix, start and end in ms since 1970, requests
//! refused, blocks in a row, reason, class, ways; the lines of bans are those of
//! [`super::bans`]. Written by one process, whole and
//! under another name first, so that a reader always finds a whole file.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::auth::with_auth_rules;
use super::bans;
use super::clock::{self, Moment};
use super::complaint::Trouble;
use super::files::{self, Writer};
use super::flood::{BROADEST, with_rules};
use super::log;
use super::settings::{Settings, check_absolute};
use super::state::State;
use super::statistics::{self, Own};
use crate::address::Prefix;
use crate::flood::{Block, ClassId, LONGEST_BLOCK, Reason};
use crate::printable::Printable;
use crate::source::{Learnt, Ways};

/// First line of the file; another one is another format.
const HEADER: &str = "sipwarden blocks 1";
/// Ms between two writes of the file.
const PERIOD: u64 = 1000;
/// Ms after which a write that goes on is a trouble.
pub const SLOW: u64 = 10_000;

/// Writes the file when blocks or bans have changed; one process, the warden.
pub struct Keeper {
    /// The file, as `flood_persist` was at the last look.
    path: Option<PathBuf>,
    writer: Writer,
    /// Changes of blocks and of bans in what is being written, and in what was.
    writing: Option<(u64, u64)>,
    written: Option<(u64, u64)>,
    /// When the last look was, and the last begin.
    looked: u64,
    began: u64,
    trouble: Trouble,
}

impl Keeper {
    /// Nothing written yet.
    pub const NEW: Self = Keeper {
        path: None,
        writer: Writer::NEW,
        writing: None,
        written: None,
        looked: 0,
        began: 0,
        trouble: Trouble::NONE,
    };

    /// Begins to write the file if a second has passed and blocks or bans have changed
    /// since. Waits for nothing.
    pub fn keep(&mut self, state: &State, now: u64) {
        if let Some(done) = self.writer.done() {
            self.settle(done.map(|_| ()), now);
        }
        if now.saturating_sub(self.looked) < PERIOD {
            return;
        }
        self.looked = now;
        let path = state.values.flood_persist();
        if self.path != path {
            // Another file is written from the beginning; the old one stays as it is.
            *self = Keeper { path, looked: now, ..Keeper::NEW };
        }
        if self.writer.is_busy() {
            if now.saturating_sub(self.began) >= SLOW {
                self.complain("the disk does not answer", now);
            }
            return;
        }
        let changes = (state.flood.changes(), state.auth.changes());
        if self.written != Some(changes)
            && let Some(path) = &self.path
        {
            let bytes = whole(state).into_bytes();
            (self.writing, self.began) = (Some(changes), now);
            if let Err(why) = self.writer.start(path, files::refuse_others, move || Ok(bytes)) {
                self.complain(&why, now);
            }
        }
    }

    fn settle(&mut self, done: Result<(), String>, now: u64) {
        match done {
            Ok(()) => {
                self.written = self.writing.take();
                if self.trouble.is_over() {
                    let path = self.path.as_deref().unwrap_or(Path::new(""));
                    log::info(format_args!("flood_persist {}: written again", path.display()));
                }
            }
            Err(error) => self.complain(&error, now),
        }
    }

    fn complain(&mut self, why: &str, now: u64) {
        if self.trouble.is_due(now) {
            let path = self.path.as_deref().unwrap_or(Path::new("")).display();
            log::error(format_args!(
                "flood_persist {path}: {why}; blocks and bans would not survive a restart (tried \
                 on, said once a minute)"
            ));
        }
    }
}

fn whole(state: &State) -> String {
    let now = Moment::now();
    let mut text = format!("{HEADER}\n{}", bans::seed_line(state.auth.seed()));
    state.flood.blocks(clock::monotonic, |block| {
        text.push_str(&line(&state.settings, now, block));
    });
    state.auth.bans(clock::monotonic, |ban| {
        text.push_str(&bans::line(&state.settings, now, ban));
    });
    text
}

fn line(settings: &Settings, now: Moment, block: &Block) -> String {
    format!(
        "{} {} {} {} {} {} {} {}\n",
        block.prefix,
        now.date(block.since),
        now.date(block.until),
        block.seen,
        block.times,
        block.reason.name(),
        settings.classes.name(block.class),
        block.ways.names(),
    )
}

/// Whether blocks could be written to a file.
///
/// # Errors
/// A sentence that names it.
pub fn check(path: &Path) -> Result<(), String> {
    check_kind(path)?;
    read(path)?;
    files::check_writable(path)
        .map_err(|why| format!("\"{}\" cannot be written: {why}", path.display()))
}

/// Whether a path may be meant for blocks, so that only its rights or its disk can be in
/// the way.
///
/// # Errors
/// A sentence that names it.
pub fn check_kind(path: &Path) -> Result<(), String> {
    check_absolute(path)?;
    let is_other = fs::metadata(path).is_ok_and(|of| !of.is_file());
    // What cannot be read is said when it is loaded.
    if is_other || read(path).ok().flatten().is_some_and(|text| !is_ours(&text)) {
        return Err(format!("\"{}\" is no file of blocks", path.display()));
    }
    Ok(())
}

/// The bytes of a file; None if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("\"{}\" cannot be read: {error}", path.display())),
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n').filter(|line| !line.is_empty())
}

/// Whether we have written this, so that it may be replaced.
fn is_ours(text: &[u8]) -> bool {
    lines(text).next().is_none_or(|first| first == HEADER.as_bytes())
}

/// The seed of the earlier run, by which the bans in its file are known.
pub fn seed(path: &Path) -> Option<[u64; 2]> {
    lines(&fs::read(path).ok()?).find_map(bans::parse_seed)
}

/// Reads the blocks and bans of an earlier run back, with the time that is left of
/// them; how many of each. A line that is none is logged and left out.
///
/// # Errors
/// The file cannot be read.
pub fn load(state: &State, path: &Path) -> Result<(usize, usize), String> {
    let text = read(path).map_err(|why| format!("parameter flood_persist: {why}"))?;
    let lines = text.iter().flat_map(|text| lines(text)).skip(1);
    let now = Moment::now();
    let (mut loaded, mut banned) = (0, 0);
    for line in lines {
        if bans::parse_seed(line).is_some() {
            continue;
        }
        if let Some(ban) = bans::parse(state, now, line) {
            // One whose time has run out ends with the first sweep, and is told.
            let kept = with_auth_rules(state, |rules| state.auth.ban(&ban, rules, now.monotonic));
            if kept.is_ok() {
                banned += 1;
                statistics::count_own(Own::AuthBansStarted);
            }
            continue;
        }
        let Some(block) = parse(&state.settings, now, line) else {
            let line = Printable::short(line);
            log::warning(format_args!(
                "flood_persist {}: \"{line}\" is no block or ban; left out",
                path.display()
            ));
            continue;
        };
        if block.until > now.monotonic {
            let kept = with_rules(state, |rules| state.flood.block(&block, rules, now.monotonic));
            if kept.is_ok() {
                loaded += 1;
                statistics::count_own(Own::FloodBlocksStarted);
            }
        }
    }
    Ok((loaded, banned))
}

fn parse(settings: &Settings, now: Moment, line: &[u8]) -> Option<Block> {
    let line = std::str::from_utf8(line).ok()?;
    let fields: Vec<&str> = line.split(' ').collect();
    // Files of earlier versions tell no ways: those of packets.
    let (fields, ways) = match fields.as_slice() {
        [fields @ .., ways] if fields.len() == 7 => (fields, Ways::from_names(ways)?),
        fields => (fields, Learnt::Packet.into()),
    };
    let &[prefix, since, until, seen, times, reason, class] = fields else { return None };
    let (since, until): (u64, u64) = (since.parse().ok()?, until.parse().ok()?);
    let length = until.checked_sub(since).filter(|ms| *ms <= u64::from(LONGEST_BLOCK) * 1000)?;
    // Not longer than it was meant to be, should the date have been set back.
    let left = until.saturating_sub(now.wall).min(length);
    let prefix =
        Prefix::parse(prefix, None).ok().filter(|prefix| !BROADEST.is_exceeded_by(prefix))?;
    Some(Block {
        prefix,
        // A class that is gone: everybody's.
        class: settings.classes.parse(class).unwrap_or(Some(ClassId::DEFAULT)),
        since: now.monotonic(since).min(now.monotonic),
        until: now.monotonic.saturating_add(left),
        seen: seen.parse().ok()?,
        times: times.parse().ok()?,
        reason: Reason::from_name(reason)?,
        ways,
    })
}
