//! Calls that live and calls that died, on both proxies of an IvozProvider platform.

use std::time::Duration;

use crate::support::account::Account;
use crate::support::call::{Caller, Endpoint};
use crate::support::proxies::{Kind, Proxy};
use crate::support::wait_up_to;
use crate::support::world::{ELSEWHERE, World};

/// Where nobody is: the phone is behind NAT.
const PRIVATE: &str = "10.9.9.9:5062";

/// A call from a phone behind NAT to the application server, answered.
fn up<'a>(world: &World, phone: &'a Account) -> Caller<'a> {
    let proxy = world.proxies.users.address();
    let mut caller = Caller::new(&phone.endpoint, proxy, &phone.domain, "");
    caller.dial_at("+34600000000", &phone.domain);
    caller.contact = Some(format!("sip:alice@{PRIVATE}"));
    caller.sent_by = Some(PRIVATE.into());
    caller.invite();
    let challenge = caller.final_reply();
    caller.add_header(&phone.credentials("INVITE", &challenge));
    caller.invite_again();
    world.server.reply(&world.server.request("INVITE"), 200, "a");
    assert_eq!(caller.final_reply().status(), Some(200));
    caller.ack();
    world.server.request("ACK");
    caller
}

/// Answers what has come, keepalives with `status` of their Call-ID: methods and Call-IDs.
fn serve(endpoint: &Endpoint, status: &dyn Fn(&str) -> u16) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    while let Some(got) = endpoint.receive_within(Duration::from_millis(1)) {
        let method = got.0.method().to_owned();
        if got.0.status().is_none() && method != "ACK" {
            let call_id = got.0.header("Call-ID").unwrap().to_owned();
            endpoint.reply(&got, if method == "OPTIONS" { status(&call_id) } else { 200 }, "x");
            seen.push((method, call_id));
        }
    }
    seen
}

#[test]
fn calls_that_live_stay_and_those_whose_end_is_gone_end() {
    let world = World::start(Kind::Sipwarden, &[("SIPWARDEN_KA_INTERVAL", "30")]);
    let (living, dead) = (world.phone(ELSEWHERE, 7), world.phone(ELSEWHERE, 7));
    let (mut lives, dies) = (up(&world, &living), up(&world, &dead));
    world.proxies.users.wait_until(&["sipwarden.calls"], "total: 2");
    // Two calls to the carrier, of which one dies there.
    let mut outlives = world.external(7, "+34600000001");
    world.carrier_answers(&mut outlives);
    let mut fails = world.external(7, "+34600000002");
    world.carrier_answers(&mut fails);
    world.calls_of_company_are("7", 2);

    let gone = |call_id: &str| if call_id == fails.call_id { 404 } else { 200 };
    // Of each end: its keepalives and BYEs.
    let mut seen = [const { Vec::new() }; 4];
    let count = |seen: &[(String, String)], method: &str, call_id: &str| {
        seen.iter().filter(|(m, id)| m == method && id == call_id).count()
    };
    wait_up_to(Duration::from_secs(150), "two calls to end, two to be asked", || {
        seen[0].extend(serve(&living.endpoint, &|_| 200));
        seen[1].extend(serve(&dead.endpoint, &|_| 404));
        seen[2].extend(serve(&world.server, &|_| 200));
        seen[3].extend(serve(&world.carrier, &gone));
        let [phone, other, server, carrier] = &seen;
        let asked = [
            count(phone, "OPTIONS", &lives.call_id),
            count(server, "OPTIONS", &lives.call_id),
            count(carrier, "OPTIONS", &outlives.call_id),
            count(server, "OPTIONS", &outlives.call_id),
        ];
        let ended = [
            count(other, "BYE", &dies.call_id),
            count(server, "BYE", &dies.call_id),
            count(carrier, "BYE", &fails.call_id),
            count(server, "BYE", &fails.call_id),
        ];
        for lasting in [&lives.call_id, &outlives.call_id] {
            assert!(seen.iter().all(|seen| count(seen, "BYE", lasting) == 0));
        }
        let done = asked.iter().all(|times| *times >= 3) && ended.iter().all(|times| *times > 0);
        done.then_some(())
    });
    world.proxies.users.wait_until(&["sipwarden.calls"], "total: 1");
    world.calls_of_company_are("7", 1);
    for (proxy, call_id, end) in [
        (&world.proxies.users, &dies.call_id, "caller"),
        (&world.proxies.trunks, &fails.call_id, "callee"),
    ] {
        let line = format!(
            "the call {call_id} of company \"7\" counts no more: the {end} answers the keepalive \
             that the call is gone; both ends get a BYE if they can be reached"
        );
        assert!(proxy.log().contains(&line), "{line}\n{}", proxy.log());
    }
    lives.within("BYE");
    let bye = world.server.request("BYE");
    world.server.reply(&bye, 200, "a");
    world.hang_up(outlives, &world.carrier);
    world.calls_of_company_are("7", 0);
    world.proxies.users.wait_until(&["sipwarden.calls"], "total: 0");
}

