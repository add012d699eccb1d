//! What all processes share, and the only `unsafe` towards it.
//!
//! Memory is mapped before Kamailio forks (`MAP_SHARED | MAP_ANONYMOUS`), so it has the
//! same address in every process. Rust's atomics are plain machine instructions on it and
//! work between processes as they do between threads. All-zero memory is a valid empty state
//! of every type here.

mod area;
pub mod atomic;
mod bitset;
mod bucket;
mod futex;
mod mutex;
mod owner;
mod pool;
mod publication;
mod reader;
mod ring;
mod store;
mod text;

pub use area::{Area, page_size};
pub use bitset::{BitSet, bits};
pub use bucket::{Buckets, Locked, LockedSet};
pub use futex::{Bell, futex_wait, futex_wake};
pub use mutex::{
    RawSharedMutex, SharedMutex, ShortGuard, ShortMutex, count_takeover, on_long_wait, takeovers,
};
pub use owner::process_id;
pub use pool::{Pool, Record};
pub use publication::{MAX_READERS, Publication, Reader, ReaderSlot};
pub use reader::{NoReader, own_reader};
pub use ring::Ring;
pub use store::{Generation, Pinned, PublishError, Published, SnapshotStore, Writer};
pub use text::{SharedText, words_of};
