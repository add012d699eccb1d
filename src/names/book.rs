//! What the resolver has said of each name, when it is asked again, and how long its last
//! answer is good. Times are ms.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::usable::absurd;
use super::{Answers, Family, MOST_ADDRESSES};
use crate::address::Address;

/// Bounds of the time between two questions, and how long an answer is good after it while
/// the resolver does not answer.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub shortest: u64,
    pub longest: u64,
    pub keep: u64,
}

/// What the resolver says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Addresses, and the seconds for which they are good.
    Addresses(Vec<Address>, u32),
    /// There are none.
    Nothing,
    /// It does not answer.
    Silence,
}

/// Records of one family of one name.
#[derive(Default)]
struct Question {
    addresses: Vec<Address>,
    /// When they were last told; None since the start.
    answered: Option<u64>,
    /// Since when there is no answer.
    silent_since: Option<u64>,
    /// When it is asked again.
    due: u64,
    /// Until when the last answer is good, if there is no other.
    good_until: u64,
}

/// Why a name means less than it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remark {
    #[default]
    None,
    /// It has an address that is nobody's.
    Absurd(Address),
    /// It has so many addresses, of which the first ones count.
    TooMany(usize),
    /// It has no address.
    NoAddress,
    /// It has never been answered, or not for too long.
    Silent,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::None => Ok(()),
            Remark::Absurd(address) => {
                let what = absurd(*address).unwrap_or("nobody's address");
                write!(f, "it resolves to {address}, {what}, so it grants nothing")
            }
            Remark::TooMany(count) => {
                write!(f, "it has {count} addresses, of which the first {MOST_ADDRESSES} count")
            }
            Remark::NoAddress => f.write_str("it has no address"),
            Remark::Silent => f.write_str("the resolver does not answer"),
        }
    }
}

/// What a name means now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// In ascending order.
    pub addresses: Vec<Address>,
    pub remark: Remark,
}

/// All names that are in use. Of one process.
#[derive(Default)]
pub struct Book {
    names: HashMap<Box<[u8]>, [Question; 2]>,
}

impl Book {
    /// From now on these names are in use. A new one begins with the addresses that it had in
    /// an earlier run; they are good for `keep`.
    pub fn use_names<'a>(
        &mut self,
        names: impl Iterator<Item = (&'a [u8], Vec<Address>)>,
        keep: u64,
        now: u64,
    ) {
        let mut used = HashSet::new();
        for (name, addresses) in names {
            used.insert(name);
            if self.names.contains_key(name) {
                continue;
            }
            let (v4, v6) = addresses.iter().partition(|a| matches!(a, Address::V4(_)));
            let question = |addresses| Question {
                addresses,
                due: now,
                good_until: now.saturating_add(keep),
                ..Question::default()
            };
            self.names.insert(name.into(), [question(v4), question(v6)]);
        }
        self.names.retain(|name, _| used.contains(&**name));
    }

    fn questions(&self) -> impl Iterator<Item = (&[u8], Family, &Question)> {
        let all = self.names.iter();
        all.flat_map(|(name, both)| {
            Family::ALL.into_iter().zip(both).map(move |(f, q)| (&**name, f, q))
        })
    }

    /// What is to be asked now: first what was answered before, so that names whose servers
    /// are out of reach delay no other one.
    pub fn next(&self, now: u64) -> Option<(Box<[u8]>, Family)> {
        let due = self.questions().filter(|(_, _, question)| question.due <= now);
        let next = due.min_by_key(|(name, family, question)| {
            (question.silent_since.is_some(), question.due, *name, *family)
        });
        next.map(|(name, family, _)| (name.into(), family))
    }

    /// Takes an answer.
    pub fn answered(
        &mut self,
        name: &[u8],
        family: Family,
        answer: Answer,
        terms: Terms,
        now: u64,
    ) {
        let Some([v4, v6]) = self.names.get_mut(name) else { return };
        let question = if family == Family::V4 { v4 } else { v6 };
        let (addresses, ttl) = match answer {
            Answer::Addresses(addresses, ttl) => (addresses, u64::from(ttl) * 1000),
            Answer::Nothing => (Vec::new(), 0),
            Answer::Silence => {
                question.due = now + terms.shortest;
                question.silent_since.get_or_insert(now);
                return;
            }
        };
        question.addresses = addresses;
        question.answered = Some(now);
        question.silent_since = None;
        question.due = now + ttl.max(terms.shortest).min(terms.longest.max(terms.shortest));
        question.good_until = question.due.saturating_add(terms.keep);
    }

