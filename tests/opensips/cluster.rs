//! Storms over several OpenSIPS on one Redis, and a node that dies. What is of each host is in
//! tests/hosts; in Kamailio an observer of both ends of all calls judges such storms.

use crate::host::OfOpenSips;
use crate::support::host::Host;
use crate::support::proxy::{assert_nothing_left, calls};
use crate::support::sipp::Sipp;
use crate::support::stage::{self, SHORT};
use crate::support::{Folder, wait_for};

type Stage = stage::Stage<OfOpenSips>;

const TENANTS: &str = "INSERT INTO sipwarden_brand VALUES ('b', 0);
    INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 10);";
const LIMIT: usize = 10;
const INVITES: usize = 1000;

/// Three nodes. A refusal that gets lost is repeated.
fn stage() -> Stage {
    Stage::with(3, TENANTS, &format!("{SHORT}{}", OfOpenSips::REPEATS))
}

/// Storms over these nodes at once, until each INVITE is admitted or refused.
fn storms(stage: &Stage, folder: &Folder, nodes: &[usize]) -> Vec<Sipp> {
    let start = |node: &usize| {
        let at = stage.proxies[*node].address();
        Sipp::start_at(400, folder, &format!("node{node}"), at, &["c;carrier=free"], INVITES)
    };
    let storms: Vec<_> = nodes.iter().map(start).collect();
    storms.iter().for_each(|storm| storm.wait_for_judged(INVITES));
    storms
}

/// Live calls on these nodes.
fn live(stage: &Stage, nodes: &[usize]) -> u64 {
    nodes.iter().map(|node| calls(&stage.proxies[*node], "c")).sum()
}

/// All calls end; how many SIPp saw admitted.
fn all_end(stage: &Stage, storms: Vec<Sipp>) -> usize {
    stage.callee.hang_up();
    let admitted = storms.into_iter().map(|storm| {
        let seen = storm.finish();
        let admitted = seen.admitted.get("c").copied().unwrap_or(0);
        assert_eq!(admitted + seen.refused, INVITES);
        admitted
    });
    let admitted = admitted.sum();
    stage.proxies.iter().for_each(assert_nothing_left);
    wait_for("all claims to be given back", || stage.redis.claims().is_empty().then_some(()));
    assert!(stage.proxies.iter().all(|node| node.counter("panics") == 0));
    admitted
}

#[test]
fn storms_over_three_nodes_admit_just_the_limit_and_all_slots_come_back() {
    let stage = stage();
    for _ in 0..2 {
        let folder = Folder::new();
        stage.callee.pick_up();
        let storms = storms(&stage, &folder, &[0, 1, 2]);
        assert_eq!(live(&stage, &[0, 1, 2]), LIMIT as u64);
        assert_eq!(all_end(&stage, storms), LIMIT);
        assert_eq!(stage.callee.observed().most["c"], LIMIT);
    }
}

#[test]
fn a_killed_node_frees_its_slots_and_a_storm_over_the_others_takes_just_these() {
    let mut stage = stage();
    for node in [0, 0, 0, 0, 0, 0, 0, 1, 1, 2] {
        stage.call(node, "c", "").unwrap();
    }
    for node in 0..3 {
        assert_eq!(stage.call(node, "c", "").err().as_deref(), Some("company_limit"));
    }
    stage.proxies[0].stop(libc::SIGKILL);
    stage.call_in_the_end(1, "c");
    let folder = Folder::new();
    let storms = storms(&stage, &folder, &[1, 2]);
    assert_eq!(live(&stage, &[1, 2]), LIMIT as u64);
    // It comes back without its calls, and finds no slot.
    stage.proxies[0] = stage.start("node0");
    stage.wait_for_members(3);
    assert_eq!(stage.call(0, "c", "").err().as_deref(), Some("company_limit"));
    // Seven were its own.
    assert_eq!(all_end(&stage, storms), LIMIT - 4);
    stage.callee.pick_up();
    let calls: Vec<_> = (0..LIMIT).map(|n| stage.call(n % 3, "c", "").unwrap()).collect();
    assert_eq!(stage.call(0, "c", "").err().as_deref(), Some("company_limit"));
    drop(calls);
}
