//! Looks limits of scopes up.

use super::blob::{Section, WORD_LISTED, WORD_NEAR};
use super::ids;
use super::limits::{LimitRecord, NONE, ScopeLimits};
use super::view::View;
use crate::ledger::{Direction, Limit, ScopeKind};
use crate::tables::Kinds;

impl<'a> View<'a> {
    /// The limits of a scope.
    #[inline(always)]
    pub fn limits(&self, kind: ScopeKind, id: &[u8]) -> &'a ScopeLimits {
        let listed = self.word(WORD_LISTED);
        if listed == 0 {
            return NONE;
        }
        if listed & 1 << kind.number() != 0 {
            if let Some(record) = self.listed(kind, id) {
                return &record.limits;
            }
        }
        let defaults: &[ScopeLimits] = self.section(Section::KindLimits);
        defaults.get(kind.number()).unwrap_or(NONE)
    }

    /// [`Limit::near`] where no row of limits says it.
    pub fn near(&self) -> u16 {
        // Bounded where it is written.
        self.word(WORD_NEAR) as u16
    }

    #[inline(never)]
    fn listed(&self, kind: ScopeKind, id: &[u8]) -> Option<&'a LimitRecord> {
        let records: &[LimitRecord] = self.section(Section::Limits);
        let is = |n: usize| {
            records.get(n).is_some_and(|of| of.kind() == Some(kind) && text_of(self, of.id()) == id)
        };
        let slots = self.section(Section::LimitIndex);
        records.get(ids::find(slots, &self.key(), (kind, id), is)?)
    }

    /// The operator's words for kinds, the first one first.
    pub fn own_kinds(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (view, places) = (*self, self.section::<[u32; 2]>(Section::Kinds));
        places.iter().map(move |&[offset, len]| view.text(offset, len as usize))
    }

    /// The kind of a word; None for one that no limit was ever for.
    pub fn kind(&self, word: &[u8]) -> Option<ScopeKind> {
        let own = || ScopeKind::own(self.own_kinds().position(|own| own == word)?);
        ScopeKind::named(word).or_else(own)
    }

    /// The word of a kind.
    pub fn word_of(&self, kind: ScopeKind) -> &'a [u8] {
        let own = || self.own_kinds().nth(kind.own_number()?);
        kind.word().or_else(own).unwrap_or_default()
    }

    /// The words of kinds.
    pub fn kinds(&self) -> Kinds {
        Kinds::of(self.own_kinds())
    }

    /// Each row of limits: its kind, id (None: all that are not listed), direction and limit.
    pub fn limit_rows(
        &self,
    ) -> impl Iterator<Item = (ScopeKind, Option<&'a [u8]>, Direction, &'a Limit)> + use<'a> {
        let view = *self;
        let defaults = self.section::<ScopeLimits>(Section::KindLimits).iter().enumerate();
        let of_kinds = defaults.filter_map(|(kind, limits)| Some((ScopeKind::of(kind)?, limits)));
        let of_kinds = of_kinds.flat_map(|(kind, limits)| {
            let each = Direction::ALL.into_iter().zip(limits);
            let some = each.filter(|(_, limit)| **limit != Limit::NONE);
            some.map(move |(direction, limit)| (kind, None, direction, limit))
        });
        let listed = self.section::<LimitRecord>(Section::Limits).iter();
        let listed = listed.filter_map(|record| Some((record.kind()?, record)));
        let listed = listed.flat_map(move |(kind, record)| {
            let each = Direction::ALL.into_iter().zip(&record.limits);
            let own = each.filter(|(direction, _)| record.is_listed(*direction));
            own.map(move |(direction, limit)| {
                (kind, Some(text_of(&view, record.id())), direction, limit)
            })
        });
        of_kinds.chain(listed)
    }
}

fn text_of<'a>(view: &View<'a>, (offset, len): (u32, usize)) -> &'a [u8] {
    view.text(offset, len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Blob, compile};
    use crate::tables::{BadRows, Loader, Table};

    fn blob(rows: &[[&str; 4]]) -> Blob {
        let mut loader = Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail);
        for [kind, id, direction, calls] in rows {
            let mut values = [None; 10];
            values[..4].copy_from_slice(&[kind, id, direction, calls].map(|v| Some(v.as_bytes())));
            loader.row(Table::Limit, &values);
        }
        let Ok((config, _)) = loader.finish() else { panic!("bad rows") };
        compile(config, [1, 2], 0).unwrap()
    }

    #[test]
    fn a_listed_scope_has_its_limits_and_those_of_its_kind_for_other_directions() {
        let blob = blob(&[
            ["did", "7", "in", "1"],
            ["carrier", "x", "any", "10"],
            ["did", "*", "any", "3"],
            ["did", "*", "in", "2"],
            ["did", "7", "out", "4"],
        ]);
        let view = View::new(blob.bytes()).unwrap();
        let of = |word: &[u8], id: &[u8]| {
            view.limits(view.kind(word).unwrap(), id).map(|limit| limit.calls)
        };
        assert_eq!(of(b"did", b"7"), [3, 1, 4]);
        assert_eq!(of(b"did", b"8"), [3, 2, 0]);
        assert_eq!(of(b"carrier", b"x"), [10, 0, 0]);
        assert_eq!(of(b"carrier", b"7"), [0, 0, 0]);
        assert_eq!(of(b"company", b"7"), [0, 0, 0]);
        assert_eq!(view.kind(b"group"), None);
        assert_eq!(view.word_of(view.kind(b"carrier").unwrap()), b"carrier");
        let rows: Vec<_> = view
            .limit_rows()
            .map(|(kind, id, direction, limit)| {
                (view.word_of(kind), id, direction.name(), limit.calls)
            })
            .collect();
        let (did, carrier) = (&b"did"[..], &b"carrier"[..]);
        assert_eq!(
            rows,
            [
                (did, None, &b"any"[..], 3),
                (did, None, b"in", 2),
                (did, Some(&b"7"[..]), b"in", 1),
                (did, Some(b"7"), b"out", 4),
                (carrier, Some(b"x"), b"any", 10),
            ]
        );
    }

    #[test]
    fn without_rows_nothing_is_limited() {
        let blob = blob(&[]);
        let view = View::new(blob.bytes()).unwrap();
        assert_eq!(view.limits(ScopeKind::COMPANY, b"c"), NONE);
        assert_eq!((view.own_kinds().count(), view.limit_rows().count()), (0, 0));
    }
}