    /// Ends answers that were good for too long.
    pub fn expire(&mut self, now: u64) {
        for question in self.names.values_mut().flatten() {
            if question.silent_since.is_some() && question.good_until <= now {
                question.addresses.clear();
            }
        }
    }

    /// What a name means now.
    pub fn meaning(&self, name: &[u8]) -> Meaning {
        let Some([v4, v6]) = self.names.get(name) else { return Meaning::default() };
        let mut addresses: Vec<Address> =
            v4.addresses.iter().chain(&v6.addresses).copied().collect();
        let none = |remark| Meaning { addresses: Vec::new(), remark };
        if let Some(address) = addresses.iter().find(|address| absurd(**address).is_some()) {
            return none(Remark::Absurd(*address));
        }
        addresses.sort_unstable();
        addresses.dedup();
        match addresses.len() {
            0 if v4.silent_since.or(v6.silent_since).is_some() => none(Remark::Silent),
            0 if v4.answered.and(v6.answered).is_some() => none(Remark::NoAddress),
            0..=MOST_ADDRESSES => Meaning { addresses, remark: Remark::None },
            count => {
                addresses.truncate(MOST_ADDRESSES);
                Meaning { addresses, remark: Remark::TooMany(count) }
            }
        }
    }

    /// What all names mean now.
    pub fn answers(&self) -> Answers {
        self.names.keys().map(|name| (name.clone(), self.meaning(name).addresses)).collect()
    }

    pub fn names(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.names.keys().map(AsRef::as_ref)
    }

    /// When a name was last answered, since when it is not, and until when its last answer is
    /// good if that lasts; None where there is nothing to say.
    pub fn times(&self, name: &[u8]) -> [Option<u64>; 3] {
        let Some(both) = self.names.get(name) else { return [None; 3] };
        let silent = both.iter().filter(|question| question.silent_since.is_some());
        let good = silent.clone().filter(|question| !question.addresses.is_empty());
        [
            both.iter().filter_map(|question| question.answered).max(),
            silent.filter_map(|question| question.silent_since).min(),
            good.map(|question| question.good_until).min(),
        ]
    }

