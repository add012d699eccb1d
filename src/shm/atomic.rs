//! Atomics that several processes change. With the feature `shuttle` they are those of the
//! scheduler that explores interleavings.

#[cfg(not(shuttle))]
pub use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What is written before is written first, also for who reads what a process has left that
/// was killed in between. That process' own processor keeps the order in which instructions
/// were given, so only the compiler is told: this costs none.
#[inline]
pub fn keep_order() {
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::Release);
}

#[cfg(shuttle)]
pub use shuttle::sync::atomic::{AtomicU32, AtomicU64, Ordering};
