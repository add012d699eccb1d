//! Sources that a feed lists, as a script and an operator meet them.

use serde_json::{Value, json};

use super::alone::alone;
use super::door;
use super::request::Request;
use super::start::{Folder, start, started};
use super::world::{events, logged, tenants};

fn floods(request: &Request) -> (i32, String) {
    let code = door::flood_check(request, "");
    (code, door::variable(request, "reason").as_str().unwrap_or_default().to_owned())
}

fn reason(from: &str) -> String {
    floods(&Request::from(from)).1
}

fn call(method: &str, params: Value) -> Value {
    door::rpc(method, params).unwrap()
}

fn feed(n: usize) -> Value {
    call("feeds", json!([]))["feeds"][n].clone()
}

/// Starts with these feeds, each with its text.
fn listing(folder: &Folder, feeds: &[(&str, &str)], settings: &[(&str, Value)]) {
    let mut all = settings.to_vec();
    for (name, text) in feeds {
        let file = folder.0.join(name);
        std::fs::write(&file, text).unwrap();
        all.push(("blocklist_file", json!(format!("{name}={}", file.display()))));
    }
    started(&all);
}

const LIST: &str =
    "# bad ones\n203.0.113.0/28\n198.51.100.0/24 ; SBL1\n192.0.2.0/24\r\n\n10.0.0.0/8\n";

#[test]
fn a_listed_source_is_refused_and_those_that_are_known_are_served() {
    alone(|| {
        let folder = Folder::new();
        listing(&folder, &[("drop", LIST), ("other", "203.0.113.7\n2001:db8:5::/48\n")], &[]);
        assert_eq!(floods(&Request::from("203.0.113.7")), (-21, "listed".into()));
        assert_eq!(reason("2001:db8:5::1"), "exempt", "a company's range");
        assert_eq!(reason("203.0.113.16"), "under_limit");
        assert_eq!(reason("198.51.100.9"), "exempt", "trusted");
        assert_eq!(reason("192.0.2.7"), "exempt", "a company's range");
        assert_eq!(reason("10.0.0.1"), "under_limit", "a private address");
        assert!(logged("feed drop: 1 of its lines are of private or reserved addresses"));
        assert!(logged(
            "2001:db8:5::1 is served although feed other lists it: it is authorized (said once a minute)"
        ));
        // The question counts nothing.
        let bot = Request::from("203.0.113.8");
        assert_eq!(door::flood_check(&bot, "p"), -21);
        assert_eq!(door::flood_check(&bot, "e"), 4);
        let known = feed(0);
        assert_eq!((&known["feed"], &known["state"]), (&json!("drop"), &json!("loaded")));
        assert_eq!(
            (&known["lines"], &known["left_out"], &known["prefixes"]),
            (&json!(4), &json!(1), &json!(3))
        );
        assert_eq!((&known["refused"], &known["passed"]), (&json!(2), &json!(2)));
        assert_eq!((&feed(1)["refused"], &feed(1)["passed"]), (&json!(1), &json!(1)));
        assert_eq!(call("feeds", json!([]))["prefixes"], 4);
        door::record();
        let denied = &call("denied", json!([]))["denied"][0];
        assert_eq!(
            (&denied["reason"], &denied["source"]),
            (&json!("listed"), &json!("203.0.113.7"))
        );
        assert_eq!(events("denied").len(), 1);
        // Nothing of it is in the table of sources.
        assert_eq!(call("source", json!(["203.0.113.7"]))["requests"], 0);
    });
}

