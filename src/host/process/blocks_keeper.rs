//! Keeps blocks, bans and grants in a file, and reads them back. One process writes it, under another
//! name first, so that a reader always finds a whole file.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::blocklist;
use super::trouble::Trouble;
use crate::clock::{self, Moment};
use crate::grants::Grant;
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::files::{self, FileWriter, check_absolute};
use crate::host::report::grants::too_broad;
use crate::host::state::rules::{with_auth_rules, with_rules};
use crate::host::state::{self, State};
use crate::memory;
use crate::printable::Printable;

/// Ms between two writes of the file.
const PERIOD: u64 = 1000;
/// Ms after which an unfinished write is reported.
pub const SLOW: u64 = 10_000;

/// Writes the file when blocks, bans or grants have changed; one process, the warden.
pub struct BlocksKeeper {
    /// The file, as `flood_persist` was at the last look.
    path: Option<PathBuf>,
    writer: FileWriter,
    /// Changes of blocks, bans and grants in what is being written, and in what was.
    writing: Option<[u64; 3]>,
    written: Option<[u64; 3]>,
    /// When it last looked, and when it last began to write.
    looked: u64,
    began: u64,
    trouble: Trouble,
}

impl BlocksKeeper {
    pub const NEW: Self = BlocksKeeper {
        path: None,
        writer: FileWriter::NEW,
        writing: None,
        written: None,
        looked: 0,
        began: 0,
        trouble: Trouble::NONE,
    };

    /// Begins to write the file if a second has passed and something has changed. Never
    /// waits.
    pub fn keep(&mut self, state: &State, now: u64) {
        if let Some(done) = self.writer.done() {
            self.set_done(done.map(|_| ()), now);
        }
        if now.saturating_sub(self.looked) < PERIOD {
            return;
        }
        self.looked = now;
        let path = state.values.flood_persist();
        if self.path != path {
            // Another file is written from the beginning; the old one stays as it is.
            *self = BlocksKeeper { path, looked: now, ..BlocksKeeper::NEW };
        }
        if self.writer.is_busy() {
            if now.saturating_sub(self.began) >= SLOW {
                self.complain("the disk does not answer", now);
            }
            return;
        }
        let changes = [state.flood.changes(), state.auth.changes(), state.grants.changes()];
        if let Some(path) = self.path.as_ref().filter(|_| self.written != Some(changes)) {
            let started = whole(state).and_then(|text| {
                let bytes = text.into_bytes();
                self.writer.start(path, files::refuse_others, move || Ok(bytes))
            });
            (self.writing, self.began) = (Some(changes), now);
            if let Err(why) = started {
                self.complain(&why, now);
            }
        }
    }

    fn set_done(&mut self, done: Result<(), String>, now: u64) {
        match done {
            Ok(()) => {
                self.written = self.writing.take();
                if self.trouble.is_over() {
                    let path = self.path.as_deref().unwrap_or(Path::new(""));
                    log::info(format_args!(
                        "blocks, bans and grants are kept in {} again",
                        path.display()
                    ));
                }
            }
            Err(error) => self.complain(&error, now),
        }
    }

    fn complain(&mut self, why: &str, now: u64) {
        if self.trouble.is_due(now) {
            let path = self.path.as_deref().unwrap_or(Path::new("")).display();
            log::error(format_args!(
                "blocks, bans and grants are not kept in {path}: {why}; they would not survive a \
                 restart (tried again, said once a minute)"
            ));
        }
    }
}

/// Most bytes of the line of a block, and of that of a ban or a grant; twice, as a text grows.
const BLOCK_LINE: usize = 2 * 128;
const LINE: usize = 2 * 512;

fn whole(state: &State) -> Result<String, String> {
    let (blocks, bans) = (state.flood.usage().blocked, state.auth.usage().blocked);
    let lines = bans as usize + state.grants.usage().used as usize;
    memory::ask_for(BLOCK_LINE * blocks as usize + LINE * lines)?;
    let now = Moment::now();
    let mut text = format!("{}\n{}", blocklist::HEADER, blocklist::seed_line(state.auth.seed()));
    state.flood.blocks(clock::monotonic, |block| {
        text.push_str(&blocklist::block_line(&state.settings, now, &block));
    });
    state.auth.bans(clock::monotonic, |ban| {
        text.push_str(&blocklist::ban_line(&state.settings, now, &ban));
    });
    for grant in state.grants.all(None, now.monotonic) {
        text.push_str(&blocklist::grant_line(now, &grant));
    }
    Ok(text)
}

