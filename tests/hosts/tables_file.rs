//! A proxy that ran yesterday starts today: from the file of its last tables, when the
//! database has none to serve.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Config, Server};
use crate::support::mmdb::Mmdb;
use crate::support::running::free_port;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, Going, wait_for, wait_up_to};
use libc::{SIGKILL, SIGTERM};
use serde_json::{Value, json};
use sipwarden::tables::kept::Kept;

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0);
INSERT INTO sipwarden_company_address VALUES ('office', '127.0.1.0', 24);
INSERT INTO sipwarden_user VALUES ('alice@office', 'office', 2);
INSERT INTO sipwarden_trusted VALUES ('192.0.2.1', NULL, 'carrier');
";

/// A database, a configuration with a file, and the file.
struct Site {
    folder: Folder,
    db: Sqlite,
    config: Config,
    file: PathBuf,
}

impl Site {
    fn new() -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(TENANTS);
        let file = folder.join("kept");
        let config = with_class(Config::new(&db.url()))
            .settings(&modparam("tables_file", &file))
            .port(free_port());
        Site { folder, db, config, file }
    }

    /// One that has run, and whose file keeps its tables.
    fn that_ran() -> Self {
        let site = Site::new();
        let mut server = site.config.start();
        wait_for_kept(&server);
        assert!(server.stop(SIGTERM).success());
        site
    }

    fn damage_the_database(&self) {
        self.db.run("UPDATE sipwarden_company_address SET ip_addr = '127.0.1.300';");
    }
}

fn with_class(config: Config) -> Config {
    config.settings("modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:7\")\n")
}

fn modparam(name: &str, path: &Path) -> String {
    format!("modparam(\"sipwarden\", \"{name}\", \"{}\")\n", path.display())
}

fn gauge(server: &Server, name: &str) -> u64 {
    server.counter(name)
}

fn wait_for_kept(server: &Server) {
    wait_for("the file", || (gauge(server, "tables_kept") == 1).then_some(()));
}

fn stats(server: &Server) -> Value {
    server.ask("stats", json!([]))
}

/// Every worker judges by the tables of the last run.
fn assert_serves(server: &Server) {
    let (inside, outside) =
        (Phone::new("127.0.1.1", server.address()), Phone::new("127.0.7.1", server.address()));
    let mut workers = HashSet::new();
    wait_for("all workers", || {
        let [inside, outside] = [inside.ask("office"), outside.ask("office")];
        assert_eq!((&*inside.reason, &*outside.reason), ("granted_range", "denied_source"));
        // Both: workers that take turns would hear the same one of them each time.
        workers.extend([inside.worker, outside.worker]);
        (workers.len() == 4).then_some(())
    });
    let source = server.ask("source", json!(["192.0.2.1"]));
    assert_eq!((&source["class"], &source["limit"]), (&json!("carrier"), &json!(7)), "{source}");
    let user = server.ask("check", json!(["office", "127.0.7.1", "alice@office"]));
    assert_eq!(user["roadwarrior"]["user_limit"], 2, "{user}");
}

/// It serves the file's tables, since `why`, and says so.
fn assert_serves_from_file(server: &Server, why: &str) {
    assert_serves(server);
    let (stats, log) = (stats(server), server.log());
    assert_eq!(stats["tables_from_file"], 1, "{stats}");
    assert!(stats["tables_problem"].as_str().unwrap().contains(why), "{stats}");
    assert_eq!(gauge(server, "tables_from_file"), 1);
    let line = log.lines().find(|line| line.contains(" serve, from ")).unwrap();
    assert!(
        line.contains("the tables of 20") && line.contains("UTC") && line.contains(why),
        "{line}"
    );
}

fn assert_serves_from_database(server: &Server) {
    assert_eq!(gauge(server, "tables_from_file"), 0);
    assert_eq!(stats(server)["tables_problem"], "");
}

