//! Packets between proxies and their server are lost. By hand: `make cluster`.

use super::history::{Effect, Fault};
use super::nemesis::{Nemesis, wait_ms};
use super::scene::DEFAULT;
use crate::support::netns::{Namespace, run};

#[test]
#[ignore]
fn loss_of_packets_makes_no_call_too_many() {
    let network = Namespace::new();
    network.enter();
    let nemesis = Nemesis::new(DEFAULT, 1);
    nemesis.run("loss", |nemesis| {
        let port = nemesis.scene.stage.redis.address().port().to_string();
        run("nft", &["add", "table", "ip", "loss"]);
        let chain = "{ type filter hook input priority 0; }";
        run("nft", &["add", "chain", "ip", "loss", "input", chain]);
        for percent in ["1", "5", "20"] {
            let from = nemesis.traffic.now();
            for end in ["sport", "dport"] {
                let rule = ["tcp", end, &port, "numgen", "random", "mod", "100", "<", percent];
                run(
                    "nft",
                    &[&["add", "rule", "ip", "loss", "input"], &rule[..], &["drop"]].concat(),
                );
            }
            wait_ms(10_000);
            run("nft", &["flush", "chain", "ip", "loss", "input"]);
            let healed = nemesis.traffic.now();
            nemesis.rest(vec![Fault {
                what: format!("{percent} % of packets are lost"),
                effect: Effect::Away,
                hit: Vec::new(),
                nodes: (0..nemesis.scene.nodes()).collect(),
                from,
                healed,
                until: healed + 6_000_000,
            }]);
        }
    });
}
