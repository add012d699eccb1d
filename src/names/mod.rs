//! Host names in the place of addresses: how they are written, what may be asked, what they
//! mean now.
#![forbid(unsafe_code)]

mod board;
mod book;
mod name;
mod usable;

pub use board::{Board, Line};
pub use book::{Answer, Book, Meaning, Remark, Terms};
pub use name::host_name;
pub use usable::{absurd, parse_addresses};

use std::collections::HashMap;

use crate::address::Address;

/// Addresses of a host name that count, of both families together.
pub const MOST_ADDRESSES: usize = 16;

/// What host names mean: addresses in ascending order, without those that are absurd.
pub type Answers = HashMap<Box<[u8]>, Vec<Address>>;

/// A record of addresses that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// A.
    V4,
    /// AAAA.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];
}