#[test]
fn a_bad_row_is_no_outage_and_its_repair_needs_nobody() {
    let site = Site::that_ran();
    let date = Kept::read(&fs::read(&site.file).unwrap()).unwrap().date;
    site.damage_the_database();
    // The classes have other numbers now.
    let other = "modparam(\"sipwarden\", \"flood_class\", \"other=limit:3\")\n";
    let server = with_class(Config::new(&site.db.url()).settings(other))
        .settings(&modparam("tables_file", &site.file))
        .start();
    let why = "sipwarden_company_address row 1: ip_addr \"127.0.1.300\"";
    assert_serves_from_file(&server, why);
    // Their age is that of the tables, not of the start.
    assert_eq!(stats(&server)["loaded_at"], date);
    let problems = server.ask("problems", json!([]));
    assert!(problems.to_string().contains("127.0.1.300"), "{problems}");

    // A reload that an operator asks for fails as ever, and changes nothing.
    let fault = server.try_ask("reload", json!([])).unwrap_err();
    assert!(fault.contains("127.0.1.300"), "{fault}");
    assert_serves_from_file(&server, why);

    // Nobody is refused while the database's tables come.
    let coming = Going::begin();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let phone = Phone::new("127.0.1.1", server.address());
            while coming.is_on() {
                assert_eq!(phone.ask("office").reason, "granted_range");
            }
        });
        let _end = coming.while_held();
        site.db.run(
            "UPDATE sipwarden_company_address SET ip_addr = '127.0.1.0';
            INSERT INTO sipwarden_company VALUES ('new', 'b', 0, 0);",
        );
        wait_up_to(Duration::from_secs(40), "the database's tables", || {
            (gauge(&server, "tables_from_file") == 0).then_some(())
        });
    });
    assert_serves_from_database(&server);
    assert_serves(&server);
    assert_eq!(Phone::new("127.0.7.1", server.address()).ask("new").reason, "filter_off");
    assert!(server.log().contains("serve again"), "{}", server.log());
    // What was repaired is kept, too.
    wait_for_kept(&server);
    let bytes = fs::read(&site.file).unwrap();
    assert!(bytes.windows(3).any(|part| part == b"new"));
}

#[test]
fn whatever_the_database_lacks_the_proxy_starts() {
    let site = Site::that_ran();
    let moved = site.folder.join("elsewhere");
    let away = || fs::rename(site.db.path(), &moved).unwrap();
    let back = || fs::rename(&moved, site.db.path()).unwrap();

    away();
    fs::create_dir(site.db.path()).unwrap();
    let mut server = site.config.start();
    assert_serves_from_file(&server, "cannot be opened");
    server.stop(SIGTERM);
    fs::remove_dir(site.db.path()).unwrap();
    back();

    for (damage, why) in [
        ("ALTER TABLE sipwarden_user RENAME TO gone;", "table sipwarden_user cannot be read"),
        (
            "ALTER TABLE gone RENAME TO sipwarden_user; ALTER TABLE sipwarden_brand RENAME COLUMN max_calls TO calls;",
            "table sipwarden_brand has no column max_calls",
        ),
        (
            "ALTER TABLE sipwarden_brand RENAME COLUMN calls TO max_calls; DELETE FROM sipwarden_company_address; DELETE FROM sipwarden_user; DELETE FROM sipwarden_company;",
            "no company is left in table sipwarden_company",
        ),
    ] {
        site.db.run(damage);
        let mut server = site.config.start();
        assert_serves_from_file(&server, why);
        let fault = server.try_ask("reload", json!([])).unwrap_err();
        assert!(fault.contains(why.split(", ").next().unwrap()), "{fault}");
        assert_serves(&server);
        server.stop(SIGTERM);
    }
    // All companies are gone indeed: the file goes, too.
    fs::remove_file(&site.file).unwrap();
    let server = site.config.start();
    assert_eq!(stats(&server)["rows"]["companies"], 0);
    assert_serves_from_database(&server);
}

#[test]
fn the_file_brings_the_countries_along() {
    let mut site = Site::new();
    let geoip = site.folder.join("countries.mmdb");
    site.db.run("INSERT INTO sipwarden_company_country VALUES ('office', 'ES');");
    fs::write(&geoip, Mmdb::new(4, 24).with(&[("127.9.0.0/16", "ES")]).bytes()).unwrap();
    site.config = site.config.settings(&modparam("geoip_db", &geoip));
    let mut server = site.config.start();
    wait_for_kept(&server);
    let spain = |server: &Server| Phone::new("127.9.1.1", server.address()).ask("office").reason;
    assert_eq!(spain(&server), "granted_country");
    server.stop(SIGTERM);
    fs::remove_file(&geoip).unwrap();
    server = site.config.start();
    assert_serves_from_file(&server, "parameter geoip_db");
    assert_eq!(spain(&server), "granted_country");
    assert_eq!(stats(&server)["tables_from_file"], 1);
}

