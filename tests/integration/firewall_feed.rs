//! sipwarden feeds the firewall: a flooder's packets are dropped in the kernel, and
//! let through again.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::support::kamailio::{Config, Kamailio, module};
use crate::support::netns::Namespace;
use crate::support::nft::{Rules, counter, elements, nft};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for, wait_up_to};
use libc::SIGTERM;
use serde_json::{Value, json};

const V4: &str = "10.77.0.1:5060";
const V6: &str = "[fd77:1::1]:5060";
const OTHER_V6: &str = "[fd77:2::1]:5060";

const SCRIPT: &str = r#"
request_route {
    if (!flood_check()) { exit; }
    sl_send_reply("200", "OK");
}
"#;

/// More than any run of nft, and a look at the sets, take.
const A_WHILE: Duration = Duration::from_secs(60);

/// Two namespaces; this thread is in the first one, where Kamailio will run.
struct Platform {
    client: Namespace,
    _server: Namespace,
    rules: Rules,
    folder: Folder,
    tables: Sqlite,
}

impl Platform {
    fn new() -> Self {
        let (server, client) = Namespace::pair();
        server.enter();
        let rules = Rules::new();
        rules.load();
        let folder = Folder::new();
        let tables = Sqlite::create(folder.join("tables.sqlite"));
        tables.run("INSERT INTO sipwarden_trusted VALUES ('fd77:2::5', NULL, 'exempt');");
        Platform { client, _server: server, rules, folder, tables }
    }

    fn config(&self, after: u32) -> Config {
        let mut config = Config::new(&self.tables.url()).routes(SCRIPT).settings(&format!(
            "listen=udp:{V4}\nlisten=udp:{V6}\nlisten=udp:{OTHER_V6}\n\
             modparam(\"sipwarden\", \"flood_window\", \"600s\")\n\
             modparam(\"sipwarden\", \"flood_limit\", 5)\n\
             modparam(\"sipwarden\", \"firewall\", \"inet sipwarden\")\n\
             modparam(\"sipwarden\", \"firewall_after\", {after})\n"
        ));
        config.workers = 2;
        config.modules.push_str("loadmodule \"cfg_rpc.so\"\n");
        config
    }

    fn phone(&self, source: &str, server: &str) -> Phone {
        let server: SocketAddr = server.parse().unwrap();
        self.client.run(|| Phone::new(source, server))
    }
}

fn passes(phone: &Phone) -> bool {
    phone.request("OPTIONS", "x", "").is_some_and(|reply| reply.status == 200)
}

/// Sends requests until the source is blocked, and lets the last ones be refused.
fn flood(kamailio: &Kamailio, phone: &Phone) {
    let before = kamailio.counter("flood_started");
    for _ in 0..5 {
        assert!(passes(phone));
    }
    phone.send("OPTIONS", "x", "");
    wait_for("the block", || (kamailio.counter("flood_started") > before).then_some(()));
}

fn blocks(kamailio: &Kamailio) -> Vec<Value> {
    kamailio.rpc("sipwarden.blocks", json!([]))["blocks"].as_array().unwrap().clone()
}

fn status(kamailio: &Kamailio) -> Value {
    kamailio.rpc("sipwarden.stats", json!([]))["firewall"].clone()
}

fn wait_for_status(kamailio: &Kamailio, wanted: &str) {
    let is = || (status(kamailio)["state"] == wanted).then_some(());
    wait_up_to(A_WHILE, &format!("firewall to be {wanted}"), is);
}

/// Waits until a set holds just these prefixes.
fn wait_for_set(set: &str, wanted: &[&str]) {
    wait_up_to(A_WHILE, &format!("{set} to hold {wanted:?}"), || {
        let mut found: Vec<_> = elements(set).into_iter().map(|(prefix, _)| prefix).collect();
        found.sort();
        (found == wanted).then_some(())
    });
}

/// Requests that Kamailio has judged.
fn judged(kamailio: &Kamailio) -> u64 {
    ["flood_under_limit", "flood_started", "flood_blocked"]
        .iter()
        .map(|name| kamailio.counter(name))
        .sum()
}

