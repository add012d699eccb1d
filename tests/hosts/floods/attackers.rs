//! One flooder, and hundreds.

use super::*;

#[test]
fn the_101st_request_is_the_first_without_an_answer_whichever_worker_gets_it() {
    let folder = Folder::new();
    let server = config(&tenants(&folder))
        .settings(LONG_WINDOW)
        .settings("modparam(\"sipwarden\", \"flood_block\", 12)\n")
        .start();
    let phone = Phone::new("127.9.0.1", server.address());
    let other = Phone::new("127.9.0.2", server.address());
    let mut workers = HashSet::new();
    for n in 1..=100 {
        let (told, flood) = passes(&phone);
        assert_eq!((told.code, told.reason.as_str()), (1, "under_limit"));
        assert_eq!(flood, format!("default {n}/100 0"));
        workers.insert(told.worker);
    }
    assert!(workers.len() >= 2, "{workers:?}");
    let began = Instant::now();
    for n in 1..=5 {
        is_dropped(&server, &phone);
        assert_eq!(passes(&other).0.reason, "under_limit");
        let listed = blocks(&server);
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!((&listed[0]["source"], &listed[0]["refused"]), (&json!("127.9.0.1"), &json!(n)));
    }
    // The first answer comes when the time is over, not before.
    wait_up_to(Duration::from_secs(40), "the block to end", || {
        blocks(&server).is_empty().then_some(())
    });
    assert!(began.elapsed() > Duration::from_millis(11900), "{:?}", began.elapsed());
    assert_eq!(passes(&phone).1, "default 1/100 0");
    wait_for("the log", || server.log().contains("block of 127.9.0.1 ends").then_some(()));
    let log = server.log();
    assert_eq!(log.matches("block of 127.9.0.1").count(), 2, "{log}");
    let starts =
        "block of 127.9.0.1 starts: more than 100 requests in 600000 ms, class default; 12 s, 1 in";
    assert!(log.contains(starts), "{log}");
    assert!(log.contains("block of 127.9.0.1 ends after 12 s: 5 requests were refused"), "{log}");
    assert_eq!(server.counter("flood_blocks_started"), 1);
    assert_eq!(server.counter("flood_blocks_ended"), 1);
    assert_eq!(server.counter("flood_blocked"), 4);
    assert_eq!(server.processes("sipwarden recorder").len(), 1);
}

#[test]
fn hundreds_of_attackers_are_blocked_and_the_honest_beside_them_served() {
    const ATTACKERS: usize = 400;
    const EACH: usize = 150;
    const HONEST: usize = 60;
    let folder = Folder::new();
    let server = config(&tenants(&folder)).settings(LONG_WINDOW).start();
    let sources = folder.join("attackers.csv");
    let lines: Vec<_> =
        (0..ATTACKERS).map(|n| format!("127.20.{}.{};", n / 200, n % 200 + 1)).collect();
    std::fs::write(&sources, format!("SEQUENTIAL\n{}\n", lines.join("\n"))).unwrap();
    let mut attack = Command::new("sipp")
        .arg(server.address().to_string())
        .args(["-sf"])
        .arg(project().join("tests/sipp/flood.xml"))
        .args(["-t", "ui", "-ip_field", "0", "-inf"])
        .arg(&sources)
        .args(["-p", &free_port().to_string(), "-m", &(ATTACKERS * EACH).to_string()])
        .args(["-r", "10000", "-nostdin", "-timeout", "60", "-max_socket", "5000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let honest: Vec<Phone> =
        (0..HONEST).map(|n| Phone::new(&format!("127.30.0.{}", n + 1), server.address())).collect();
    let mut answers = 0;
    let mut rounds = 0;
    while attack.try_wait().unwrap().is_none() || rounds < 5 {
        // Fewer than the limit of 100.
        if rounds < 40 {
            for phone in &honest {
                assert_eq!(passes_in_the_crowd(phone).0.reason, "under_limit");
                answers += 1;
            }
            rounds += 1;
        }
    }
    assert!(answers >= 5 * HONEST);
    wait_for("all attackers to be blocked", || {
        (server.ask("stats", json!([]))["blocks"] == ATTACKERS).then_some(())
    });
    let mut blocked = HashSet::new();
    for page in 1..=ATTACKERS.div_ceil(20) {
        let shown = server.ask("blocks", json!([page]));
        for block in shown["blocks"].as_array().unwrap() {
            blocked.insert(block["source"].as_str().unwrap().to_owned());
        }
    }
    let attackers: HashSet<_> = lines.iter().map(|l| l.trim_end_matches(';').to_owned()).collect();
    assert_eq!(blocked, attackers);
    // Each attacker got its 100, and not one more, over all workers.
    let under = server.counter("flood_under_limit") as usize;
    let of_honest = |n: usize| {
        let shown = server.ask("source", json!([format!("127.30.0.{}", n + 1)]));
        shown["requests"].as_u64().unwrap() as usize
    };
    assert_eq!(under, ATTACKERS * 100 + (0..HONEST).map(of_honest).sum::<usize>());
    assert_eq!(server.counter("flood_started") as usize, ATTACKERS);
    // One line for each, none for what they sent afterwards.
    assert_eq!(server.log().matches(" starts: more than").count(), ATTACKERS);
    for phone in &honest {
        assert_eq!(passes(phone).0.reason, "under_limit");
    }
}
