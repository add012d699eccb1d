//! What stops Kamailio at start-up, and what it says when it starts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

use support::Folder;
use support::kamailio::Config;
use support::sqlite::Sqlite;

fn one_company(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 0);",
    );
    db
}

fn modparam(name: &str, value: &str) -> String {
    format!("modparam(\"sipwarden\", \"{name}\", {value})\n")
}

#[test]
fn it_says_its_version_its_memory_and_its_rows() {
    let folder = Folder::new();
    let kamailio = Config::new(&one_company(&folder).url()).start();
    let log = kamailio.log();
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        format!("sipwarden {version} for kamailio "),
        "snapshots: 2 of up to 134217728 bytes each".into(),
        "calls: up to 65536, ".into(),
        "sources: up to 262144, ".into(),
        "1 brands, 1 companies, 0 ranges, 0 countries, 0 users, 0 trusted".into(),
    ] {
        assert_eq!(log.matches(&line).count(), 1, "{line} in {log}");
    }
}

#[test]
fn a_refused_parameter_is_named_with_its_value() {
    let folder = Folder::new();
    let db = one_company(&folder);
    for (name, value, shown) in [
        ("snapshot_memory", "1", "snapshot_memory: 1 is not from 2 to 8192"),
        ("snapshot_memory", "\"16\"", "snapshot_memory: \"16\" is a text; give a number from 2"),
        ("company_table", "7", "company_table: 7 is a number; give a text, in quotes: \"7\""),
        ("auth_class", "7", "auth_class: 7 is a number; give a text, in quotes: \"7\""),
        ("snapshot_memory", "-5", "snapshot_memory: -5 is not from 2 to 8192"),
        ("reload_bad_rows", "\"ignore\"", "reload_bad_rows: \"ignore\" is not one of fail, skip"),
        (
            "user_table",
            "\"x; DROP TABLE y\"",
            "user_table: \"x; DROP TABLE y\" is not a table name",
        ),
        ("db_url", "\"\"", "db_url"),
        ("no_such_parameter", "1", "no_such_parameter"),
        ("flood_limit", "0", "flood_limit: 0 is not from 1 to 65535"),
        ("flood_window", "0", "flood_window: \"0\" is not 100ms to 3600s"),
        ("flood_window", "2000", "or a number of seconds up to 60"),
        ("flood_window", "\"2 s\"", "flood_window: \"2 s\" is not 100ms to 3600s"),
        ("flood_sources", "17000000", "flood_sources: 17000000 is not from 1024 to 16777216"),
        ("flood_class", "\"vip\"", "flood_class: \"vip\" is not name=key:value;..."),
        ("flood_class", "\"vip=limit:0\"", "class vip: limit \"0\" is not from 1 to 65535"),
        ("flood_company_sources", "\"vip\"", "\"vip\" is neither exempt nor a class"),
    ] {
        let log = Config::new(&db.url()).settings(&modparam(name, value)).fail_to_start();
        assert!(log.contains(shown), "{shown} not in {log}");
    }
}