#[test]
fn operators_are_told_what_lists_a_source_and_why_it_is_served() {
    alone(|| {
        let folder = Folder::new();
        listing(&folder, &[("drop", LIST), ("other", "203.0.113.7\n")], &[]);
        let said = call("check", json!(["open", "203.0.113.7"]));
        assert_eq!(said["verdict"], "refused by flood_check: listed (-21)");
        let step = said["steps"][0].as_str().unwrap().to_owned();
        assert!(
            step.contains("listed by feed drop (203.0.113.0/28), feed other (203.0.113.7)"),
            "{step}"
        );
        let source = call("source", json!(["203.0.113.7"]));
        assert_eq!((&source["code"], &source["reason"]), (&json!(-21), &json!("listed")));
        assert_eq!(source["listed"]["feeds"][1], json!({"feed": "other", "prefix": "203.0.113.7"}));
        let hint = call("unblock", json!(["203.0.113.7"]))["hint"].as_str().unwrap().to_owned();
        assert!(hint.ends_with("fake ask allow serves it"), "{hint}");
        let lint = call("lint", json!([]));
        let listed = |finding: &&Value| finding["finding"] == "listed";
        let found = lint["findings"].as_array().unwrap().iter().find(listed).unwrap().clone();
        assert_eq!(
            (&found["range"], &found["listed"]),
            (&json!("192.0.2.0/24"), &json!("192.0.2.0/24"))
        );
        // A grant serves it at once, and no longer than it lasts.
        call("allow", json!(["7", "203.0.113.7", 60]));
        assert_eq!(reason("203.0.113.7"), "under_limit");
        let source = call("source", json!(["203.0.113.7"]));
        assert_eq!(
            (&source["reason"], &source["listed"]["served_as"]),
            (&json!("under_limit"), &json!("granted"))
        );
        call("disallow", json!(["7"]));
        assert_eq!(reason("203.0.113.7"), "listed");
    });
}

#[test]
fn who_has_authenticated_is_served_and_an_open_connection_is_not_enough() {
    alone(|| {
        let folder = Folder::new();
        listing(&folder, &[("drop", "198.18.0.0/15\n")], &[]);
        let over = |from: &str| Request { stream: true, ..Request::from(from) };
        assert_eq!(floods(&over("198.18.0.1")).1, "listed");
        assert_eq!(call("source", json!(["198.18.0.1"]))["proven"], 0);
        door::auth_ok(&Request::from("198.18.0.2"), "alice@x");
        door::dialog_request(&Request::from("198.18.0.3"));
        for from in ["198.18.0.2", "198.18.0.3"] {
            assert_eq!(reason(from), "under_limit");
            assert_eq!(call("source", json!([from]))["listed"]["served_as"], "proven");
        }
    });
}

#[test]
fn a_connection_from_before_the_listing_is_no_reason_to_serve() {
    alone(|| {
        let folder = Folder::new();
        listing(&folder, &[("drop", "# nobody yet\n")], &[]);
        let over = Request { stream: true, ..Request::from("203.0.113.9") };
        assert_eq!(floods(&over).1, "under_limit");
        assert_eq!(call("source", json!(["203.0.113.9"]))["proven"], 1);
        std::fs::write(folder.0.join("drop"), "203.0.113.9\n").unwrap();
        assert_eq!(call("reload", json!([]))["feeds"][0]["prefixes"], 1);
        assert_eq!(floods(&over).1, "listed");
    });
}

#[test]
fn monitor_mode_refuses_no_listed_source() {
    alone(|| {
        let folder = Folder::new();
        listing(&folder, &[("drop", LIST)], &[("flood_monitor", json!(1))]);
        assert_eq!(floods(&Request::from("203.0.113.7")), (5, "flood_monitored".into()));
        door::record();
        let denied = &call("denied", json!([]))["denied"][0];
        assert_eq!((&denied["reason"], &denied["monitored"]), (&json!("listed"), &json!(1)));
    });
}

