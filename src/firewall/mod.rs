//! What a firewall drops for flood control: which blocks, and the changes after
//! which a set in the kernel has exactly those.
//!
//! Text only: commands for `nft` go out, listings come in. The host runs `nft`.
#![forbid(unsafe_code)]

mod element;
mod listing;
mod offenders;
mod sets;
mod status;

pub use element::{Element, Elements, MOST, disjoint, reconcile};
pub use listing::{Listing, parse_listing};
pub use offenders::Offenders;
pub use sets::{Changes, Sets, changes};
pub use status::{Mode, Status};
