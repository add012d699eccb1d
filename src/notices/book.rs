//! All notices that a node knows.

use std::collections::HashMap;

use super::notice::Notice;

/// The newest notice of each name, its own ones too.
#[derive(Default)]
pub struct Book(HashMap<String, Notice>);

impl Book {
    /// Keeps a notice if none as new is known of its name. Whether it is kept.
    pub fn hear(&mut self, notice: &Notice) -> bool {
        match self.0.get(&notice.name) {
            Some(known) if !notice.is_newer_than(known) => false,
            _ => {
                self.0.insert(notice.name.clone(), notice.clone());
                true
            }
        }
    }

    /// Something has begun here. `began` is its version, unless an older one is known that had
    /// come before it began.
    pub fn begin(&mut self, name: String, began: u64, until: u64, line: String) -> Notice {
        let notice = Notice { name, version: began, until, line: Some(line) };
        self.hear(&notice);
        notice
    }

    /// Lifts what is meant of all that has begun: the notices of it.
    pub fn lift(&mut self, now: u64, is_meant: impl Fn(&str) -> bool) -> Vec<Notice> {
        let meant =
            self.0.values_mut().filter(|known| known.line.is_some() && is_meant(&known.name));
        meant
            .map(|known| {
                known.version = now.max(known.version.saturating_add(1));
                known.line = None;
                known.clone()
            })
            .collect()
    }

    /// The notice of a name.
    pub fn get(&self, name: &str) -> Option<&Notice> {
        self.0.get(name)
    }

    /// All, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Notice> {
        self.0.values()
    }

    /// The server's clock was set forward by so many ms: nothing is void sooner for that. What
    /// was lifted, to be told again, since the server forgets it.
    pub fn set_forward(&mut self, ms: u64) -> Vec<Notice> {
        let mut lifted = Vec::new();
        for known in self.0.values_mut() {
            known.until = known.until.saturating_add(ms);
            if known.line.is_none() {
                // As little as is newer than what the server may still have: something else
                // that has begun since the lift stays newer.
                known.version = known.version.saturating_add(1);
                lifted.push(known.clone());
            }
        }
        lifted
    }

    /// Forgets those that are void at `now`, in ms.
    pub fn forget(&mut self, now: u64) {
        self.0.retain(|_, known| known.until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(version: u64, line: Option<&str>) -> Notice {
        Notice { name: "n".into(), version, until: 100, line: line.map(str::to_owned) }
    }

    #[test]
    fn the_newest_one_holds_in_whatever_order_they_come() {
        let (begun, lifted) = (notice(5, Some("a")), notice(6, None));
        for order in [[&begun, &lifted], [&lifted, &begun]] {
            let mut book = Book::default();
            for notice in order {
                book.hear(notice);
            }
            assert_eq!(book.get("n"), Some(&lifted));
            assert!(!book.hear(&lifted), "nothing new");
        }
    }

    #[test]
    fn of_two_that_are_as_new_each_node_keeps_the_same() {
        let long = Notice { until: 200, ..notice(5, Some("a")) };
        for (holds, other) in [(&long, notice(5, Some("b"))), (&notice(5, None), long.clone())] {
            for order in [[holds, &other], [&other, holds]] {
                let mut book = Book::default();
                for notice in order {
                    book.hear(notice);
                }
                assert_eq!(book.get("n"), Some(holds));
            }
        }
    }

    #[test]
    fn what_is_lifted_is_newer_than_what_began() {
        let mut book = Book::default();
        let begun = book.begin("n".into(), 50, 100, "a".into());
        // By a clock that is behind.
        let lifted = book.lift(7, |name| name == "n");
        assert!(lifted[0].version > begun.version && lifted[0].line.is_none());
        assert_eq!(book.lift(70, |_| true), [], "it is lifted already");
        assert!(!book.hear(&begun));
        book.forget(99);
        assert_eq!(book.all().count(), 1);
        book.forget(100);
        assert_eq!(book.all().count(), 0);
    }

    #[test]
    fn a_clock_that_is_set_forward_makes_nothing_void() {
        let mut book = Book::default();
        book.begin("n".into(), 50, 100, "a".into());
        book.begin("m".into(), 50, 100, "a".into());
        let lifted = book.lift(60, |name| name == "n").remove(0);
        let told = book.set_forward(1_000);
        let again = Notice { version: lifted.version + 1, until: 1_100, ..lifted };
        assert_eq!(told, [again]);
        book.forget(1_099);
        assert_eq!(book.all().count(), 2);
    }
}
