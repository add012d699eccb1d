//! The functions of the script, its variable, and what is counted.

use serde_json::{Value, json};

use super::alone::alone;
use super::door;
use super::request::Request;
use super::start::started;
use super::world::{logged, world};

/// What the script reads after a function.
fn told(request: &Request, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| door::variable(request, name)).collect()
}

/// The value of a statistic.
fn statistic(name: &str) -> u64 {
    let mut all = (0..).map_while(door::statistic);
    let index = all.position(|(known, _)| known == name).expect(name) as u32;
    let is_gauge = door::statistic(index).unwrap().1;
    match is_gauge {
        true => door::gauge(index),
        false => world().counts.get(&index).copied().unwrap_or(0),
    }
}

#[test]
fn sources_are_judged_as_the_packet_the_proxy_or_the_script_says() {
    alone(|| {
        started(&[]);
        let near = Request::from("192.0.2.7");
        assert_eq!(door::check_company_ip(&near, "7"), 1);
        let names = ["code", "reason", "ip", "learnt"];
        assert_eq!(
            told(&near, &names),
            [json!(1), json!("granted_range"), json!("192.0.2.7"), json!("packet")]
        );

        let far = Request { id: 2, proxied: true, ..Request::from("203.0.113.9") };
        assert_eq!(door::check_company_ip(&far, "7"), -1);
        assert_eq!(
            told(&far, &names),
            [json!(-1), json!("denied_source"), json!("203.0.113.9"), json!("proxy")]
        );
        // Another message was told nothing.
        assert_eq!(told(&near, &names)[..2], [Value::Null, Value::Null]);

        let given = Request { id: 3, given: Some("2001:db8::7".into()), ..far.clone() };
        assert_eq!(door::check_company_ip(&given, "7"), 1);
        assert_eq!(told(&given, &names)[2..], [json!("2001:db8::7"), json!("script")]);
        let broken = Request { given: Some("nobody".into()), ..far.clone() };
        assert!(door::check_company_ip(&broken, "7") < 0);
        assert_eq!(told(&broken, &["reason"]), [json!("bad_address")]);
        assert!(door::check_company_ip(&Request::from(""), "7") < 0);

        assert_eq!(door::check_company_ip(&Request::from("2001:db8::1"), "7"), 1);
        assert_eq!(door::check_company_ip(&far, "open"), 2);
        assert!(door::check_company_ip(&far, "nobody") < 0);
        assert_eq!(told(&far, &["reason"]), [json!("unknown_company")]);
        assert!(door::check_company_ip(&far, "<null>") < 0);
        assert_eq!(statistic("check_granted_range"), 3);
        assert_eq!(statistic("companies"), 2);
        // Without a file of countries.
        assert!(door::check_country(&far, "ES") < 0);
        assert_eq!(door::variable(&far, "country"), Value::Null);
        let page = door::variable(&far, "page");
        assert!(page.as_str().unwrap().starts_with("<!doctype html>"));
    });
}

#[test]
fn floods_are_blocked_and_trusted_sources_are_not() {
    alone(|| {
        started(&[
            ("flood_limit", json!(2)),
            ("flood_window", json!("300s")),
            ("flood_unproven", json!("block")),
        ]);
        let flooder = Request::from("203.0.113.9");
        let codes: Vec<i32> = (0..4).map(|_| door::flood_check(&flooder, "")).collect();
        assert!(codes[..2].iter().all(|code| *code > 0), "{codes:?}");
        assert!(codes[2..].iter().all(|code| *code < 0), "{codes:?}");
        assert_eq!(
            told(&flooder, &["reason", "class", "request_limit"]),
            [json!("flood_blocked"), json!("default"), json!(2)]
        );
        assert!(door::flood_check(&flooder, "p") < 0);
        let trusted = Request::from("198.51.100.1");
        assert!((0..9).all(|_| door::flood_check(&trusted, "") > 0));
        assert_eq!(told(&trusted, &["class"]), [json!("exempt")]);
        assert_eq!((statistic("blocks_active"), statistic("flood_blocks_started")), (1, 1));

        assert!(door::check_flags("flood_check", "p") && !door::check_flags("flood_check", "x"));
        assert!(logged("flood_check has no flag \"x\""));
        assert!(door::check_flags("cc_limit", "eio") && !door::check_flags("cc_limit", "p"));
    });
}

#[test]
fn failed_logins_ban_and_a_success_forgets() {
    alone(|| {
        started(&[("auth_limit", json!(3)), ("auth_restart", json!(0))]);
        let guess = |n: u32| Request {
            credentials: vec![format!("Digest response=\"{n}\"")],
            ..Request::from("203.0.113.9")
        };
        let aor = "alice@example.com";
        assert!(door::auth_failed(&guess(1), aor, None) > 0);
        // The same guess counts once.
        assert!(door::auth_failed(&guess(1), aor, None) > 0);
        assert_eq!(told(&guess(1), &["failures", "failure_limit"]), [json!(1), json!(3)]);
        assert!(door::auth_failed(&guess(2), aor, Some("Digest response=\"9\"")) > 0);
        assert!(door::auth_check(&guess(0), aor) > 0);
        assert!(door::auth_ok(&guess(0), aor) > 0);
        let codes: Vec<i32> = (3..7).map(|n| door::auth_failed(&guess(n), aor, None)).collect();
        assert!(codes[1] > 0 && codes[3] < 0, "{codes:?}");
        assert!(door::auth_check(&guess(0), aor) < 0);
        assert_eq!(told(&guess(0), &["reason"]), [json!("auth_banned")]);
        assert!(door::auth_check(&guess(0), "bob@example.com") > 0);
        assert_eq!(statistic("auth_bans_active"), 1);
    });
}

#[test]
fn a_grant_allows_a_source_until_its_end() {
    alone(|| {
        started(&[]);
        let request = Request::from("203.0.113.9");
        assert!(door::check_company_ip(&request, "7") < 0);
        assert_eq!(door::grant(&request, "7", "60"), 1);
        assert_eq!(door::check_company_ip(&request, "7"), 8);
        assert_eq!(told(&request, &["reason"]), [json!("granted_temporarily")]);
        assert!(door::grant(&request, "7", "soon") < 0);
        assert_eq!(statistic("grants_active"), 1);
    });
}

/// Both are told by one process within a minute.
#[test]
fn a_grant_that_is_shortened_hides_no_argument_that_is_none() {
    alone(|| {
        started(&[]);
        let request = Request::from("203.0.113.9");
        assert_eq!(door::grant(&request, "7", "4000000000"), 1);
        assert!(logged("s in place of 4000000000 s: parameter grant_longest"));
        assert!(door::grant(&request, "7", "soon") < 0);
        assert!(logged("\"soon\" is not a number of seconds"));
    });
}

#[test]
fn all_attributes_have_names_that_are_found() {
    alone(|| {
        started(&[]);
        let names = door::variable_names();
        assert_eq!(names.len(), sipwarden::host::ATTRIBUTES.len());
        let request = Request::from("192.0.2.7");
        for name in names.iter().filter(|name| *name != "page") {
            assert_eq!(door::variable(&request, name), Value::Null, "{name}");
        }
    });
}
