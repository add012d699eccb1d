//! What a node has in a table, and has not told yet.

use std::collections::HashMap;

use super::book::Book;
use super::notice::Notice;

/// Start and end, in ms of the node's own clock.
pub type Span = (u64, u64);

/// Something that a table has.
pub struct Found {
    pub name: String,
    pub term: Span,
    pub line: String,
}

/// What a table had at the last look, and what others have told since.
#[derive(Default)]
pub struct Looks(HashMap<String, Span>);

impl Looks {
    pub fn had(&self, name: &str) -> Option<Span> {
        self.0.get(name).copied()
    }

    /// Another node's word has made the table so.
    pub fn was_told(&mut self, name: &str, term: Option<Span>) {
        match term {
            Some(term) => self.0.insert(name.to_owned(), term),
            None => self.0.remove(name),
        };
    }

    /// Looks at all that the table has: what others must be told. `date`: the server's time of
    /// one of the node's own, both in ms. `stepped`: that clock was set since the last look.
    pub fn look(
        &mut self,
        book: &mut Book,
        all: impl IntoIterator<Item = Found>,
        date: impl Fn(u64) -> u64,
        stepped: bool,
    ) -> Vec<Notice> {
        let (mut has, mut told) = (HashMap::with_capacity(self.0.len()), Vec::new());
        for Found { name, term, line } in all {
            let before = self.0.get(&name);
            let is_same = before == Some(&term);
            has.insert(name.clone(), term);
            // One that was lifted, or has begun, before this one began. A lift empties the
            // table before it is known, and the start of a term is rounded.
            let known = book.get(&name);
            let is_lifted = known.is_some_and(|known| known.line.is_none());
            if is_same && (is_lifted || !stepped) {
                continue;
            }
            let next = known.map_or(0, |known| known.version).saturating_add(1);
            let began = date(term.0) * 1000;
            let began = match known {
                // By the clock as it is now it would be newer than a lift that came later.
                Some(_) if is_same => next,
                _ if before.is_some() || is_lifted || stepped => began.max(next),
                _ => began,
            };
            told.push(book.begin(name, began, date(term.1), line));
        }
        self.0 = has;
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_told_once() {
        let (mut looks, mut book) = (Looks::default(), Book::default());
        let mut look = |looks: &mut Looks, terms: &[Span]| {
            let all =
                terms.iter().map(|term| Found { name: "n".into(), term: *term, line: "x".into() });
            let told = looks.look(&mut book, all, |own| own + 100, false);
            told.iter().map(|notice| (notice.version, notice.until)).collect::<Vec<_>>()
        };
        assert_eq!(look(&mut looks, &[(5, 50)]), [(105_000, 150)]);
        assert_eq!(look(&mut looks, &[(5, 50)]), []);
        // By another node, and then longer by this one, before the next look.
        looks.was_told("n", Some((5, 70)));
        assert_eq!(look(&mut looks, &[(5, 90)]), [(105_001, 190)]);
        looks.was_told("n", Some((7, 95)));
        assert_eq!(look(&mut looks, &[(7, 95)]), []);
        assert_eq!(look(&mut looks, &[]), []);
        assert_eq!(look(&mut looks, &[(8, 99)]), [(108_000, 199)]);
    }
}
