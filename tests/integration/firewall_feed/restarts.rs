//! Sets and rules after a restart or a reload of either side.

use super::*;

#[test]
fn a_restart_reconciles_the_sets() {
    let platform = Platform::new();
    let file = platform.folder.join("blocks");
    let config = platform
        .config(1000)
        .settings(&format!("modparam(\"sipwarden\", \"flood_persist\", \"{}\")\n", file.display()));
    let mut kamailio = config.start();
    for source in ["10.77.0.2", "10.77.0.3", "10.77.0.4"] {
        kamailio.rpc("sipwarden.block", json!([source, "1000"]));
    }
    let saved = || fs::read_to_string(&file).unwrap_or_default().matches("10.77.0.").count();
    wait_for("the file", || (saved() == 3).then_some(()));
    kamailio.stop(SIGTERM);
    // Two of them were dropped before; one element is of a block that is no more, one
    // of a range, and one lasts too long.
    for element in ["10.77.0.2 timeout 1000s", "10.77.0.3 timeout 9000s", "198.51.100.1 timeout 1h"]
    {
        nft(&format!("add element inet sipwarden blocked4 {{ {element} }}"));
    }
    nft("add element inet sipwarden blocked6 { 2001:db8::-2001:db8::5 timeout 1h }");
    kamailio = config.start();
    wait_for_set("blocked6", &[]);
    wait_for_set("blocked4", &["10.77.0.2", "10.77.0.3"]);
    wait_for("the right time", || {
        elements("blocked4").iter().all(|(_, left)| *left <= 1000).then_some(())
    });
    let phone = platform.phone("10.77.0.2", V4);
    let dropped = counter("blocked");
    phone.send("OPTIONS", "x", "");
    wait_for("the kernel to drop", || (counter("blocked") > dropped).then_some(()));
    // Without the file nothing is blocked after a restart.
    kamailio.stop(SIGTERM);
    fs::remove_file(&file).unwrap();
    let kamailio = config.start();
    wait_for_set("blocked4", &[]);
    assert!(passes(&phone));
    drop(kamailio);
}

#[test]
fn rules_that_go_and_come_back_are_filled_again() {
    let platform = Platform::new();
    let kamailio = platform.config(0).start();
    kamailio.rpc("sipwarden.block", json!(["10.77.0.2", "1000"]));
    wait_for_set("blocked4", &["10.77.0.2"]);
    platform.rules.load();
    assert_eq!(elements("blocked4").len(), 1, "a reload keeps what is there");
    nft("flush ruleset");
    wait_for_status(&kamailio, "failed");
    let problem = status(&kamailio)["problem"].as_str().unwrap().to_owned();
    assert!(problem.contains("No such file or directory"), "{problem}");
    assert_eq!(blocks(&kamailio)[0]["in_firewall"], 0);
    // Kamailio refuses as before.
    let phone = platform.phone("10.77.0.2", V4);
    let before = kamailio.counter("flood_blocked");
    phone.send("OPTIONS", "x", "");
    wait_for("a refusal", || (kamailio.counter("flood_blocked") > before).then_some(()));
    let failures = kamailio.counter("firewall_failures");
    wait_up_to(A_WHILE, "further attempts", || {
        (kamailio.counter("firewall_failures") >= failures + 2).then_some(())
    });
    let log = kamailio.log();
    assert_eq!(log.matches("the firewall drops no blocked sources").count(), 1, "{log}");
    assert!(log.contains("load the rules with the sets of table inet sipwarden"), "{log}");
    platform.rules.load();
    wait_for_status(&kamailio, "on");
    wait_for_set("blocked4", &["10.77.0.2"]);
    // Emptied by somebody, and filled by somebody.
    nft("flush set inet sipwarden blocked4");
    nft("add element inet sipwarden blocked4 { 10.77.0.3 }");
    wait_for_set("blocked4", &["10.77.0.2"]);
    assert_eq!(kamailio.log().matches("the firewall drops blocked sources").count(), 2);
}
