//! What mod_init sets up once, before Kamailio forks.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use once_cell::sync::OnceCell;

use super::entry::Entry;
use super::fallback::Fallback;
use super::firewall::Status;
use super::memory::Plan;
use super::settings::Settings;
use super::values::Values;
use crate::auth::{self, AuthTable};
use crate::events::{Journal, Recent};
use crate::flood::{FloodSettings, FloodTable, SharedRules};
use crate::ledger::Ledger;
use crate::shm::{Area, SharedMutex, SnapshotStore};

/// Bytes kept of what the last reload found wrong.
pub const REPORT_BYTES: usize = 16384;

/// Everything behind the script functions and RPC methods.
pub struct State {
    /// What is fixed.
    pub settings: Settings,
    /// What may change, but for no request path.
    pub values: Values,
    /// Held while a setting changes, so that the value that is shown is the one in force.
    pub changing: &'static SharedMutex<u8>,
    /// The snapshots.
    pub store: SnapshotStore,
    /// The calls.
    pub ledger: Ledger,
    /// The sources.
    pub flood: FloodTable,
    /// Limits and block times.
    pub flood_rules: SharedRules,
    /// Failed authentications.
    pub auth: AuthTable,
    /// Their limits and bans.
    pub auth_rules: auth::SharedRules,
    /// What operators are told.
    pub journal: Journal,
    /// The last refusals.
    pub recent: Recent,
    /// The last blocks and bans that began.
    pub starts: Recent,
    /// Whether blocked sources are dropped by the firewall.
    pub firewall: Status,
    /// Whether the tables come from a file.
    pub fallback: Fallback,
    /// Lines about the last reload, ended by the first zero byte.
    pub report: &'static SharedMutex<[u8; REPORT_BYTES]>,
    /// Companies and brands that had no room among the gauges lately.
    pub gauges_left_out: &'static AtomicU64,
    /// One bit per entry from C that has panicked in any process.
    panicked: &'static AtomicU64,
}

static STATE: OnceCell<State> = OnceCell::new();

impl State {
    /// Maps what the processes share; `seed` keys hashes, `auth_seed` those of AoRs.
    ///
    /// # Errors
    /// The parameter for which there is no room, and a value that would do.
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

    fn map(
        settings: Settings,
        values: Values,
        flood: FloodSettings,
        seed: [u64; 2],
        auth_seed: [u64; 2],
    ) -> io::Result<Self> {
        Ok(State {
            values,
            changing: Area::share()?,
            store: SnapshotStore::new(settings.snapshot_bytes)?,
            ledger: Ledger::new(settings.max_calls, seed)?,
            flood: FloodTable::new(settings.flood_sources, seed)?,
            flood_rules: SharedRules::new(flood)?,
            auth: AuthTable::new(settings.auth_sources, auth_seed)?,
            auth_rules: auth::SharedRules::new(settings.auth)?,
            journal: Journal::new(seed)?,
            recent: Recent::new()?,
            starts: Recent::new()?,
            firewall: Status::new()?,
            fallback: Fallback::new()?,
            report: Area::share()?,
            gauges_left_out: Area::share()?,
            panicked: Area::share()?,
            settings,
        })
    }
}

/// Installs the state; the first call counts.
pub fn install(state: State) -> &'static State {
    STATE.get_or_init(|| state)
}

/// The state; None before mod_init has succeeded in mapping memory.
pub fn get() -> Option<&'static State> {
    STATE.get()
}

/// Whether no process has reported a panic in this entry yet.
pub fn first_panic_of(entry: Entry) -> bool {
    let bit = 1 << entry as u8;
    get().is_none_or(|state| state.panicked.fetch_or(bit, Relaxed) & bit == 0)
}
