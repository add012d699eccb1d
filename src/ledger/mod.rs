//! The call ledger: the live calls, and what they count against.
//!
//! A lease is one live call and its scopes: brands, companies, users, and words of the
//! operator's own. The count of a scope is the number of live leases that name it. All
//! lies in shared memory.
//!
//! Locks, always taken in this order and never around a call into the host:
//! the bucket of the dialog, which protects its lease, then the buckets of the
//! scopes in ascending order, which protect their counts and rates. A call is admitted
//! with all its scopes locked, so it counts against all of them or none, and a
//! refusal leaves no trace that another call could see.
#![forbid(unsafe_code)]

mod info;
mod lease;
#[allow(clippy::module_inception)]
mod ledger;
mod limit;
mod outcome;
mod plan;
mod progress;
mod rate;
mod record;
mod recount;
mod scope;
mod scopes;
mod shared;
mod shares;
mod take;
mod waiting;

pub use info::{LeaseInfo, LeaseScope, ScopeInfo};
pub use lease::LeaseRef;
pub use ledger::{Ledger, Memory};
pub use limit::{Bound, Calls, Enforcement, Exceeded, Limit, Rate, Wanted};
pub use outcome::{Outcome, Taken};
pub use record::KEPT_ID;
pub use scope::{Direction, KINDS, SCOPES, Scope, ScopeKey, ScopeKind};
pub use shared::Needed;
pub use waiting::Waiting;

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
    /// Where it goes from the company's view, as the script says.
    pub direction: Direction,
    /// Names the INVITE among those of its dialog; 0 is not known, or no initial
    /// INVITE.
    pub invite: u32,
    /// An emergency: it may use reserved slots.
    pub emergency: bool,
    /// It is not answered yet.
    pub rings: bool,
    /// When it came, in ms of a clock that never steps back. Only rates look at it.
    pub came: u64,
    /// When the call began, in s of the same clock; below 0: before that clock did.
    pub began: i64,
}

impl Call<'_> {
    /// No call that is there; a new one rings.
    pub(crate) const NONE: Self = Call {
        dialog: DialogId(0),
        call_id: b"",
        direction: Direction::Any,
        invite: 0,
        emergency: false,
        rings: true,
        came: 0,
        began: 0,
    };
}