/// Whether blocks could be written to a file.
pub fn check(path: &Path) -> Result<(), String> {
    check_kind(path)?;
    read(path)?;
    files::check_writable(path)
        .map_err(|why| format!("\"{}\" cannot be written: {why}", path.display()))
}

/// Checks that a path makes sense for blocks: only rights or the disk may stop a write.
pub fn check_kind(path: &Path) -> Result<(), String> {
    check_absolute(path)?;
    let is_other = fs::metadata(path).is_ok_and(|of| !of.is_file());
    // An unreadable file is reported when it is loaded.
    if is_other || read(path).ok().flatten().is_some_and(|text| !blocklist::is_ours(&text)) {
        return Err(format!("\"{}\" is not a file of blocks", path.display()));
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

/// The seed of the earlier run, for the hashes of its bans.
pub fn seed(path: &Path) -> Option<[u64; 2]> {
    blocklist::lines(&fs::read(path).ok()?).find_map(blocklist::parse_seed)
}

/// How many of each were loaded.
#[derive(Default)]
pub struct Loaded {
    pub blocks: usize,
    pub bans: usize,
    pub grants: usize,
}

/// Loads the blocks, bans and grants of an earlier run, with the time that is left. Other
/// lines are logged and left out.
pub fn load(state: &State, path: &Path) -> Result<Loaded, String> {
    let text = read(path).map_err(|why| format!("parameter flood_persist: {why}"))?;
    Ok(load_text(state, path, &text.unwrap_or_default()))
}

/// Loads a file with this text into the state that is set up, whose grants end before, and tells
/// what the module would write then: for tests without a start for each file. None: nothing is
/// set up.
pub fn loaded_and_kept(text: &[u8]) -> Option<String> {
    let state = state::get()?;
    state.grants.sweep(u64::MAX, |_| {});
    load_text(state, Path::new("the file"), text);
    whole(state).ok()
}

fn load_text(state: &State, path: &Path, text: &[u8]) -> Loaded {
    let lines = blocklist::lines(text).skip(1);
    let now = Moment::now();
    let mut loaded = Loaded::default();
    for line in lines {
        if blocklist::parse_seed(line).is_some() {
            continue;
        }
        if let Some(ban) = blocklist::parse_ban(state, now, line) {
            // A ban that has run out ends with the first sweep, which reports it.
            let kept = with_auth_rules(state, |rules| state.auth.ban(&ban, rules, now.monotonic));
            if kept.is_ok() {
                loaded.bans += 1;
                counters::count_own(Own::AuthBansStarted);
            }
            continue;
        }
        if let Some(grant) = blocklist::parse_grant(now, line) {
            loaded.grants += usize::from(load_grant(state, now, &grant));
            continue;
        }
        let Some(block) = blocklist::parse_block(&state.settings, now, line) else {
            let line = Printable::short(line);
            log::warning(format_args!(
                "a line of {} is left out: \"{line}\" is not a block, ban or grant",
                path.display()
            ));
            continue;
        };
        if block.until > now.monotonic {
            let kept = with_rules(state, |rules| state.flood.block(&block, rules, now.monotonic));
            if kept.is_ok() {
                loaded.blocks += 1;
                counters::count_own(Own::FloodBlocksStarted);
            }
        }
    }
    loaded
}

/// Whether a grant of an earlier run holds again: its time is not over, there is room, and the
/// parameters allow a source so broad.
fn load_grant(state: &State, now: Moment, grant: &Grant) -> bool {
    let holds = grant.until > now.monotonic && too_broad(state, grant.source).is_none();
    let kept = holds && state.grants.grant(grant).is_ok();
    if kept {
        counters::count_own(Own::GrantsStarted);
    }
    kept
}
