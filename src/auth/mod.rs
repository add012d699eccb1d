//! Brute force protection: AoRs that fail to authenticate too often are banned.
//!
//! A fixed table in shared memory, keyed by AoR and source prefix, each entry with
//! a lock of its own, in the manner of the flood table. An entry counts failures in
//! a sliding window or is banned. Nothing is allocated after start-up; what is new
//! replaces the least useful entry where there is no room, never a banned one. No
//! lock is held while the host is called.
#![forbid(unsafe_code)]

mod entry;
mod login;
mod settings;
mod table;
mod tags;

pub use entry::{Aor, Ban, Reason};
pub use login::{LONGEST_AOR, Login};
pub use settings::{
    AuthSettings, ClassRule, ClassValues, Common, LONGEST_BAN, LONGEST_SAME, LONGEST_WINDOW,
    ParsedClass, Rules, RulesCopy, SharedRules, parse_class,
};
pub use table::{AuthTable, Checked, Memory, NoRoom, Outcome, Turns};
