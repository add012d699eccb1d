//! Blocks by hand, and blocks after a restart.

use super::*;

#[test]
fn operators_block_list_explain_and_lift() {
    let folder = Folder::new();
    let server = config(&tenants(&folder)).settings(LONG_WINDOW).start();
    let rpc = |method: &str, arguments: Value| server.ask(method, arguments);
    let fault = |method: &str, arguments: Value| server.try_ask(method, arguments).unwrap_err();
    // A range, an exempt address, and one that has sent something.
    assert_eq!(rpc("block", json!(["127.8.0.0/16", 600]))["source"], "127.8.0.0/16");
    let exempt = rpc("block", json!(["127.1.0.7"]));
    assert_eq!(exempt["seconds_left"], 300);
    let warning = exempt["warnings"][0].as_str().unwrap();
    assert_eq!(warning, "127.1.0.7 was exempt: range 127.1.0.0/24 of company office");
    let wide = rpc("block", json!(["127.3.0.0/16", 600]));
    assert_eq!(wide["warnings"], json!(["2 trusted ranges are refused too, first 127.3.0.1"]));
    assert_eq!(rpc("unblock", json!(["127.3.0.0/16"]))["lifted"], 1);
    let phone = Phone::new("127.9.0.1", server.address());
    passes(&phone);
    rpc("block", json!(["127.9.0.1", 3600]));
    assert_eq!(rpc("block", json!(["127.9.0.1", 60]))["seconds_left"], 60, "the last word counts");
    for source in ["127.8.200.9", "127.1.0.7", "127.9.0.1"] {
        is_dropped(&server, &Phone::new(source, server.address()));
    }
    let explained = rpc("check", json!(["office", "127.8.200.9"]));
    assert_eq!(explained["flood"]["reason"], "flood_blocked", "{explained}");
    assert_eq!(explained["flood"]["block"]["source"], "127.8.0.0/16");
    assert_eq!(explained["flood"]["block"]["reason"], "manual");
    assert_eq!(explained["flood"]["block"]["refused"], 1, "a question is no request");

    // Typing errors.
    for (method, arguments, what) in [
        ("block", json!(["127.9.0"]), "\"127.9.0\" is not an IP address"),
        ("block", json!(["127.9.0.1/24"]), "host bits set"),
        ("block", json!(["0.0.0.0/0"]), "0.0.0.0/0 is broader than /8"),
        ("block", json!(["::/8"]), "::/8 is broader than /16"),
        ("block", json!(["127.9.0.1", "long"]), "seconds \"long\" is not a number from 1 to"),
        ("block", json!(["127.9.0.1", 0]), "seconds \"0\" is not a number from 1 to"),
        ("block", json!(["127.9.0.1", "+60"]), "seconds \"+60\" is not a number from 1 to"),
        ("unblock", json!(["everything"]), "\"everything\" is not an IP address"),
        ("unblock", json!([]), "address is missing"),
        ("source", json!(["127.9.0.0/24"]), "is not an IP address"),
        ("blocks", json!([2]), "page 2: the last one is 1"),
    ] {
        let fault = fault(method, arguments);
        assert!(fault.contains(what), "{fault} lacks {what}");
    }

    // An address under a range that stays blocked says so.
    let lifted = rpc("unblock", json!(["127.8.200.9"]));
    assert_eq!(
        (&lifted["lifted"], &lifted["still_blocked_by"]),
        (&json!(0), &json!("127.8.0.0/16"))
    );
    assert_eq!(rpc("unblock", json!(["127.9.0.1"]))["lifted"], 1);
    assert_eq!(passes(&phone).1, "default 1/100 0", "the evidence is forgotten");
    for n in 0..45 {
        rpc("block", json!([format!("127.7.0.{n}")]));
    }
    let mut seen = HashSet::new();
    for page in 1..=3 {
        let shown = rpc("blocks", json!([page]));
        assert_eq!((&shown["total"], &shown["pages"]), (&json!(47), &json!(3)));
        for block in shown["blocks"].as_array().unwrap() {
            assert!(
                seen.insert(block["source"].as_str().unwrap().to_owned()),
                "{block} stands twice"
            );
        }
    }
    assert_eq!(seen.len(), 47);
    assert_eq!(blocks(&server)[0]["reason"], "manual");
    assert_eq!(rpc("unblock", json!(["127.7.0.0/24"]))["lifted"], 45);
    assert_eq!(rpc("unblock", json!(["all"]))["lifted"], 2);
    assert_eq!(blocks(&server).len(), 0);
    assert_eq!(passes(&Phone::new("127.8.200.9", server.address())).1, "default 1/100 0");
    let stats = rpc("stats", json!([]));
    assert_eq!(stats["counters"]["flood_blocks_started"], stats["counters"]["flood_blocks_ended"]);
    assert_eq!(server.log().matches("ends: an operator said so").count(), 49);
}

