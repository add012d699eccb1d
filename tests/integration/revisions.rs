//! Blocks and bans end when the tables or settings make their source exempt, not only when
//! it sends again.

use crate::support::kamailio::{Config, Kamailio};
use crate::support::login::guess;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, login, wait_for};
use serde_json::{Value, json};

const FLOOD: &str = r#"
request_route {
    if (!flood_check()) { exit; }
    sl_send_reply("200", "OK");
}
event_route[sipwarden:unblock] {
    xlog("L_NOTICE", "told: $swd(event) $swd(ip) end\n");
}
"#;

fn total(kamailio: &Kamailio, method: &str) -> Value {
    kamailio.rpc(method, json!([]))["total"].clone()
}

fn sources(kamailio: &Kamailio, method: &str, list: &str) -> Vec<String> {
    let answer = kamailio.rpc(method, json!([]));
    let mut sources: Vec<_> = answer[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["source"].as_str().unwrap().to_owned())
        .collect();
    sources.sort();
    sources
}

#[test]
fn blocks_of_sources_that_become_exempt_end_with_the_reload() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run("INSERT INTO sipwarden_brand VALUES ('b', 0);");
    let file = folder.join("blocks");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = now.as_millis();
    // Of an earlier run: IPv6 sources, one of which is to become exempt as a whole.
    let mut lines = String::from("sipwarden blocks 1\n");
    for source in ["2001:db8:1::/64", "2001:db8:2::/64"] {
        lines += &format!("{source} {now} {} 1 1 flood default\n", now + 600_000);
    }
    std::fs::write(&file, lines).unwrap();
    let mut config = Config::new(&db.url()).routes(FLOOD);
    config.workers = 2;
    config.modules.push_str("loadmodule \"cfg_rpc.so\"\n");
    let kamailio = config
        .settings("modparam(\"sipwarden\", \"flood_limit\", 3)\n")
        .settings("modparam(\"sipwarden\", \"flood_window\", \"600s\")\n")
        .settings("modparam(\"sipwarden\", \"flood_class\", \"carrier=block:60\")\n")
        .settings(&format!("modparam(\"sipwarden\", \"flood_persist\", \"{}\")\n", file.display()))
        .start();
    let phones = ["127.9.0.1", "127.9.0.2", "127.9.0.3", "127.9.1.1"]
        .map(|source| Phone::new(source, kamailio.address()));
    for phone in &phones {
        (0..5).for_each(|_| drop(phone.send("OPTIONS", "x", "")));
    }
    kamailio.rpc("sipwarden.block", json!(["127.9.2.1", "600"]));
    let listed = || sources(&kamailio, "sipwarden.blocks", "blocks");
    wait_for("seven blocks", || (listed().len() == 7).then_some(()));
    let ended = || kamailio.counter("flood_blocks_ended");
    assert_eq!(ended(), 0);

    // A host, a network, one of another class, and one that an operator has blocked.
    db.run(
        "INSERT INTO sipwarden_trusted VALUES ('127.9.0.1', NULL, 'exempt'),
            ('127.9.1.0', 24, 'exempt'), ('127.9.0.3', NULL, 'carrier'),
            ('127.9.2.1', NULL, 'exempt'), ('2001:db8:1::', 48, 'exempt'),
            ('2001:db8:2::', 127, 'exempt');",
    );
    kamailio.rpc("sipwarden.reload", json!([]));
    let stay = ["127.9.0.2", "127.9.2.1", "2001:db8:2::/64"];
    wait_for("four blocks to end", || (listed() == stay).then_some(()));
    assert_eq!(ended(), 4);
    assert_eq!(kamailio.counter("blocks_active"), 3);
    let line =
        "block of 127.9.0.1 ends: its class is now exempt, by tables or settings; 2 requests";
    wait_for("the log", || kamailio.log().contains(line).then_some(()));
    assert!(kamailio.log().contains("block of 127.9.0.3 ends: its class is now carrier"));
    for source in ["127.9.0.1", "127.9.0.3", "127.9.1.1", "2001:db8:1::/64"] {
        let told = format!("told: block_ended {source} end");
        wait_for("the event", || kamailio.log().contains(&told).then_some(()));
    }
    wait_for("the file", || {
        let text = std::fs::read_to_string(&file).unwrap();
        (text.matches("127.9.").count() == 2).then_some(())
    });
    // Nothing ends twice, and whoever is exempt is served.
    assert!(phones[0].request("OPTIONS", "x", "").is_some());
    assert!(phones[2].request("OPTIONS", "x", "").is_some(), "counts anew");
    assert_eq!(ended(), 4);

    // Settings do the same: nobody is blocked any more.
    kamailio.kamcmd(&["cfg.set_now_int", "sipwarden", "flood_block", "0"]);
    wait_for("all but the operator's", || (listed() == ["127.9.2.1"]).then_some(()));
    assert!(kamailio.log().contains("its class is now default, which blocks nobody"));
}

#[test]
fn bans_of_sources_that_become_exempt_end_with_the_reload() {
    let folder = Folder::new();
    let db = login::tenants(&folder);
    let kamailio = login::config(&db).settings(&login::set("auth_limit", 2)).start();
    let phones = ["127.9.0.1", "127.9.0.2"].map(|s| Phone::new(s, kamailio.address()));
    for phone in &phones {
        (0..2).for_each(|n| drop(guess(phone, "REGISTER", "alice", &n.to_string())));
    }
    kamailio.rpc("sipwarden.ban", json!(["bob@test.invalid", "127.9.0.1", "600"]));
    assert_eq!(total(&kamailio, "sipwarden.bans"), 3);
    db.run("INSERT INTO sipwarden_trusted VALUES ('127.9.0.1', NULL, 'exempt');");
    kamailio.rpc("sipwarden.reload", json!([]));
    wait_for("the ban to end", || (total(&kamailio, "sipwarden.bans") == 2).then_some(()));
    let listed = kamailio.rpc("sipwarden.bans", json!([]))["bans"].to_string();
    assert!(listed.contains("bob@test.invalid") && listed.contains("127.9.0.2"), "{listed}");
    assert_eq!(kamailio.counter("auth_bans_ended"), 1);
    let line = "ban of alice@test.invalid from 127.9.0.1 ends: its class is now exempt";
    wait_for("the log", || kamailio.log().contains(line).then_some(()));
    let told = "told: auth_ban_ended";
    wait_for("the event", || kamailio.log().contains(told).then_some(()));
    assert_eq!(guess(&phones[0], "REGISTER", "alice", "right").1.reason, "exempt");
}
