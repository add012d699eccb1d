//! Which country an address is in, from a MaxMind DB.
#![forbid(unsafe_code)]

mod code;
mod mmdb;

pub use code::{CountryCode, countries_of};
pub use mmdb::{CountryNetworks, Network};
