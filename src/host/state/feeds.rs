//! What all processes know of the feeds that are configured.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::State;
use super::reader::{with_feeds, with_snapshot};
use crate::address::{Address, Prefix};
use crate::clock;
use crate::feeds::Pass;
use crate::flood::{Block, FloodTable, Rules};
use crate::host::settings::FeedFile;
use crate::limiter::{ClassId, Reason};
use crate::policy;
use crate::proven::Proof;
use crate::shm::{Area, SharedText, SnapshotStore};
use crate::snapshot::SourceKind;
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

/// Why a listed source is served all the same.
pub fn pass_of(state: &State, rules: &Rules, address: Address) -> Option<Pass> {
    let kind = with_snapshot(|view, _| policy::source_class(view, address, None).1);
    match kind {
        Some(SourceKind::Trusted(_)) => Some(Pass::Trusted),
        Some(SourceKind::Company) => Some(Pass::Authorized),
        _ if has_proven(state, rules, address) => Some(Pass::Proven),
        _ if state.grants.touches(address.prefix(128), clock::monotonic()) => Some(Pass::Granted),
        _ => None,
    }
}

/// Whether a source has shown more than that its address is its own: scanners open
/// connections, too.
fn has_proven(state: &State, rules: &Rules, address: Address) -> bool {
    let keep = rules.common.proven_keep;
    let proven = state.proven.look(rules.source_of(address), keep, clock::monotonic());
    proven.is_some_and(|proven| {
        [Proof::Authentication, Proof::Dialog].iter().any(|proof| proven.proofs.have(*proof))
    })
}

/// Whether all requests from a prefix are refused because feeds list it.
pub fn refuses_all(state: &State, rules: &Rules, prefix: Prefix) -> bool {
    let Some(feeds) = &state.feeds else { return false };
    let is_listed = feeds.lists(prefix.first()).is_some_and(|listed| listed.contains(prefix));
    let divides = || with_snapshot(|view, _| view.divides(prefix)).unwrap_or(true);
    is_listed
        && !divides()
        && pass_of(state, rules, prefix.first()).is_none()
        && !state.grants.touches(prefix, clock::monotonic())
}

/// Prefixes that are listed by all feeds together.
pub fn prefixes(state: &State) -> u64 {
    let feeds = state.feeds.as_ref();
    feeds.and_then(|feeds| with_feeds(feeds, |view, _| view.count())).unwrap_or(0)
}

/// Feeds whose file is wrong or missing: what they listed before is in force.
pub fn failing(state: &State) -> u64 {
    let all = state.feeds.iter().flat_map(Feeds::all);
    all.filter(|(_, note)| !note.problem().is_empty()).count() as u64
}

/// Seconds since the file of the feed that is oldest was written; 0 without one.
pub fn oldest_age(state: &State) -> u64 {
    let Some(feeds) = &state.feeds else { return 0 };
    let ages = with_feeds(feeds, |view, _| {
        let feeds = (0..feeds.files.len()).filter_map(|n| view.feed(n));
        let modified = feeds.map(|feed| feed.stamp().modified).filter(|at| *at > 0);
        modified.map(clock::age).max()
    });
    ages.flatten().unwrap_or(0)
}
