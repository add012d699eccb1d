//! The server's replica fails, or takes over without having all. By hand: `make cluster`.

use serde_json::json;

use super::history::{Effect, Fault};
use super::nemesis::{Nemesis, wait_ms};
use super::scene::{DEFAULT, Setup};
use crate::support::wire::Way;

const WITH_REPLICA: Setup = Setup { replica: true, ..DEFAULT };

impl Nemesis {
    /// Since then nobody has a proof; from now on all is mended, and exact after so many ms.
    fn without_proof(&mut self, what: &str, from: u64, ms: u64) {
        let healed = self.traffic.now();
        let fault = Fault {
            what: what.into(),
            effect: Effect::Away,
            hit: Vec::new(),
            nodes: (0..self.scene.nodes()).collect(),
            from,
            healed,
            until: healed + 1000 * ms,
        };
        self.rest(vec![fault]);
    }

    fn set_replicas(&self, replicas: &str) {
        for proxy in &self.scene.stage.proxies {
            proxy.rpc("sipwarden.set", json!(["cluster_replicas", replicas]));
        }
    }

    fn cut_replica(&self, is_cut: bool) {
        let replica = self.scene.replica.as_ref().unwrap();
        [Way::ToServer, Way::FromServer].iter().for_each(|way| replica.wire.cut(*way, is_cut));
    }
}

#[test]
#[ignore]
fn a_replica_that_is_gone_ends_trust_until_an_operator_says_so() {
    let nemesis = Nemesis::new(WITH_REPLICA, 1);
    let found = nemesis.run("replica-gone", |nemesis| {
        let from = nemesis.traffic.now();
        nemesis.cut_replica(true);
        wait_ms(8000);
        nemesis.set_replicas("0");
        nemesis.without_proof("the replica is gone", from, 3000);
        nemesis.cut_replica(false);
        nemesis.scene.stage.redis.wait_for_replica();
        nemesis.set_replicas("1");
        wait_ms(8000);
    });
    assert!(found.alone > 0, "the policy judges without a proof: {found}");
}

/// Two nodes follow the new primary at once; the third one stays with the old one, which goes
/// on serving.
#[test]
#[ignore]
fn a_replica_that_lags_takes_over_while_the_old_primary_goes_on() {
    let nemesis = Nemesis::new(WITH_REPLICA, 1);
    nemesis.run("failover", |nemesis| {
        let from = nemesis.traffic.now();
        let replica = nemesis.scene.replica.as_ref().unwrap();
        // What is claimed from here on the replica does not have.
        replica.wire.cut(Way::FromServer, true);
        wait_ms(1000);
        replica.redis.lead();
        let (new, old) = (replica.redis.address(), &nemesis.scene.stage.redis);
        let wires = &nemesis.scene.wires;
        wires[..2].iter().for_each(|wire| wire.lead_to(new));
        wait_ms(5000);
        wires[2].lead_to(new);
        old.follow(new);
        replica.redis.wait_for_replica();
        let mending = 1000 * WITH_REPLICA.dead + 3000;
        nemesis.without_proof("a replica that lags takes over", from, mending);
        wait_ms(5000);
    });
}
