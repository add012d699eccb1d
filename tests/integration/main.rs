//! The module in a real Kamailio, with real SIP, databases, browsers and kernels.
//! One subject a module; `cargo test --test integration calls::` runs one of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod addresses;
mod arguments;
mod attacks;
mod balancers;
mod both_hosts;
mod cluster;
mod cluster_sentinels;
mod cluster_tls;
mod cluster_user;
mod compared;
mod countries;
mod databases;
mod databases_calls;
mod denied;
mod docs;
mod endings;
mod engines;
mod event_attributes;
mod events;
mod example;
#[path = "../core/host/examples.rs"]
mod examples;
mod exports;
mod faults;
mod feeds;
mod firewall;
mod firewall_countries;
mod firewall_feed;
mod floods;
#[path = "../hosts/mod.rs"]
mod hosts;
mod ivozprovider;
mod keepalive;
mod limits;
mod limits_longest;
mod limits_seen;
mod logins;
mod manual;
mod metrics;
mod migration;
mod mistakes;
mod mixed;
mod monitoring;
mod noise;
mod package;
mod page;
mod page_layout;
mod page_strangers;
mod planted;
#[path = "../core/random.rs"]
mod random;
mod reference;
mod restart;
mod revisions;
mod routes;
mod scale;
mod screenshot;
mod security;
mod settings;
mod setup;
mod sizing;
mod soak;
mod startup;
mod stock;
mod stock_strangers;
mod support;
mod transports;
mod valgrind;
mod verdicts;
mod versions;
mod words;

/// The host of the tests in tests/hosts.
type Here = support::kamailio::OfKamailio;
