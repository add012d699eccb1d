//! Limits of scopes in the blob: compiled, and looked up for each call.

use bytemuck::{Pod, Zeroable};

use super::blob::{Builder, Section, WORD_LISTED};
use super::compile::Text;
use super::ids;
use super::view::View;
use crate::ledger::{Direction, KINDS, Limit, ScopeKind};
use crate::tables::{Kinds, LimitRow, Limits};

/// The limits of a scope, by the numbers of their directions.
pub type ScopeLimits = [Limit; Direction::ALL.len()];

const NONE: &ScopeLimits = &[Limit::NONE; 3];

/// A scope with limits of its own. Where it has none for a direction, those of its kind
/// stand here too.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub struct LimitRecord {
    limits: ScopeLimits,
    /// Offset of its id.
    text: u32,
    /// Length of its id | kind << 16 | bits of the directions that were listed << 24.
    about: u32,
}

const _: () = assert!(size_of::<LimitRecord>() == 128);

impl LimitRecord {
    fn kind(&self) -> Option<ScopeKind> {
        ScopeKind::of((self.about >> 16 & 0xff) as usize)
    }

    fn id<'a>(&self, view: &View<'a>) -> &'a [u8] {
        view.text(self.text, (self.about & 0xffff) as usize)
    }

    fn is_listed(&self, direction: Direction) -> bool {
        self.about >> 24 & 1 << direction as u32 != 0
    }
}

/// Adds the sections of limits.
pub(super) fn compile(
    limits: Limits,
    key: &ids::Key,
    text: &mut Text,
    out: &mut Builder,
) -> Option<()> {
    let Limits { kinds, mut rows, .. } = limits;
    let words = kinds.own().map(|word| Some([text.add(word)?, word.len() as u32]));
    out.section(Section::Kinds, &words.collect::<Option<Vec<[u32; 2]>>>()?)?;
    let of_kinds = rows.iter().any(|row| row.id.is_none());
    let mut defaults = [*NONE; KINDS];
    rows.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
    let mut records = Vec::new();
    let mut listed = 0;
    // Of a kind the row for all ids comes first.
    for of_scope in rows.chunk_by(|a, b| (a.kind, &a.id) == (b.kind, &b.id)) {
        let Some(LimitRow { kind, id, .. }) = of_scope.first() else { continue };
        let Some(default) = defaults.get_mut(kind.number()) else { continue };
        let mut own = *default;
        let mut directions = 0;
        for row in of_scope {
            if let Some(limit) = own.get_mut(row.direction as usize) {
                *limit = row.limit;
            }
            directions |= 1u32 << row.direction as u32;
        }
        let number = kind.number() as u32;
        match id {
            None => *default = own,
            Some(id) => {
                listed |= 1 << number;
                let about = id.len() as u32 | number << 16 | directions << 24;
                records.push(LimitRecord { limits: own, text: text.add(id)?, about });
            }
        }
    }
    let ids = rows.iter().filter_map(|row| Some((row.kind, row.id.as_deref()?)));
    let mut ids: Vec<_> = ids.collect();
    ids.dedup();
    out.section(Section::Limits, &records)?;
    out.section(Section::LimitIndex, &ids::build(key, ids.into_iter()))?;
    out.section(Section::KindLimits, if of_kinds { &defaults[..] } else { &[] })?;
    out.word(WORD_LISTED, listed);
    Some(())
}

impl<'a> View<'a> {
    /// The limits of a scope.
    #[inline]
    pub fn limits(&self, kind: ScopeKind, id: &[u8]) -> &'a ScopeLimits {
        if self.word(WORD_LISTED) & 1 << kind.number() != 0
            && let Some(record) = self.listed(kind, id)
        {
            return &record.limits;
        }
        let defaults: &[ScopeLimits] = self.section(Section::KindLimits);
        defaults.get(kind.number()).unwrap_or(NONE)
    }

    fn listed(&self, kind: ScopeKind, id: &[u8]) -> Option<&'a LimitRecord> {
        let records: &[LimitRecord] = self.section(Section::Limits);
        let is = |n: usize| {
            records.get(n).is_some_and(|of| of.kind() == Some(kind) && of.id(self) == id)
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
            own.map(move |(direction, limit)| (kind, Some(record.id(&view)), direction, limit))
        });
        of_kinds.chain(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Blob, compile};
    use crate::tables::{BadRows, Loader, Table};

    fn blob(rows: &[[&str; 4]]) -> Blob {
        let mut loader = Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail);
        for [kind, id, direction, calls] in rows {
            let mut values = [None; 9];
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
