//! Classes.

use super::*;

#[test]
fn classes_come_from_trusted_addresses_then_companies_and_a_reload_changes_them() {
    let folder = Folder::new();
    let db = tenants(&folder);
    db.run("INSERT INTO sipwarden_trusted VALUES ('127.3.1.0', 24, 'carrier');");
    let server = config(&db)
        .settings(LONG_WINDOW)
        .settings("modparam(\"sipwarden\", \"flood_limit\", 5)\n")
        .settings("modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:8;block:0\")\n")
        .start();
    for (source, class, rule) in [
        ("127.3.0.1", "exempt", "trusted 127.3.0.1"),
        ("127.3.1.1", "carrier", "trusted 127.3.1.0/24"),
        ("127.3.1.9", "exempt", "trusted 127.3.1.9"),
        ("127.1.0.7", "exempt", "range 127.1.0.0/24 of company office"),
        ("127.2.0.7", "default", "is broader than flood_exempt_prefix"),
        ("127.9.0.1", "default", "of company awide is broader than flood_exempt_prefix"),
    ] {
        let shown = server.ask("source", json!([source]));
        assert_eq!(shown["class"], class, "{shown}");
        assert!(shown["class_rule"].as_str().unwrap().contains(rule), "{shown}");
        let phone = Phone::new(source, server.address());
        let limit = match class {
            "exempt" => 0,
            "carrier" => 8,
            _ => 5,
        };
        for n in 1..=20u32 {
            if limit == 0 {
                assert_eq!(passes(&phone).0.reason, "exempt");
            } else if n <= limit {
                let (told, flood) = passes(&phone);
                assert_eq!(
                    (told.reason.as_str(), flood),
                    ("under_limit", format!("{class} {n}/{limit} 0"))
                );
            } else {
                is_dropped(&server, &phone);
            }
        }
        let shown = server.ask("source", json!([source]));
        let reason = match class {
            "exempt" => "exempt",
            "carrier" => "flood_throttled",
            _ => "flood_blocked",
        };
        assert_eq!(shown["reason"], reason, "{shown}");
    }
    let log = server.log();
    assert!(
        log.contains("company \"awide\": 127.0.0.0/8 is broader than flood_exempt_prefix"),
        "{log}"
    );
    let throttling =
        "throttling of 127.3.1.1 starts: more than 8 requests in 600000 ms, class carrier";
    assert_eq!(log.matches(throttling).count(), 1, "{log}");
    assert_eq!(server.counter("flood_throttled"), 12);
    assert_eq!(blocks(&server).len(), 2);

    // The customer's address is entered: free at once.
    db.run("INSERT INTO sipwarden_company_address VALUES ('office', '127.9.0.0/24', NULL);");
    server.ask("reload", json!([]));
    assert_eq!(passes(&Phone::new("127.9.0.1", server.address())).0.reason, "exempt");
    assert_eq!(blocks(&server).len(), 1);
    // A carrier that is none any more is one of everybody's.
    db.run("DELETE FROM sipwarden_trusted WHERE ip_addr = '127.3.1.0';");
    server.ask("reload", json!([]));
    assert_eq!(passes(&Phone::new("127.3.1.1", server.address())).1, "default 1/5 0");
    // A tag that is no class fails the reload and is named.
    db.run("INSERT INTO sipwarden_trusted VALUES ('127.3.7.7', NULL, 'carier');");
    let fault = server.try_ask("reload", json!([])).unwrap_err();
    assert!(
        fault.contains("127.3.7.7/32: tag \"carier\" is not one of exempt, default, carrier"),
        "{fault}"
    );
}
