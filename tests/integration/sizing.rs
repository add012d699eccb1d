//! The figures of the guide to sizes, against what the module and Kamailio tell of themselves.

use std::fmt::Write;
use std::fs;

use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::kamailio::{Config, Kamailio};
use crate::support::proxy::{config, wait_for_calls};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project, wait_for};
use serde_json::json;

/// Rows of a table of the guide: their cells.
fn table(name: &str) -> Vec<Vec<String>> {
    let guide = fs::read_to_string(project().join("docs/sizing.md")).unwrap();
    let (_, rest) = guide.split_once(&format!("<!-- begin {name} -->\n")).unwrap();
    let (table, _) = rest.split_once("<!-- end").unwrap();
    let cells = |line: &str| {
        line.trim_matches(['|', ' ']).split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    table.lines().skip(2).map(cells).collect()
}

/// The number that a cell begins with.
fn number(cell: &str) -> f64 {
    let digits: String = cell.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    digits.parse().unwrap_or_else(|_| panic!("no number: {cell}"))
}

/// Bytes of each, as the guide says.
fn each(what: &str) -> f64 {
    let rows = table("table bytes");
    let row = rows.iter().find(|row| row[0] == what).unwrap_or_else(|| panic!("{what}: {rows:?}"));
    number(&row[1])
}

/// What a platform has; from `companies` to `users` for each company.
#[derive(Clone, Copy, Default)]
struct Platform {
    companies: u64,
    v4: u64,
    v6: u64,
    countries: u64,
    users: u64,
    trusted: u64,
    limits: u64,
}

/// Those of the guide, in its order.
const PLATFORMS: [Platform; 3] = [
    Platform { companies: 100, v4: 4, v6: 0, countries: 0, users: 20, trusted: 0, limits: 0 },
    Platform { companies: 2000, v4: 10, v6: 1, countries: 2, users: 30, trusted: 200, limits: 900 },
    Platform { companies: 500, v4: 40, v6: 5, countries: 0, users: 0, trusted: 0, limits: 0 },
];

impl Platform {
    fn sql(self) -> String {
        let Platform { companies, v4, v6, countries, users, trusted, limits } = self;
        let mut out = String::from("BEGIN; INSERT INTO sipwarden_brand VALUES ('brand-1', 0);");
        let mut add = |row: String| writeln!(out, "INSERT INTO sipwarden_{row};").unwrap();
        for company in 0..companies {
            let id = format!("company-{company:04}");
            add(format!("company VALUES ('{id}', 'brand-1', 1, 0)"));
            for n in 0..v4 {
                let address = std::net::Ipv4Addr::from(0x0a00_0000 + 2 * (company * v4 + n) as u32);
                add(format!("company_address VALUES ('{id}', '{address}', 32)"));
            }
            for n in 0..v6 {
                let range = format!("2001:db8:{company:x}:{n:x}::/64");
                add(format!("company_address VALUES ('{id}', '{range}', NULL)"));
            }
            for n in 0..countries {
                let code = ["ES", "FR", "PT"][n as usize];
                add(format!("company_country VALUES ('{id}', '{code}')"));
            }
            for n in 0..users {
                add(format!("user VALUES ('user-{n:03}@{id}', '{id}', 1)"));
            }
        }
        for n in 0..trusted {
            add(format!("trusted VALUES ('192.168.{n}.0/24', NULL, NULL)"));
        }
        for n in 0..limits {
            add(format!("limit (kind, id, max_calls) VALUES ('did', 'number-{n:03}', 1)"));
        }
        out + "COMMIT;"
    }

    /// The sum of the guide; of texts with the lengths above.
    fn sum(self) -> f64 {
        let Platform { companies, v4, v6, countries, users, trusted, limits } = self;
        let few = if v4 <= 12 { "up to 12" } else { "more" };
        let of_company = each("company")
            + 12.0
            + v4 as f64 * each(&format!("IPv4 range, of a company with {few}"))
            + v6 as f64 * each("IPv6 range")
            + countries as f64 * each("country of a company")
            + users as f64 * (each("user") + 21.0);
        each("generation")
            + companies as f64 * of_company
            + trusted as f64 * each("trusted range")
            + limits as f64 * (each("row of `limit_table`") + 10.0)
    }
}

#[test]
fn tables_take_at_most_what_the_formula_says() {
    let shown = table("platforms");
    assert_eq!(shown.len(), PLATFORMS.len());
    for (platform, shown) in PLATFORMS.into_iter().zip(shown) {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(&platform.sql());
        let memory = number(&shown[2]);
        let kamailio = Config::new(&db.url())
            .settings(&format!(
                "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n\
                 modparam(\"sipwarden\", \"snapshot_memory\", {memory})\n"
            ))
            .start();
        let stats = kamailio.rpc("sipwarden.stats", json!([]));
        let ranges = platform.companies * (platform.v4 + platform.v6);
        let used = stats["snapshot_bytes"].as_f64().unwrap() + 2.0 * ranges as f64;
        let sum = platform.sum();
        println!("{}: {used} of {sum}", shown[0]);
        assert!(used <= sum && sum <= 1.3 * used, "{}: {used} bytes, {sum} said", shown[0]);
        let said = 1e6 * number(&shown[1]);
        assert!((sum - said).abs() <= 60_000.0, "{}: {sum}, {said} said", shown[0]);
        assert_eq!(memory, (3.0 * sum / 1_048_576.0).ceil().max(2.0), "{}", shown[0]);
        kamailio.rpc("sipwarden.reload", json!([]));
    }
}

#[test]
fn rooms_take_the_address_space_that_is_said() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run("INSERT INTO sipwarden_brand VALUES ('b', 0);");
    for entries in [4096, 100_000] {
        let parameters = ["max_calls", "flood_sources", "auth_sources"];
        let settings =
            parameters.map(|name| format!("modparam(\"sipwarden\", \"{name}\", {entries})\n"));
        let kamailio = Config::new(&db.url()).settings(&settings.concat()).start();
        let stats = kamailio.rpc("sipwarden.stats", json!([]));
        for (row, name) in table("rooms").iter().zip(["calls", "sources", "auth"]) {
            let of = |what: &str| stats[format!("{name}_{what}")].as_f64().unwrap();
            let room = if name == "calls" { entries } else { u64::next_power_of_two(entries) };
            assert_eq!(of("room"), room as f64, "{name}");
            let said = number(&row[1]) * of("room");
            let told = of("memory");
            assert!(told <= said && said <= 1.03 * told, "{name}: {told} bytes, {said} said");
        }
    }
}

#[test]
fn dialogs_take_at_most_what_is_said() {
    const CALLS: u64 = 100;
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('a', 'b', 0, 0);",
    );
    let callee = AutoCallee::start("127.0.0.1");
    let kamailio: Kamailio = config(&db.url(), callee.address)
        .settings("modparam(\"dialog\", \"default_timeout\", 600)\n")
        .start();
    let caller = Endpoint::new("127.0.0.1");
    let call = |known: u64| {
        let mut call = Caller::new(&caller, kamailio.address(), "a", "");
        call.invite();
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        wait_for_calls(&kamailio, "a", known);
    };
    // Without transactions, which live on for a while.
    let memory = || {
        wait_for("transactions to go", || {
            (kamailio.rpc("tm.stats", json!([]))["current"] == 0).then_some(())
        });
        kamailio.rpc("core.shmmem", json!([]))["real_used"].as_f64().unwrap()
    };
    call(1);
    let before = memory();
    (2..=CALLS + 1).for_each(call);
    let each = (memory() - before) / CALLS as f64;
    let said = number(&table("dialogs")[0][1]);
    println!("{each} bytes a dialog");
    assert!(each <= said && said <= 3.0 * each, "{each} bytes, {said} said");
}
