//! The functions of the script.

use super::*;

#[test]
fn flags_spare_emergencies_and_ask_without_counting() {
    let folder = Folder::new();
    let server = config(&tenants(&folder))
        .settings(LONG_WINDOW)
        .settings("modparam(\"sipwarden\", \"flood_limit\", 3)\n")
        .start();
    let phone = Phone::new("127.9.0.1", server.address());
    let ask = |flags: &str| {
        let reply = phone.request("OPTIONS", "x", &format!("X-Flags: {flags}\r\n")).unwrap();
        (reply.told().unwrap().reason, reply.header("X-Flood").unwrap().to_owned())
    };
    assert_eq!(passes(&phone).1, "default 1/3 0");
    let blocked = || {
        let reply = phone.request("OPTIONS", "x", "X-Flags: b\r\n").unwrap();
        reply.header("X-Blocked").unwrap().to_owned()
    };
    for _ in 0..10 {
        assert_eq!(ask("p"), ("under_limit".into(), "default 1/3 0".into()));
        assert_eq!(blocked(), "no 1");
    }
    assert_eq!(server.counter("flood_under_limit"), 1);
    assert_eq!(ask("e"), ("under_limit".into(), "default 2/3 0".into()));
    assert_eq!(passes(&phone).1, "default 3/3 0");
    is_dropped(&server, &phone);
    assert_eq!(ask("e").0, "flood_emergency");
    assert_eq!(blocks(&server)[0]["refused"], 2);
    assert_eq!(phone.request("OPTIONS", "x", "X-Flags: p\r\n").unwrap().status, 403);
    assert_eq!(blocked(), "yes -2");
    assert_eq!(blocks(&server)[0]["refused"], 2);
    assert_eq!(server.counter("flood_blocked"), 0);
    assert_eq!(ask("ez").0, "flood_emergency");
    assert!(server.log().contains("flood_check has no flag \"z\"; its flags are e, p"));
}
