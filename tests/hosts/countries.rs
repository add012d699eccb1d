//! Countries that grant and refuse, and their database at a reload.

use std::collections::HashSet;

use super::Config;
use crate::support::mmdb::Mmdb;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use serde_json::json;

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('abroad', 'b', 1, 0), ('mixed', 'b', 1, 0),
    ('closed', 'b', 1, 0), ('open', 'b', 0, 0);
INSERT INTO sipwarden_company_address VALUES ('mixed', '127.30.0.0', 16);
INSERT INTO sipwarden_company_country VALUES ('abroad', 'ES'), ('abroad', 'PT'), ('mixed', 'ES');
INSERT INTO sipwarden_user VALUES ('ana@abroad', 'abroad', 1);
";

const SCRIPT: &str = r#"
request_route {
    if ($rU == "country") {
        check_country("$hdr(X-List)");
    } else if ($rU == "elsewhere") {
        check_country("ES", "127.20.0.1");
    } else if ($rU == "constant") {
        check_country("es, FR");
    } else if ($rU == "user") {
        roadwarrior_acquire("ana@abroad", "abroad");
    } else if ($rU == "given") {
        check_company_ip("abroad", "127.20.0.1");
    } else if ($rU != "nothing") {
        check_company_ip("$rU");
    }
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    append_to_reply("X-Country: $swd(country)\r\n");
    sl_send_reply(200, "OK");
}
event_route[sipwarden:denied] {
    xlog("L_NOTICE", "denied $swd(ip) of $swd(country)\n");
}
"#;

fn first_database() -> Mmdb {
    Mmdb::new(6, 28).with(&[
        ("127.10.0.0/16", "ES"),
        ("127.20.0.0/16", "FR"),
        ("127.30.0.0/16", "FR"),
        ("2001:db8::/32", "ES"),
    ])
}

fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TENANTS);
    db
}

fn geoip(folder: &Folder) -> String {
    format!("modparam(\"sipwarden\", \"geoip_db\", \"{}\")\n", folder.join("c.mmdb").display())
}

fn config(folder: &Folder) -> Config {
    let mut config = Config::new(&tenants(folder).url()).routes(SCRIPT).settings(&geoip(folder));
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    config
}

#[test]
fn countries_grant_in_every_worker_and_follow_a_reload() {
    let folder = Folder::new();
    std::fs::write(folder.join("c.mmdb"), first_database().bytes()).unwrap();
    let server = config(&folder).start();
    assert!(
        server.log().contains(
            "countries loaded from Test-Country built at 1790000000, 4 networks of 2 countries"
        ),
        "{}",
        server.log()
    );
    let cases = [
        ("127.10.0.1", "abroad", 3, "granted_country", "ES"),
        ("127.20.0.1", "abroad", -1, "denied_source", "FR"),
        ("127.40.0.1", "abroad", -1, "denied_source", "<null>"),
        ("127.30.0.1", "mixed", 1, "granted_range", "FR"),
        ("127.10.0.1", "mixed", 3, "granted_country", "ES"),
        ("127.20.0.1", "mixed", -1, "denied_source", "FR"),
        ("127.10.0.1", "closed", -2, "denied_no_ranges", "ES"),
        ("127.10.0.1", "open", 2, "filter_off", "ES"),
        ("127.10.0.1", "user", 3, "granted_country", "ES"),
        ("127.20.0.1", "user", 6, "roadwarrior_request", "FR"),
        ("127.10.0.1", "given", -1, "denied_source", "FR"),
        ("127.10.0.1", "constant", 1, "country_listed", "ES"),
        ("127.40.0.1", "constant", -2, "country_unknown", "<null>"),
        ("127.10.0.1", "elsewhere", -1, "country_not_listed", "FR"),
    ];
    for (source, company, code, reason, country) in cases {
        let phone = Phone::new(source, server.address());
        let mut workers = HashSet::new();
        wait_for("two workers to answer", || {
            let reply = phone.request("OPTIONS", company, "").unwrap();
            assert_eq!(reply.header("X-Country"), Some(country), "{source} {company}");
            let told = phone.ask(company);
            assert_eq!((told.code, told.reason.as_str()), (code, reason), "{source} {company}");
            workers.insert(told.worker);
            (workers.len() >= 2).then_some(())
        });
    }
    let check = |company: &str, source: &str| server.ask("check", json!([company, source]));
    let told = check("abroad", "127.10.0.9");
    assert_eq!((&told["code"], &told["country"]), (&json!(3), &json!("ES")), "{told}");
    assert!(told["steps"].to_string().contains("but in ES, which is allowed"), "{told}");
    let told = check("abroad", "127.20.0.9");
    assert!(told["steps"].to_string().contains("its country (FR) is not among the 2"), "{told}");
    assert_eq!(check("abroad", "2001:db8::7")["reason"], "granted_country");
    assert_eq!(server.ask("company", json!(["abroad"]))["countries"], "ES PT");
    assert_eq!(server.ask("stats", json!([]))["country_networks"], 4);
    wait_for("the event", || server.log().contains("denied 127.20.0.1 of FR").then_some(()));
    // A country makes no source exempt from flood control.
    assert_eq!(server.ask("source", json!(["127.10.0.1"]))["class"], "default");

    // Another file holds from the next reload on, for all workers.
    let moved = Mmdb::new(4, 24).with(&[("127.20.0.0/16", "ES")]);
    std::fs::write(folder.join("new"), moved.bytes()).unwrap();
    std::fs::rename(folder.join("new"), folder.join("c.mmdb")).unwrap();
    let phone = Phone::new("127.20.0.1", server.address());
    assert_eq!(phone.ask("abroad").reason, "denied_source");
    let reloaded = server.ask("reload", json!([]));
    assert!(reloaded["geoip"].to_string().contains("1 networks of 1 countries"), "{reloaded}");
    let warned = reloaded["warnings"].to_string();
    assert!(warned.contains("country PT grants nothing: the database knows no network of it"));
    let mut workers = HashSet::new();
    wait_for("all workers", || {
        let told = phone.ask("abroad");
        assert_eq!(told.reason, "granted_country");
        workers.insert(told.worker);
        (workers.len() == 4).then_some(())
    });
}

