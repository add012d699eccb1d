//! What nodes tell each other besides slots: blocks, bans and grants that begin and are
//! lifted. Pure: the time and the messages are arguments.
//!
//! The server keeps the newest notice of each name until its end, so one that joins late
//! reads all. Which one is newer is said by its version, the time by the server's clock: a
//! block that was lifted stays lifted, in whatever order the two arrive.
#![forbid(unsafe_code)]

mod book;
mod clock;
mod looks;
mod notice;
mod script;

pub use book::Book;
pub use clock::{ServerClock, Set};
pub use looks::{Found, Looks, Span};
pub use notice::{Notice, Seal};
pub use script::{Heard, SCRIPT, arguments, heard};