#[test]
fn without_a_file_the_start_fails_and_says_what_would_help() {
    let site = Site::new();
    site.damage_the_database();
    let log = site.config.fail_to_start();
    assert!(log.contains("127.0.1.300") && log.contains("kept: there is none yet"), "{log}");
    let log = Config::new(&site.db.url()).fail_to_start();
    assert!(log.contains("with tables_file set, the tables of the last run would serve"), "{log}");
    let log = Config::new(&site.db.url())
        .settings("modparam(\"sipwarden\", \"tables_file\", \"kept\")\n")
        .fail_to_start();
    assert!(log.contains("parameter tables_file: \"kept\" does not begin with /"), "{log}");
}

/// What was done to the file, and what is said of it.
fn damages(site: &Site, whole: &[u8]) -> Vec<(Vec<u8>, String)> {
    let line = whole.iter().position(|b| *b == b'\n').unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 4;
        bytes
    };
    let replaced = |from: &str, to: &str| {
        let text = String::from_utf8_lossy(whole).into_owned();
        let mut bytes = text.replacen(from, to, 1).into_bytes();
        bytes.truncate(line + 1);
        [&bytes[..], &whole[line + 1..]].concat()
    };
    let name = site.file.display();
    let said = |what: &str| format!("tables_file {name}: {what}");
    vec![
        (Vec::new(), said("it is not a file of tables")),
        (b"root:x:0:0:root:/root:/bin/sh\n".to_vec(), said("it is not a file of tables")),
        (whole[..line].to_vec(), said("it is cut off")),
        (whole[..whole.len() / 2].to_vec(), said("it is damaged or cut off")),
        (whole[..whole.len() - 1].to_vec(), said("it is damaged or cut off")),
        (flipped(line + 1), said("it is damaged: its checksum is wrong")),
        (flipped((line + whole.len()) / 2), said("it is damaged: its checksum is wrong")),
        (flipped(whole.len() - 1), said("it is damaged: its checksum is wrong")),
        (flipped(20), said("it is damaged: its checksum is wrong")),
        (replaced("tables 5 ", "tables 6 "), said("its format is 6 ")),
    ]
}

#[test]
fn a_file_that_is_not_whole_is_refused_by_name_and_harms_no_good_start() {
    let site = Site::that_ran();
    let whole = fs::read(&site.file).unwrap();
    let damages = damages(&site, &whole);
    site.damage_the_database();
    for (bytes, said) in &damages {
        fs::write(&site.file, bytes).unwrap();
        let log = site.config.fail_to_start();
        assert!(log.contains(said) && log.contains("127.0.1.300"), "{said}: {log}");
        assert!(!log.contains("BUG") && fs::read(&site.file).unwrap() == *bytes);
    }
    site.db.run("UPDATE sipwarden_company_address SET ip_addr = '127.0.1.0';");
    for (bytes, _) in damages {
        fs::write(&site.file, &bytes).unwrap();
        let mut server = site.config.start();
        assert_serves(&server);
        assert_serves_from_database(&server);
        if bytes.starts_with(b"root") {
            let said = "kept: it is not a file of tables; remove it, or name another";
            wait_for("a complaint", || server.log().contains(said).then_some(()));
            assert_eq!(fs::read(&site.file).unwrap(), bytes);
        } else {
            wait_for_kept(&server);
            Kept::read(&fs::read(&site.file).unwrap()).unwrap();
        }
        server.stop(SIGTERM);
    }
}

