//! Feeds: files with addresses that attack others, as public lists give them.
#![forbid(unsafe_code)]

mod parse;
mod pass;
mod set;
mod special;

pub use parse::{BROADEST, BadLine, BadLines, Entries, parse};
pub use pass::Pass;
pub use set::{Feed, FeedView, MAX_FEEDS, Source, Stamp, View, compile};
