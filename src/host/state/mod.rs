//! The state behind all functions and methods: set up once, before the host forks.
#![forbid(unsafe_code)]

pub mod budgets;
pub mod fallback;
pub mod feeds;
pub mod gauges;
pub mod listed;
mod memory;
mod pins;
pub mod reader;
pub mod rules;
pub mod sources;
pub mod usage;
pub mod uses;

use std::io;
use std::sync::atomic::AtomicU64;

use once_cell::sync::OnceCell;

use crate::auth::{self, AuthTable};
use crate::desk::{Desk, Lift};
use crate::events::{Journal, Recent};
use crate::firewall::Status;
use crate::flood::{Budgets, FloodSettings, FloodTable, SharedRules};
use crate::grants::GrantTable;
use crate::host::settings::{Settings, Values, policies};
use crate::ledger::Ledger;
use crate::names::Board;
use crate::proven::ProvenTable;
use crate::shm::{Area, Bell, BitSet, SharedMutex, SharedText, SnapshotStore};
use crate::spraying::SprayTable;
use fallback::Fallback;
use feeds::Feeds;
use memory::{Plan, SPRAYERS, STREAMS};
use uses::Uses;

pub use reader::{note_use, with_snapshot};

/// Bytes kept of what the last reload found wrong.
pub const REPORT_BYTES: usize = 16384;

/// Room for hashes of words that were complained of.
pub const UNKNOWN_KINDS: usize = 4096;

/// Everything behind the script functions and RPC methods.
pub struct State {
    /// Fixed at start-up.
    pub settings: Settings,
    /// May change; not read on request paths.
    pub values: Values,
    /// Locked while a setting changes, so that the value shown is the one in force.
    pub changing: &'static SharedMutex<u8>,
    pub store: SnapshotStore,
    pub ledger: Ledger,
    pub flood: FloodTable,
    pub flood_rules: SharedRules,
    /// What sources send over connections, which cannot be forged. A block that follows is in
    /// [`State::flood`].
    pub streams: FloodTable,
    pub proven: ProvenTable,
    pub budgets: Budgets,
    pub auth: AuthTable,
    pub auth_rules: auth::SharedRules,
    pub spraying: SprayTable,
    pub grants: GrantTable,
    /// Files with addresses that are refused; None without any.
    pub feeds: Option<Feeds>,
    /// Events for operators.
    pub journal: Journal,
    pub recent: Recent,
    /// The last blocks and bans that began.
    pub starts: Recent,
    /// Whether blocked sources are dropped by the firewall.
    pub firewall: Status,
    /// Whether the tables come from a file.
    pub fallback: Fallback,
    /// What there is to say of host names.
    pub names: Board,
    /// When ranges were last used.
    pub uses: Uses,
    /// Lines about the last reload.
    pub report: SharedText<REPORT_BYTES>,
    /// Where calls are asked for whose limits other nodes share.
    pub desk: Option<Desk>,
    /// Words of kinds without a limit that were complained of, by their hashes.
    pub unknown_kinds: BitSet,
    /// Companies and brands without room among the gauges, at the last round.
    pub gauges_left_out: &'static AtomicU64,
}

static STATE: OnceCell<State> = OnceCell::new();

impl State {
    /// Maps what the processes share; `seed` keys hashes, `auth_seed` those of AoRs.
    ///
    /// # Errors
    /// Names the parameter for which there is no room, and a value that would fit.
    pub fn new(
        settings: Settings,
        values: Values,
        flood: FloodSettings,
        seed: [u64; 2],
        auth_seed: [u64; 2],
    ) -> Result<Self, String> {
        let plan = Plan::new(&settings);
        Self::map(settings, values, flood, seed, auth_seed).map_err(|error| plan.explain(&error))
    }

    /// Tells other nodes what an operator has lifted here.
    pub fn tell_lift(&self, lift: &Lift) {
        if let Some(desk) = &self.desk {
            if desk.lifts.put(lift) {
                desk.bell.ring();
            }
        }
    }

    fn map(
        settings: Settings,
        values: Values,
        flood: FloodSettings,
        seed: [u64; 2],
        auth_seed: [u64; 2],
    ) -> io::Result<Self> {
        let mut ledger = Ledger::new(settings.max_calls, seed)?;
        let mut desk = None;
        if let Some(cluster) = &settings.cluster {
            let bell: &'static Bell = Box::leak(Box::new(Bell::new()?));
            ledger.share(cluster.keys, bell)?;
            let open = Desk::new(bell)?;
            open.standing.set_policies(&policies(&values));
            desk = Some(open);
        }
        Ok(State {
            values,
            changing: Area::share()?,
            store: SnapshotStore::new(settings.snapshot_bytes)?,
            ledger,
            desk,
            flood: FloodTable::new(settings.flood_sources, seed)?,
            flood_rules: SharedRules::new(flood)?,
            streams: FloodTable::new(settings.flood_sources / STREAMS, seed)?,
            proven: ProvenTable::new(settings.flood_sources, seed)?,
            budgets: Budgets::new()?,
            auth: AuthTable::new(settings.auth_sources, auth_seed)?,
            auth_rules: auth::SharedRules::new(settings.auth)?,
            spraying: SprayTable::new(settings.auth_sources / SPRAYERS, seed)?,
            grants: GrantTable::new(settings.grants, seed)?,
            feeds: match settings.feeds.as_slice() {
                [] => None,
                files => {
                    Some(Feeds::new(files, settings.feeds_bytes, settings.flood_sources, seed)?)
                }
            },
            journal: Journal::new(seed)?,
            recent: Recent::new()?,
            starts: Recent::new()?,
            firewall: Status::new()?,
            fallback: Fallback::new()?,
            names: Board::new(settings.host_names)?,
            uses: Uses::new()?,
            report: SharedText::new()?,
            unknown_kinds: BitSet::new(UNKNOWN_KINDS)?,
            gauges_left_out: Area::share()?,
            settings,
        })
    }
}

/// Installs the state; only the first call has an effect.
pub fn install(state: State) -> &'static State {
    STATE.get_or_init(|| state)
}

/// The state; None before the start has succeeded in mapping memory.
pub fn get() -> Option<&'static State> {
    STATE.get()
}