fn is_running(pid: &str) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap()
}

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
        assert_eq!(status(&kamailio)["elements"], 1);
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
        assert_eq!(status(&kamailio)["elements"], 0);
        kamailio.rpc("sipwarden.unblock", json!(["10.77.0.3"]));
    }
    assert_eq!(kamailio.counter("firewall_failures"), 0);
    let log = kamailio.log();
    assert_eq!(log.matches("firewall: on").count(), 1, "{log}");
    assert!(!log.contains("SIGCHLD"), "{log}");
}

/// The recorder waits for a database that takes the connection and never says a word.
#[test]
fn what_must_not_wait_goes_on_while_the_audits_database_hangs() {
    let platform = Platform::new();
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = platform.folder.join("blocks");
    let mut config = platform.config(0).settings(&format!(
        "modparam(\"sipwarden\", \"audit_url\", \"mysql://sip:x@127.0.0.1:{}/sip\")\n\
         modparam(\"sipwarden\", \"flood_persist\", \"{}\")\n",
        hole.local_addr().unwrap().port(),
        file.display()
    ));
    config.modules.push_str(
        "loadmodule \"db_mysql.so\"\nmodparam(\"db_mysql\", \"timeout_interval\", 3600)\n",
    );
    let mut kamailio = config.start();
    let (held, _) = hole.accept().unwrap();
    wait_for_status(&kamailio, "on");
    let phone = platform.phone("10.77.0.2", V4);
    let at_once = (0..10).any(|_| {
        flood(&kamailio, &phone);
        wait_for_set("blocked4", &["10.77.0.2"]);
        let asked = Instant::now();
        kamailio.rpc("sipwarden.unblock", json!(["10.77.0.2"]));
        wait_for_set("blocked4", &[]);
        asked.elapsed() < Duration::from_secs(1)
    });
    assert!(at_once, "no unblock was in the kernel within a second");
    // The end of a block by its time, settings, a reload, and the file of blocks.
    kamailio.rpc("sipwarden.block", json!(["10.77.0.4", "1"]));
    let ended = kamailio.counter("flood_blocks_ended");
    wait_for("an end", || (kamailio.counter("flood_blocks_ended") > ended).then_some(()));
    let set = kamailio.rpc("sipwarden.set", json!(["flood_limit", "9"]));
    assert_eq!((&set["flood_limit"], &set["pending"]), (&json!(9), &json!(0)));
    kamailio.rpc("sipwarden.reload", json!([]));
    kamailio.rpc("sipwarden.block", json!(["203.0.113.0/24"]));
    wait_for("the file of blocks", || {
        fs::read_to_string(&file).unwrap_or_default().contains("203.0.113.0/24").then_some(())
    });
    // All the while it was the same connection, on which nothing was said.
    hole.set_nonblocking(true).unwrap();
    assert!(hole.accept().is_err());
    drop(held);
    assert!(kamailio.runs());
}

