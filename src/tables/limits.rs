//! Limits of scopes: rows of kinds, ids and directions.

use std::collections::HashSet;

use super::value::{Column, MAX_AOR, MAX_CALLS, name, number, quoted, quoted_or_null, text};
use crate::ledger::{Direction, Limit, Rate, ScopeKind};

/// Longest word for a kind, in bytes.
const MAX_KIND: usize = 32;
/// Stands for all ids of a kind that are not listed.
const ALL_IDS: &[u8] = b"*";
/// The words of kinds. Those of the operator keep their numbers as long as Kamailio runs:
/// live calls are counted under them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds(Vec<Box<[u8]>>);

impl Kinds {
    /// The operator's own words, the first one first.
    pub fn own(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// With these words of the operator's own.
    pub fn of<'a>(words: impl Iterator<Item = &'a [u8]>) -> Self {
        Kinds(words.map(Into::into).collect())
    }

    /// Whether these are the others and perhaps more.
    pub fn continues(&self, others: &Kinds) -> bool {
        self.0.starts_with(&others.0)
    }

    /// The kind of a word, which is added if it is new.
    fn kind(&mut self, word: &[u8]) -> Result<ScopeKind, String> {
        if let Some(kind) = ScopeKind::named(word) {
            return Ok(kind);
        }
        let place = self.0.iter().position(|own| **own == *word).unwrap_or(self.0.len());
        let kind = ScopeKind::own(place).ok_or_else(|| {
            let (most, word) = (ScopeKind::OWN, quoted(word));
            format!("kind {word} is one too many: {most} words were seen since the start")
        })?;
        if place == self.0.len() {
            self.0.push(word.into());
        }
        Ok(kind)
    }
}

/// What holds for a scope, or for all of its kind that are not listed.
pub struct LimitRow {
    /// Kind of the scope.
    pub kind: ScopeKind,
    /// Its id; None: all that are not listed.
    pub id: Option<Box<[u8]>>,
    /// The calls that it is for.
    pub direction: Direction,
    /// The limit.
    pub limit: Limit,
    /// Whether the row itself says when it is near.
    pub says_near: bool,
}

/// What a row is for: kind, id, direction.
type Place = (ScopeKind, Option<Box<[u8]>>, Direction);

/// All limits that were read.
#[derive(Default)]
pub struct Limits {
    /// The words of their kinds.
    pub kinds: Kinds,
    /// The rows.
    pub rows: Vec<LimitRow>,
    /// Percent of a limit from which on it is near, where no row says it; 0: never.
    pub near_percent: u32,
    /// Ms by which the clock may show too early a time.
    tick: u32,
    seen: HashSet<Place>,
}

impl Limits {
    /// None, where these words are known.
    pub fn new(kinds: Kinds, near_percent: u32, tick: u32) -> Self {
        Limits { kinds, near_percent, tick, ..Limits::default() }
    }

    /// Takes a row; its values stand in the order of the table's columns.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn row(&mut self, values: &[Column<'_>; 10]) -> Result<(), String> {
        let &[kind, id, direction, calls, new, window, reserved, longest, near_percent, ringing] =
            values;
        let word = word(kind)?;
        let id = match id {
            Some(ALL_IDS) => None,
            _ => Some(self::id(word, id).map_err(|e| format!("{e} (kind {})", quoted(word)))?),
        };
        let shown = quoted(id.unwrap_or(ALL_IDS));
        let named = |e: String| format!("{e} (kind {}, id {shown})", quoted(word));
        let direction = self::direction(direction).map_err(named)?;
        let of = |column: &str, value, most| number(column, value, most).map_err(named);
        let calls = of("max_calls", calls, MAX_CALLS)?;
        let near = match near_percent {
            None => self.near_percent,
            _ => of("near_percent", near_percent, 100)?,
        };
        let limit = Limit {
            calls,
            reserved: self::reserved(reserved, calls).map_err(named)?,
            longest: of("longest", longest, MAX_CALLS)?,
            near: Limit::near_of(near),
            ringing: of("max_ringing", ringing, Limit::MOST_RINGING)? as u16,
            rate: self.rate(new, window).map_err(named)?,
        };
        let kind = self.kinds.kind(word)?;
        let id: Option<Box<[u8]>> = id.map(Into::into);
        if !self.seen.insert((kind, id.clone(), direction)) {
            return Err(named(format!("direction {} stands twice", quoted(direction.name()))));
        }
        let says_near = near_percent.is_some();
        self.rows.push(LimitRow { kind, id, direction, limit, says_near });
        Ok(())
    }

    /// The word of a kind.
    pub fn word_of(&self, kind: ScopeKind) -> Option<&[u8]> {
        kind.word().or_else(|| self.kinds.own().nth(kind.own_number()?))
    }

    fn rate(&self, new: Column<'_>, window: Column<'_>) -> Result<Rate, String> {
        let calls = number("max_new", new, Rate::MAX_CALLS)?;
        let seconds = number("window_seconds", window, Rate::MAX_WINDOW)?;
        if calls == 0 {
            return Ok(Rate::NONE);
        }
        let none = || format!("max_new {calls} has no window_seconds");
        Rate::new(calls, seconds, self.tick).ok_or_else(none)
    }
}

