//! Both proxies of a platform start from the file of their last tables.

use crate::support::Folder;
use crate::support::proxies::Kind;
use crate::support::world::{ELSEWHERE, GRANTED, World};

/// Each is judged by sipwarden as ever: company 7 has one call, its user from elsewhere three.
fn judges(world: &World, what: &str) {
    let (users, trunks) = (&world.proxies.users, &world.proxies.trunks);
    assert_eq!(world.phone(GRANTED, 7).register().status(), Some(200), "{what}");
    let stranger = world.phone(ELSEWHERE, 8);
    assert_eq!(stranger.register().line, "SIP/2.0 403 Forbidden (invalid IP)", "{what}");
    let phone = world.phone(ELSEWHERE, 7);
    let call = world.answered(&phone);
    users.wait_until(&["sipwarden.calls", "7"], "total: 1");
    world.hang_up(call, &world.server);
    users.wait_until(&["sipwarden.calls"], "total: 0");

    let mut first = world.external(7, "+34600000000");
    world.carrier_answers(&mut first);
    let mut second = world.external(7, "+34600000000");
    assert_eq!(second.final_reply().line, "SIP/2.0 403 Maxcalls exceeded", "{what}");
    world.hang_up(first, &world.carrier);
    world.calls_of_company_are("7", 0);
    for proxy in [users, trunks] {
        let server = world.inside.server.to_string();
        assert!(proxy.kamcmd(&["sipwarden.source", &server]).contains("class: exempt"), "{what}");
    }
    let carrier = trunks.kamcmd(&["sipwarden.source", "127.70.0.1"]);
    assert!(carrier.contains("class: exempt"), "{what}: {carrier}");
}

#[test]
fn both_proxies_start_without_the_tables_of_their_database() {
    let folder = Folder::new();
    let file = format!("\"{}\"", folder.join("PROXY.tables").display());
    let mut world = World::start(Kind::Sipwarden, &[("SIPWARDEN_TABLES_FILE", &file)]);
    world.platform.run("UPDATE Companies SET maxCalls = 1 WHERE id = 7;");
    for (what, damage, problem) in [
        ("without its login", "DROP USER sipwarden@'127.0.0.1';", "sipwarden"),
        (
            "after an upgrade that dropped a column",
            "ALTER TABLE ivozprovider.ProxyUsers RENAME COLUMN ip TO gone;",
            "sipwarden_trusted",
        ),
        ("without its database", "DROP DATABASE sipwarden;", "sipwarden"),
    ] {
        world.proxies.reload();
        for proxy in [&world.proxies.users, &world.proxies.trunks] {
            proxy.wait_until(&["sipwarden.stats"], "tables_from_file: 0");
            proxy.wait_until(&["sipwarden.stats"], "tables_kept: 1");
        }
        world.platform.server.run_script(damage);
        world.proxies.users.restart();
        world.proxies.trunks.restart();
        for proxy in [&world.proxies.users, &world.proxies.trunks] {
            let stats = proxy.kamcmd(&["sipwarden.stats"]);
            assert!(stats.contains("tables_from_file: 1"), "{what}: {stats}");
            let told = stats.lines().find(|line| line.contains("tables_problem: "));
            assert!(told.is_some_and(|line| line.contains(problem)), "{what}: {stats}");
        }
        judges(&world, what);
        if damage.contains("ip TO gone") {
            world.platform.server.run_script(&damage.replace("ip TO gone", "gone TO ip"));
        }
        world.platform.install();
    }
}
