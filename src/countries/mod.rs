//! Which country an address is in, from a MaxMind DB.
#![forbid(unsafe_code)]

mod code;
mod mmdb;
mod sets;

pub use code::{CountryCode, countries_of};
pub use mmdb::{CountryNetworks, Network};
pub use sets::country_sets;
