//! Proven sources: those that receive what is sent to them, so that their packets were not
//! forged by somebody else.
//!
//! A table of fixed size in shared memory, without locks: eight sources share a cache line,
//! and one look at it tells whether a source is proven. The proof that is oldest makes room
//! for a new one.
#![forbid(unsafe_code)]

mod proof;
mod table;

pub use proof::{Proof, Proofs};
pub use table::{Proven, ProvenTable};
