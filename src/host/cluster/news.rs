//! What the broker's first thread tells of blocks, bans and grants, and makes of those of
//! other nodes.

use std::collections::HashMap;

use super::apply;
use super::kind::Kind;
use super::room::{Line, Room};
use super::tables::NodesTables;
use crate::address::Prefix;
use crate::clock::{self, Moment};
use crate::desk::{Lift, Lifted};
use crate::host::process::blocklist::{self, escaped};
use crate::host::state::State;
use crate::host::state::rules::{is_monitored, with_auth_rules, with_rules};
use crate::limiter::Reason;
use crate::notices::{Book, Found, Looks, Notice, ServerClock, Set};

/// Ms between two looks at the tables.
const EVERY: u64 = 50;
/// Looks take at most one part in so many of the time.
const SHARE: u64 = 20;
/// Ms of a turn for what others tell: SIP workers wait for the same thread.
const HEARING: u64 = 5;
/// Ms between two rounds of forgetting.
const FORGET: u64 = 1_000;

#[derive(Default)]
pub struct News {
    book: Book,
    tables: NodesTables,
    /// Of each table, with the number of its last change at the last look.
    looks: HashMap<Kind, (Looks, Option<u64>)>,
    clock: ServerClock,
    /// The server's clock was set since the last look.
    stepped: bool,
    next_look: u64,
    next_forget: u64,
    warned: bool,
}

impl News {
    pub fn turn(&mut self, room: &Room) {
        let (heard, anew, server, caught_up) = {
            let mut post = room.post.lock();
            let heard = std::mem::take(&mut post.heard);
            (heard, std::mem::take(&mut post.anew), post.server, post.caught_up)
        };
        let Some((server, then)) = server else { return };
        let mut out = self.watch_the_clock(server, then);
        let monotonic = clock::monotonic();
        let now = Moment { monotonic, wall: server.saturating_add(monotonic.saturating_sub(then)) };
        let mut heard = heard.into_iter();
        while clock::monotonic() < monotonic + HEARING {
            let Some((name, text)) = heard.next() else { break };
            match Notice::read(&name, &text, room.settings.seal) {
                Some(notice) if self.book.hear(&notice) => {
                    self.apply(room.state, now, &notice);
                    self.tables.hear(room, &notice);
                }
                Some(_) => {}
                None => self.warn(room),
            }
        }
        let left: Vec<_> = heard.collect();
        let caught_up = caught_up && left.is_empty();
        if !left.is_empty() {
            room.post.lock().heard.splice(..0, left);
            room.desk.bell.ring();
        }
        if anew {
            out.extend(self.book.all().cloned());
        }
        while let Some(lift) = room.desk.lifts.take() {
            let is_meant = |name: &str| is_meant(room.state, &lift, name);
            out.extend(self.book.lift(now.wall * 1000, is_meant));
        }
        // What was lifted, here or elsewhere, must be known first.
        if caught_up && monotonic >= self.next_look {
            self.tables.turn(room, now, &mut self.book, &mut out);
            self.look(room.state, now, &mut out);
            let took = clock::monotonic().saturating_sub(monotonic);
            self.next_look = monotonic + EVERY.max(SHARE * took);
        }
        if monotonic >= self.next_forget {
            self.next_forget = monotonic + FORGET;
            self.book.forget(now.wall);
        }
        if !out.is_empty() {
            room.post.lock().out.extend(out);
            room.post.wake();
        }
    }

    /// When the server's clock is set, the ends that it knows are others than they were: it has
    /// forgotten them, or tells them to those that come late. So all is told anew; here is what
    /// was lifted.
    fn watch_the_clock(&mut self, server: u64, then: u64) -> Vec<Notice> {
        let Some(set) = self.clock.see(server, then) else { return Vec::new() };
        self.stepped = true;
        // All tables are looked at again.
        self.looks.values_mut().for_each(|(_, seen)| *seen = None);
        match set {
            Set::Forward(ms) => self.book.set_forward(ms),
            Set::Back => Vec::new(),
        }
    }

