//! What listings show.

use super::DialogId;
use super::lease::LeaseRef;
use super::limit::Calls;
use super::scope::{Direction, ScopeKind};

/// A lease as listings show it.
#[derive(Clone, Debug)]
pub struct LeaseInfo {
    /// Its name.
    pub lease: LeaseRef,
    /// Its dialog.
    pub dialog: DialogId,
    /// The Call-ID; `...` stands behind one that is cut.
    pub call_id: Vec<u8>,
    /// Hash of the whole Call-ID.
    pub call_id_hash: u64,
    /// Its scopes, in the order in which they were taken.
    pub scopes: Vec<LeaseScope>,
    /// Where the call goes from the company's view.
    pub direction: Direction,
    /// An emergency.
    pub emergency: bool,
    /// It was not answered yet.
    pub ringing: bool,
    /// Whether it is counted; a released lease waits for its dialog to go.
    pub live: bool,
    /// When it began, in s of [`super::Call::began`]'s clock.
    pub started: i64,
    /// When it must end, by the same clock.
    pub ends: Option<i64>,
    /// It had to end before, and a BYE to both ends could not be sent.
    pub is_stuck: bool,
}

impl LeaseInfo {
    /// Its first scope of a kind.
    pub fn first(&self, kind: ScopeKind) -> Option<&LeaseScope> {
        self.scopes.iter().find(|scope| scope.kind == kind)
    }

    /// Id of its first scope of a kind, empty if there is none.
    pub fn id(&self, kind: ScopeKind) -> &[u8] {
        self.first(kind).map_or(&[], |scope| &scope.id)
    }

    /// Ids of its scopes of a kind, in the order in which they were taken, with `, ` between
    /// them: a call between two companies has two.
    pub fn ids(&self, kind: ScopeKind) -> Vec<u8> {
        let of_kind = self.scopes.iter().filter(|scope| scope.kind == kind);
        of_kind.map(|scope| scope.id.as_slice()).collect::<Vec<_>>().join(&b", "[..])
    }

    /// Whether the scope with this [`super::Ledger::scope_hash`] is among its own.
    pub fn names(&self, hash: u128) -> bool {
        self.scopes.iter().any(|scope| scope.hash == hash)
    }

    /// Whether it counts for a company; else the company is only whose call it is.
    pub fn counts_for_company(&self) -> bool {
        self.first(ScopeKind::COMPANY).is_some_and(|company| company.counts)
    }
}

/// A scope of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseScope {
    /// Its kind.
    pub kind: ScopeKind,
    /// Its id; `...` stands behind one that is cut.
    pub id: Vec<u8>,
    /// As [`super::Ledger::scope_hash`] gives it.
    pub hash: u128,
    /// Whether the call counts there.
    pub counts: bool,
    /// Whether it counts among the calls to the scope.
    pub inbound: bool,
    /// Whether it counts among the calls from the scope.
    pub outbound: bool,
}

/// A scope with live calls, or with calls that may come back.
#[derive(Clone, Debug)]
pub struct ScopeInfo {
    /// Its kind.
    pub kind: ScopeKind,
    /// Its id; `...` stands behind one that is cut.
    pub id: Vec<u8>,
    /// The id is cut.
    pub is_cut: bool,
    /// As [`super::Ledger::scope_hash`] gives it.
    pub hash: u128,
    /// Its live calls.
    pub calls: Calls,
}
