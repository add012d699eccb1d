//! The process that never blocks: it ends what has run out, feeds the firewall, keeps the
//! files, and applies changes of settings. It runs no script and asks no database; threads
//! write the files, and nft is a process of its own.

use std::cell::{Cell, RefCell};

use super::blocks_keeper::BlocksKeeper;
use super::feeder::Feeder;
use super::feeds_keeper::FeedsKeeper;
use super::revision;
use super::tables_keeper::TablesKeeper;
use super::uses_keeper::UsesKeeper;
use crate::clock;
use crate::flood::Ended;
use crate::host::contract::guard::{Entry, guard};
use crate::host::contract::log;
use crate::host::reload::fallback;
use crate::host::report::{bans, blocks, grants};
use crate::host::state::rules::with_auth_rules;
use crate::host::state::{self, State};

/// Ms between two looks for what has run out.
const SWEEP: u64 = 200;

thread_local! {
    static SWEPT: Cell<u64> = const { Cell::new(0) };
    static KEEPER: RefCell<BlocksKeeper> = const { RefCell::new(BlocksKeeper::NEW) };
    static TABLES: RefCell<TablesKeeper> = const { RefCell::new(TablesKeeper::NEW) };
    static USES: RefCell<UsesKeeper> = const { RefCell::new(UsesKeeper::NEW) };
    static FEEDS: RefCell<FeedsKeeper> = const { RefCell::new(FeedsKeeper::NEW) };
    static FEEDER: RefCell<Feeder> = RefCell::new(Feeder::default());
    /// Miscounts that were logged.
    static MISCOUNTED: Cell<u64> = const { Cell::new(0) };
}

/// Called all the time in this process only. Each job has a guard of its own, so that one
/// which always fails does not stop the others.
pub fn tick() {
    let Some(state) = state::get() else { return };
    let now = clock::monotonic();
    if now.saturating_sub(SWEPT.get()) >= SWEEP {
        SWEPT.set(now);
        guard(Entry::Sweep, (), || {
            state.flood.sweep(clock::monotonic, |ended| blocks::report_end(state, &ended));
            state.streams.sweep(clock::monotonic, |ended| {
                if let Ended::Throttling(..) = ended {
                    blocks::report_end(state, &ended);
                }
            });
        });
        if let Some(feeds) = &state.feeds {
            guard(Entry::FollowFeeds, (), || {
                feeds.senders.sweep(clock::monotonic, |_| {});
                FEEDS.with_borrow_mut(|keeper| keeper.follow(state, feeds, now));
            });
        }
        guard(Entry::SweepBans, (), || {
            with_auth_rules(state, |rules| {
                state.auth.sweep(rules, clock::monotonic, |ban| bans::report_end(state, &ban));
            });
        });
        guard(Entry::SweepGrants, (), || {
            state.grants.sweep(clock::monotonic(), |grant| grants::report_end(state, &grant));
        });
        guard(Entry::Revise, (), || revision::revise(state));
        state.uses.turn();
    }
    if let Some(sets) = &state.settings.firewall {
        guard(Entry::Feed, (), || {
            FEEDER.with_borrow_mut(|feeder| feeder.feed(state, sets, now));
        });
    }
    guard(Entry::KeepBlocks, (), || KEEPER.with_borrow_mut(|keeper| keeper.keep(state, now)));
    guard(Entry::KeepTables, (), || TABLES.with_borrow_mut(|keeper| keeper.keep(state, now)));
    guard(Entry::KeepUses, (), || USES.with_borrow_mut(|keeper| keeper.keep(state, now)));
    guard(Entry::Say, (), || {
        fallback::tell(state, now);
        say_miscounted(state);
    });
}

fn say_miscounted(state: &State) {
    let miscounted = state.ledger.miscounted();
    if MISCOUNTED.replace(miscounted) < miscounted {
        log::critical(format_args!(
            "BUG: {miscounted} times a call was taken out of a count that it was not in"
        ));
    }
}
