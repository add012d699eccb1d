//! `sipwarden.reload_all`.

use std::time::{Duration, Instant};

use super::cluster::tell_tables;
use super::status::reload_here;
use crate::host::cluster::link::Link;
use crate::host::cluster::reader;
use crate::host::cluster::tables::{Told, nodes};
use crate::host::contract::abi::command;
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::settings::ClusterSettings;
use crate::host::state::State;

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
    let mark = desk.reloads.tables().mark;
    let number = match reader::ask(state, settings, Link::time) {
        Ok(number) => number,
        Err(why) => {
            reply.text(c"others", format_args!("not asked: the cluster's server: {why}"));
            return Ok(());
        }
    };
    // Later than all before, also if the server's clock was set back.
    let before = others(state, settings).unwrap_or_default();
    let before = before.into_iter().filter_map(|(_, told)| Some(told?.answered));
    let number = before.chain([desk.reloads.answered().0]).fold(number, |n, of| n.max(of + 1));
    desk.reloads.ask(number);
    desk.bell.ring();
    let mut asked = others(state, settings);
    let until = Instant::now() + PATIENCE;
    let waits = |of: &Result<Vec<(_, Option<Told>)>, _>| {
        of.as_ref().map_or(true, |nodes| nodes.iter().any(|(_, told)| is_open(told, number)))
    };
    while waits(&asked) && Instant::now() < until {
        std::thread::sleep(EVERY);
        asked = others(state, settings);
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
        tell(&list.item_structure(), (name, told.as_ref()), number, mark);
    }
    Ok(())
}

/// The other nodes, and what they say of their tables.
fn others(
    state: &State,
    settings: &ClusterSettings,
) -> Result<Vec<(String, Option<Told>)>, String> {
    reader::ask(state, settings, |link| {
        let all = nodes(link, settings.seal)?.into_iter();
        let others = all.filter(|(node, _)| node.name != settings.setup.name);
        Ok(others.map(|(node, told)| (node.name, told)).collect())
    })
}

/// Whether a node will answer, and has not yet. One that says nothing of its tables has a
/// version that never does.
fn is_open(told: &Option<Told>, number: u64) -> bool {
    told.as_ref().is_some_and(|told| told.answered < number)
}

fn tell(node: &Node<'_>, (name, told): (&str, Option<&Told>), number: u64, mark: u64) {
    node.text(c"node", name);
    let Some(told) = told else {
        return node.text(
            c"outcome",
            "unknown: it says nothing of its tables, so it has another version or has just \
             started; reload its tables there",
        );
    };
    if told.answered < number {
        let seconds = PATIENCE.as_secs();
        let cluster = command("cluster");
        return node.text(c"outcome", format_args!("no answer within {seconds} s; it may still reload: see tables in {cluster}, and its log"));
    }
    node.text(c"outcome", &told.outcome);
    tell_tables(node, Some(told), mark);
}
