//! Calls that live and calls that died, on both proxies of an IvozProvider platform.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

use std::time::Duration;

use support::account::Account;
use support::call::{Caller, Endpoint};
use support::wait_up_to;
use support::world::{ELSEWHERE, World};

/// Where nobody is: the phone is behind NAT.
const PRIVATE: &str = "sip:alice@10.9.9.9:5062";

/// A call from a phone behind NAT up to the carrier, answered.
fn up<'a>(world: &World, phone: &'a Account) -> Caller<'a> {
    let proxy = world.proxies.users.address();
    let mut caller = Caller::new(&phone.endpoint, proxy, &phone.domain, "");
    caller.dial_at("+34600000000", &phone.domain);
    caller.contact = Some(PRIVATE.into());
    caller.invite();
    let challenge = caller.final_reply();
    caller.add_header(&phone.credentials("INVITE", &challenge));
    caller.invite_again();
    world.carrier.reply(&world.carrier.request("INVITE"), 200, "c");
    assert_eq!(caller.final_reply().status(), Some(200));
    caller.ack();
    world.carrier.request("ACK");
    caller
}

/// Answers what has come: the methods, and keepalives with `status`.
fn serve(endpoint: &Endpoint, status: u16, tag: &str, call_id: &str) -> Vec<String> {
    let mut methods = Vec::new();
    while let Some(got) = endpoint.receive_within(Duration::from_millis(1)) {
        let method = got.0.method().to_owned();
        if got.0.status().is_none() && method != "ACK" {
            endpoint.reply(&got, if method == "OPTIONS" { status } else { 200 }, tag);
            if got.0.header("Call-ID") == Some(call_id) || call_id.is_empty() {
                methods.push(method);
            }
        }
    }
    methods
}

#[test]
fn a_call_behind_nat_lives_and_one_of_a_phone_that_was_started_again_ends() {
    let world = World::start(&[("KA_INTERVAL", "30")]);
    let (living, dead) = (world.phone(ELSEWHERE, 7), world.phone(ELSEWHERE, 7));
    let (mut lives, dies) = (up(&world, &living), up(&world, &dead));
    world.calls_of_company_are("7", 2);
    let (mut asked, mut asked_carrier, mut byes, mut carrier_byes) = (0, 0, 0, 0);
    let count = |methods: &[String], method: &str| methods.iter().filter(|m| *m == method).count();
    wait_up_to(Duration::from_secs(150), "one call to end, the other to be asked", || {
        let phone = serve(&living.endpoint, 200, "x", "");
        asked += count(&phone, "OPTIONS");
        assert_eq!(count(&phone, "BYE"), 0);
        byes += count(&serve(&dead.endpoint, 404, "x", ""), "BYE");
        let carrier = serve(&world.carrier, 200, "c", &dies.call_id);
        (asked_carrier, carrier_byes) =
            (asked_carrier + count(&carrier, "OPTIONS"), carrier_byes + count(&carrier, "BYE"));
        (asked > 5 && byes > 0 && carrier_byes > 0 && asked_carrier > 1).then_some(())
    });
    world.calls_of_company_are("7", 1);
    world.proxies.users.wait_until(&["sipwarden.calls", "7"], "total: 1");
    // Whichever proxy finds out first: its BYE ends the call at the other.
    let log = [world.proxies.users.log(), world.proxies.trunks.log()].concat();
    let line = format!(
        "the call {} of company \"7\" counts no more: the caller answers the keepalive that the \
         call is gone; both ends were sent a BYE",
        dies.call_id
    );
    assert!(log.contains(&line), "{log}");
    assert!(!log.contains(&format!("the call {} of", lives.call_id)), "{log}");
    lives.within("BYE");
    let bye = world.carrier.request("BYE");
    world.carrier.reply(&bye, 200, "c");
    world.calls_of_company_are("7", 0);
    world.proxies.users.wait_until(&["sipwarden.calls"], "total: 0");
}

#[test]
fn whoever_calls_again_with_an_old_call_id_hears_what_is_wrong() {
    let world = World::start(&[]);
    world.platform.run("UPDATE DDIs SET DDIE164 = 'alice';");
    let phone = world.phone(ELSEWHERE, 7);
    assert_eq!(phone.register().status(), Some(200));
    let mut call = phone.call("+34600000000", &phone.domain, "");
    let ringing = world.carrier.request("INVITE");
    world.carrier.reply(&ringing, 180, "c");
    call.invite_again();
    let refused = call.final_reply();
    assert_eq!(refused.status(), Some(482), "{}", refused.line);

    let carrier = Endpoint::new("127.70.0.2");
    let mut call = world.carrier_call(&carrier);
    call.dial_at("alice", "c7.example");
    call.invite();
    let ringing = phone.endpoint.request("INVITE");
    phone.endpoint.reply(&ringing, 180, "p");
    call.invite_again();
    let refused = call.final_reply();
    assert_eq!(refused.status(), Some(482), "{}", refused.line);
}
