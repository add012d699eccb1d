//! Listed sources that go on sending are dropped in the kernel, and those that are served are
//! not.

use super::*;

const SERVER: &str = "203.0.113.1:5060";

#[test]
fn a_listed_source_never_reaches_kamailio_until_its_feed_forgets_it() {
    let platform = Platform::new();
    platform._server.at_cable("203.0.113.1/24");
    for host in [2, 3, 4] {
        platform.client.at_cable(&format!("203.0.113.{host}/24"));
    }
    let feed = platform.folder.join("drop.txt");
    let write = |text: &str| {
        let new = platform.folder.join("new.txt");
        fs::write(&new, text).unwrap();
        fs::rename(&new, &feed).unwrap();
    };
    write("203.0.113.0/29\n");
    platform.tables.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0);
         INSERT INTO sipwarden_trusted VALUES ('203.0.113.4', NULL, 'default');",
    );
    let kamailio = platform
        .config(0)
        .settings(&format!(
            "listen=udp:{SERVER}\n\
             modparam(\"sipwarden\", \"blocklist_file\", \"drop={}\")\n\
             modparam(\"sipwarden\", \"blocklist_interval\", 1)\n",
            feed.display()
        ))
        .start();
    wait_for_status(&kamailio, "on");
    let bot = platform.phone("203.0.113.2", SERVER);
    let trusted = platform.phone("203.0.113.4", SERVER);
    assert!(passes(&trusted));
    bot.send("OPTIONS", "x", "");
    wait_for("the refusal", || (kamailio.counter("flood_listed") == 1).then_some(()));
    // That one alone: its neighbours have not sent anything.
    wait_for_set("blocked4", &["203.0.113.2"]);
    let source = || kamailio.rpc("sipwarden.source", json!(["203.0.113.2"]));
    wait_for("the note", || (source()["listed"]["in_firewall"] == 1).then_some(()));
    let dropped = counter("blocked");
    (0..20).for_each(|_| drop(bot.send("OPTIONS", "x", "")));
    wait_for("the kernel to drop", || (counter("blocked") == dropped + 20).then_some(()));
    assert_eq!(kamailio.counter("flood_listed"), 1);
    assert!(passes(&trusted));
    // A grant serves it at once, in the kernel too.
    kamailio.rpc("sipwarden.allow", json!(["office", "203.0.113.2", 60]));
    wait_for_set("blocked4", &[]);
    assert!(passes(&bot));
    kamailio.rpc("sipwarden.disallow", json!(["office"]));
    wait_for_set("blocked4", &["203.0.113.2"]);
    write("203.0.113.3\n");
    wait_for_set("blocked4", &[]);
    wait_for("the source to be served", || passes(&bot).then_some(()));
    assert_eq!(blocks(&kamailio), Vec::<Value>::new());
}
