//! What all limiters are made of: sliding windows, prefixes as keys, classes of sources,
//! rules with what they inherit, locked lines for entries, terms in which something is
//! refused.
//!
//! Whatever limits something adds to this what it counts and what follows from it.
#![forbid(unsafe_code)]

mod classes;
mod key;
mod lines;
#[cfg(test)]
mod pair;
pub mod parse;
mod rules;
mod shared;
mod term;
mod window;

pub use classes::{ClassId, ClassNames, MAX_CLASSES};
pub use key::{Key, Placed};
pub use lines::{Lines, Locked, Occupant, Place, WAYS};
pub use rules::{Field, ParsedClass, Rules, Settings, Values};
pub use shared::{RulesCopy, SharedRules};
pub use term::{LONGEST_TERM, State, Term, UNITS_PER_SECOND, units};
pub use window::{Counting, SLICES, Slice, Window, Worth};