#[test]
fn a_bad_file_stops_the_start_and_leaves_what_runs() {
    let folder = Folder::new();
    let log = config(&folder).fail_to_start();
    assert!(log.contains("geoip_db: ") && log.contains("c.mmdb\" cannot be read"), "{log}");
    let path = folder.join("c.mmdb");
    std::fs::write(&path, b"not a database").unwrap();
    let log = Config::new(&Sqlite::create(folder.join("t.sqlite")).url())
        .settings(&geoip(&folder))
        .fail_to_start();
    assert!(log.contains("c.mmdb\" is not a MaxMind DB"), "{log}");

    std::fs::write(&path, first_database().bytes()).unwrap();
    let other = Folder::new();
    let server = {
        let mut config = Config::new(&tenants(&other).url())
            .routes(SCRIPT)
            .settings(&geoip(&folder))
            .settings("modparam(\"sipwarden\", \"reload_bad_rows\", \"skip\")\n");
        config.modules.push_str("loadmodule \"dialog.so\"\n");
        config.start()
    };
    let phone = Phone::new("127.10.0.1", server.address());
    let whole = first_database().bytes();
    let mut flipped = whole.clone();
    flipped[..64].fill(0x3f);
    for bad in [&whole[..whole.len() / 2], b"", &flipped] {
        std::fs::write(&path, bad).unwrap();
        let fault = server.try_ask("reload", json!([])).unwrap_err();
        assert!(fault.contains("geoip_db: "), "{fault}");
        assert!(server.log().contains("c.mmdb\" is "), "{fault}");
        assert_eq!(phone.ask("abroad").reason, "granted_country");
    }
    std::fs::remove_file(&path).unwrap();
    server.try_ask("reload", json!([])).unwrap_err();
    assert_eq!(phone.ask("abroad").reason, "granted_country");
    assert_eq!(server.ask("stats", json!([]))["generation"], 1);
    // Bad lists, and none at all, are errors of the script.
    for list in ["", "Spain", "ES,", "<null>"] {
        let reply = phone.request("OPTIONS", "country", &format!("X-List: {list}\r\n")).unwrap();
        let verdict = reply.header("X-Verdict").unwrap();
        assert!(verdict.starts_with("-9 internal_error"), "{list}: {verdict}");
    }
    let reply = phone.request("OPTIONS", "country", "X-List: pt, ES\r\n").unwrap();
    assert!(reply.header("X-Verdict").unwrap().starts_with("1 country_listed"));
}

#[test]
fn the_database_is_switched_on_and_off_with_reloads() {
    let folder = Folder::new();
    let path = folder.join("c.mmdb");
    std::fs::write(&path, first_database().bytes()).unwrap();
    let mut config = Config::new(&tenants(&folder).url()).routes(SCRIPT);
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    let server = config.start();
    let warned = "country ES grants nothing: geoip_db is not set, nor do 2 more rows";
    assert!(server.log().contains(warned), "{}", server.log());
    let phone = Phone::new("127.10.0.1", server.address());
    assert_eq!(phone.ask("abroad").reason, "denied_source");
    assert_eq!(phone.ask("constant").reason, "internal_error");
    let set = |value: &str| server.try_ask("set", json!(["geoip_db", value]));
    let fault = set("c.mmdb").unwrap_err();
    assert!(fault.contains("geoip_db: \"c.mmdb\" does not begin with /"), "{fault}");
    set(path.to_str().unwrap()).unwrap();
    server.ask("reload", json!([]));
    assert_eq!(phone.ask("abroad").reason, "granted_country");
    set("").unwrap();
    server.ask("reload", json!([]));
    assert_eq!(phone.ask("abroad").reason, "denied_source");
}
