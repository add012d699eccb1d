//! What nodes tell each other of their tables, and the reload that one asks all others for.

use std::collections::BTreeMap;

use super::link::{Link, NodeSeen};
use super::room::{Line, Room};
use crate::clock::Moment;
use crate::host::contract::abi::command;
use crate::notices::{Book, Notice, Seal};

/// The names of notices by which a node asks all others to reload begin so; the node follows.
const RELOAD: &str = "reload ";
/// The names of notices of tables begin so; the node follows.
const TABLES: &str = "tables ";
/// Ms for which a node's word on its tables is good, and after which it is said again.
const GOOD: u64 = 90_000;
const AGAIN: u64 = 30_000;
/// Ms for which another node is asked to reload.
const PATIENCE: u64 = 60_000;
/// Ms between two looks at the others' tables.
const LOOK: u64 = 5_000;
/// Ms after which other tables are no reload on its way: some nodes reload once a minute.
const APART: u64 = 150_000;

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
fn name_of(node: &str) -> String {
    format!("{TABLES}{node}")
}

/// All nodes that the server knows, and what they tell of their tables.
pub fn nodes(link: &mut Link, seal: Seal) -> Result<Vec<(NodeSeen, Option<Told>)>, String> {
    let nodes = link.nodes()?;
    let names: Vec<_> = nodes.iter().map(|node| name_of(&node.name)).collect();
    let told = link.notices(&names, seal)?;
    let told = told.into_iter().map(|notice| notice.as_ref().and_then(Told::read));
    Ok(nodes.into_iter().zip(told).collect())
}

/// What this node has told of its own, and knows of the others.
#[derive(Default)]
pub struct NodesTables {
    told: Told,
    /// When that is said again.
    again: u64,
    next_look: u64,
    differing: Differing,
}

impl NodesTables {
    /// Adds what there is to tell.
    pub fn turn(&mut self, room: &Room, now: Moment, book: &mut Book, out: &mut Vec<Notice>) {
        let node = &room.settings.setup.name;
        let reloads = &room.desk.reloads;
        if let Some(number) = reloads.take_asked() {
            let name = format!("{RELOAD}{node}");
            out.push(book.begin(name, number, now.wall + PATIENCE, number.to_string()));
        }
        let tables = reloads.tables();
        let (answered, outcome) = reloads.answered();
        let has = Told { mark: tables.mark, loaded_at: tables.loaded_at, answered, outcome };
        if has.mark != 0 && (has != self.told || now.monotonic >= self.again) {
            let name = name_of(node);
            let known = book.get(&name).map_or(0, |known| known.version);
            let version = (now.wall * 1000).max(known.saturating_add(1));
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
        let origin = notice.name.strip_prefix(RELOAD);
        if origin.is_none_or(|origin| origin == room.settings.setup.name) {
            return;
        }
        if let Some(number) = notice.line.as_deref().and_then(|line| line.parse().ok()) {
            room.desk.reloads.order(number);
        }
    }

    /// Warns of nodes whose tables are not those of this one.
    fn compare(&mut self, room: &Room, now: Moment, book: &Book) {
        let valid = book.all().filter(|notice| notice.until > now.wall);
        let told = valid.filter_map(|notice| {
            let node = notice.name.strip_prefix(TABLES)?;
            Some((node, Told::read(notice)?.mark))
        });
        let others = told.filter(|(node, _)| *node != room.settings.setup.name);
        for node in self.differing.look(self.told.mark, others, now.monotonic) {
            room.lock().lines.push(Line::Warning(format!(
                "node {node} has had other tables than this one for {} s, so limits differ: run \
                 {}; if they still differ, compare db_url and {} on both (said once)",
                APART / 1000,
                command("reload_all"),
                command("problems")
            )));
        }
        room.desk.reloads.set_others(self.differing.told());
    }
}

/// Nodes with other tables: their mark, since when, and whether that was told.
#[derive(Default)]
struct Differing(BTreeMap<String, (u64, u64, bool)>);

impl Differing {
    /// How many were told, and still differ.
    fn told(&self) -> u64 {
        self.0.values().filter(|(.., is_told)| *is_told).count() as u64
    }

    /// Those to be told, of others with their marks: they differ for longer than it takes until
    /// all have reloaded, each by itself.
    fn look<'a>(
        &mut self,
        own: u64,
        others: impl Iterator<Item = (&'a str, u64)>,
        now: u64,
    ) -> Vec<&'a str> {
        let (mut differing, mut told) = (BTreeMap::new(), Vec::new());
        for (node, mark) in others.filter(|(_, mark)| own != 0 && *mark != own) {
            let before = self.0.get(node).filter(|(before, ..)| *before == mark);
            let (_, since, mut is_told) = before.copied().unwrap_or((mark, now, false));
            if !is_told && now >= since + APART {
                is_told = true;
                told.push(node);
            }
            differing.insert(node.to_owned(), (mark, since, is_told));
        }
        self.0 = differing;
        told
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

    #[test]
    fn a_node_that_stays_different_is_told_once() {
        let mut differing = Differing::default();
        let mut look = |own, mark, now| differing.look(own, [("b", mark)].into_iter(), now).len();
        assert_eq!([look(1, 2, 0), look(1, 2, APART - 1)], [0, 0]);
        assert_eq!([look(1, 2, APART), look(1, 2, 2 * APART)], [1, 0]);
        // The same again, and others.
        assert_eq!([look(1, 1, 2 * APART), look(1, 2, 2 * APART)], [0, 0]);
        assert_eq!([look(1, 3, 3 * APART), look(1, 3, 4 * APART)], [0, 1]);
        // Its own tables are not known yet.
        assert_eq!([look(0, 2, 5 * APART), look(0, 2, 9 * APART)], [0, 0]);
        let others = |mark| [("b", mark), ("c", 1)].into_iter();
        let _ = differing.look(1, others(2), 10 * APART);
        assert_eq!(differing.told(), 0);
        let _ = differing.look(1, others(2), 11 * APART);
        assert_eq!(differing.told(), 1);
        let _ = differing.look(1, others(1), 12 * APART);
        assert_eq!(differing.told(), 0);
    }
}
