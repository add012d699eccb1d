//! What a node has in a table, and has not told yet.

use std::collections::HashMap;

use super::book::Book;
use super::notice::Notice;

/// Start and end, in ms of the node's own clock.
pub type Term = (u64, u64);

/// Something that a table has.
pub struct Found {
    pub name: String,
    pub term: Term,
    pub line: String,
}

/// What a table had at the last look, and what others have told since.
#[derive(Default)]
pub struct Looks(HashMap<String, Term>);

impl Looks {
    pub fn had(&self, name: &str) -> Option<Term> {
        self.0.get(name).copied()
    }

    /// Another node's word has made the table so.
    pub fn was_told(&mut self, name: &str, term: Option<Term>) {
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

/// Ms by which the server's clock may differ from what it showed before: less is an answer that
/// was late.
const STEP: u64 = 10_000;

/// The server's clock as it last was seen.
#[derive(Default)]
pub struct ServerClock(Option<(u64, u64)>);

impl ServerClock {
    /// It showed `server` when the node's own clock showed `own`, in ms. By how much it was set
    /// since the last time, if it was.
    pub fn see(&mut self, server: u64, own: u64) -> Option<Set> {
        let (before, at) = self.0.replace((server, own))?;
        let expected = before.saturating_add(own.saturating_sub(at));
        (server.abs_diff(expected) > STEP).then(|| match server.checked_sub(expected) {
            Some(ms) => Set::Forward(ms),
            None => Set::Back,
        })
    }
}

/// A clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// By so many ms.
    Forward(u64),
    Back,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_set_when_it_shows_what_no_late_answer_explains() {
        let mut clock = ServerClock::default();
        let seen: Vec<_> = [(500_000, 0), (509_000, 5_000), (521_000, 6_001), (500_000, 7_000)]
            .map(|(server, own)| clock.see(server, own))
            .into();
        assert_eq!(seen, [None, None, Some(Set::Forward(10_999)), Some(Set::Back)]);
    }

    #[test]
    fn what_is_new_is_told_once() {
        let (mut looks, mut book) = (Looks::default(), Book::default());
        let mut look = |looks: &mut Looks, terms: &[Term]| {
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
