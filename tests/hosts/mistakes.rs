//! What is wrong at first in parameters, scripts and tables, and what is said of it: the thing, its
//! value, the remedy.
//!
//! Elsewhere: files of blocks and tables (`unwritable.rs`, `tables_file.rs`), a database of
//! countries (`countries.rs`), nft (`integration/firewall_feed/`), settings (`settings.rs`), a
//! writer in the middle of a reload (`reload.rs`).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::{Config, Server};
use crate::Here;
use crate::support::host::Host;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};

/// `nobody`.
const USER: &str = "65534";

/// Where a mistake is made.
enum Made {
    /// In a modparam: the server does not start.
    Parameter(&'static str, &'static str),
    /// In the URL of the database; as above.
    Url(&'static str),
    /// In `request_route`; as above.
    Script(&'static str),
    /// In the tables: the reload fails.
    Tables(String),
    /// In the tables, which are taken with a warning.
    Warned(&'static str),
    /// With the file of the database: the reload fails.
    File(fn(&Path)),
    /// In what the script gives to a function when a phone asks for this user.
    Asked(&'static str),
}
use Made::{Asked, File, Parameter, Script, Tables, Url, Warned};

/// What is said: all of these.
type Said = &'static [&'static str];

fn in_tables(sql: &str) -> Made {
    Tables(sql.into())
}

fn mistakes() -> Vec<(Made, Said)> {
    let address =
        |values: &str| Tables(format!("INSERT INTO sipwarden_company_address VALUES ({values});"));
    vec![
        // The database.
        (
            Url("sqlite:////nowhere/tables.sqlite"),
            &["database: it cannot be opened: No such file or directory; kamailio-cfg/sql makes \
                 one: /nowhere/tables.sqlite"],
        ),
        (
            Url("mysql://user:secret@127.0.0.1:1/x"),
            &[
                "parameter db_url: no driver is loaded for \"mysql\"",
                "db_mysql.so or db_postgres.so",
            ],
        ),
        (
            Parameter("trusted_table", "\"nowhere\""),
            &["table nowhere cannot be read: kamailio-cfg/sql makes it (columns ip_addr, mask, \
                 tag)"],
        ),
        (
            File(|path| fs::remove_file(path).unwrap()),
            &["it cannot be opened: No such file or directory; kamailio-cfg/sql makes one"],
        ),
        (
            File(|path| fs::write(path, "id,max_calls\n").unwrap()),
            &["it cannot be opened: it is not an SQLite database; kamailio-cfg/sql makes one"],
        ),
        (
            File(|path| fs::write(path, "").unwrap()),
            &["table sipwarden_brand cannot be read: kamailio-cfg/sql makes it (columns id"],
        ),
        (
            in_tables("DROP TABLE sipwarden_user;"),
            &["table sipwarden_user cannot be read: kamailio-cfg/sql makes it (columns aor"],
        ),
        (
            in_tables("DROP TABLE sipwarden_company_address;"),
            &["table sipwarden_company_address cannot be read: kamailio-cfg/sql makes it"],
        ),
        (
            in_tables("ALTER TABLE sipwarden_user RENAME COLUMN external_calls TO calls;"),
            &[
                "table sipwarden_user has no column external_calls: add it to the table or view, as \
                 in kamailio-cfg/sql/sqlite/sipwarden.sql",
            ],
        ),
        (
            in_tables(
                "DROP TABLE sipwarden_company_address;
                 CREATE TABLE sipwarden_company_address (company_id TEXT);",
            ),
            &["table sipwarden_company_address has no column ip_addr, mask: add it to the"],
        ),
        // Parameters.
        (Parameter("db_url", "\"\""), &["db_url"]),
        (Parameter("db_ulr", "\"x\""), &["arameter <db_ulr>", "not found in module <sipwarden>"]),
        (
            Parameter("max_calls", "\"100\""),
            &["max_calls: \"100\" is a text; give a number from 16"],
        ),
        (
            Parameter("company_table", "7"),
            &["company_table: 7 is a number; give a text, in quotes: \"7\""],
        ),
        (
            Parameter("auth_class", "7"),
            &["auth_class: 7 is a number; give a text, in quotes: \"7\""],
        ),
        (Parameter("snapshot_memory", "1"), &["snapshot_memory: 1 is not from 2 to 8192"]),
        (Parameter("snapshot_memory", "-5"), &["snapshot_memory: -5 is not from 2 to 8192"]),
        (
            Parameter("reload_bad_rows", "\"ignore\""),
            &["reload_bad_rows: \"ignore\" is not one of fail, skip"],
        ),
        (
            Parameter("user_table", "\"x; DROP TABLE y\""),
            &["user_table: \"x; DROP TABLE y\" is not a table name"],
        ),
        (Parameter("flood_limit", "0"), &["flood_limit: 0 is not from 1 to 65535"]),
        (Parameter("flood_window", "0"), &["flood_window: \"0\" is not 100ms to 3600s"]),
        (Parameter("flood_window", "2000"), &["or a number of seconds up to 60"]),
        (Parameter("flood_window", "\"2 s\""), &["flood_window: \"2 s\" is not 100ms to 3600s"]),
        (
            Parameter("flood_sources", "17000000"),
            &["flood_sources: 17000000 is not from 1024 to 16777216"],
        ),
        (Parameter("flood_class", "\"vip\""), &["flood_class: \"vip\" is not name=key:value;..."]),
        (
            Parameter("flood_class", "\"vip=limit:0\""),
            &["class vip: limit \"0\" is not from 1 to 65535"],
        ),
        (
            Parameter("flood_class", "\"vip=limt:5\""),
            &["class vip: \"limt\"", "limit, window, block, block_max"],
        ),
        (Parameter("flood_company_sources", "\"vip\""), &["\"vip\" is neither exempt nor a class"]),
        // The script.
        (
            Script("xlog(\"$swd(reson)\\n\");"),
            &["$swd(reson): no such attribute; there are code, reason, would_code, "],
        ),
        (Script("cc_limit(\"c\", \"q\");"), &["cc_limit has no flag \"q\"; its flags are e, i, o"]),
        (
            Script("cc_limit(\"c\", \"e,o\");"),
            &["cc_limit has no flag \",\"; its flags are e, i, o"],
        ),
        (
            Script("roadwarrior_acquire(\"a@c\", \"c\", \"p\");"),
            &["roadwarrior_acquire has no flag \"p\"; its flags are e, i, o"],
        ),
        (
            Script("roadwarrior_acquire(\"a@c\", \"c\", \"ex\", \"$si\");"),
            &["roadwarrior_acquire has no flag \"x\"; its flags are e, i, o"],
        ),
        (Script("flood_check(\"i\");"), &["flood_check has no flag \"i\"; its flags are e, p"]),
        (
            Script("flood_check(\"192.0.2.1\", \"p\");"),
            &["flood_check has no flag \"1\"; its flags are e, p"],
        ),
        (
            Asked("flag"),
            &["flood_check has no flag \"z\"; its flags are e, p; this one is ignored"],
        ),
        (
            Asked("unset"),
            &["check_company_ip refused", "the company is \"<null>\"", "a variable of the script"],
        ),
        // Rows.
        (
            address("'office', '192.0.2.17/24', NULL"),
            &["ip_addr \"192.0.2.17/24\": host bits set: write 192.0.2.0/24"],
        ),
        (
            address("'office', '192.0.2.0', '255.255.255.0'"),
            &["mask \"255.255.255.0\" is dotted: write 24"],
        ),
        (
            address("'Office ', '192.0.2.0', 24"),
            &["company_id \"Office \" is not a company: \"office\" differs in case or blanks only"],
        ),
        (
            in_tables("INSERT INTO sipwarden_company VALUES ('c', 'B', 1, 0);"),
            &["brand_id \"B\" is not a brand: \"b\" differs in case or blanks only"],
        ),
        (
            in_tables("INSERT INTO sipwarden_company VALUES ('c', 'rde', 1, 0);"),
            &["brand_id \"rde\" is not a brand (company \"c\")"],
        ),
        (
            in_tables("INSERT INTO sipwarden_trusted VALUES ('192.0.2.1', NULL, 'carier');"),
            &["192.0.2.1/32: tag \"carier\"", "exempt, default, carrier"],
        ),
        (
            in_tables("INSERT INTO sipwarden_company_country VALUES ('office', 'Spain');"),
            &["country \"Spain\" is not two capital letters (ISO 3166-1 alpha-2)"],
        ),
        (
            in_tables("DELETE FROM sipwarden_company;"),
            &["no company is left in table sipwarden_company; the 1 that are loaded stay in force"],
        ),
        (
            Warned("INSERT INTO sipwarden_company_country VALUES ('office', 'ES');"),
            &["country ES grants nothing: geoip_db is not set"],
        ),
        (
            Warned("INSERT INTO sipwarden_user VALUES ('alice', 'office', 1);"),
            &["aor \"alice\" has no domain: write user@domain if the script asks for that"],
        ),
    ]
}

pub fn tables(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0);
        INSERT INTO sipwarden_company_address VALUES ('office', '127.0.1.0', 24);",
    );
    db
}

fn assert_said(text: &str, said: Said, mistake: &str) {
    for part in said {
        assert!(text.contains(part), "{mistake}: {part} in {text}");
    }
    assert!(!text.contains("secret"), "{mistake}: {text}");
}

#[test]
fn what_stops_the_start_is_named_with_its_remedy() {
    let folder = Folder::new();
    let db = tables(&folder);
    for (made, said) in mistakes() {
        let mut config = Config::new(&db.url());
        config.modules.push_str("loadmodule \"dialog.so\"\n");
        let mistake = match made {
            Parameter(name, value) => {
                config =
                    config.settings(&format!("modparam(\"sipwarden\", \"{name}\", {value})\n"));
                format!("{name} {value}")
            }
            Url(url) => {
                config.db_url = url.into();
                url.into()
            }
            Script(line) => {
                config = config.routes(&format!("request_route {{ {line} exit; }}\n"));
                line.into()
            }
            _ => continue,
        };
        assert_said(&config.fail_to_start(), said, &mistake);
    }
}

/// A server without the dialog module, and what is asked of it.
pub fn running(db: &Sqlite) -> Server {
    let routes = r#"
request_route {
    switch ($rU) {
        case "unset": check_company_ip("$avp(unset)"); break;
        case "flag": $var(flags) = "ez"; flood_check("$var(flags)"); break;
    }
    sl_send_reply(200, "OK");
}
"#;
    let config = Config::new(&db.url()).routes(routes);
    config.settings("modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:50\")\n").start()
}

#[test]
fn what_is_wrong_later_is_told_with_its_remedy_where_it_is_asked() {
    let folder = Folder::new();
    let db = tables(&folder);
    let before = folder.join("before.sqlite");
    fs::copy(db.path(), &before).unwrap();
    let server = running(&db);
    let reload = || server.try_ask("reload", json!([]));
    let phone = Phone::new("127.0.1.1", server.address());
    let fault = |said, mistake: &str| {
        let text = reload().unwrap_err();
        let reason = text.strip_prefix("500 ").expect(&text);
        assert!(reason.len() <= Here::FAULT_BYTES, "{mistake}: {} bytes", reason.len());
        assert_said(reason, said, mistake);
    };
    for (made, said) in mistakes() {
        match made {
            Tables(sql) => {
                db.run(&sql);
                fault(said, &sql);
            }
            File(damage) => {
                damage(db.path());
                fault(said, said[0]);
            }
            Warned(sql) => {
                db.run(sql);
                let warnings = reload().unwrap()["warnings"].clone();
                let told: Vec<_> = warnings.as_array().unwrap().iter().map(Value::as_str).collect();
                assert_said(&told.into_iter().flatten().collect::<String>(), said, sql);
            }
            Asked(user) => {
                assert_eq!(phone.request("OPTIONS", user, "").unwrap().status, 200);
                wait_for(said[0], || server.log().contains(said[0]).then_some(()));
                assert_said(&server.log(), said, user);
            }
            Parameter(..) | Url(_) | Script(_) => continue,
        }
        fs::copy(&before, db.path()).unwrap();
    }
    assert!(reload().unwrap()["generation"].is_number());
    let log = server.log();
    let line = log.lines().find(|line| line.contains("there is no dialog module")).unwrap();
    assert!(line.contains("WARNING:") && line.contains("loadmodule \"dialog.so\""), "{line}");
}

/// The driver may come later than the module: only the start needs it.
#[test]
fn the_order_of_loadmodules_does_not_matter_to_the_driver() {
    let folder = Folder::new();
    let db = tables(&folder);
    let mut config =
        Config::new(&db.url()).settings("loadmodule \"db_sqlite.so\"\nloadmodule \"dialog.so\"\n");
    config.modules.clear();
    let server = config.start();
    assert!(!server.log().contains("there is no dialog module"), "{}", server.log());
}

#[test]
fn a_database_of_another_user_is_named_with_the_user_that_the_server_is() {
    let folder = Folder::new();
    let db = tables(&folder);
    fs::set_permissions(db.path(), fs::Permissions::from_mode(0o600)).unwrap();
    let mut config = Config::new(&db.url());
    let words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    config.wrapper = words.map(str::to_owned).to_vec();
    // The library in a folder that everybody may read.
    let library = folder.join("sipwarden.so");
    fs::copy(&config.module, &library).unwrap();
    config.module = library;
    config.owner = USER.parse().ok();
    let log = config.fail_to_start();
    let said =
        format!("Permission denied; {} runs as user {USER}: {}", Here::NAME, db.path().display());
    assert!(log.contains(&said), "{log}");
}
