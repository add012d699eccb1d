//! Host names in the place of addresses, resolved by the module's own process from a real server.

use std::collections::HashSet;

use libc::{SIGCONT, SIGKILL, SIGSTOP};
use serde_json::{Value, json};

use super::{Config, Server};
use crate::support::dns::Dns;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, signal, uninterrupted, wait_for};

const NAME: &str = "office.dyn.example";

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0), ('shop', 'b', 1, 0);
INSERT INTO sipwarden_company_address VALUES ('office', 'office.dyn.example', NULL),
    ('office', '10.0.0.0', 24), ('shop', 'shop.example', NULL);
INSERT INTO sipwarden_trusted VALUES ('sip.carrier.example', NULL, 'carrier');
";

/// The user part names the company, a header the address that is judged: a name never grants
/// one of loopback.
const SCRIPT: &str = r#"
request_route {
    check_company_ip("$rU", "$hdr(X-Client)");
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    sl_send_reply(200, "OK");
}
event_route[sipwarden:name] {
    xlog("L_NOTICE", "told: $swd(event) company=$swd(company) ip=$swd(ip) $swd(text) end\n");
}
"#;

const SETTINGS: &str = r#"
modparam("sipwarden", "host_names", 10)
modparam("sipwarden", "host_name_min_ttl", 1)
modparam("sipwarden", "flood_class", "carrier=limit:2000")
"#;

fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TENANTS);
    db
}

fn config(db: &Sqlite, dns: &Dns) -> Config {
    let mut config = Config::new(&db.url()).routes(SCRIPT).settings(SETTINGS);
    config.workers = 8;
    config.wrapper = dns.wrapper();
    config
}

fn check(phone: &Phone, company: &str, address: &str) -> (i32, u32) {
    let header = format!("X-Client: {address}\r\n");
    let told = phone.request("OPTIONS", company, &header).unwrap().told().unwrap();
    (told.code, told.worker)
}

/// What 60 requests are told; more than one worker has answered.
fn all_told(phone: &Phone, company: &str, address: &str) -> HashSet<i32> {
    let told: Vec<_> = (0..60).map(|_| check(phone, company, address)).collect();
    assert!(told.iter().map(|(_, worker)| worker).collect::<HashSet<_>>().len() > 1);
    told.into_iter().map(|(code, _)| code).collect()
}

fn means(server: &Server, name: &str) -> Value {
    let names = server.ask("names", json!([]));
    let names = names["names"].as_array().unwrap();
    names.iter().find(|known| known["name"] == name).unwrap()["means"].clone()
}

fn wait_until_it_means(server: &Server, name: &str, what: &str) {
    wait_for(what, || (means(server, name) == what).then_some(()));
}

fn wait_for_log(server: &Server, text: &str) {
    wait_for(text, || server.log().contains(text).then_some(()));
}

fn resolver(server: &Server) -> i32 {
    server.process("sipwarden resolver") as i32
}

#[test]
fn a_name_follows_its_dns_in_all_workers() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let dns = Dns::start(&[
        (NAME, "192.0.2.7"),
        (NAME, "2001:db8::7"),
        ("sip.carrier.example", "203.0.113.5"),
        ("shop.example", "127.0.0.1"),
    ]);
    let server = config(&db, &dns).start();
    let phone = Phone::new("127.8.0.1", server.address());
    wait_until_it_means(&server, NAME, "192.0.2.7 2001:db8::7");
    for (address, code) in
        [("192.0.2.7", 1), ("2001:db8::7", 1), ("10.0.0.9", 1), ("192.0.2.8", -1)]
    {
        assert_eq!(all_told(&phone, "office", address), [code].into(), "{address}");
    }
    assert_eq!(server.ask("source", json!(["203.0.113.5"]))["class"], "carrier");
    // What is absurd grants nothing and is told.
    wait_for_log(
        &server,
        "host name shop.example of company \"shop\" means nothing: it resolves to 127.0.0.1",
    );
    assert_eq!(check(&phone, "shop", "127.0.0.1").0, -1);
    let company = server.ask("company", json!(["office"]));
    assert!(
        company["names"][0].as_str().unwrap().contains("means 192.0.2.7 2001:db8::7 (resolved")
    );

    let generation = server.counter("snapshot_generation");
    dns.set(&[(NAME, "192.0.2.8"), ("sip.carrier.example", "203.0.113.5")]);
    wait_until_it_means(&server, NAME, "192.0.2.8");
    for (address, code) in
        [("192.0.2.8", 1), ("192.0.2.7", -1), ("2001:db8::7", -1), ("10.0.0.9", 1)]
    {
        assert_eq!(all_told(&phone, "office", address), [code].into(), "{address}");
    }
    wait_for_log(&server, "means 192.0.2.8 from now on, 192.0.2.7 2001:db8::7 before");
    wait_for_log(
        &server,
        "told: name_changed company=office ip=192.0.2.8 office.dyn.example 192.0.2.8 end",
    );
    assert!(server.counter("snapshot_generation") > generation);
    assert!(server.counter("host_name_changes") >= 3);
    assert_eq!(server.counter("host_names_known"), 3);
    // A reload changes nothing, and brings a name that is new.
    db.run(
        "UPDATE sipwarden_company_address SET ip_addr = 'new.example' WHERE company_id = 'shop'",
    );
    dns.set(&[(NAME, "192.0.2.8"), ("new.example", "192.0.2.99")]);
    server.ask("reload", json!([]));
    assert_eq!(check(&phone, "office", "192.0.2.8").0, 1);
    wait_until_it_means(&server, "new.example", "192.0.2.99");
    assert_eq!(all_told(&phone, "shop", "192.0.2.99"), [1].into());
}