    /// Names that are not answered: how many, and one of them.
    pub fn silent(&self) -> Option<(usize, &[u8])> {
        let is_silent = |both: &[Question; 2]| both.iter().any(|q| q.silent_since.is_some());
        let silent = self.names.iter().filter(|(_, both)| is_silent(both));
        let first = silent.clone().map(|(name, _)| &**name).min()?;
        Some((silent.count(), first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { shortest: 1000, longest: 60_000, keep: 10_000 };
    const NAME: &[u8] = b"office.example";

    fn addresses(texts: &[&str]) -> Vec<Address> {
        texts.iter().map(|text| Address::parse(text.as_bytes()).unwrap()).collect()
    }

    fn of(texts: &[&str]) -> Answer {
        Answer::Addresses(addresses(texts), 5)
    }

    fn book(names: &[&'static [u8]]) -> Book {
        let mut book = Book::default();
        book.use_names(names.iter().map(|name| (*name, Vec::new())), TERMS.keep, 0);
        book
    }

    /// Answers all that is due.
    fn answer(book: &mut Book, now: u64, v4: Answer, v6: Answer) {
        while let Some((name, family)) = book.next(now) {
            let answer = if family == Family::V4 { &v4 } else { &v6 };
            book.answered(&name, family, answer.clone(), TERMS, now);
        }
    }

    fn means(book: &Book) -> (Vec<Address>, Remark) {
        let Meaning { addresses, remark } = book.meaning(NAME);
        (addresses, remark)
    }

    #[test]
    fn a_name_is_asked_again_at_its_ttl_within_bounds() {
        for (ttl, due) in [(0, 1000), (1, 1000), (7, 7000), (600, 60_000), (u32::MAX, 60_000)] {
            let mut book = book(&[NAME]);
            let long = Answer::Addresses(addresses(&["2001:db8::1"]), 30);
            answer(&mut book, 0, Answer::Addresses(addresses(&["192.0.2.7"]), ttl), long);
            let first = (1..=60_000).find(|now| book.next(*now).is_some()).unwrap();
            assert_eq!(first, due.min(30_000), "{ttl}");
            assert_eq!(means(&book), (addresses(&["192.0.2.7", "2001:db8::1"]), Remark::None));
        }
    }

    #[test]
    fn the_last_answer_is_good_for_a_time() {
        let mut book = book(&[NAME]);
        answer(&mut book, 0, of(&["192.0.2.7"]), Answer::Nothing);
        for now in [5000, 6000, 14_999] {
            answer(&mut book, now, Answer::Silence, Answer::Silence);
            book.expire(now);
            assert_eq!(means(&book), (addresses(&["192.0.2.7"]), Remark::None), "{now}");
        }
        assert_eq!(book.times(NAME), [Some(0), Some(5000), Some(15_000)]);
        assert_eq!(book.silent(), Some((1, NAME)));
        book.expire(15_000);
        assert_eq!(means(&book), (Vec::new(), Remark::Silent));
        answer(&mut book, 20_000, of(&["192.0.2.8"]), Answer::Nothing);
        assert_eq!(means(&book), (addresses(&["192.0.2.8"]), Remark::None));
        assert_eq!((book.silent(), book.times(NAME)), (None, [Some(20_000), None, None]));
        // That there is none is an answer.
        answer(&mut book, 25_000, Answer::Nothing, Answer::Nothing);
        assert_eq!(means(&book), (Vec::new(), Remark::NoAddress));
    }

    #[test]
    fn an_earlier_run_is_believed_until_the_resolver_answers_or_for_a_time() {
        let mut book = Book::default();
        let before = addresses(&["192.0.2.7", "2001:db8::1"]);
        book.use_names([(NAME, before.clone())].into_iter(), TERMS.keep, 0);
        answer(&mut book, 0, Answer::Silence, of(&["2001:db8::2"]));
        assert_eq!(book.meaning(NAME).addresses, addresses(&["192.0.2.7", "2001:db8::2"]));
        book.expire(10_000);
        assert_eq!(book.meaning(NAME).addresses, addresses(&["2001:db8::2"]));
        // What is known is not overwritten, and what is not in use is forgotten.
        book.use_names([(NAME, before)].into_iter(), TERMS.keep, 10_000);
        assert_eq!(book.meaning(NAME).addresses, addresses(&["2001:db8::2"]));
        book.use_names(std::iter::empty(), TERMS.keep, 10_000);
        assert_eq!((book.names().len(), book.next(u64::MAX)), (0, None));
    }

    #[test]
    fn one_absurd_address_is_enough_and_too_many_are_cut() {
        let mut book = book(&[NAME]);
        answer(&mut book, 0, of(&["192.0.2.7", "127.0.0.1"]), of(&["2001:db8::1"]));
        let loopback = Address::parse(b"127.0.0.1").unwrap();
        assert_eq!(means(&book), (Vec::new(), Remark::Absurd(loopback)));
        assert_eq!(
            means(&book).1.to_string(),
            "it resolves to 127.0.0.1, a loopback address, so it grants nothing"
        );
        let many: Vec<String> = (0..20).rev().map(|n| format!("192.0.2.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        answer(&mut book, 5000, of(&many), of(&["2001:db8::1"]));
        let (kept, remark) = means(&book);
        assert_eq!(remark, Remark::TooMany(21));
        assert_eq!(kept.len(), MOST_ADDRESSES);
        assert_eq!(kept[..2], addresses(&["192.0.2.0", "192.0.2.1"]));
    }

    #[test]
    fn names_out_of_reach_delay_no_other_one() {
        let mut book = book(&[b"a.dead.example", NAME]);
        answer(&mut book, 0, Answer::Silence, Answer::Silence);
        for family in Family::ALL {
            book.answered(NAME, family, of(&["192.0.2.7"]), TERMS, 500);
        }
        // The dead one is due since 1000.
        assert_eq!(book.next(5499).map(|(name, _)| name).as_deref(), Some(&b"a.dead.example"[..]));
        assert_eq!(book.next(5500), Some((NAME.into(), Family::V4)));
    }
}
