//! `sipwarden.reload_all`.

use std::time::{Duration, Instant};

use super::cluster::tell_tables;
use super::status::reload_here;
use crate::host::cluster::link::Link;
use crate::host::cluster::reader;
use crate::host::cluster::tables::{Told, nodes};
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::settings::ClusterSettings;
use crate::host::state::{State, with_snapshot};
use crate::snapshot;

/// How long other nodes may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// From one look at their answers to the next.
const EVERY: Duration = Duration::from_millis(100);

/// Reloads here, then on all other nodes, and tells what became of it.
pub fn reload_all(call: &Call, state: &State) -> Result<(), Fault> {
    call.no_more()?;
    let reply = reload_here(call, state)?;
    let (Some(desk), Some(settings)) = (&state.desk, &state.settings.cluster) else {
        reply.text(c"others", "none: cluster_url is not set");
        return Ok(());
    };
    let mark = with_snapshot(|view, _| snapshot::mark(view, &state.settings.classes));
    let mark = mark.unwrap_or(0);
    let number = match reader::ask(state, settings, Link::time) {
        Ok(number) => number,
        Err(why) => {
            reply.text(c"others", format_args!("not asked: the cluster's server: {why}"));
            return Ok(());
        }
    };
    // Later than all before, also if the server's clock was set back.
    let before = others(state, settings, 0).unwrap_or_default();
    let before = before.into_iter().filter_map(|(_, told)| Some(told?.answered));
    let number = before.chain([desk.reloads.answered().0]).fold(number, |n, of| n.max(of + 1));
    desk.reloads.ask(number);
    desk.bell.ring();
    let mut asked = others(state, settings, number);
    let until = Instant::now() + PATIENCE;
    let is_open = |asked: &Result<Vec<_>, _>| asked.as_ref().map_or(true, |nodes| waits(nodes));
    while is_open(&asked) && Instant::now() < until {
        std::thread::sleep(EVERY);
        asked = others(state, settings, number);
    }
    let nodes = match asked {
        Ok(nodes) => nodes,
        Err(why) => {
            reply
                .text(c"others", format_args!("asked, but their answers could not be read: {why}"));
            return Ok(());
        }
    };
    let list = reply.array(c"nodes");
    for (name, told) in &nodes {
        tell(&list.item_structure(), name, told.as_ref(), mark);
    }
    Ok(())
}

/// The other nodes, and what those say that have done this reload.
fn others(
    state: &State,
    settings: &ClusterSettings,
    number: u64,
) -> Result<Vec<(String, Option<Told>)>, String> {
    reader::ask(state, settings, |link| {
        let all = nodes(link, settings.seal)?.into_iter();
        let others = all.filter(|(node, _)| node.name != settings.setup.name);
        let done = |told: &Told| told.answered >= number;
        Ok(others.map(|(node, told)| (node.name, told.filter(done))).collect())
    })
}

/// Whether a node has not answered.
fn waits(nodes: &[(String, Option<Told>)]) -> bool {
    nodes.iter().any(|(_, told)| told.is_none())
}

fn tell(node: &Node<'_>, name: &str, told: Option<&Told>, mark: u64) {
    node.text(c"node", name);
    let Some(told) = told else {
        let seconds = PATIENCE.as_secs();
        node.text(c"outcome", format_args!("no answer within {seconds} s; it may still reload: see tables in sipwarden.cluster, and its log"));
        return;
    };
    node.text(c"outcome", &told.outcome);
    tell_tables(node, Some(told), mark);
}
