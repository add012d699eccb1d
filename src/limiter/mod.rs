//! What all limiters share: sliding windows, source prefixes as keys, classes of sources,
//! rules with inheritance, locked entries in shared memory, terms for which something is
//! refused.
//!
//! A limiter adds what it counts, and what follows when a limit is exceeded.
#![forbid(unsafe_code)]

mod classes;
mod key;
mod lines;
pub mod parse;
mod rules;
mod shared;
mod tally;
mod term;
#[cfg(test)]
mod test_values;
mod window;

pub use classes::{ClassId, ClassNames, MAX_CLASSES};
pub use key::{HashedKey, PrefixKey};
pub use lines::{Insertion, Lines, LockedEntry, NoRoom, TableEntry, TableUsage, WAYS};
pub use rules::{Field, ParsedClass, Rule, Rules, Settings, Values};
pub use shared::{RulesCopy, SharedRules};
pub use tally::Tally;
pub use term::{LONGEST_TERM, Reason, Term, UNITS_PER_SECOND, units};
pub use window::{Counting, EvictionRank, SLICES, Slice, Window};
