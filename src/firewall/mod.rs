//! What a firewall drops for flood control: which blocks, and the changes after
//! which a set in the kernel has exactly those.
//!
//! Text only: commands for `nft` go out, listings come in. Who runs it, and when,
//! is the host's business.
#![forbid(unsafe_code)]

mod element;
mod listing;
mod pursuit;
mod sets;
mod status;

pub use element::{Element, Elements, disjoint, settle};
pub use listing::{Listing, parse_listing};
pub use pursuit::{PERIOD as PURSUIT_PERIOD, Pursuit};
pub use sets::{Changes, Sets, changes};
pub use status::{Mode, Status};
