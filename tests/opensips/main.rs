//! The module in a real OpenSIPS: `make test-opensips`, with OPENSIPS_SRC and OPENSIPS_MODULES.
//! What needs no server is in tests/core; what is Kamailio's alone, in tests/integration.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod commands;
mod endings;
mod events;
mod example;
mod host;
mod proxy;
mod reload;
mod restart;
mod storms;
#[path = "../integration/support/mod.rs"]
mod support;
mod unset;
mod verdicts;
