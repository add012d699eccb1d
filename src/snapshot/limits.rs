//! Limits of scopes in the blob.

use bytemuck::{Pod, Zeroable};

use super::blob::{Builder, Section, WORD_LISTED, WORD_NEAR};
use super::ids;
use super::text::Text;
use crate::ledger::{Direction, KINDS, Limit, ScopeKind};
use crate::tables::{LimitRow, Limits};

/// The limits of a scope, by the numbers of their directions.
pub type ScopeLimits = [Limit; Direction::ALL.len()];

/// Bit of [`WORD_LISTED`] above those of all kinds: some kind has limits for ids that are not
/// listed.
const OF_KINDS: u32 = 1 << KINDS;

pub(super) const NONE: &ScopeLimits = &[Limit::NONE; 3];

/// A scope with limits of its own. Where it has none for a direction, those of its kind
/// stand here too.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub struct LimitRecord {
    pub limits: ScopeLimits,
    /// Offset of its id.
    text: u32,
    /// Length of its id | kind << 16 | bits of the directions that were listed << 24.
    about: u32,
}

const _: () = assert!(size_of::<LimitRecord>() == 128);

impl LimitRecord {
    pub fn kind(&self) -> Option<ScopeKind> {
        ScopeKind::of((self.about >> 16 & 0xff) as usize)
    }

    /// Offset and length of its id.
    pub fn id(&self) -> (u32, usize) {
        (self.text, (self.about & 0xffff) as usize)
    }

    pub fn is_listed(&self, direction: Direction) -> bool {
        self.about >> 24 & 1 << direction as u32 != 0
    }
}

/// Adds the sections of limits.
pub(super) fn compile(
    limits: Limits,
    key: &ids::HashKey,
    text: &mut Text,
    out: &mut Builder,
) -> Option<()> {
    let Limits { kinds, mut rows, near_percent, .. } = limits;
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
    out.word(WORD_LISTED, if of_kinds { listed | OF_KINDS } else { listed });
    out.word(WORD_NEAR, Limit::near_of(near_percent).into());
    Some(())
}
