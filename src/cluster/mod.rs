//! One limit over several nodes: the protocol by which they share it. Pure: the time and
//! the messages are arguments, and nothing here reads or writes a socket.
//!
//! A node claims slots of a scope at a server that all nodes reach, and admits only what its
//! claim covers: `calls <= granted <= claim`, and the claims of all nodes are at most the
//! limit. So nothing is exceeded, however late a message comes. The calls themselves are
//! known to their node alone: the server may forget everything, and nodes publish again.
#![forbid(unsafe_code)]

mod asks;
mod batch;
mod books;
mod breaker;
mod counts;
mod key;
mod message;
mod mirror;
mod node;
mod pace;
mod policy;
mod publication;
mod reserved;
mod script;
mod session;
mod setup;
mod trust;

pub use asks::{Answer, Ask, Want};
pub use books::Books;
pub use breaker::Breaker;
pub use counts::{Change, Counts};
pub use key::{Key, Keys, PLACES, Part};
pub use message::{Claim, Group, Join, Reply, Request, Seen, Stamp, Take};
pub use mirror::Mirror;
pub use node::{Event, Node, Outcome};
pub use pace::Pace;
pub use policy::{Judgement, Outage, Share};
pub use reserved::{emergency_is_refused, parts};
pub use script::{SCRIPT, Value, decode, encode, fits_lua, read_scope, scope_name};
pub use session::{Phase, Session};
pub use setup::Setup;
pub use trust::{Times, Trust};
