//! Atomics that several processes change. With `--cfg shuttle` they are those of the
//! scheduler that explores interleavings.

#[cfg(not(shuttle))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

#[cfg(shuttle)]
pub use shuttle::sync::atomic::{AtomicU32, AtomicU64, Ordering};
