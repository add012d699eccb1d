//! What nodes tell each other of their tables, and the reload that one asks all others for.

use std::collections::BTreeMap;

use super::room::{Line, Room};
use crate::clock::Moment;
use crate::notices::{Book, Notice};

/// Names the notice by which one node asks all others to reload.
const RELOAD: &str = "reload";
/// The names of notices of tables begin so; the node follows.
const TABLES: &str = "tables ";
/// Ms for which a node's word on its tables is good, and after which it is said again.
const GOOD: u64 = 90_000;
const AGAIN: u64 = 30_000;
/// Ms for which another node is asked to reload.
const PATIENCE: u64 = 60_000;
/// Ms between two looks at the others' tables.
const LOOK: u64 = 5_000;
/// After so many times of a silence that means death, other tables are no reload on its way.
const APART: u64 = 3;

/// The tables of a node, and the last reload that it did because another node asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Stands for their rows.
    pub mark: u64,
    /// When they were read, in seconds since 1970.
    pub loaded_at: u64,
    /// The reload; 0: none.
    pub answered: u64,
    /// What became of it.
    pub outcome: String,
}

impl Told {
    fn line(&self) -> String {
        let Told { mark, loaded_at, answered, outcome } = self;
        format!("{mark:016x} {loaded_at} {answered} {outcome}")
    }

    /// What a notice says.
    pub fn read(notice: &Notice) -> Option<Self> {
        let mut parts = notice.line.as_deref()?.splitn(4, ' ');
        Some(Told {
            mark: u64::from_str_radix(parts.next()?, 16).ok()?,
            loaded_at: parts.next()?.parse().ok()?,
            answered: parts.next()?.parse().ok()?,
            outcome: parts.next()?.to_owned(),
        })
    }
}

/// The name of a node's notice.
pub fn name_of(node: &str) -> String {
    format!("{TABLES}{node}")
}

/// What this node has told of its own, and knows of the others.
#[derive(Default)]
pub struct NodesTables {
    told: Told,
    /// When that is said again.
    again: u64,
    next_look: u64,
    /// Nodes with other tables: their mark, since when, and whether that was told.
    others: BTreeMap<String, (u64, u64, bool)>,
}

impl NodesTables {
    /// Adds what there is to tell.
    pub fn turn(&mut self, room: &Room, now: Moment, book: &mut Book, out: &mut Vec<Notice>) {
        let node = &room.settings.setup.name;
        let reloads = &room.desk.reloads;
        if let Some(number) = reloads.take_asked() {
            let line = format!("{number} {node}");
            out.push(book.begin(RELOAD.into(), number, now.wall + PATIENCE, line));
        }
        let tables = reloads.tables();
        let (answered, outcome) = reloads.answered();
        let has = Told { mark: tables.mark, loaded_at: tables.loaded_at, answered, outcome };
        if has.mark != 0 && (has != self.told || now.monotonic >= self.again) {
            let name = name_of(node);
            let known = book.get(&name).map_or(0, |known| known.version);
            let version = (now.wall * 1000).max(known + 1);
            out.push(book.begin(name, version, now.wall + GOOD, has.line()));
            self.told = has;
            self.again = now.monotonic + AGAIN;
        }
        if now.monotonic >= self.next_look {
            self.next_look = now.monotonic + LOOK;
            self.compare(room, now, book);
        }
    }

    /// Another node has asked for a reload.
    pub fn hear(&self, room: &Room, notice: &Notice) {
        let order = notice.line.as_deref().filter(|_| notice.name == RELOAD);
        let Some((number, origin)) = order.and_then(|line| line.split_once(' ')) else { return };
        if let Some(number) = number.parse().ok().filter(|_| origin != room.settings.setup.name) {
            room.desk.reloads.order(number);
        }
    }

    /// Warns of nodes whose tables are not those of this one, for longer than a reload takes.
    fn compare(&mut self, room: &Room, now: Moment, book: &Book) {
        let mut differ = BTreeMap::new();
        for notice in book.all().filter(|notice| notice.until > now.wall) {
            let Some(node) = notice.name.strip_prefix(TABLES) else { continue };
            let Some(told) = Told::read(notice) else { continue };
            if told.mark == self.told.mark || node == room.settings.setup.name {
                continue;
            }
            let before = self.others.get(node).filter(|(mark, ..)| *mark == told.mark);
            let (_, since, mut warned) =
                before.copied().unwrap_or((told.mark, now.monotonic, false));
            if !warned
                && self.told.mark != 0
                && now.monotonic >= since + APART * room.settings.setup.times.dead
            {
                warned = true;
                room.lock().lines.push(Line::Warning(format!(
                    "node {node} has other tables than this one; sipwarden.reload_all reloads \
                     all nodes"
                )));
            }
            differ.insert(node.to_owned(), (told.mark, since, warned));
        }
        self.others = differ;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_tells_is_read() {
        let outcomes = ["", "reloaded", "failed: 2 bad rows: sipwarden_user row 3"];
        for outcome in outcomes.map(str::to_owned) {
            let told = Told { mark: 0xfe, loaded_at: 17, answered: 5, outcome };
            let line = Some(told.line());
            let notice = Notice { name: name_of("a"), version: 1, until: 2, line };
            assert_eq!(Told::read(&notice), Some(told));
        }
        let lifted = Notice { name: name_of("a"), version: 1, until: 2, line: None };
        assert_eq!(Told::read(&lifted), None);
    }
}