#[test]
fn windows_are_numbers_or_texts_and_classes_may_be_many() {
    let folder = Folder::new();
    let db = one_company(&folder);
    for (window, ms) in [("7", 7000), ("\"7\"", 7000), ("\"700ms\"", 700)] {
        let kamailio = Config::new(&db.url())
            .settings(&modparam("flood_window", window))
            .settings(&modparam("flood_class", "\"a=limit:1\""))
            .settings(&modparam("flood_class", "\"b=limit:2;window:9\""))
            .start();
        let classes = kamailio.rpc("sipwarden.settings", serde_json::json!([]))["classes"].clone();
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
fn an_unusable_database_stops_the_start() {
    let folder = Folder::new();
    let db = one_company(&folder);
    let log = Config::new(&format!("sqlite:///{}/none/x.sqlite", folder.path().display()))
        .fail_to_start();
    assert!(log.contains("cannot be opened: No such file or directory"), "{log}");
    assert!(log.contains("kamailio-cfg/sql/sqlite makes one"), "{log}");

    let log = Config::new("mysql://user:secret@127.0.0.1:1/x").fail_to_start();
    assert!(log.contains("parameter db_url: no driver is loaded for \"mysql\""), "{log}");
    assert!(!log.contains("secret"), "{log}");

    let mut config = Config::new(&db.url());
    config.modules.push_str("loadmodule \"db_cluster.so\"\nloadmodule \"db_text.so\"\n");
    config.modules.push_str(&format!(
        "modparam(\"db_cluster\", \"connection\", \"one=>{}\")\n\
         modparam(\"db_cluster\", \"cluster\", \"all=>one=1r1r\")\n",
        db.url()
    ));
    let url = config.db_url.clone();
    for (scheme, instead) in [
        ("cluster://all", "a TCP proxy before them"),
        ("text:///var/lib", "import the files into SQLite"),
        ("unixodbc://u:secret@h/x", "name a database of one of these"),
        ("/var/lib/x.sqlite", "name a database of one of these"),
    ] {
        config.db_url = scheme.into();
        let log = config.fail_to_start();
        let named = scheme.split(':').next().unwrap();
        let said = format!("parameter db_url: \"{named}\" is not supported, but sqlite, mysql");
        assert!(log.contains(&said) && log.contains(instead) && !log.contains("secret"), "{log}");
    }
    config.db_url = url;
    let audit = config.settings(&modparam("audit_url", "\"cluster://all\"")).fail_to_start();
    assert!(audit.contains("parameter audit_url: \"cluster\" is not supported"), "{audit}");

    let log =
        Config::new(&db.url()).settings(&modparam("trusted_table", "\"nowhere\"")).fail_to_start();
    assert!(
        log.contains(
            "table nowhere cannot be read: kamailio-cfg/sql makes it (columns ip_addr, mask, tag)"
        ),
        "{log}"
    );
}

#[test]
fn tables_may_be_views_with_other_names() {
    let folder = Folder::new();
    let db = one_company(&folder);
    db.run("CREATE TABLE tenant (id INTEGER, brand INTEGER, filter INTEGER);
        INSERT INTO tenant VALUES (7, 1, NULL);
        CREATE VIEW v_brand AS SELECT 1 AS id, 0 AS max_calls;
        CREATE VIEW v_company AS SELECT id, brand AS brand_id, filter AS ip_filter, NULL AS max_calls FROM tenant;");
    let kamailio = Config::new(&db.url())
        .settings(&modparam("brand_table", "\"v_brand\""))
        .settings(&modparam("company_table", "\"main.v_company\""))
        .start();
    let shown = kamailio.kamcmd(&["sipwarden.company", "7"]);
    assert!(shown.contains("ip_filter: off") && shown.contains("brand: 1"), "{shown}");
}

#[test]
fn the_variable_cannot_be_written_and_unknown_attributes_are_refused() {
    let folder = Folder::new();
    let db = one_company(&folder);
    for (script, shown) in [
        ("$swd(reason) = \"granted\";", "read only pvar"),
        (
            "xlog(\"$swd(nonsense)\\n\");",
            "$swd(nonsense): no such attribute; there are code, reason, would_code, ",
        ),
    ] {
        let routes = format!("request_route {{ {script} exit; }}");
        let log = Config::new(&db.url()).routes(&routes).fail_to_start();
        assert!(log.contains(shown), "{log}");
    }
}

#[test]
fn a_size_for_which_there_is_no_room_is_named_with_one_that_would_do() {
    let folder = Folder::new();
    let db = one_company(&folder);
    for (name, value, unit) in [
        ("snapshot_memory", "8192", "8192 MiB"),
        ("max_calls", "4194304", "4194304 calls"),
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
        let kamailio = limited(fitting).start();
        // Little less than there is room for.
        let (value, fitting): (u64, u64) = (value.parse().unwrap(), fitting.parse().unwrap());
        assert!(fitting * 30 > value, "{line}");
        kamailio.rpc("sipwarden.reload", serde_json::json!([]));
    }
}
