//! What is in the sets, and what is not.

use super::*;

#[test]
fn a_flooder_never_reaches_kamailio_until_it_is_let_in_again() {
    let platform = Platform::new();
    let kamailio = platform.config(0).start();
    wait_for_status(&kamailio, "on");
    let other = platform.phone("10.77.0.3", V4);
    for (source, server, set, prefix) in
        [("10.77.0.2", V4, "blocked4", "10.77.0.2"), ("fd77:1::2", V6, "blocked6", "fd77:1::/64")]
    {
        let phone = platform.phone(source, server);
        flood(&kamailio, &phone);
        wait_for_set(set, &[prefix]);
        // Just as long as the block.
        wait_for("the same time", || {
            let block = blocks(&kamailio).pop().unwrap();
            let left = block["seconds_left"].as_u64().unwrap();
            let (_, expires) = elements(set).pop().unwrap();
            (block["in_firewall"] == 1 && left.abs_diff(expires) <= 1).then_some(())
        });
        let counted = |of: usize| (status(&kamailio)["elements"] == of).then_some(());
        wait_for("the element to be counted", || counted(1));
        // The same flow as before: established in the eyes of the kernel.
        let (dropped, before) = (counter("blocked"), judged(&kamailio));
        for _ in 0..50 {
            phone.send("OPTIONS", "x", "");
        }
        wait_for("the kernel to drop", || (counter("blocked") == dropped + 50).then_some(()));
        assert_eq!(judged(&kamailio), before);
        assert!(phone.heard_nothing());
        // A call that is up can be ended.
        phone.send("BYE", "x", "");
        wait_for("a BYE", || (judged(&kamailio) == before + 1).then_some(()));
        assert!(counter("blocked_tells") > 0);
        // And help be called for.
        phone.send("INVITE", "112", "");
        wait_for("an emergency", || (judged(&kamailio) == before + 2).then_some(()));
        phone.send("INVITE", "113", "");
        wait_for("another call to be dropped", || {
            (counter("blocked") == dropped + 51).then_some(())
        });
        // But not more of them than do no harm.
        for _ in 0..100 {
            phone.send("BYE", "x", "");
        }
        wait_for("BYEs to be dropped", || (counter("blocked") > dropped + 100).then_some(()));
        assert!(passes(&other), "others get through");
        kamailio.rpc("sipwarden.unblock", json!([source]));
        wait_for_set(set, &[]);
        wait_for("the flooder to get through", || passes(&phone).then_some(()));
        wait_for("no element to be counted", || counted(0));
        kamailio.rpc("sipwarden.unblock", json!(["10.77.0.3"]));
    }
    assert_eq!(kamailio.counter("firewall_failures"), 0);
    let log = kamailio.log();
    assert_eq!(log.matches("the firewall drops blocked sources").count(), 1, "{log}");
    assert!(!log.contains("SIGCHLD"), "{log}");
}

#[test]
fn only_persistent_sources_are_dropped_and_monitors_and_friends_are_not() {
    let platform = Platform::new();
    let kamailio = platform.config(30).start();
    wait_for_status(&kamailio, "on");
    let phone = platform.phone("10.77.0.2", V4);
    flood(&kamailio, &phone);
    let neighbour = platform.phone("fd77:2::2", OTHER_V6);
    flood(&kamailio, &neighbour);
    let marker = platform.phone("fd77:1::2", V6);
    flood(&kamailio, &marker);
    let send = |phone: &Phone, count: usize| {
        let before = judged(&kamailio);
        (0..count).for_each(|_| drop(phone.send("OPTIONS", "x", "")));
        wait_for("requests to be judged", || {
            (judged(&kamailio) >= before + count as u64).then_some(())
        });
    };
    send(&phone, 20);
    // An exempt address lies in this /64: the kernel would drop it too.
    send(&neighbour, 40);
    send(&marker, 40);
    wait_for_set("blocked6", &["fd77:1::/64"]);
    assert_eq!(elements("blocked4"), []);
    let of = |source: &str| {
        blocks(&kamailio).into_iter().find(|block| block["source"] == source).unwrap()
    };
    assert_eq!(of("10.77.0.2")["in_firewall"], 0);
    assert_eq!(of("fd77:2::/64")["in_firewall"], 0);
    wait_for("the note", || (of("fd77:1::/64")["in_firewall"] == 1).then_some(()));
    assert!(!passes(&phone), "refused by Kamailio all the while");
    (0..40).for_each(|_| drop(phone.send("OPTIONS", "x", "")));
    wait_for_set("blocked4", &["10.77.0.2"]);

    // An operator makes it longer, then blocks the whole net.
    kamailio.rpc("sipwarden.block", json!(["10.77.0.2", "5000"]));
    wait_for("more time", || {
        elements("blocked4").iter().any(|(_, left)| *left > 4900).then_some(())
    });
    kamailio.kamcmd(&["cfg.set_now_int", "sipwarden", "flood_monitor", "1"]);
    wait_for_set("blocked4", &[]);
    wait_for_set("blocked6", &[]);
    wait_for("the monitor", || passes(&phone).then_some(()));
    kamailio.kamcmd(&["cfg.set_now_int", "sipwarden", "flood_monitor", "0"]);
    wait_for_set("blocked4", &["10.77.0.2"]);
    wait_for_set("blocked6", &["fd77:1::/64"]);
}

