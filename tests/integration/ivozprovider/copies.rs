//! Several copies of both proxies.

use crate::support::proxies::{Inside, Kind, Proxies};
use crate::support::redis::Redis;
use crate::support::world::World;

#[test]
fn copies_of_a_proxy_share_the_limits_of_a_company() {
    let redis = Redis::start();
    let url = format!("\"{}\"", redis.url());
    let settings = [
        ("SIPWARDEN_CLUSTER", url.as_str()),
        ("SIPWARDEN_CLUSTER_SECRET", "\"a secret of the tests\""),
        ("SIPWARDEN_CLUSTER_SIZE", "2"),
        ("SIPWARDEN_CLUSTER_NODE", "\"LISTEN\""),
    ];
    let world = World::start(Kind::Sipwarden, &settings);
    let carrier = world.carrier.address();
    let more = Proxies::start(&world.platform, Kind::Sipwarden, Inside::new(), carrier, &settings);
    world.platform.run("UPDATE Companies SET maxCalls = 2 WHERE id = 7;");
    let copies = [&world.proxies, &more];
    copies.iter().for_each(|copy| copy.reload());
    for proxy in copies.iter().flat_map(|copy| [&copy.users, &copy.trunks]) {
        // Copies of the other kind of proxy have a cluster of their own.
        proxy.wait_until(&["sipwarden.cluster"], "members: 2");
        proxy.wait_until(&["sipwarden.cluster"], "state: exact");
    }
    let call = |copy: &Proxies| world.external_over(&copy.trunks, 7, "+34600000000");
    let mut calls = Vec::new();
    for copy in copies {
        let mut up = call(copy);
        world.carrier_answers(&mut up);
        calls.push(up);
    }
    for copy in copies {
        assert_eq!(call(copy).final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
        copy.trunks.wait_until(&["sipwarden.company", "7"], "calls_everywhere: 2");
        copy.trunks.wait_until(&["sipwarden.company", "7"], "calls: 1");
    }
    // A slot that is free on one is free on the other.
    world.hang_up(calls.remove(0), &world.carrier);
    more.trunks.wait_until(&["sipwarden.company", "7"], "calls_everywhere: 1");
    let mut up = call(&more);
    world.carrier_answers(&mut up);
    for call in calls.into_iter().chain([up]) {
        world.hang_up(call, &world.carrier);
    }
}
