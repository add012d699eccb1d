//! Ten thousand addresses, each of them quiet.

use super::*;
use crate::support::sanitizer;

const BOTS: usize = 10_000;
const PHONES: usize = 12;

/// A call that is answered and ended; whether all of it went through.
fn call(phone: &Endpoint, gateway: &Endpoint, example: &Example) {
    let mut call = Caller::new(phone, example.address(), "c.example", "");
    call.invite();
    let invite = gateway.request("INVITE");
    gateway.reply(&invite, 200, "t");
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();
    gateway.request("ACK");
    call.within("BYE");
    let bye = gateway.request("BYE");
    gateway.reply(&bye, 200, "t");
}

#[test]
fn a_slow_botnet_spends_its_budget_and_phones_that_have_called_go_on_calling() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('c.example', 'b', 0, 0), ('127.0.0.1', 'b', 0, 0);
        INSERT INTO sipwarden_trusted VALUES ('127.0.0.99', NULL, 'exempt');",
    );
    let gateway = Endpoint::new("127.0.0.99");
    let example = Example::start(&db, gateway.address());
    let phones: Vec<_> =
        (0..PHONES).map(|n| Endpoint::new(&format!("127.81.0.{}", n + 1))).collect();
    phones.iter().for_each(|phone| call(phone, &gateway, &example));
    let proven = example.kamcmd(&["sipwarden.source", "127.81.0.1"]);
    assert!(proven.contains("proofs: dialog"), "{proven}");
    let said = example.kamcmd(&["sipwarden.set", "flood_budget", "100"]);
    assert!(!said.contains("error"), "{said}");
    let before = example.own_memory();
    let server = example.address();
    let (mut honest, began) = (0, Instant::now());
    for n in 0..BOTS {
        let from = SocketAddr::from(([127, 80, (n / 250) as u8, (n % 250) as u8 + 1], 0));
        let bot = UdpSocket::bind(from).unwrap();
        let from = bot.local_addr().unwrap();
        bot.send_to(options(from, server, n).as_bytes(), server).unwrap();
        // For longer than 10 s: then nothing is answered any more.
        if n % 25 == 0 {
            std::thread::sleep(Duration::from_millis(30));
        }
        // Honest calls among them, all of the time.
        if n % 200 == 199 {
            call(&phones[honest % PHONES], &gateway, &example);
            honest += 1;
        }
    }
    println!("{BOTS} bots in {} ms, {honest} calls among them", began.elapsed().as_millis());
    assert_eq!(honest, BOTS / 200);
    let stats = example.kamcmd(&["sipwarden.stats"]);
    let counter = |name: &str| -> u64 {
        let line = stats.lines().find(|line| line.trim().starts_with(&format!("{name}: ")));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    };
    let [answered, silent] = ["flood_budget", "flood_budget_silent"].map(counter);
    println!("{answered} refused with 503, then {silent} without an answer");
    assert!(answered > 0 && silent > 0 && answered + silent > BOTS as u64 / 2, "{stats}");
    let (after, room) = (example.own_memory(), 4 << 20);
    println!("private memory of all processes: {before}, then {after} bytes");
    assert!(sanitizer::is_there() || after < before + room, "{before} before, {after} after");
    // Somebody whom nobody knows has to wait; nobody is blocked.
    assert!(example.kamcmd(&["sipwarden.blocks"]).contains("total: 0"));
    assert!(example.log().contains("the budget of class default is spent: 100 requests"));
    // It is over with the attack.
    let stranger = Phone::new("127.82.0.1", server);
    wait_up_to(Duration::from_secs(10), "room for strangers", || {
        let reply = stranger.request("OPTIONS", "x", "")?;
        (reply.status != 503).then_some(())
    });
}
