//! What all limiters are made of: sliding windows, prefixes as keys, classes of sources,
//! and the values that operators set for them.
//!
//! Whatever limits something adds to this what it counts and what follows from it.
#![forbid(unsafe_code)]

mod classes;
mod key;
pub mod parse;
mod window;

pub use classes::{ClassId, ClassNames, MAX_CLASSES};
pub use key::Key;
pub use window::{Counting, SLICES, Window, Worth};
