//! The guard around every entry from C: a panic that left Rust would end a
//! worker, and a host stops when a worker dies.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use once_cell::sync::OnceCell;

use super::counters::{Own, count_own};
use super::log;
use crate::shm::{Area, count_takeover};

/// Entries from C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Entry {
    Param,
    RpcMethod,
    Statistic,
    VariableIndex,
    Attach,
    SetParam,
    Init,
    Destroy,
    CheckCompanyIp,
    RoadwarriorAcquire,
    CcLimit,
    CheckCountry,
    FloodCheck,
    AuthCheck,
    AuthFailed,
    AuthOk,
    DialogEvent,
    DialogExpired,
    DialogCounts,
    DialogRestored,
    Tick,
    Sweep,
    SweepBans,
    Revise,
    Reap,
    KeepBlocks,
    KeepTables,
    KeepUses,
    Say,
    Feed,
    Record,
    Tell,
    Gauges,
    Audit,
    Gauge,
    CheckSetting,
    ApplySetting,
    Variable,
    Rpc,
    Row,
    CanLoad,
    Load,
    CheckFlags,
    EndCalls,
    ScannerCheck,
    DialogRequest,
    CanServe,
    Serve,
    Grant,
    SweepGrants,
    CanResolve,
    Resolve,
    FollowFeeds,
    EventName,
}

impl Entry {
    /// Whether it changes what is counted of calls.
    fn counts_calls(self) -> bool {
        use Entry::*;
        matches!(
            self,
            RoadwarriorAcquire
                | CcLimit
                | DialogEvent
                | DialogExpired
                | DialogRestored
                | Reap
                | EndCalls
                | Rpc
        )
    }
}

/// One bit per entry that has panicked in any process.
static PANICKED: OnceCell<&'static AtomicU64> = OnceCell::new();

thread_local! {
    /// What the last panic said, from the hook to the guard.
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `f`; after a panic the answer is `failed`, the panic is counted, and
/// the first one of each entry is logged.
pub fn guard<R>(entry: Entry, failed: R, f: impl FnOnce() -> R) -> R {
    let result = catch_unwind(AssertUnwindSafe(|| {
        #[cfg(debug_assertions)]
        super::faults::inject(entry);
        f()
    }));
    match result {
        Ok(value) => value,
        Err(payload) => {
            // Its destructor might panic in turn.
            std::mem::forget(payload);
            report(entry);
            failed
        }
    }
}

fn report(entry: Entry) {
    count_own(Own::Panics);
    if entry.counts_calls() {
        // Unwinding has freed its locks, whatever it was in the midst of.
        count_takeover();
    }
    if is_first_in(entry) {
        let message = MESSAGE.with_borrow_mut(std::mem::take);
        log::critical(format_args!(
            "BUG: caught a panic in {entry:?}: {message}; further ones in it are counted only"
        ));
    }
}

/// Whether no process has reported a panic in this entry yet.
fn is_first_in(entry: Entry) -> bool {
    let bit = 1 << entry as u8;
    PANICKED.get().is_none_or(|panicked| panicked.fetch_or(bit, Relaxed) & bit == 0)
}

/// Keeps the message of a panic instead of printing it, and shares which entries have
/// panicked; before the host forks.
pub fn prepare() {
    // Without memory each process logs the first panic of its own.
    if let Ok(panicked) = Area::share() {
        let _ = PANICKED.set(panicked);
    }
    set_hook(Box::new(|info| {
        MESSAGE.with(|message| {
            if let Ok(mut message) = message.try_borrow_mut() {
                *message = info.to_string();
            }
        });
    }));
}
