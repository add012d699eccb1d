//! `sipwarden.cluster`.

use crate::clock;
use crate::cluster::Share;
use crate::host::cluster::reader;
use crate::host::cluster::tables::{Told, nodes};
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::settings::ClusterSettings;
use crate::host::state::{State, with_snapshot};
use crate::ledger::{Direction, ScopeKind};
use crate::printable::{Printable, without_password};

/// How this node shares its limits; with a kind and an id, which node has how many slots.
pub fn cluster(call: &Call, state: &State) -> Result<(), Fault> {
    let kind = call.argument("kind")?.filter(|word| !word.is_empty());
    let id = call.argument("id")?;
    call.no_more()?;
    let (Some(desk), Some(settings)) = (&state.desk, &state.settings.cluster) else {
        call.reply().text(c"state", "off");
        return Ok(());
    };
    match (kind, id) {
        (Some(kind), Some(id)) => return scope(call, state, settings, &kind, &id),
        (Some(_), None) => return Err(Fault::argument("the id of the scope is missing")),
        (None, _) => {}
    }
    let reply = call.reply();
    let (standing, now) = (&desk.standing, clock::boottime());
    let (trust, numbers, policies) = (standing.trust(), standing.numbers(), standing.policies());
    let is = if standing.is_exact(now) {
        "exact"
    } else if trust.admits(now) {
        "filling"
    } else if now < trust.refuses_until {
        "waiting"
    } else {
        "alone"
    };
    reply.text(c"state", is);
    reply.text(c"node", &settings.setup.name);
    reply.text(c"server", without_password(&settings.server.url));
    reply.int(c"members", numbers.members);
    reply.int(c"size", standing.nodes().unwrap_or(0));
    reply.int(c"replicas", policies.replicas);
    reply.text(c"policy", word(policies.shared));
    reply.text(c"policy_user", word(policies.user));
    reply.text(c"workers", if standing.is_open() { "do not wait" } else { "wait" });
    reply.int(c"sessions", numbers.sessions);
    reply.int(c"claims", numbers.claims);
    reply.int(c"asked", numbers.asked);
    reply.int(c"timeouts", numbers.timed_out);
    reply.int(c"requests", numbers.batches);
    reply.int(c"round_trip_us", numbers.round_trip);
    tell_nodes(&reply, state, settings);
    Ok(())
}

/// Each node as the server knows it, and whether its tables are those of this one.
fn tell_nodes(reply: &Node<'_>, state: &State, settings: &ClusterSettings) {
    let asked = reader::ask(state, settings, |link| nodes(link, settings.seal));
    let list = reply.array(c"nodes");
    let all = match asked {
        Ok(all) => all,
        Err(why) => return reply.text(c"problem", why),
    };
    let own = state.desk.as_ref().map_or(0, |desk| desk.reloads.tables().mark);
    let beat = settings.setup.times.beat;
    for (seen, told) in all {
        let node = list.item_structure();
        node.text(c"node", &seen.name);
        let is = match (seen.is_published, seen.silent > 3 * beat) {
            (_, true) => "silent",
            (true, false) => "member",
            (false, false) => "filling",
        };
        node.text(c"state", is);
        node.int(c"silent_ms", seen.silent);
        tell_tables(&node, told.as_ref(), own);
    }
}

/// Whether a node has the tables that `own` stands for, and when it has loaded its own.
pub fn tell_tables(node: &Node<'_>, told: Option<&Told>, own: u64) {
    let tables = match told {
        Some(told) if told.mark == own => "same",
        Some(_) => "other",
        None => "",
    };
    node.text(c"tables", tables);
    node.time((c"loaded_at", c"loaded_date"), told.map_or(0, |told| told.loaded_at));
}

fn scope(
    call: &Call,
    state: &State,
    settings: &ClusterSettings,
    word: &[u8],
    id: &[u8],
) -> Result<(), Fault> {
    let kind = with_snapshot(|view, _| view.kind(word)).flatten().or_else(|| {
        // Not one that limits are for by name.
        (Some(word) == ScopeKind::ROADWARRIOR.word()).then_some(ScopeKind::ROADWARRIOR)
    });
    let Some(kind) = kind else {
        let shown = Printable::short(word);
        return Err(Fault::unknown(format!("there is no kind \"{shown}\" of scopes")));
    };
    let reached = |why| Fault::internal(format!("the cluster's server: {why}"));
    let keys = Direction::ALL.map(|direction| state.ledger.shared_key(kind, id, direction));
    let told = reader::ask(state, settings, |link| link.claims(&keys)).map_err(reached)?;
    let told: Vec<_> = Direction::ALL.into_iter().zip(told).collect();
    let here = state.ledger.calls(kind, id);
    let reply = call.reply();
    let directions = reply.array(c"directions");
    for (direction, claims) in
        told.iter().filter(|(direction, claims)| *direction == Direction::Any || !claims.is_empty())
    {
        let node = directions.item_structure();
        node.text(c"direction", Printable::short(direction.name()));
        node.int(c"slots", claims.iter().map(|(_, slots)| u64::from(*slots)).sum::<u64>());
        node.int(c"calls_here", here.of(*direction));
        let nodes = node.array(c"nodes");
        for (name, slots) in claims {
            nodes.item(format_args!("{name}: {slots}"));
        }
    }
    Ok(())
}

fn word(share: Share) -> &'static str {
    match share {
        Share::Closed => "closed",
        Share::Equal => "share",
        Share::Parts(_) => "local",
        Share::Open => "open",
    }
}
