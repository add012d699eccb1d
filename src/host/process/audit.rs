//! The audit table, written by the recorder.
//!
//! A database that is slow or gone costs nothing but rows: rows that cannot be written wait in
//! this process, up to a bound, and are counted when they are lost.

use std::collections::VecDeque;

use super::trouble::Trouble;
use crate::clock;
use crate::events::Event;
use crate::host::contract::audit::{AuditTable, Row};
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::settings::Values;
use crate::memory;
use crate::printable::{Printable, without_password};

/// Rows that wait for the database.
const WAITING: usize = 4096;
/// Attempts to write a row that the database refuses.
const ATTEMPTS: u32 = 3;
/// Characters of the columns of companies and brands, and of the AoR.
const ID: usize = 128;
const AOR: usize = 320;
/// Rows written in one go, so that events are not kept waiting.
const AT_ONCE: usize = 100;
/// Ms between two attempts to reach a database.
const PATIENCE: u64 = 5000;

/// The connection and what waits for it.
pub struct Audit {
    connection: Option<AuditTable>,
    /// URL and table that it is connected to, or was tried.
    target: Option<(String, String)>,
    waiting: VecDeque<Event>,
    /// Failed attempts to write the first one.
    attempts: u32,
    tried: u64,
    trouble: Trouble,
}

impl Audit {
    pub const NEW: Self = Audit {
        connection: None,
        target: None,
        waiting: VecDeque::new(),
        attempts: 0,
        tried: 0,
        trouble: Trouble::NONE,
    };

    /// Takes an event; the oldest one is lost if there is no room.
    pub fn add(&mut self, event: &Event) {
        if self.waiting.len() >= WAITING {
            self.waiting.pop_front();
            counters::count_own(Own::AuditLost);
        }
        // Its memory is taken at once: touched are as many places as ever waited.
        if self.waiting.is_empty() {
            let bytes = WAITING * size_of::<Event>();
            if self.waiting.capacity() < WAITING && !memory::has_room(bytes) {
                return counters::count_own(Own::AuditLost);
            }
            self.waiting.reserve_exact(WAITING);
            self.waiting.clear();
        }
        self.waiting.push_back(*event);
    }

    /// Writes some of the waiting rows; true if more can be written at once. `now` is in ms.
    pub fn write(&mut self, values: &Values, now: u64) -> bool {
        let target = values.audit();
        if self.target != target {
            self.disconnect();
            (self.attempts, self.tried, self.trouble) = (0, 0, Trouble::NONE);
            self.target.clone_from(&target);
        }
        let Some((url, table)) = &target else {
            self.waiting.drain(..).for_each(|_| counters::count_own(Own::AuditLost));
            return false;
        };
        for _ in 0..AT_ONCE {
            let Some(event) = self.waiting.front().copied() else { return false };
            if !self.connect(url, table, now) {
                return false;
            }
            if self.write_one(&event) {
                self.waiting.pop_front();
                self.attempts = 0;
                if self.trouble.is_over() {
                    log::info(format_args!(
                        "audit rows are written to {} again",
                        without_password(url)
                    ));
                }
            } else {
                self.disconnect();
                self.complain(url, now);
                self.attempts += 1;
                if self.attempts >= ATTEMPTS {
                    self.waiting.pop_front();
                    self.attempts = 0;
                    counters::count_own(Own::AuditLost);
                }
                return false;
            }
        }
        !self.waiting.is_empty()
    }

    fn connect(&mut self, url: &str, table: &str, now: u64) -> bool {
        if self.connection.is_some() {
            return true;
        }
        if self.tried > 0 && now.saturating_sub(self.tried) < PATIENCE {
            return false;
        }
        self.tried = now;
        self.connection = AuditTable::open(url, table);
        if self.connection.is_none() {
            // An attempt may have taken long.
            self.tried = clock::monotonic();
            self.complain(url, now);
        }
        self.connection.is_some()
    }

    fn write_one(&self, event: &Event) -> bool {
        let Some(connection) = &self.connection else { return false };
        let reason = match event.is_monitored() {
            true => format!("{} (monitored)", event.reason()),
            false => event.reason().to_owned(),
        };
        let source = event.source().map(|source| source.name()).unwrap_or_default();
        // Bytes of SIP messages become text that every database accepts.
        let text = |bytes: &[u8], most: usize| {
            Printable::full(bytes).to_string().chars().take(most).collect::<String>()
        };
        let company = text(event.company(), ID);
        // Of a limit it is the scope.
        let whose = if event.limited().is_some() { event.about() } else { event.aor() };
        let (brand, aor) = (text(event.brand(), ID), text(whose, AOR));
        let seconds = i64::try_from(event.time / 1000).unwrap_or(i64::MAX);
        connection.write(&Row {
            reason: &reason,
            source: &source,
            company: &company,
            brand: &brand,
            aor: &aor,
            time: seconds,
            hits: event.count.into(),
        })
    }

    fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
    }

    fn complain(&mut self, url: &str, now: u64) {
        if self.trouble.is_due(now) {
            log::error(format_args!(
                "audit rows are not written to {}: {} of {WAITING} wait (tried again, said once a minute)",
                without_password(url),
                self.waiting.len()
            ));
        }
    }
}
