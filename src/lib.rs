//! sipwarden: a Kamailio module that guards multi-tenant SIP platforms.
//!
//! `host` talks to the C shim, the domain modules decide, `shm` holds what all
//! processes share. Dependencies point down only: host -> domain -> shm.

pub mod address;
pub mod auth;
pub mod clock;
pub mod cluster;
pub mod countries;
pub mod desk;
pub mod digits;
pub mod events;
pub mod feeds;
pub mod firewall;
pub mod flood;
pub mod grants;
pub mod host;
pub mod ledger;
pub mod limiter;
pub mod memory;
pub mod names;
pub mod notices;
pub mod policy;
pub mod printable;
pub mod proven;
pub mod shm;
pub mod snapshot;
pub mod source;
pub mod spraying;
pub mod system;
pub mod tables;
pub mod unset;
pub mod verdict;