#[test]
fn a_file_that_somebody_else_may_have_written_is_refused() {
    const SOMEBODY: Option<u32> = Some(1);
    let site = Site::that_ran();
    let whole = fs::read(&site.file).unwrap();
    let again = || {
        let _ = fs::remove_dir(&site.file);
        let _ = fs::remove_file(&site.file);
        fs::write(&site.file, &whole).unwrap();
        fs::set_permissions(&site.file, fs::Permissions::from_mode(0o640)).unwrap();
    };
    let other = site.folder.join("other");
    fs::write(&other, &whole).unwrap();
    site.damage_the_database();
    let pipe = || {
        let name = std::ffi::CString::new(site.file.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: a system call with a text that outlives it.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    };
    let gone = || fs::remove_file(&site.file).unwrap();
    let cases: [(&dyn Fn(), &str); 6] = [
        (
            &|| chown(&site.file, SOMEBODY, None).unwrap(),
            "it belongs to daemon (user 1), neither to root (user 0)",
        ),
        (
            &|| fs::set_permissions(&site.file, fs::Permissions::from_mode(0o646)).unwrap(),
            "others may write to it (mode 646)",
        ),
        (
            &|| fs::set_permissions(&site.file, fs::Permissions::from_mode(0o660)).unwrap(),
            "others may write to it (mode 660)",
        ),
        (&|| (gone(), symlink(&other, &site.file).unwrap()).1, "it is a symbolic link"),
        (&|| (gone(), fs::create_dir(&site.file).unwrap()).1, "it is not a regular file"),
        (&|| (gone(), pipe()).1, "it is not a regular file"),
    ];
    for (damage, said) in cases {
        again();
        damage();
        let log = site.config.fail_to_start();
        let said = format!("tables_file {}: {said}", site.file.display());
        assert!(log.contains(&said), "{said}: {log}");
    }
    again();
    assert_serves_from_file(&site.config.start(), "127.0.1.300");
}

#[test]
fn a_file_is_whole_whenever_it_is_killed() {
    let mut site = Site::new();
    // Some megabytes, so that it is killed while it writes.
    site.db.run(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
        INSERT INTO sipwarden_company_address SELECT 'office', '10.' || (i / 256 % 256) || '.' || (i % 256) || '.' || (i / 65536 * 64), 26 FROM n;",
    );
    site.config = site.config.settings("");
    let mut seen = 0;
    for n in 0..12u64 {
        let mut server = site.config.start();
        if n == 0 {
            wait_for_kept(&server);
        }
        site.db.run(&format!("INSERT INTO sipwarden_company VALUES ('c{n}', 'b', 0, 0);"));
        server.ask("reload", json!([]));
        // From at once to long after it has been written.
        let new = site.folder.join("kept.new");
        match n % 3 {
            0 => wait_for_kept(&server),
            1 => wait_for("the file that is written", || {
                (new.exists() || gauge(&server, "tables_kept") == 1).then_some(())
            }),
            _ => {}
        }
        server.stop(SIGKILL);
        let bytes = fs::read(&site.file).unwrap();
        let kept = Kept::read(&bytes).unwrap();
        assert!(kept.date >= seen);
        seen = kept.date;
    }
    site.damage_the_database();
    let server = site.config.start();
    assert_eq!(stats(&server)["tables_from_file"], 1);
    assert_eq!(stats(&server)["rows"]["ranges"], 60_002);
}

#[test]
fn the_file_can_be_changed_while_it_runs() {
    let site = Site::new();
    let server = with_class(Config::new(&site.db.url())).start();
    assert_eq!(gauge(&server, "tables_kept"), 0);
    let set = |path: &str| server.try_ask("set", json!(["tables_file", path]));
    let foreign = site.folder.join("foreign");
    fs::write(&foreign, "something else").unwrap();
    for (path, said) in [
        ("kept", "\"kept\" does not begin with /"),
        ("/nowhere/kept", "/nowhere/kept"),
        (foreign.to_str().unwrap(), "it is not a file of tables"),
    ] {
        let fault = set(path).unwrap_err();
        assert!(fault.contains("tables_file") && fault.contains(said), "{fault}");
    }
    set(site.file.to_str().unwrap()).unwrap();
    wait_for_kept(&server);
    let other = site.folder.join("second");
    set(other.to_str().unwrap()).unwrap();
    wait_for("the second file", || other.exists().then_some(()));
    assert_eq!(fs::read(&other).unwrap(), fs::read(&site.file).unwrap());
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "something else");
}

#[test]
fn it_is_said_each_minute() {
    let site = Site::that_ran();
    site.damage_the_database();
    let server = site.config.start();
    let said = || server.log().matches(" serve, from ").count();
    assert_eq!(said(), 1);
    wait_up_to(Duration::from_secs(90), "the second line", || (said() == 2).then_some(()));
    assert_eq!(server.counter("reload_failures"), 1, "attempts are no reloads");
}