#[test]
fn a_source_that_becomes_exempt_leaves_the_sets() {
    let platform = Platform::new();
    let kamailio = platform.config(0).start();
    wait_for_status(&kamailio, "on");
    flood(&kamailio, &platform.phone("10.77.0.2", V4));
    wait_for_set("blocked4", &["10.77.0.2"]);
    platform.tables.run("INSERT INTO sipwarden_trusted VALUES ('10.77.0.2', NULL, 'exempt');");
    kamailio.rpc("sipwarden.reload", json!([]));
    wait_for_set("blocked4", &[]);
    assert_eq!(blocks(&kamailio), Vec::<Value>::new());
}

#[test]
fn a_range_takes_the_place_of_what_is_in_it_and_gives_it_back() {
    let platform = Platform::new();
    let kamailio = platform.config(0).start();
    for (prefix, seconds) in [("192.0.2.7", "3000"), ("192.0.2.0/24", "2000"), ("192.0.2.9", "9")] {
        kamailio.rpc("sipwarden.block", json!([prefix, seconds]));
    }
    wait_for_set("blocked4", &["192.0.2.0/24"]);
    kamailio.rpc("sipwarden.block", json!(["192.0.0.0/16", "2000"]));
    wait_for_set("blocked4", &["192.0.0.0/16"]);
    // Lifts all that lies in it, so one by one from within.
    kamailio.rpc("sipwarden.unblock", json!(["all"]));
    wait_for_set("blocked4", &[]);
    for prefix in ["192.0.2.7", "192.0.2.0/24"] {
        kamailio.rpc("sipwarden.block", json!([prefix, "3000"]));
    }
    wait_for_set("blocked4", &["192.0.2.0/24"]);
    kamailio.rpc("sipwarden.block", json!(["192.0.2.0/24", "2"]));
    wait_for_set("blocked4", &["192.0.2.7"]);
    assert_eq!(kamailio.counter("firewall_failures"), 0);
}

/// The kernel sees a balancer's address, never that of a client behind it.
#[test]
fn a_source_that_the_kernel_never_sees_is_not_fed_before_it_sends_itself() {
    let platform = Platform::new();
    let mut config = platform.config(0);
    config.routes = r#"
request_route {
    if (is_present_hf("X-Client")) {
        flood_check("", "$hdr(X-Client)");
    } else {
        flood_check();
    }
    if ($rc > 0) { sl_send_reply("200", "OK"); }
}
"#
    .into();
    let kamailio = config.start();
    wait_for_status(&kamailio, "on");
    let edge = platform.phone("10.77.0.3", V4);
    let client = "X-Client: 10.77.0.2\r\n";
    for _ in 0..6 {
        edge.send("OPTIONS", "x", client);
    }
    let block = wait_for("the block", || blocks(&kamailio).pop());
    assert_eq!((&block["source"], &block["learnt"]), (&json!("10.77.0.2"), &json!("script")));
    // Another block, by hand: when it is in the set, a look at all blocks is over.
    kamailio.rpc("sipwarden.block", json!(["192.0.2.1"]));
    wait_for_set("blocked4", &["192.0.2.1"]);
    let of = |source: &str| blocks(&kamailio).into_iter().find(|b| b["source"] == source).unwrap();
    // It is noted a moment after the kernel has it.
    wait_for("the note", || (of("192.0.2.1")["in_firewall"] == 1).then_some(()));
    assert_eq!(of("10.77.0.2")["in_firewall"], 0);
    // By hand it is fed although no packet has come from there.
    assert_eq!(of("192.0.2.1")["learnt"], "none");
    wait_for("the element to be counted", || (status(&kamailio)["elements"] == 1).then_some(()));
    // It sends itself: now the kernel can help.
    platform.phone("10.77.0.2", V4).send("OPTIONS", "x", "");
    wait_for_set("blocked4", &["10.77.0.2", "192.0.2.1"]);
    wait_for("the listing", || (of("10.77.0.2")["in_firewall"] == 1).then_some(()));
    assert_eq!(of("10.77.0.2")["learnt"], "packet,script");
    assert!(passes(&edge), "the edge is not blocked");
}
