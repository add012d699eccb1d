//! Brute force protection: AoRs that fail to authenticate too often are banned.
//!
//! A table of fixed size in shared memory, keyed by AoR and source prefix, each entry with a
//! lock of its own, like the flood table. An entry counts failures in a sliding window or is
//! banned. Nothing is allocated after start-up; a new entry evicts the least useful one where
//! there is no room, never a banned one. The host is called without any lock.
#![forbid(unsafe_code)]

mod entry;
mod login;
mod settings;
mod table;
mod tags;

pub use entry::{Aor, Ban};
pub use login::{LONGEST_AOR, Login};
pub use settings::{
    AuthSettings, ClassRule, ClassValues, Common, LONGEST_BAN, LONGEST_SAME, LONGEST_WINDOW,
    MOST_AORS, ParsedClass, Rules, RulesCopy, SharedRules,
};
pub use table::{AuthCheck, AuthOutcome, AuthTable, BanChanges};
