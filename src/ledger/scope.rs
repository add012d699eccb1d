//! Scopes: what calls count against, named by kind and id.

use arrayvec::ArrayVec;
use bytemuck::{Pod, Zeroable};

/// Kinds of scopes that can be told apart.
pub const KINDS: usize = 16;

/// Scopes that one call may count against, and that one attempt may name.
pub const SCOPES: usize = 12;

/// The kind of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeKind(u8);

impl ScopeKind {
    /// External calls of a brand.
    pub const BRAND: Self = ScopeKind(0);
    /// External calls of a company.
    pub const COMPANY: Self = ScopeKind(1);
    /// Calls that a user has placed from addresses that are not granted.
    pub const ROADWARRIOR: Self = ScopeKind(2);
    /// Calls of a user, as the script names them.
    pub const USER: Self = ScopeKind(3);
    /// So many kinds have words of the operator's own.
    pub const OWN: usize = KINDS - 4;

    /// The words of all kinds that are not the operator's.
    pub const NAMED: [&[u8]; 4] = [b"brand", b"company", b"roadwarrior", b"user"];

    /// The kind of a word that limits may be for and that is not the operator's.
    pub fn named(word: &[u8]) -> Option<Self> {
        match word {
            b"brand" => Some(Self::BRAND),
            b"company" => Some(Self::COMPANY),
            b"user" => Some(Self::USER),
            _ => None,
        }
    }

    /// The word of a kind; None for the operator's own.
    pub fn word(self) -> Option<&'static [u8]> {
        match self {
            Self::BRAND => Some(b"brand"),
            Self::COMPANY => Some(b"company"),
            Self::ROADWARRIOR => Some(b"roadwarrior"),
            Self::USER => Some(b"user"),
            _ => None,
        }
    }

    /// Which of the operator's words it is; None for another kind.
    pub fn own_number(self) -> Option<usize> {
        self.number().checked_sub(KINDS - Self::OWN)
    }

    /// The kind of the operator's n-th word, from 0 on; None for [`ScopeKind::OWN`]
    /// and above.
    pub fn own(n: usize) -> Option<Self> {
        Self::of(n.checked_add(KINDS - Self::OWN)?)
    }

    /// The kind with this number, below [`KINDS`].
    pub fn of(number: usize) -> Option<Self> {
        u8::try_from(number).ok().filter(|_| number < KINDS).map(ScopeKind)
    }

    /// Its number, below [`KINDS`].
    pub const fn number(self) -> usize {
        self.0 as usize
    }

    /// Whether the script names its ids, so that strangers may choose them.
    pub(super) fn is_named_by_script(self) -> bool {
        self >= Self::USER
    }
}

/// A scope: its kind and its id, compared byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// What it is.
    pub kind: ScopeKind,
    /// Id of the brand or company, AoR of the user, a text of the script's.
    pub id: &'a [u8],
}

/// By which a ledger tells a scope from others: a keyed hash of kind and id. Two scopes share one
/// with a chance of 2^-128.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct ScopeKey(pub(super) u64, pub(super) u64);

impl ScopeKey {
    /// As one number.
    pub fn hash(self) -> u128 {
        u128::from(self.0) << 64 | u128::from(self.1)
    }
}

/// Where calls go, from the view of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways; of a call: the script did not say.
    Any,
    /// To the scope.
    In,
    /// From the scope.
    Out,
}

impl Direction {
    /// All, in the order of their numbers.
    pub const ALL: [Direction; 3] = [Direction::Any, Direction::In, Direction::Out];

    /// As tables and answers have it.
    pub const fn name(self) -> &'static [u8] {
        match self {
            Direction::Any => b"any",
            Direction::In => b"in",
            Direction::Out => b"out",
        }
    }
}

/// Scopes that most calls have at most: brand, company, and two more. With these there is
/// less to set up and to look through.
pub(super) const USUAL: usize = 4;

/// Scopes that a call has at most where the script names some, but for rare ones.
pub(super) const NAMED: usize = 6;

/// Up to `N` values in a row, without heap; one that has no room is left out.
#[derive(Clone)]
pub(super) struct Few<T, const N: usize = SCOPES>(ArrayVec<T, N>);

impl<T: Copy, const N: usize> Few<T, N> {
    pub fn new() -> Self {
        Few(ArrayVec::new())
    }

    pub fn push(&mut self, item: T) {
        let _ = self.0.try_push(item);
    }

    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.0.iter_mut()
    }
}
