//! Limits of several proxies over one Redis, in storms and faults. What is of each host is in
//! tests/hosts.

mod broker;
mod checker;
mod faults;
mod history;
mod lives;
mod loss;
mod nemesis;
mod pause;
mod replicas;
mod scene;
mod stalls;
mod storms;
mod tenants;
mod traffic;
mod violations;

use crate::support::call::Caller;
use crate::support::kamailio::{Config, OfKamailio};
use crate::support::{stage, wait_for};

pub type Stage = stage::Stage<OfKamailio>;

/// How long `cc_limit` takes, alone and in a cluster, one call after the other; by hand:
/// `cargo test --test integration cluster:: -- --ignored --nocapture`.
#[test]
#[ignore]
fn what_an_answer_of_the_cluster_costs() {
    const CALLS: usize = 500;
    let stage = Stage::new(
        2,
        "INSERT INTO sipwarden_brand VALUES ('b', 5000);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 5000);",
    );
    let timed = |config: Config| {
        let mut config = config;
        let asked = "if (!cc_limit(";
        assert!(config.routes.contains(asked));
        let before = format!("$var(before) = $TV(Sn);\n{asked}");
        config.routes = config.routes.replace(asked, &before).replace(
            "record_route();",
            "$var(after) = $TV(Sn);\nxlog(\"L_NOTICE\", \"took $var(before) $var(after)\\n\");\nrecord_route();",
        );
        config.start()
    };
    let mut alone = stage.config("node9");
    alone.settings = alone.settings.replace(&stage.redis.url(), "");
    for (name, proxy) in [("alone", timed(alone)), ("in a cluster", timed(stage.config("node3")))] {
        if name != "alone" {
            wait_for("the cluster to be exact", || {
                (proxy.counter("cluster_exact") == 1).then_some(())
            });
        }
        for _ in 0..CALLS {
            let mut call = Caller::new(&stage.endpoint, proxy.address(), "c", "");
            call.invite();
            assert_eq!(call.final_reply().status(), Some(200));
            call.ack();
        }
        let log = proxy.log();
        let mut times: Vec<i64> = (log.lines())
            .filter_map(|line| line.split_once("took ")?.1.split_once(' '))
            .filter_map(|(before, after)| {
                let us = |text: &str| text.trim().replace('.', "").parse::<i64>().ok();
                Some(us(after)? - us(before)?)
            })
            .collect();
        times.sort_unstable();
        let at = |part: f64| times[(times.len() as f64 * part) as usize];
        println!("{name}: {} calls, p50 {} us, p99 {} us", times.len(), at(0.5), at(0.99));
    }
}