/// Slots of so many calls that are reserved.
fn reserved(value: Column<'_>, calls: u32) -> Result<u32, String> {
    match number("reserved", value, if calls == 0 { MAX_CALLS } else { calls })? {
        reserved if calls == 0 && reserved > 0 => {
            Err(format!("reserved \"{reserved}\" has no max_calls in its row"))
        }
        reserved => Ok(reserved),
    }
}

/// The word of a kind: letters, digits, `_` and `-`.
fn word(kind: Column<'_>) -> Result<&[u8], String> {
    let word = text("kind", kind, MAX_KIND)?;
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    if !word.iter().all(valid) {
        let word = quoted(word);
        return Err(format!("kind {word} is not one word of letters, digits, '_' and '-'"));
    }
    let known = ScopeKind::NAMED.iter().find(|known| known.eq_ignore_ascii_case(word));
    match (known, word) {
        (Some(known), _) if *known != word => {
            Err(format!("kind {} must be written {}", quoted(word), quoted(known)))
        }
        (_, b"roadwarrior") => Err("kind \"roadwarrior\" has its limit in external_calls".into()),
        (_, word) => Ok(word),
    }
}

/// The id of a scope: of those that scripts name, as their text can have it.
fn id<'a>(word: &[u8], id: Column<'a>) -> Result<&'a [u8], String> {
    let id = name("id", id, MAX_AOR)?;
    if matches!(word, b"company" | b"brand") {
        return Ok(id);
    }
    match id {
        _ if id.contains(&b';') => {
            Err(format!("id {} has a ';', which ends a scope of cc_limit", quoted(id)))
        }
        _ if id.trim_ascii() != id => {
            Err(format!("id {} has blanks around it, which cc_limit leaves out", quoted(id)))
        }
        id => Ok(id),
    }
}

