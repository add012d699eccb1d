//! Without nft, its rights, or an answer of a database.

use super::*;

fn is_running(pid: &str) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap()
}

/// Each of its requests is refused by the script, without an answer.
fn assert_script_refuses(kamailio: &Kamailio, phone: &Phone) {
    for _ in 0..3 {
        let refused = kamailio.counter("flood_blocked");
        phone.send("OPTIONS", "x", "");
        wait_for("a refusal", || (kamailio.counter("flood_blocked") > refused).then_some(()));
    }
    assert!(phone.heard_nothing());
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
        assert!(
            log.contains(&format!("the firewall drops no blocked sources: {program}: {why}")),
            "{log}"
        );
        assert_eq!(elements("blocked4"), []);
        // The script refuses those that are blocked, also those of later, and nobody else.
        assert_script_refuses(&kamailio, &phone);
        let later = platform.phone("10.77.0.3", V4);
        assert!(passes(&later));
        kamailio.rpc("sipwarden.block", json!(["10.77.0.3", "600"]));
        assert_script_refuses(&kamailio, &later);
        assert!(passes(&platform.phone("10.77.0.4", V4)));
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
                assert_eq!(
                    log.matches("the firewall drops no blocked sources").count(),
                    1,
                    "{log}"
                );
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
