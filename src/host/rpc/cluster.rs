//! `sipwarden.cluster`.

use crate::clock;
use crate::cluster::Share;
use crate::host::cluster::link::Link;
use crate::host::contract::rpc::{Call, Fault};
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
    reply.text(c"server", without_password(&settings.url));
    reply.int(c"members", numbers.members);
    reply.int(c"nodes", standing.nodes().unwrap_or(0));
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
    Ok(())
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
    let mut link = Link::open(&settings.url, &settings.key).map_err(reached)?;
    let mut told = Vec::new();
    for direction in Direction::ALL {
        let key = state.ledger.shared_key(kind, id, direction);
        told.push((direction, link.claims(key).map_err(reached)?));
    }
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