#[test]
fn a_bad_file_leaves_what_was_and_names_its_lines() {
    alone(|| {
        let folder = Folder::new();
        listing(&folder, &[("drop", LIST), ("other", "203.0.113.99\n")], &[]);
        let write = |name: &str, text: &str| std::fs::write(folder.0.join(name), text).unwrap();
        write("drop", "203.0.113.200\n<html>\n0.0.0.0/0\n");
        write("other", "203.0.113.98\n");
        let reloaded = call("reload", json!([]));
        assert_eq!(reloaded["generation"], 2);
        let problem = reloaded["feeds"][0]["problem"].as_str().unwrap().to_owned();
        assert!(
            problem.ends_with("/drop: 2 bad lines, line 2: \"<html>\" is not an IP address"),
            "{problem}"
        );
        assert_eq!(feed(0)["problems"][1], "line 3: \"0.0.0.0/0\" is broader than /8 (IPv6: /16)");
        assert_eq!((&feed(0)["state"], &feed(0)["prefixes"]), (&json!("failed"), &json!(3)));
        assert_eq!(reason("203.0.113.7"), "listed");
        assert_eq!(reason("203.0.113.200"), "under_limit");
        // The other one was read.
        assert_eq!(
            (reason("203.0.113.98"), reason("203.0.113.99")),
            ("listed".into(), "under_limit".into())
        );
        assert!(logged("feed drop was not loaded: "));
        assert!(logged("the 3 prefixes that it had stay in force"));
        assert_eq!(events("reload").len(), 0);
        door::record();
        let told = events("reload");
        let text = told.iter().filter_map(|event| event.get("text")?.as_str()).collect::<String>();
        assert!(text.contains("feed drop: "), "{text}");
        for (text, why) in [("", "is empty: a line with a comment"), ("x\n", "\"x\" is not")] {
            write("drop", text);
            let said = call("reload", json!([]))["feeds"][0]["problem"].to_string();
            assert!(said.contains(&why.replace('"', "\\\"")), "{said}");
        }
        std::fs::remove_file(folder.0.join("drop")).unwrap();
        let said = call("reload", json!([]))["feeds"][0]["problem"].to_string();
        assert!(said.contains("cannot be read: No such file"), "{said}");
        std::fs::create_dir(folder.0.join("drop")).unwrap();
        let said = call("reload", json!([]))["feeds"][0]["problem"].to_string();
        assert!(said.contains("is not a regular file"), "{said}");
        assert_eq!(reason("203.0.113.7"), "listed");
        std::fs::remove_dir(folder.0.join("drop")).unwrap();
        write("drop", "# all is forgiven\n");
        assert_eq!(call("reload", json!([]))["feeds"][0]["problem"], "");
        assert_eq!(reason("203.0.113.7"), "under_limit");
        assert!(logged("feed drop loaded again from "));
    });
}

#[test]
fn a_start_goes_on_without_a_feed_and_stops_for_a_wrong_parameter() {
    alone(|| {
        tenants();
        let feed = |text: &str| ("blocklist_file", json!(text));
        assert!(!start(&[feed("drop")]));
        assert!(logged("parameter blocklist_file: \"drop\" is not like name=/path"));
        assert!(!start(&[feed("a=/x"), feed("a=/y")]));
        assert!(logged("parameter blocklist_file: feed a stands twice"));
        let many: Vec<_> = (0..17).map(|n| feed(&format!("f{n}=/x"))).collect();
        assert!(!start(&many));
        assert!(logged("feed f16 is one too many: there may be 16"));
        assert!(start(&[feed("drop=/nonexistent/drop")]));
        assert!(logged("feed drop was not loaded: /nonexistent/drop cannot be read: No such file"));
        assert!(logged("it lists nothing"));
        assert_eq!(reason("203.0.113.7"), "under_limit");
        assert_eq!(self::feed(0)["state"], "failed");
    });
}

#[test]
fn what_does_not_fit_is_refused_and_what_was_stays() {
    alone(|| {
        let folder = Folder::new();
        listing(&folder, &[("drop", LIST)], &[("blocklist_memory", json!(2))]);
        let many: String = (0..300_000u32)
            .map(|n| format!("{}\n", std::net::Ipv4Addr::from(0x0b00_0000 + 2 * n)))
            .collect();
        std::fs::write(folder.0.join("drop"), many).unwrap();
        let said = call("reload", json!([]))["feeds"][0]["problem"].to_string();
        assert!(said.contains("blocklist_memory is too small: 1581120"), "{said}");
        assert!(said.contains(" bytes do not fit in 1048576; 4 (MiB) would do"), "{said}");
        assert_eq!(
            (reason("203.0.113.7"), reason("11.0.0.2")),
            ("listed".into(), "under_limit".into())
        );
    });
}