    fn apply(&mut self, state: &State, now: Moment, notice: &Notice) {
        let Some((kind, _)) = Kind::of(&notice.name) else { return };
        if !kind.is_shared(state) {
            return;
        }
        let looks = &mut self.looks.entry(kind).or_default().0;
        let name = &notice.name;
        match &notice.line {
            Some(line) => {
                let until = looks.had(name).map(|(_, until)| until);
                if let Some(term) = apply::begin(state, now, kind, line, until) {
                    looks.was_told(name, Some(term));
                }
            }
            None if apply::lift(state, name) => looks.was_told(name, None),
            None => {}
        }
    }

    /// Tells what is new in the tables.
    fn look(&mut self, state: &State, now: Moment, out: &mut Vec<Notice>) {
        for kind in Kind::ALL {
            let changes = kind.changes(state);
            let (looks, seen) = self.looks.entry(kind).or_default();
            if *seen == Some(changes) || !kind.is_shared(state) {
                continue;
            }
            *seen = Some(changes);
            let date = |own| now.date(own);
            out.extend(looks.look(&mut self.book, find(state, now, kind), date, self.stepped));
        }
        self.stepped = false;
    }

    fn warn(&mut self, room: &Room) {
        if !std::mem::replace(&mut self.warned, true) {
            room.lock().lines.push(Line::Error(
                "somebody without the cluster's secret writes blocks, bans or grants to its \
                 server: they are ignored"
                    .to_owned(),
            ));
        }
    }
}

/// What a table has.
fn find(state: &State, now: Moment, kind: Kind) -> Vec<Found> {
    let mut all = Vec::new();
    let mut add = |name: String, since, until, line: String| {
        let line = line.trim_end().to_owned();
        all.push(Found { name: format!("{} {name}", kind.word()), term: (since, until), line });
    };
    match kind {
        Kind::Block => {
            // In monitor mode nobody is refused here, so nobody shall be there.
            let watched = with_rules(state, |rules| rules.monitor != 0);
            state.flood.blocks(clock::monotonic, |block| {
                if block.reason == Reason::Manual || !watched {
                    let line = blocklist::block_line(&state.settings, now, &block);
                    add(block.prefix.to_string(), block.since, block.until, line);
                }
            });
        }
        Kind::Ban => {
            let watched = with_auth_rules(state, |rules| is_monitored(state, rules));
            state.auth.bans(clock::monotonic, |ban| {
                // The hash of a long AoR is this node's own.
                if !ban.aor.is_cut() && (ban.reason == Reason::Manual || !watched) {
                    let line = blocklist::ban_line(&state.settings, now, &ban);
                    let name = format!("{} {}", ban.source, escaped(ban.aor.bytes()));
                    add(name, ban.since, ban.until, line);
                }
            });
        }
        Kind::Grant => {
            for grant in state.grants.all(None, now.monotonic) {
                let line = blocklist::grant_line(now, &grant);
                let name = format!("{} {}", grant.source, escaped(&grant.company));
                add(name, grant.since, grant.until, line);
            }
        }
    }
    all
}

/// Whether an operator who has lifted this has meant what is named so.
fn is_meant(state: &State, lift: &Lift, name: &str) -> bool {
    let Some((kind, rest)) = Kind::of(name) else { return false };
    let of = match kind {
        Kind::Block => Lifted::Blocks,
        Kind::Ban => Lifted::Bans,
        Kind::Grant => Lifted::Grants,
    };
    let (source, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let Ok(source) = Prefix::parse(source, None) else { return false };
    lift.what == of
        && kind.is_shared(state)
        && lift.within.is_none_or(|within| within.contains(source))
        && lift.of.as_ref().is_none_or(|of| escaped(of) == text)
}
