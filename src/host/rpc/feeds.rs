//! `sipwarden.feeds`, and what other methods say of feeds.

use super::page::Page;
use crate::address::Address;
use crate::clock;
use crate::feeds::Pass;
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::settings::FeedFile;
use crate::host::state::State;
use crate::host::state::feeds::{Feeds, Note, with_feeds};
use crate::host::state::listed::pass_of;
use crate::host::state::rules::with_rules;

/// Feeds on a page: all that there may be.
const PAGE: usize = 16;

/// The feeds, and what is wrong with them: page (from 1).
pub fn feeds(call: &Call, state: &State) -> Result<(), Fault> {
    let page = Page::read(call, PAGE)?;
    call.no_more()?;
    let all: Vec<_> = state.feeds.iter().flat_map(Feeds::all).collect();
    page.check(all.len())?;
    let reply = call.reply();
    reply.int(c"total", all.len() as u64);
    page.tell(&reply, all.len());
    if let Some(feeds) = &state.feeds {
        let (prefixes, bytes) =
            with_feeds(feeds, |view, _| (view.count(), view.bytes())).unwrap_or_default();
        reply.int(c"prefixes", prefixes);
        reply.int(c"bytes", bytes as u64);
        reply.int(c"room", feeds.store.room() as u64);
    }
    let list = reply.array(c"feeds");
    for (n, (file, note)) in page.of(all.into_iter().enumerate()) {
        let node = list.item_structure();
        tell(&node, state, n, (file, note));
        node.text(c"path", file.path.display());
        let problems = node.array(c"problems");
        note.problem().into_iter().for_each(|line| problems.item(line));
    }
    Ok(())
}

/// One feed in short.
fn tell(node: &Node<'_>, state: &State, n: usize, (file, note): (&FeedFile, &Note)) {
    let feed = |feeds| {
        let of = |view: &crate::feeds::View<'_>| {
            let feed = view.feed(n)?;
            Some((feed.lines(), feed.left_out(), feed.count(), feed.stamp()))
        };
        with_feeds(feeds, |view, _| of(view)).flatten()
    };
    let (lines, left_out, count, stamp) = state.feeds.as_ref().and_then(feed).unwrap_or_default();
    let failed = !note.problem().is_empty();
    node.text(c"feed", &file.name);
    node.text(c"state", if failed { "failed" } else { "loaded" });
    node.int(c"prefixes", count);
    node.int(c"lines", lines);
    node.int(c"left_out", left_out);
    node.time((c"file_at", c"file_date"), stamp.modified);
    node.time((c"loaded_at", c"loaded_date"), stamp.loaded);
    node.int(c"age_seconds", if stamp.modified == 0 { 0 } else { clock::age(stamp.modified) });
    node.int(c"refused", note.refused());
    node.int(c"passed", note.passed());
}

/// All feeds in short, where there are any.
pub fn tell_all(reply: &Node<'_>, state: &State) {
    let Some(feeds) = &state.feeds else { return };
    let list = reply.array(c"feeds");
    for (n, (file, note)) in feeds.all().enumerate() {
        let node = list.item_structure();
        tell(&node, state, n, (file, note));
        node.text(c"problem", note.problem().first().map_or("", String::as_str));
    }
}

/// That a source is listed: by which feeds, and whether it is refused.
pub struct Listed {
    /// Feed and prefix of each.
    by: Vec<(String, String)>,
    pass: Option<Pass>,
    in_firewall: bool,
}

/// None if no feed lists it.
pub fn listed(state: &State, address: Address) -> Option<Listed> {
    let feeds = state.feeds.as_ref()?;
    let listing = feeds.listing(address);
    let by: Vec<_> =
        listing.iter().map(|(name, prefix)| ((*name).to_owned(), prefix.name())).collect();
    if by.is_empty() {
        return None;
    }
    let (pass, own) =
        with_rules(state, |rules| (pass_of(state, rules, address), rules.source_of(address)));
    let mut sources = listing.iter().map(|(_, prefix)| *prefix).chain([own]);
    let in_firewall = sources.any(|prefix| feeds.senders.is_offloaded(prefix));
    Some(Listed { by, pass, in_firewall })
}

impl Listed {
    /// Whether its requests are refused.
    pub fn is_refused(&self) -> bool {
        self.pass.is_none()
    }

    /// Its fields.
    pub fn tell(&self, reply: &Node<'_>) {
        let node = reply.structure(c"listed");
        let list = node.array(c"feeds");
        for (feed, prefix) in &self.by {
            let node = list.item_structure();
            node.text(c"feed", feed);
            node.text(c"prefix", prefix);
        }
        node.int(c"refused", u64::from(self.is_refused()));
        node.text(c"served_as", self.pass.map_or("", Pass::name));
        node.int(c"in_firewall", u64::from(self.in_firewall));
    }

    /// The same in words.
    pub fn words(&self) -> String {
        let by: Vec<_> =
            self.by.iter().map(|(feed, prefix)| format!("feed {feed} ({prefix})")).collect();
        let by = by.join(", ");
        match self.pass {
            None => format!("listed by {by}"),
            Some(pass) => format!("listed by {by}, but served: it is {}", pass.name()),
        }
    }
}