/// No block, one for the world, one for too long; the last one is over.
const BAD: &str = "127.6.0.1/32 nonsense
0.0.0.0/0 0 99999999 0 1 manual default
127.6.0.2/32 0 99999999999999 0 1 manual default
127.5.0.1/32 1 2 3 1 flood default
";

#[test]
fn blocks_survive_a_restart_with_the_time_that_is_left() {
    let folder = Folder::new();
    let (db, file) = (tenants(&folder), folder.join("blocks"));
    let persist = format!("modparam(\"sipwarden\", \"flood_persist\", \"{}\")\n", file.display());
    let start = || {
        config(&db)
            .settings(LONG_WINDOW)
            .settings("modparam(\"sipwarden\", \"flood_limit\", 3)\n")
            .settings(&persist)
            .start()
    };
    let mut server = start();
    let phone = Phone::new("127.9.0.1", server.address());
    (0..3).for_each(|_| drop(passes(&phone)));
    is_dropped(&server, &phone);
    server.ask("block", json!(["127.8.0.0/16", 3600]));
    server.ask("block", json!(["127.7.0.1", 1]));
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    wait_for("the file to hold both blocks", || {
        let text = lines();
        (text.contains("127.9.0.1/32 ") && text.contains("127.8.0.0/16 ")).then_some(())
    });
    wait_for("the short block to leave the file", || {
        (!lines().contains("127.7.0.1")).then_some(())
    });
    server.stop(libc::SIGKILL);
    drop(server);

    std::fs::write(&file, lines() + BAD).unwrap();
    let server = start();
    let log = server.log();
    assert!(log.contains("2 blocks, 0 bans and 0 grants loaded from"), "{log}");
    for bad in BAD.lines().take(3) {
        assert!(
            log.contains(&format!("is left out: \"{bad}\" is not a block, ban or grant")),
            "{bad} in {log}"
        );
    }
    assert_eq!(server.counter("flood_blocks_started"), 2);
    let shown = server.ask("blocks", json!([]));
    let of = |source: &str| {
        let list = shown["blocks"].as_array().unwrap();
        list.iter().find(|b| b["source"] == source).unwrap_or_else(|| panic!("{shown}")).clone()
    };
    let (flood, range) = (of("127.9.0.1"), of("127.8.0.0/16"));
    assert_eq!((&flood["reason"], &flood["class"]), (&json!("flood"), &json!("default")));
    assert!((200..=300).contains(&flood["seconds_left"].as_u64().unwrap()), "{flood}");
    assert!((3400..=3600).contains(&range["seconds_left"].as_u64().unwrap()), "{range}");
    is_dropped(&server, &Phone::new("127.9.0.1", server.address()));
    is_dropped(&server, &Phone::new("127.8.3.4", server.address()));
    drop(server);

    std::fs::write(&file, "something else\n").unwrap();
    let log = config(&db).settings(&persist).fail_to_start();
    assert!(log.contains("is not a file of blocks"), "{log}");
    let relative = persist.replace(&format!("\"{}\"", file.display()), "\"blocks\"");
    let log = config(&db).settings(&relative).fail_to_start();
    assert!(log.contains("flood_persist: \"blocks\" does not begin with /"), "{log}");
    let nowhere = persist.replace("/blocks\"", "/none/blocks\"");
    let server = config(&db).settings(&nowhere).start();
    let said = "none/blocks.lock: No such file or directory";
    wait_for("a complaint", || server.log().contains(said).then_some(()));
}
