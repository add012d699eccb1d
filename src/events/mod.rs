//! Events for operators, in shared memory: from all processes to the recorder. No SIP worker
//! ever waits for the reader.
#![forbid(unsafe_code)]

mod event;
mod expiry;
mod fold;
mod journal;
mod kind;
mod known;
mod recent;

pub use event::{Event, Subject};
pub use expiry::Expiry;
pub use journal::{Journal, JournalReader, PERIOD};
pub use kind::EventKind;
pub use recent::Recent;
