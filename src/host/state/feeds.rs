//! What all processes know of the feeds that are configured.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::pins::reader_of;
use crate::address::{Address, Prefix};
use crate::clock;
use crate::feeds::View;
use crate::flood::{Block, FloodTable, Rules};
use crate::host::settings::FeedFile;
use crate::limiter::{ClassId, Reason};
use crate::shm::{Area, Pinned, SharedText, SnapshotStore};
use crate::source::Source;

/// Listed sources that are known at a time, for the firewall's sets.
const SENDERS: usize = 65_536;
/// Bytes kept of what is wrong with a feed.
const PROBLEM_BYTES: usize = 1024;

/// The feeds, in the order of the configuration.
pub struct Feeds {
    pub files: Vec<FeedFile>,
    /// What they list.
    pub store: SnapshotStore,
    /// Listed sources that were refused lately, with the requests of each. They are refused
    /// with or without room here: it says which of them the firewall may drop.
    pub senders: FloodTable,
    notes: Vec<Note>,
}

/// What there is to say about one feed.
pub struct Note {
    refused: &'static AtomicU64,
    passed: &'static AtomicU64,
    /// Mark of the file that was read last, 0 for none, whether that went well or not.
    tried: &'static AtomicU64,
    problem: SharedText<PROBLEM_BYTES>,
}

impl Note {
    fn new() -> io::Result<Self> {
        Ok(Note {
            refused: Area::share()?,
            passed: Area::share()?,
            tried: Area::share()?,
            problem: SharedText::new()?,
        })
    }

    /// Requests that were refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Requests of listed sources that were served all the same.
    pub fn passed(&self) -> u64 {
        self.passed.load(Relaxed)
    }

    pub fn tried(&self) -> u64 {
        self.tried.load(Relaxed)
    }

    /// Notes that a file was read. `problem` has a line for each thing that is wrong with it;
    /// lines without room are left out.
    pub fn set_tried(&self, mark: u64, problem: &[String]) {
        let mut text = String::new();
        for line in problem {
            if text.len() + line.len() + 1 >= PROBLEM_BYTES {
                break;
            }
            text.push_str(line);
            text.push('\n');
        }
        self.problem.set(&text);
        self.tried.store(mark, Relaxed);
    }

    /// What is wrong with its file; nothing if what it lists is in force.
    pub fn problem(&self) -> Vec<String> {
        self.problem.get().lines().map(str::to_owned).collect()
    }
}

impl Feeds {
    /// Maps what `files` need: `bytes` of address space for what they list.
    pub fn new(
        files: &[FeedFile],
        bytes: usize,
        sources: usize,
        seed: [u64; 2],
    ) -> io::Result<Self> {
        Ok(Feeds {
            store: SnapshotStore::new(bytes)?,
            senders: FloodTable::new(sources.min(SENDERS), seed)?,
            notes: files.iter().map(|_| Note::new()).collect::<io::Result<_>>()?,
            files: files.to_vec(),
        })
    }

    /// Files and notes, in the order of the configuration.
    pub fn all(&self) -> impl Iterator<Item = (&FeedFile, &Note)> {
        self.files.iter().zip(&self.notes)
    }

    /// The prefix that lists an address.
    #[inline]
    pub fn lists(&self, address: Address) -> Option<Prefix> {
        with_feeds(self, |view, _| view.find(address)).flatten()
    }

    /// Names of the feeds that list an address, and the prefix of each.
    pub fn listing(&self, address: Address) -> Vec<(&str, Prefix)> {
        let named = |(n, prefix): (usize, Prefix)| Some((self.files.get(n)?.name.as_str(), prefix));
        with_feeds(self, |view, _| view.feeds_of(address).filter_map(named).collect())
            .unwrap_or_default()
    }

    /// Counts a request of a listed source, for each feed that lists it.
    pub fn count(&self, address: Address, passed: bool) {
        with_feeds(self, |view, _| {
            for note in view.feeds_of(address).filter_map(|(n, _)| self.notes.get(n)) {
                let counter = if passed { note.passed } else { note.refused };
                counter.fetch_add(1, Relaxed);
            }
        });
    }

    /// Notes that a listed source goes on sending.
    pub fn note_sender(&self, rules: &Rules, source: Source, listed: Prefix) {
        let own = rules.source_of(source.address);
        let class = Some(ClassId::DEFAULT);
        let now = clock::monotonic();
        let block = Block {
            // No neighbour of a listed address is dropped.
            prefix: if listed.mask() > own.mask() { listed } else { own },
            class,
            since: now,
            until: now.saturating_add(rules.class(class).block_ms(0)),
            seen: 1,
            times: 1,
            reason: Reason::Listed,
            ways: source.learnt.into(),
        };
        self.senders.refuse(&block, rules, source.learnt);
    }
}

/// Runs `f` on what the feeds list; None if none was ever loaded.
#[inline]
pub fn with_feeds<R>(feeds: &Feeds, f: impl FnOnce(&View<'_>, &Pinned<'_>) -> R) -> Option<R> {
    let pinned = feeds.store.pin(reader_of(&feeds.store)?)?;
    View::new(pinned.bytes()).map(|view| f(&view, &pinned))
}
