//! The code by itself, without a Kamailio: models, forked processes, interleavings drawn
//! by a scheduler (`make shuttle`), and how the source files depend on each other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

#[cfg(not(shuttle))]
mod aimed;
#[cfg(not(shuttle))]
mod auth;
#[cfg(not(shuttle))]
mod auth_processes;
#[cfg(not(shuttle))]
mod cluster;
#[cfg(not(shuttle))]
mod deaths;
#[cfg(not(shuttle))]
mod dependencies;
#[cfg(not(shuttle))]
mod flood;
#[cfg(not(shuttle))]
mod fork;
#[cfg(not(shuttle))]
mod forked;
#[cfg(not(shuttle))]
mod fuzzed;
#[cfg(not(shuttle))]
mod grants;
#[cfg(not(shuttle))]
mod host;
#[cfg(not(shuttle))]
mod imports;
#[cfg(shuttle)]
mod interleaved;
#[cfg(not(shuttle))]
mod killed_among_many;
mod ledger;
#[cfg(not(shuttle))]
mod ledger_added;
#[cfg(not(shuttle))]
mod ledger_deaths;
#[cfg(not(shuttle))]
mod ledger_forked;
#[cfg(not(shuttle))]
mod ledger_killed;
#[cfg(not(shuttle))]
mod ledger_model;
#[cfg(not(shuttle))]
mod ledger_ringing;
#[cfg(not(shuttle))]
mod ledger_scopes;
#[cfg(not(shuttle))]
mod proven;
#[cfg(not(shuttle))]
mod random;
#[cfg(not(shuttle))]
mod ring_deaths;
#[cfg(not(shuttle))]
mod rooms;
#[cfg(not(shuttle))]
mod spraying;
#[cfg(not(shuttle))]
mod tried;