#[test]
fn the_last_answer_is_good_until_its_time_is_over() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let mut dns = Dns::start(&[(NAME, "192.0.2.7")]);
    let config = config(&db, &dns).settings("modparam(\"sipwarden\", \"host_name_keep\", 2)\n");
    let server = config.start();
    let phone = Phone::new("127.8.0.2", server.address());
    wait_until_it_means(&server, NAME, "192.0.2.7");
    dns.stop();
    wait_for("silence", || (server.counter("host_names_silent") == 3).then_some(()));
    assert!(server.log().contains("the resolver does not answer for "));
    wait_until_it_means(&server, NAME, "nothing");
    assert_eq!(all_told(&phone, "office", "192.0.2.7"), [-1].into());
    assert!(server.log().contains("192.0.2.7 before: the resolver does not answer"));
    dns.serve();
    wait_until_it_means(&server, NAME, "192.0.2.7");
    assert_eq!(all_told(&phone, "office", "192.0.2.7"), [1].into());
}

/// While a question waits, and while the process is stopped altogether.
#[test]
fn nobody_waits_for_the_resolver() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let mut dns = Dns::start(&[(NAME, "192.0.2.7")]);
    let server = config(&db, &dns).start();
    let phone = Phone::new("127.8.0.3", server.address());
    wait_until_it_means(&server, NAME, "192.0.2.7");
    let own = resolver(&server);
    let mute = dns.stop_and_listen();
    uninterrupted(|| mute.recv(&mut [0; 512])).unwrap();
    db.run("INSERT INTO sipwarden_company_address VALUES ('shop', '10.9.0.0', 24)");
    server.ask("reload", json!([]));
    assert_eq!(all_told(&phone, "office", "192.0.2.7"), [1].into());
    assert_eq!(all_told(&phone, "shop", "10.9.0.1"), [1].into());
    // It waits still: its next question comes after this one has had no answer.
    signal(own, SIGSTOP);
    server.ask("reload", json!([]));
    assert_eq!(all_told(&phone, "office", "192.0.2.7"), [1].into());
    signal(own, SIGCONT);
    drop(mute);
    dns.serve();
    dns.set(&[(NAME, "192.0.2.8")]);
    wait_until_it_means(&server, NAME, "192.0.2.8");
}

#[test]
fn names_and_what_they_meant_survive_a_restart_without_database_and_resolver() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let mut dns = Dns::start(&[(NAME, "192.0.2.7")]);
    let file = folder.join("tables");
    let tables_file = format!("modparam(\"sipwarden\", \"tables_file\", \"{}\")\n", file.display());
    let config = config(&db, &dns).settings(&tables_file);
    let mut server = config.start();
    wait_until_it_means(&server, NAME, "192.0.2.7");
    wait_for("the file", || (server.counter("tables_kept") == 1).then_some(()));
    server.stop(SIGKILL);
    dns.stop();
    db.run("ALTER TABLE sipwarden_company RENAME TO away");
    let server = config.start();
    let phone = Phone::new("127.8.0.4", server.address());
    assert_eq!(server.counter("tables_from_file"), 1);
    assert_eq!(all_told(&phone, "office", "192.0.2.7"), [1].into());
    dns.serve();
    dns.set(&[(NAME, "192.0.2.8")]);
    wait_until_it_means(&server, NAME, "192.0.2.8");
    assert_eq!(all_told(&phone, "office", "192.0.2.8"), [1].into());
    assert_eq!(server.counter("tables_kept"), 1);
    // The database is back, and the names are what they mean.
    db.run("ALTER TABLE away RENAME TO sipwarden_company");
    server.ask("reload", json!([]));
    assert_eq!(all_told(&phone, "office", "192.0.2.8"), [1].into());
    assert_eq!(server.counter("tables_from_file"), 0);
}

/// Off by default: the row is bad, and the message says which parameter helps. With it the
/// process is there, else it is not.
#[test]
fn names_are_off_by_default() {
    let folder = Folder::new();
    let db = tenants(&folder);
    db.run("DELETE FROM sipwarden_company_address WHERE ip_addr LIKE '%.example'");
    let classes = "modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:2000\")\n";
    let config = Config::new(&db.url()).settings(classes);
    let log = config.fail_to_start();
    let bad = "sipwarden_trusted row 1: ip_addr \"sip.carrier.example\": is not an IP address; \
               host_names allows names";
    assert!(log.contains(bad), "{log}");
    db.run("DELETE FROM sipwarden_trusted");
    let server = config.start();
    assert_eq!(
        ["sipwarden warden", "sipwarden resolver"].map(|own| server.processes(own).len()),
        [1, 0]
    );
    db.run("INSERT INTO sipwarden_company_address VALUES ('shop', 'shop.example', NULL)");
    let fault = server.try_ask("reload", json!([])).unwrap_err();
    assert!(fault.contains("shop.example") && fault.contains("host_names"), "{fault}");
}

/// As with any process of the server.
#[test]
fn a_killed_resolver_stops_the_server_and_a_killed_main_process_ends_it() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let dns = Dns::start(&[(NAME, "192.0.2.7")]);
    let mut server = config(&db, &dns).start();
    signal(resolver(&server), SIGKILL);
    wait_for("it to stop", || (!server.runs()).then_some(()));
    let server = config(&db, &dns).start();
    let own = resolver(&server);
    signal(server.pid() as i32, SIGKILL);
    let stat = format!("/proc/{own}/stat");
    let has_ended = || match std::fs::read_to_string(&stat) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")),
        Err(_) => true,
    };
    wait_for("the resolver to end", || has_ended().then_some(()));
}