/// Whether caller and callee are asked about a call that rings.
fn asked(proxy: &Proxy, call_id: &str) -> (bool, bool) {
    let list = proxy.kamcmd(&["dlg.list"]);
    let call = list.split("h_entry").find(|dialog| dialog.contains(call_id));
    let lines = call.unwrap_or_else(|| panic!("{list}")).lines();
    let flags = lines.filter_map(|line| line.trim().strip_prefix("iflags: ")).next();
    let flags: u32 = flags.unwrap_or_else(|| panic!("{list}")).parse().unwrap();
    (flags & 2 != 0, flags & 4 != 0)
}

/// Nothing on trunks makes a carrier behind NAT reachable: to ask it would end its calls.
#[test]
fn a_carrier_is_asked_unless_its_contact_is_private_and_its_address_is_not() {
    let world = World::start(Kind::Sipwarden, &[]);
    let trunks = &world.proxies.trunks;
    let rings = |caller: &mut Caller<'_>, expected: bool| {
        caller.invite();
        let invite = world.server.request("INVITE");
        let contact = caller.contact.as_deref().unwrap_or("its own");
        assert_eq!(asked(trunks, &caller.call_id), (expected, true), "{contact}");
        world.server.reply(&invite, 486, "a");
        assert_eq!(caller.final_reply().status(), Some(486));
    };
    let call = |contact: Option<&str>| {
        let mut caller = world.carrier_call(&world.carrier);
        caller.contact = contact.map(|host| format!("sip:carrier@{host}"));
        caller
    };
    rings(&mut call(None), true);
    for private in [
        PRIVATE,
        "172.16.0.1",
        "172.31.0.1:5080",
        "192.168.1.1",
        "100.64.0.1",
        "100.127.0.1",
        "[fd00::5]:5062",
        "[FC12:3::5]",
        "[fe80::5]",
    ] {
        rings(&mut call(Some(private)), false);
    }
    for public in
        ["203.0.113.9", "172.32.0.1:5080", "100.128.0.1", "fd00.example", "[2001:db8::fd00]"]
    {
        rings(&mut call(Some(public)), true);
    }
    // The inside is reachable, whatever its addresses.
    let headers = "X-Info-BrandId: 8\r\nX-Info-CompanyId: 7\r\nX-Info-Type: vpbx\r\n";
    let mut caller = Caller::new(&world.server, trunks.address(), "as.example", headers);
    caller.dial("+34600000000");
    caller.contact = Some(format!("sip:as@{PRIVATE}"));
    caller.invite();
    let invite = world.carrier.request("INVITE");
    assert_eq!(asked(trunks, &caller.call_id), (true, true));
    world.carrier.reply(&invite, 486, "c");
    assert_eq!(caller.final_reply().status(), Some(486));
}