fn direction(value: Column<'_>) -> Result<Direction, String> {
    let named = |direction: &Direction| Some(direction.name()) == value;
    match value {
        None | Some(b"") => Ok(Direction::Any),
        _ => Direction::ALL
            .into_iter()
            .find(named)
            .ok_or_else(|| format!("direction {} is not any, in or out", quoted_or_null(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row<'a>(values: [&'a str; 10]) -> [Column<'a>; 10] {
        values.map(|value| (value != "NULL").then_some(value.as_bytes()))
    }

    fn error(limits: &mut Limits, values: [&str; 10]) -> String {
        limits.row(&row(values)).unwrap_err()
    }

    #[test]
    fn what_is_null_is_off_and_words_get_numbers_in_turn() {
        let mut limits = Limits::new(Kinds::of([&b"did"[..]].into_iter()), 80, 4);
        let nothing = ["NULL"; 8];
        let with = |kind, id| {
            let [a, b, c, d, e, f, g, h] = nothing;
            row([kind, id, a, b, c, d, e, f, g, h])
        };
        for (kind, id) in [("carrier", "x"), ("did", "*"), ("company", "x"), ("user", "a@x")] {
            limits.row(&with(kind, id)).unwrap();
        }
        let kinds: Vec<_> = limits.rows.iter().map(|row| row.kind.number()).collect();
        assert_eq!(kinds, [5, 4, 1, 3]);
        assert!(limits.rows.iter().all(|row| row.limit == Limit { near: 80, ..Limit::NONE }));
        assert_eq!(limits.rows[1].id, None);
        assert!(limits.kinds.continues(&Kinds::of([&b"did"[..]].into_iter())));
        limits.row(&row(["did", "7", "in", "5", "3", "60", "1", "3600", "50", "2"])).unwrap();
        let last = limits.rows.last().unwrap();
        assert_eq!((last.direction, last.limit.calls, last.limit.reserved), (Direction::In, 5, 1));
        assert_eq!((last.limit.longest, last.limit.near, last.limit.ringing), (3600, 50, 2));
        assert_eq!((last.limit.rate.calls(), last.limit.rate.window()), (3, 60));
    }

    #[test]
    fn each_kind_of_bad_row_is_named() {
        let mut limits = Limits::new(Kinds::default(), 80, 4);
        let mut bad = |values: [&str; 10], wrong: &str| {
            let error = error(&mut limits, values);
            assert!(error.contains(wrong), "{error} lacks {wrong}");
        };
        let n = "NULL";
        bad([n, "x", n, n, n, n, n, n, n, n], "kind is NULL");
        bad(["a b", "x", n, n, n, n, n, n, n, n], "kind \"a b\" is not one word");
        bad(["roadwarrior", "x", n, n, n, n, n, n, n, n], "external_calls");
        bad(
            ["Company", "x", n, n, n, n, n, n, n, n],
            "kind \"Company\" must be written \"company\"",
        );
        bad(["did", "7;x", n, n, n, n, n, n, n, n], "id \"7;x\" has a ';'");
        bad(["did", " 7", n, n, n, n, n, n, n, n], "id \" 7\" has blanks around it");
        bad(["did", "", n, n, n, n, n, n, n, n], "id is empty (kind \"did\")");
        bad(["did", "<null>", n, n, n, n, n, n, n, n], "id \"<null>\"");
        bad(
            ["did", "7", "up", n, n, n, n, n, n, n],
            "direction \"up\" is not any, in or out (kind \"did\", id \"7\")",
        );
        bad(["did", "7", n, "-1", n, n, n, n, n, n], "max_calls \"-1\"");
        bad(["did", "7", n, "5", n, n, "6", n, n, n], "reserved \"6\" is not a number from 0 to 5");
        bad(["did", "7", n, n, n, n, "2", n, n, n], "reserved \"2\" has no max_calls in its row");
        bad(["did", "7", n, n, "5", n, n, n, n, n], "max_new 5 has no window_seconds");
        bad(["did", "7", n, n, "65536", "1", n, n, n, n], "max_new \"65536\"");
        bad(["did", "7", n, n, n, n, n, n, "101", n], "near_percent \"101\"");
        bad(["did", "7", n, n, n, n, n, n, n, "65536"], "max_ringing \"65536\"");
    }

    #[test]
    fn a_scope_has_one_row_for_a_direction_and_there_are_twelve_words() {
        let mut limits = Limits::new(Kinds::default(), 80, 4);
        let n = "NULL";
        for n in 0..12 {
            let word = format!("w{n}");
            let none = "NULL";
            limits.row(&row([&word, "*", "in", none, none, none, none, none, none, none])).unwrap();
        }
        let error = |limits: &mut Limits, kind, direction| {
            limits.row(&row([kind, "*", direction, n, n, n, n, n, n, n])).unwrap_err()
        };
        assert!(error(&mut limits, "w12", "in").contains("is one too many"));
        let twice = error(&mut limits, "w3", "in");
        assert_eq!(twice, "direction \"in\" stands twice (kind \"w3\", id \"*\")");
        limits.row(&row(["w3", "*", n, n, n, n, n, n, n, n])).unwrap();
    }
}
