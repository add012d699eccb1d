//! A short pause of the server costs no call: the phone repeats its INVITE.

use super::faults::{Blow, strike};
use super::nemesis::wait_ms;
use super::scene::{DEFAULT, Scene, Setup, judged};
use super::tenants::Tenants;

const SILENT: Setup = Setup { dead: 7, silent: true, ..DEFAULT };

#[test]
fn a_server_that_is_frozen_for_two_seconds_costs_no_call() {
    let mut scene = Scene::new(2, Tenants::new(&[200]), SILENT);
    scene.tenants.asks.truncate(4);
    // Fewer than the limits, and all stay.
    let traffic = scene.traffic(100, 30, None, 1);
    wait_ms(500);
    let frozen = strike(Blow::FreezeServer, 2000, &mut scene, &traffic);
    wait_ms(2000);
    let fault = frozen.mend(&mut scene, &traffic);
    scene.wait_for_judged(&traffic, 200);
    let began = traffic.began;
    let history = scene.history(traffic.stop(), began, vec![fault]);
    let waited: u64 =
        scene.stage.proxies.iter().map(|proxy| proxy.counter("cc_cluster_wait")).sum();
    assert!(waited > 0, "no call met the pause");
    let found = judged(&history, "two-seconds");
    assert_eq!(found.admitted, 200, "{found}");
}
