//! The module in a real OpenSIPS: `make test-opensips`, with OPENSIPS_SRC and OPENSIPS_MODULES.
//! What needs no server is in tests/core; what must hold in each host, in tests/hosts; what is
//! Kamailio's alone, in tests/integration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod audit;
mod cluster;
mod commands;
mod endings;
mod events;
mod example;
mod firewall;
mod host;
#[path = "../hosts/mod.rs"]
mod hosts;
mod longest;
mod measured;
mod mixed;
#[path = "../core/random.rs"]
mod random;
mod restart;
mod scaling;
mod scripts;
#[path = "../integration/support/mod.rs"]
mod support;
mod unset;
mod verdicts;

/// The host of the tests in tests/hosts.
type Here = host::OfOpenSips;