#[test]
fn only_who_goes_on_is_dropped_and_monitors_and_friends_are_not() {
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
fn a_range_takes_the_place_of_what_lies_in_it_and_gives_it_back() {
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
    assert_eq!(log.matches("firewall: off").count(), 1, "{log}");
    assert!(log.contains("Load the rules with the sets of table inet sipwarden"), "{log}");
    platform.rules.load();
    wait_for_status(&kamailio, "on");
    wait_for_set("blocked4", &["10.77.0.2"]);
    // Emptied by somebody, and filled by somebody.
    nft("flush set inet sipwarden blocked4");
    nft("add element inet sipwarden blocked4 { 10.77.0.3 }");
    wait_for_set("blocked4", &["10.77.0.2"]);
    assert_eq!(kamailio.log().matches("firewall: on").count(), 2);
}

#[test]
fn a_program_that_is_missing_or_hangs_stops_nothing() {
    let platform = Platform::new();
    let script = platform.folder.join("nft");
    fs::write(&script, "#!/bin/sh\ntrap '' TERM\necho $$ >> \"$0.pids\"\nexec sleep 1000\n")
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for (program, why) in [
        ("/nonexistent/nft".to_owned(), "it cannot be run: No such file or directory"),
        (script.display().to_string(), "it does not answer"),
    ] {
        let settings = format!("modparam(\"sipwarden\", \"firewall_nft\", \"{program}\")\n");
        let mut kamailio = platform.config(0).settings(&settings).start();
        let phone = platform.phone("10.77.0.2", V4);
        flood(&kamailio, &phone);
        // The same process tells of blocks: it goes on meanwhile.
        kamailio.rpc("sipwarden.block", json!(["192.0.2.1", "1"]));
        let ended = || kamailio.log().contains("block of 192.0.2.1 ends").then_some(());
        wait_for("the end of a block", ended);
        wait_for_status(&kamailio, "failed");
        let log = kamailio.log();
        assert!(log.contains(&format!("firewall: off; {program}: {why}")), "{log}");
        assert_eq!(elements("blocked4"), []);
        if why == "it does not answer" {
            // It was killed; the next one does not outlive Kamailio.
            let pid = |n: usize| {
                let pids = platform.folder.join("nft.pids");
                let pid = || fs::read_to_string(&pids).ok()?.lines().nth(n).map(str::to_owned);
                wait_up_to(A_WHILE, "nft", pid)
            };
            let first = pid(0);
            wait_for("the first one to end", || (!is_running(&first)).then_some(()));
            let second = pid(1);
            assert!(is_running(&second));
            kamailio.stop(SIGTERM);
            wait_for("the second one to end", || (!is_running(&second)).then_some(()));
        }
    }
}

#[test]
fn one_right_is_enough_and_without_it_sipwarden_works_on() {
    /// `nobody`; a user as Kamailio's own.
    const USER: u32 = 65534;
    let platform = Platform::new();
    let library = platform.folder.join("sipwarden.so");
    fs::copy(module(), &library).unwrap();
    for (rights, state) in [("+net_admin", "on"), ("-all", "failed")] {
        let mut config = platform.config(0);
        config.module = library.clone();
        config.owner = Some(USER);
        let bounding = if rights == "-all" { "-all" } else { "-all,+net_admin" };
        config.wrapper = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--no-new-privs",
            &format!("--inh-caps={rights}"),
            &format!("--ambient-caps={rights}"),
            &format!("--bounding-set={bounding}"),
        ]
        .map(str::to_owned)
        .to_vec();
        let kamailio = config.start();
        let owner = fs::read_to_string(format!("/proc/{}/status", kamailio.pid())).unwrap();
        assert!(owner.contains("Uid:\t65534\t65534"), "{owner}");
        wait_for_status(&kamailio, state);
        let phone = platform.phone("10.77.0.2", V4);
        flood(&kamailio, &phone);
        match state {
            "on" => wait_for_set("blocked4", &["10.77.0.2"]),
            _ => {
                let failures = kamailio.counter("firewall_failures");
                wait_up_to(A_WHILE, "another attempt", || {
                    (kamailio.counter("firewall_failures") > failures).then_some(())
                });
                assert!(!passes(&phone), "refused by Kamailio");
                let log = kamailio.log();
                assert_eq!(log.matches("firewall: off").count(), 1, "{log}");
                assert!(log.contains("needs CAP_NET_ADMIN"), "{log}");
                assert_eq!(elements("blocked4"), []);
            }
        }
        drop(kamailio);
        nft("flush set inet sipwarden blocked4");
    }
}

#[test]
fn a_name_that_is_no_table_stops_the_start() {
    let folder = Folder::new();
    let tables = Sqlite::create(folder.join("tables.sqlite"));
    let log = Config::new(&tables.url())
        .settings("modparam(\"sipwarden\", \"firewall\", \"sipwarden; flush ruleset\")\n")
        .fail_to_start();
    let told = "parameter firewall: \"sipwarden; flush ruleset\" is not a table of nftables like";
    assert!(log.contains(told), "{log}");
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
    assert_eq!(of("10.77.0.2")["in_firewall"], 0);
    // By hand it is fed although no packet has come from there.
    let manual = of("192.0.2.1");
    assert_eq!((&manual["learnt"], &manual["in_firewall"]), (&json!("none"), &json!(1)));
    assert_eq!(status(&kamailio)["elements"], 1);
    // It sends itself: now the kernel can help.
    platform.phone("10.77.0.2", V4).send("OPTIONS", "x", "");
    wait_for_set("blocked4", &["10.77.0.2", "192.0.2.1"]);
    wait_for("the listing", || (of("10.77.0.2")["in_firewall"] == 1).then_some(()));
    assert_eq!(of("10.77.0.2")["learnt"], "packet,script");
    assert!(passes(&edge), "the edge is not blocked");
}
