//! Operators and monitoring ask all at once while a storm of calls is judged.

use super::*;
use crate::support::sipp::Sipp;

const CLIENTS: usize = 16;

#[test]
fn sixteen_clients_ask_during_a_storm_and_the_limit_holds() {
    let invites = if is_long() { 20_000 } else { 2000 };
    let mut site = Site::new();
    site.config.workers = 8;
    let kamailio = site.config.start();
    let going = Going::begin();
    let answered = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (kamailio, going) = (&kamailio, &going);
                scope.spawn(move || ask_on(kamailio, going, n))
            })
            .collect();
        let end = going.while_held();
        let storm = Sipp::start(&site.folder, "storm", kamailio.address(), &["c;-"], invites);
        storm.wait_for_judged(invites);
        drop(end);
        let answered: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
        site.callee.hang_up();
        let seen = storm.finish();
        assert_eq!((seen.admitted["c"], seen.refused), (2, invites - 2));
        answered
    });
    assert!(answered >= 10 * CLIENTS, "{answered}");
    assert_eq!(kamailio.counter("cc_call_counted"), 2);
    proxy::assert_nothing_left(&kamailio);
}

/// Asks over HTTP, or with kamcmd, until it is told to end; how often it was answered.
fn ask_on(kamailio: &Kamailio, going: &Going, client: usize) -> usize {
    let source = format!("203.0.113.{client}");
    let mut answered = 0;
    while going.is_on() || answered < 10 {
        let (method, arguments): (&str, Vec<&str>) = match (client + answered) % 12 {
            0 => ("reload", vec![]),
            1 => ("block", vec![&source, "600"]),
            2 => ("unblock", vec![&source]),
            3 => ("check", vec!["c", "127.0.0.1"]),
            4 => ("company", vec!["c"]),
            5 => ("calls", vec!["c"]),
            6 => ("denied", vec!["c"]),
            7 => ("top", vec![]),
            8 => ("lint", vec![]),
            9 => ("settings", vec![]),
            10 => ("reconcile", vec![]),
            _ => ("stats", vec![]),
        };
        let method = format!("sipwarden.{method}");
        if client % 4 == 0 {
            let words: Vec<&str> = [method.as_str()].into_iter().chain(arguments).collect();
            let answer = kamailio.kamcmd(&words);
            assert!(!answer.is_empty() && !answer.contains("500 - "), "{method}: {answer}");
        } else if let Err(fault) = kamailio.try_rpc(&method, json!(arguments)) {
            // Nobody is blocked any more, for example.
            assert!(fault.starts_with("404 "), "{method}: {fault}");
        }
        answered += 1;
    }
    answered
}
