//! The call ledger: the live calls, and what they count against.
//!
//! A lease is one live call and its scopes (user, company, brand). The count of
//! a scope is the number of live leases that hold it. All lies in shared memory.
//!
//! Locks, always taken in this order and never around a call into the host:
//! the bucket of the dialog, which protects its lease, then the buckets of the
//! scopes in ascending order, which protect their counts. A call is admitted
//! with all its scopes locked, so it counts against all of them or none, and a
//! refusal leaves no trace that another call could see.
#![forbid(unsafe_code)]

mod lease;
mod scope;
mod shared;

pub use lease::{Direction, LeaseInfo, LeaseRef};
pub use scope::{Scope, ScopeKind};
pub use shared::{Ledger, Memory, Outcome, Taken, Wanted};

/// Names a dialog: hash entry in the upper half, id within it in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DialogId(pub u64);

impl DialogId {
    /// From the two numbers of Kamailio's dialog module.
    pub fn new(entry: u32, id: u32) -> Self {
        DialogId(u64::from(entry) << 32 | u64::from(id))
    }
}

/// What is known of a call besides its scopes.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its dialog.
    pub dialog: DialogId,
    /// Its Call-ID.
    pub call_id: &'a [u8],
    /// Where it goes to, as the script says.
    pub direction: Direction,
    /// Names the INVITE among those of its dialog; 0 is not known, or no initial
    /// INVITE.
    pub invite: u32,
    /// Counted without regard to limits.
    pub emergency: bool,
    /// Seconds since 1970.
    pub now: u64,
}
