//! Storms over several proxies, judged by an observer of both ends of all calls.

use super::scene::{SHORT, Scene};
use super::tenants::Tenants;
use crate::support::proxy::assert_nothing_left;
use crate::support::wait_for;

/// INVITEs a second at each proxy: faster than they are answered; and so slow that it is seen
/// how soon a slot that is free is given.
const FAST: u64 = 4000;
const SLOW: u64 = 200;

/// Calls that stay, then calls that come and go.
fn storms(proxies: usize, limits: &[u32], invites: usize, name: &str) {
    let scene = Scene::new(proxies, Tenants::new(limits), SHORT);
    let nothing_is_left = || {
        scene.stage.proxies.iter().for_each(assert_nothing_left);
        let claims = || scene.stage.redis.claims().is_empty().then_some(());
        wait_for("all claims to be given back", claims);
    };
    scene.storm(invites, FAST, None, &format!("{name}-that-stay"));
    nothing_is_left();
    scene.storm(invites, SLOW, Some((20, 300)), &format!("{name}-that-go"));
    nothing_is_left();
}

#[test]
fn a_storm_over_three_proxies_admits_just_the_limits() {
    storms(3, &[1, 10], 1200, "short-storm");
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
