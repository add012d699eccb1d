//! What stops a server at start-up, and what it says when it starts.

use super::Config;
use crate::Here;
use crate::support::Folder;
use crate::support::host::Host;
use crate::support::sqlite::Sqlite;
use serde_json::json;

pub fn one_company(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 0);",
    );
    db
}

pub fn modparam(name: &str, value: &str) -> String {
    format!("modparam(\"sipwarden\", \"{name}\", {value})\n")
}

#[test]
fn it_says_its_version_its_memory_and_its_rows() {
    let folder = Folder::new();
    let server = Config::new(&one_company(&folder).url()).start();
    let log = server.log();
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        format!("sipwarden {version} for {} ", Here::NAME.to_ascii_lowercase()),
        "room for 2 snapshots of up to 134217728 bytes each".into(),
        "room for 65536 calls: ".into(),
        "room for 262144 sources: ".into(),
        "1 brands, 1 companies, 0 ranges, 0 countries, 0 users, 0 trusted".into(),
    ] {
        assert_eq!(log.matches(&line).count(), 1, "{line} in {log}");
    }
    // The same by RPC, and what the server compares when it loads a module.
    let told = server.ask("version", json!([]));
    let of = |name: &str| told[name].as_str().unwrap_or_else(|| panic!("{told}")).to_owned();
    assert_eq!(of("sipwarden"), version);
    let line = format!(
        "sipwarden {version} for {}, revision {}, flags {}",
        of(&Here::NAME.to_ascii_lowercase()),
        of("revision"),
        of("flags")
    );
    assert!(log.contains(&line) && of("flags").contains("SHM_MMAP"), "{line} in {log}");
    assert!(of("revision").len() >= 7, "{told}");
}

#[test]
fn windows_are_numbers_or_texts_and_classes_may_be_many() {
    let folder = Folder::new();
    let db = one_company(&folder);
    for (window, ms) in [("7", 7000), ("\"7\"", 7000), ("\"700ms\"", 700)] {
        let server = Config::new(&db.url())
            .settings(&modparam("flood_window", window))
            .settings(&modparam("flood_class", "\"a=limit:1\""))
            .settings(&modparam("flood_class", "\"b=limit:2;window:9\""))
            .start();
        let classes = server.ask("settings", json!([]))["classes"].clone();
        let shown = |n: usize| {
            let class = &classes[n];
            (class["limit"].as_u64().unwrap(), class["window_ms"].as_u64().unwrap())
        };
        assert_eq!([shown(0), shown(1), shown(2)], [(100, ms), (1, ms), (2, 9000)]);
    }
}

#[test]
fn a_bad_row_stops_the_start_with_the_same_words_as_a_reload() {
    let folder = Folder::new();
    let db = one_company(&folder);
    db.run("INSERT INTO sipwarden_company_address VALUES ('c', '10.0.0.256', NULL);");
    let log = Config::new(&db.url()).fail_to_start();
    let words = "sipwarden_company_address row 1: ip_addr \"10.0.0.256\": is not an IP address \
                 (company \"c\")";
    assert!(log.contains(words), "{log}");
}

#[test]
fn a_size_for_which_there_is_no_room_is_named_with_one_that_would_do() {
    let folder = Folder::new();
    let db = one_company(&folder);
    for (name, value, unit) in [
        ("snapshot_memory", "8192", "8192 MiB"),
        ("max_calls", "2097151", "2097151 calls"),
        ("flood_sources", "16777216", "16777216 sources"),
        ("auth_sources", "4194304", "4194304 pairs of AoR and source"),
    ] {
        let limited = |value: &str| {
            let mut config = Config::new(&db.url()).settings(&modparam(name, value));
            config.wrapper = ["prlimit", "--as=1200000000"].map(str::to_owned).to_vec();
            config
        };
        let log = limited(value).fail_to_start();
        let said = format!("not started: parameter {name}: no address space for {unit} (");
        let line = log.lines().find(|line| line.contains(&said)).unwrap_or_else(|| panic!("{log}"));
        let (_, instead) = line.split_once(&format!("; {name} ")).unwrap();
        let (fitting, more) =
            instead.split_once(" would do, or a limit (ulimit -v) that is ").unwrap();
        assert!(more.ends_with(" MiB higher"), "{line}");
        let server = limited(fitting).start();
        // Little less than there is room for.
        let (value, fitting): (u64, u64) = (value.parse().unwrap(), fitting.parse().unwrap());
        assert!(fitting * 30 > value, "{line}");
        server.ask("reload", json!([]));
    }
}
#[test]
fn tables_may_be_views_with_other_names() {
    let folder = Folder::new();
    let db = one_company(&folder);
    db.run("CREATE TABLE tenant (id INTEGER, brand INTEGER, filter INTEGER);
        INSERT INTO tenant VALUES (7, 1, NULL);
        CREATE VIEW v_brand AS SELECT 1 AS id, 0 AS max_calls;
        CREATE VIEW v_company AS SELECT id, brand AS brand_id, filter AS ip_filter, NULL AS max_calls FROM tenant;");
    let server = Config::new(&db.url())
        .settings(&modparam("brand_table", "\"v_brand\""))
        .settings(&modparam("company_table", "\"main.v_company\""))
        .start();
    let shown = server.ask("company", json!(["7"]));
    assert_eq!((&shown["ip_filter"], &shown["brand"]), (&json!("off"), &json!("1")), "{shown}");
}
