//! What is wrong with rows, kept short however large the database is.

use std::fmt;

/// Problems that are kept with their text; the others are counted.
pub const KEPT: usize = 20;

/// One bad row, or one warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The table as it is named in the database.
    pub table: String,
    /// Row in the order read, from 1.
    pub row: u64,
    /// Column, value and what is wrong with it; printable.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} row {}: {}", self.table, self.row, self.text)
    }
}

/// The first problems and the count of all.
#[derive(Clone, Debug, Default)]
pub struct Problems {
    kept: Vec<Problem>,
    count: u64,
}

impl Problems {
    /// Adds one; `text` is only asked for while there is room to keep it.
    pub fn add(&mut self, problem: impl FnOnce() -> Problem) {
        self.count += 1;
        if self.has_room() {
            self.kept.push(problem());
        }
    }

    pub fn has_room(&self) -> bool {
        self.kept.len() < KEPT
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn kept(&self) -> &[Problem] {
        &self.kept
    }
}
