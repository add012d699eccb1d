//! Storms over several proxies, judged by an observer of both ends of all calls.

use std::time::{Duration, Instant};

use serde_json::json;

use super::scene::{SHORT, Scene, judged};
use super::tenants::Tenants;
use crate::support::proxy::assert_nothing_left;
use crate::support::wait_for;

/// INVITEs a second at each proxy: faster than they are answered; and so slow that it is seen
/// how soon a slot that is free is given.
const FAST: u64 = 4000;
const SLOW: u64 = 200;

fn nothing_is_left(scene: &Scene) {
    scene.stage.proxies.iter().for_each(assert_nothing_left);
    let claims = || scene.stage.redis.claims().is_empty().then_some(());
    wait_for("all claims to be given back", claims);
}

/// Calls that stay, then calls that come and go.
fn storms(proxies: usize, limits: &[u32], invites: usize, name: &str) {
    let scene = Scene::new(proxies, Tenants::new(limits), SHORT);
    scene.storm(invites, FAST, None, &format!("{name}-that-stay"));
    nothing_is_left(&scene);
    scene.storm(invites, SLOW, Some((20, 300)), &format!("{name}-that-go"));
    nothing_is_left(&scene);
}

#[test]
fn a_storm_over_three_proxies_admits_just_the_limits() {
    storms(3, &[1, 10], 1200, "short-storm");
}

/// INVITEs a second at each proxy, and ms for which calls last: some more than 30 at a time
/// over four proxies.
const BUSY: u64 = 60;
const SHORT_CALLS: (u64, u64) = (20, 300);

/// Calls of one company that come and go, about as many as it may have: its slots are all in
/// use, and given again as soon as they are free.
#[test]
fn thirty_slots_over_four_proxies_are_all_used_by_calls_that_come_and_go() {
    let (proxies, limit, each) = (4, 30, 1000);
    let mut tenants = Tenants::new(&[limit]);
    tenants.asks.truncate(1);
    let company = tenants.asks[0].scopes[0].clone();
    assert_eq!(tenants.limits[&company], limit);
    let scene = Scene::new(proxies, tenants, SHORT);
    let traffic = scene.traffic(each, BUSY, Some(SHORT_CALLS), 1);
    let began = Instant::now();
    let mut trips = Vec::new();
    while traffic.judged() < each * proxies {
        for proxy in &scene.stage.proxies {
            trips.extend(proxy.rpc("sipwarden.cluster", json!([]))["round_trip_us"].as_u64());
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{}", traffic.judged());
        std::thread::sleep(Duration::from_millis(50));
    }
    let began = traffic.began;
    let mut history = scene.history(traffic.stop(), began, Vec::new());
    history.rules.full = vec![company.clone()];
    let found = judged(&history, "thirty-that-go");
    trips.sort_unstable();
    let longest = trips.last().copied().unwrap_or(0);
    println!("round trips: {} us, at most {longest} us of {}", trips[trips.len() / 2], trips.len());
    assert_eq!(found.most[&company], limit);
    assert_eq!(found.admitted + found.refused["company_limit"], each * proxies, "{found}");
    nothing_is_left(&scene);
}

/// Of calls for each limit.
fn great_storms(proxies: usize) {
    for limit in [1, 2, 10, 30] {
        storms(proxies, &[limit], 5000, &format!("storm-{proxies}x{limit}"));
    }
}

/// By hand: `make cluster`.
#[test]
#[ignore]
fn storms_of_5000_invites_over_three_proxies_admit_just_the_limits() {
    great_storms(3);
}

/// By hand: `make cluster`.
#[test]
#[ignore]
fn storms_of_5000_invites_over_four_proxies_admit_just_the_limits() {
    great_storms(4);
}
