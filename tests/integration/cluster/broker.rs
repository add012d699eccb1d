//! A broker that is frozen, then killed, under traffic: the short form of what `nemesis` and
//! `lives` do.

use super::Stage;
use crate::support::call::{Caller, Endpoint};
use crate::support::{Going, PATIENCE, signal, wait_for, wait_up_to};
use libc::{SIGCONT, SIGKILL, SIGSTOP};
use std::net::SocketAddr;
use std::time::Duration;

/// Company `c` is full with one call on each proxy; the others are of the traffic.
const TENANTS: &str = "INSERT INTO sipwarden_brand VALUES ('b', 0);
    INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 2), ('free', 'b', 0, 0), ('shared', 'b', 0, 50);";

#[test]
fn a_broker_that_is_frozen_or_killed_under_traffic_costs_its_own_proxy_only() {
    let mut stage = Stage::new(2, TENANTS);
    let broker = stage.proxies[0].process("sipwarden broker") as i32;
    let addresses = [0, 1].map(|n: usize| stage.proxies[n].address());
    for proxy in 0..2 {
        stage.call(proxy, "c", "").unwrap();
    }
    let (here, there) = (Going::begin(), Going::begin());
    std::thread::scope(|scope| {
        let free = scope.spawn(|| call_on(addresses[0], "free", &here));
        let shared = scope.spawn(|| call_on(addresses[1], "shared", &there));
        let there_ends = there.while_held();
        {
            let _here_ends = here.while_held();
            signal(broker, SIGSTOP);
            // It says nothing to the server, and its proxy judges by the policy.
            wait_for("its proxy to notice", || {
                (stage.proxies[0].counter("cluster_exact") == 0).then_some(())
            });
            assert!(stage.call(0, "c", "").is_err());
            signal(broker, SIGCONT);
            stage.wait_for_members(2);
            for proxy in 0..2 {
                assert_eq!(stage.call(proxy, "c", "").err().unwrap(), "company_limit");
            }
            assert_eq!(stage.callee.observed().most["c"], 2);
        }
        assert!(free.join().unwrap() > 0);
        signal(broker, SIGKILL);
        wait_up_to(Duration::from_secs(30), "its proxy to stop", || {
            (!stage.proxies[0].runs()).then_some(())
        });
        // Its slot is free once it is given up; then the limit holds.
        let _call = stage.call_in_the_end(1, "c");
        assert_eq!(stage.call(1, "c", "").err().unwrap(), "company_limit");
        drop(there_ends);
        assert!(shared.join().unwrap() > 0);
    });
}

/// One call after the other, each admitted or, where the machine has no time, told to wait; how
/// many were admitted.
fn call_on(proxy: SocketAddr, company: &str, going: &Going) -> usize {
    let endpoint = Endpoint::new("127.0.0.1");
    let mut admitted = 0;
    while going.is_on() || admitted == 0 {
        let mut call = Caller::new(&endpoint, proxy, company, "");
        call.invite();
        let reply = call.final_reply();
        if reply.line.contains("cluster_wait") {
            continue;
        }
        assert_eq!(reply.status(), Some(200), "{company}: {}", reply.line);
        call.ack();
        call.within("BYE");
        assert!(call.answer_within("BYE", PATIENCE).is_some());
        admitted += 1;
    }
    admitted
}
