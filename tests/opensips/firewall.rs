//! Blocks reach the kernel: the host's handler of ended children does not take nft's exit away.

use std::time::Duration;

use serde_json::json;

use crate::host::Config;
use crate::support::netns::Namespace;
use crate::support::nft::{Rules, counter, elements};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for, wait_up_to};

const ADDRESS: &str = "10.77.0.1:5060";
const A_WHILE: Duration = Duration::from_secs(60);

const SCRIPT: &str = r#"
route {
    if (!flood_check()) { exit; }
    sl_send_reply(200, "OK");
}
"#;

#[test]
fn a_flooder_is_dropped_by_the_kernel_until_it_is_let_in_again() {
    let (server, client) = Namespace::pair();
    server.enter();
    Rules::new().load();
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    let mut config = Config::new(&db.url()).routes(SCRIPT).settings(
        "modparam(\"sipwarden\", \"flood_window\", \"600s\")\n\
         modparam(\"sipwarden\", \"flood_limit\", 5)\n\
         modparam(\"sipwarden\", \"firewall\", \"inet sipwarden\")\n\
         modparam(\"sipwarden\", \"firewall_after\", 0)\n",
    );
    config.core = format!("socket=udp:{ADDRESS}\n");
    let mut opensips = config.start();
    let state = || opensips.ask("stats", json!([]))["firewall"].clone();
    let is_on = || (state()["state"] == "on").then_some(());
    wait_up_to(A_WHILE, "the firewall to be on", is_on);
    let phone = client.run(|| Phone::new("10.77.0.2", ADDRESS.parse().unwrap()));
    for _ in 0..2 {
        for _ in 0..5 {
            assert!(phone.request("OPTIONS", "x", "").is_some());
        }
        phone.send("OPTIONS", "x", "");
        wait_up_to(A_WHILE, "the block in the kernel", || {
            let found = elements("blocked4");
            (found.first().map(|(prefix, _)| prefix.as_str()) == Some("10.77.0.2")).then_some(())
        });
        let dropped = counter("blocked");
        (0..20).for_each(|_| drop(phone.send("OPTIONS", "x", "")));
        wait_for("the kernel to drop", || (counter("blocked") >= dropped + 20).then_some(()));
        opensips.ask("unblock", json!(["10.77.0.2"]));
        wait_up_to(A_WHILE, "the set to be empty", || {
            elements("blocked4").is_empty().then_some(())
        });
        wait_for("the flooder to get through", || phone.request("OPTIONS", "x", "").map(drop));
        opensips.ask("unblock", json!(["10.77.0.2"]));
    }
    assert_eq!(opensips.counter("firewall_failures"), 0, "{}", opensips.log());
    assert!(opensips.stop(libc::SIGTERM).success());
}
