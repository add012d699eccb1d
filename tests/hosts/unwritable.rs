//! Files that cannot be written or are somebody else's: no proxy stops for that, and
//! each says so, and whose they are.

use std::fs;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use super::{Config, Server};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use libc::SIGTERM;
use serde_json::json;
use sipwarden::tables::kept::Kept;

/// `nobody`; a user as the server's own.
const USER: u32 = 65534;

/// A proxy with both files in a folder of their own.
struct Site {
    folder: Folder,
    db: Sqlite,
    /// Where the files are.
    state: PathBuf,
    config: Config,
}

impl Site {
    fn new() -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(
            "INSERT INTO sipwarden_brand VALUES ('b', 0);
            INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0);
            INSERT INTO sipwarden_company_address VALUES ('office', '127.0.1.0', 24);",
        );
        let state = folder.join("state");
        fs::create_dir(&state).unwrap();
        let modparam = |name: &str, file: &str| {
            format!("modparam(\"sipwarden\", \"{name}\", \"{}\")\n", state.join(file).display())
        };
        let config = Config::new(&db.url())
            .settings(&modparam("tables_file", "tables"))
            .settings(&modparam("flood_persist", "blocks"));
        Site { folder, db, state, config }
    }

    /// Both files are there, with a block in the one of them.
    fn that_ran() -> Self {
        let site = Site::new();
        let mut server = site.config.start();
        site.wait_for_both(&server);
        server.stop(SIGTERM);
        site
    }

    /// Something new for both files; until they have it.
    fn wait_for_both(&self, server: &Server) {
        change(server);
        wait_for("both files", || {
            let blocks = fs::read_to_string(self.state.join("blocks")).unwrap_or_default();
            (blocks.contains("203.0.113.7") && server.counter("tables_kept") == 1).then_some(())
        });
    }

    /// Started by a program, for example one that takes rights away.
    fn wrapped(mut self, words: &[&str]) -> Self {
        self.config.wrapper = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// In a mount namespace where `mount` was done to the folder.
    fn mounted(self, mount: &str) -> Self {
        let script = format!("cd {} && {mount} && exec \"$@\"", self.state.display());
        self.wrapped(&["unshare", "--mount", "sh", "-ec", &script, "sh"])
    }

    fn of_user(self) -> Self {
        let mut site =
            self.wrapped(&["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
        // The library of this folder, which everybody may read.
        let library = site.folder.join("sipwarden.so");
        fs::copy(&site.config.module, &library).unwrap();
        site.config.module = library;
        site.config.owner = Some(USER);
        site
    }
}

fn change(server: &Server) {
    server.ask("reload", json!([]));
    server.ask("block", json!(["203.0.113.7", "600"]));
}

fn assert_serves(server: &Server) {
    let granted = Phone::new("127.0.1.1", server.address()).ask("office");
    assert_eq!(granted.reason, "granted_range");
}

/// It serves, and says of both files that `why` is in the way; once.
fn assert_complains(server: &Server, site: &Site, why: &str) {
    change(server);
    assert_serves(server);
    for (what, file) in [("the tables", "tables"), ("blocks, bans and grants", "blocks")] {
        let begin = format!("{what} are not kept in {}: ", site.state.join(file).display());
        let line = wait_for(&format!("a complaint about {file}"), || {
            let log = server.log();
            let mut lines = log.lines().filter(|l| l.contains(&begin) && l.contains("said once"));
            let line = lines.next().map(str::to_owned);
            assert!(lines.next().is_none(), "twice: {log}");
            line
        });
        assert!(line.contains(why), "{why}: {line}");
    }
    assert_eq!(server.counter("tables_kept"), 0);
    assert_eq!(server.counter("blocks_active"), 1);
}

#[test]
fn a_file_system_that_became_read_only() {
    let site = Site::that_ran().mounted("mount --bind . . && mount -o remount,ro,bind .");
    let mut server = site.config.start();
    assert!(server.log().contains("1 blocks, 0 bans and 0 grants loaded"), "{}", server.log());
    assert_complains(&server, &site, "Read-only file system");
    // The tables of the last run can be read.
    server.stop(SIGTERM);
    site.db.run("DROP TABLE sipwarden_trusted;");
    server = site.config.start();
    assert_serves(&server);
    assert_eq!(server.counter("tables_from_file"), 1);
}

#[test]
fn a_disk_that_is_full() {
    let site = Site::that_ran();
    let before = fs::read(site.state.join("tables")).unwrap();
    // A page for each file that is there, and none for a new one.
    let state = site.state.display().to_string();
    let site = site.mounted(&format!(
        "cp tables blocks .. && mount -t tmpfs -o size=16k tmpfs {state} && cd {state} \
         && cp ../tables ../blocks . && head -c 8192 /dev/zero > rest"
    ));
    let server = site.config.start();
    assert_complains(&server, &site, "No space left on device");
    // As the server sees it, nothing is half.
    let seen = format!("/proc/{}/root{state}", server.pid());
    assert!(fs::read(format!("{seen}/tables")).unwrap() == before);
    assert!(!PathBuf::from(format!("{seen}/tables.new")).exists());
    fs::remove_file(format!("{seen}/rest")).unwrap();
    wait_for("both files", || {
        let blocks = fs::read_to_string(format!("{seen}/blocks")).unwrap();
        (blocks.contains("203.0.113.7") && server.counter("tables_kept") == 1).then_some(())
    });
}

#[test]
fn a_folder_of_somebody_else() {
    let site = Site::new().of_user();
    let server = site.config.start();
    let why = "its folder belongs to root (user 0), and this process is nobody (user 65534); \
               .lock marks the file as in use: chown the folder too";
    assert_complains(&server, &site, why);
    // The folder is given to us: both are written without a restart.
    chown(&site.state, Some(USER), Some(USER)).unwrap();
    wait_for("both files", || {
        (site.state.join("blocks").exists() && server.counter("tables_kept") == 1).then_some(())
    });
    assert_eq!(server.log().matches(" are kept in ").count(), 2, "{}", server.log());
}

#[test]
fn files_of_somebody_else_are_read_if_they_can_be_and_never_written() {
    let site = Site::that_ran();
    let files = ["tables", "blocks"].map(|name| site.state.join(name));
    let before = files.each_ref().map(|file| {
        chown(file, Some(1), Some(1)).unwrap();
        fs::read(file).unwrap()
    });
    let mut server = site.config.start();
    assert!(server.log().contains("1 blocks, 0 bans and 0 grants loaded"), "{}", server.log());
    let why = "it belongs to daemon (user 1), and this process is root (user 0): chown it";
    assert_complains(&server, &site, why);
    server.stop(SIGTERM);
    for (file, before) in files.iter().zip(before) {
        assert!(fs::read(file).unwrap() == before && fs::metadata(file).unwrap().uid() == 1);
    }
    // Not even readable.
    let site = site.of_user();
    chown(&site.state, Some(USER), Some(USER)).unwrap();
    for file in &files {
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let server = site.config.start();
    assert!(server.log().contains("no blocks, bans and grants are loaded"), "{}", server.log());
    assert_complains(&server, &site, "it belongs to daemon (user 1), and this process is nobody");
}

/// A wrong name costs nobody a file, whatever its mode.
#[test]
fn a_file_of_another_kind_that_others_may_write_stays_as_it_is() {
    let site = Site::new();
    let file = site.state.join("tables");
    fs::write(&file, "dear diary\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
    let server = site.config.start();
    wait_for("the complaint", || {
        server.log().contains("others may write to it (mode 664): chmod go-w").then_some(())
    });
    assert_eq!(fs::read_to_string(&file).unwrap(), "dear diary\n");
}

#[test]
fn what_is_no_file_of_blocks_still_stops_the_start() {
    let site = Site::new();
    let blocks = site.state.join("blocks");
    fs::write(&blocks, "root:x:0:0\n").unwrap();
    let log = site.config.fail_to_start();
    assert!(log.contains("blocks\" is not a file of blocks"), "{log}");
    fs::remove_file(&blocks).unwrap();
    fs::create_dir(&blocks).unwrap();
    let log = site.config.fail_to_start();
    assert!(log.contains("blocks\" is not a file of blocks"), "{log}");
    let log = Config::new(&site.db.url())
        .settings("modparam(\"sipwarden\", \"flood_persist\", \"blocks\")\n")
        .fail_to_start();
    assert!(log.contains("parameter flood_persist: \"blocks\" does not begin with /"), "{log}");
}

#[test]
fn a_limit_on_the_size_of_files_ends_nobody() {
    let site = Site::that_ran();
    let before = fs::read(site.state.join("tables")).unwrap();
    // Larger than the limit; the log is not.
    site.db.run(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO sipwarden_company_address SELECT 'office', '10.' || (i / 256) || '.' || (i % 256) || '.0', 24 FROM n;",
    );
    let mut server = site.config.start();
    wait_for("the file", || (server.counter("tables_kept") == 1).then_some(()));
    fs::write(site.state.join("tables"), &before).unwrap();
    let pid = format!("--pid={}", server.process("sipwarden warden"));
    let limit = |bytes: &str| {
        let done = Command::new("prlimit").arg(&pid).arg(format!("--fsize={bytes}:")).status();
        assert!(done.unwrap().success());
    };
    limit("200000");
    server.ask("reload", json!([]));
    wait_for("a complaint", || server.log().contains("File too large").then_some(()));
    assert!(server.runs() && fs::read(site.state.join("tables")).unwrap() == before);
    assert!(!site.state.join("tables.new").exists());
    limit("unlimited");
    wait_for("the file", || (server.counter("tables_kept") == 1).then_some(()));
    assert!(Kept::read(&fs::read(site.state.join("tables")).unwrap()).is_ok());
}

/// Whoever opens a pipe for writing waits for a reader, as for a disk that hangs.
#[test]
fn a_disk_that_never_answers_keeps_nobody_waiting() {
    let site = Site::that_ran();
    let pipes = ["blocks.new", "tables.new"].map(|name| site.state.join(name));
    for pipe in &pipes {
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    }
    let server = site.config.start();
    change(&server);
    let ended = server.counter("flood_blocks_ended");
    server.ask("block", json!(["203.0.113.8", "1"]));
    wait_for("the end of a block", || (server.counter("flood_blocks_ended") > ended).then_some(()));
    let set = server.ask("set", json!(["flood_limit", "77"]));
    assert_eq!((&set["flood_limit"], &set["pending"]), (&json!(77), &json!(0)));
    wait_for("complaints", || {
        let log = server.log();
        let late = |name: &str| log.contains(&format!("{name}: the disk does not answer"));
        (late("blocks") && late("tables")).then_some(())
    });
    assert_eq!(server.counter("tables_kept"), 0);
    // Now there is a reader: a pipe is no file, which is tried anew.
    let mut readers = Vec::new();
    for pipe in &pipes {
        let mut options = fs::OpenOptions::new();
        readers.push(options.read(true).custom_flags(libc::O_NONBLOCK).open(pipe).unwrap());
    }
    site.wait_for_both(&server);
    let log = server.log();
    assert_eq!(log.matches(" are kept in ").count(), 2, "{log}");
}

#[test]
fn two_proxies_do_not_share_a_file() {
    let site = Site::new();
    let first = site.config.start();
    site.wait_for_both(&first);
    let second = site.config.start();
    assert_complains(&second, &site, "another process writes it, and has locked ");
}

#[test]
fn the_files_are_those_of_the_user_it_runs_as() {
    let mut site = Site::new();
    chown(&site.state, Some(USER), Some(USER)).unwrap();
    chown(site.folder.path(), Some(USER), Some(USER)).unwrap();
    // Root until the modules have started.
    site.config.arguments = ["-u", "nobody", "-g", "nogroup"].map(str::to_owned).to_vec();
    site.config.owner = Some(USER);
    let mut server = site.config.start();
    site.wait_for_both(&server);
    assert_eq!(fs::metadata(site.state.join("tables")).unwrap().uid(), USER);
    server.stop(SIGTERM);
    site.db.run("ALTER TABLE sipwarden_user RENAME TO gone;");
    let server = site.config.start();
    assert_serves(&server);
    assert_eq!(server.counter("tables_from_file"), 1);
    site.db.run("ALTER TABLE gone RENAME TO sipwarden_user;");
    crate::support::wait_up_to(std::time::Duration::from_secs(40), "the database's tables", || {
        (server.counter("tables_from_file") == 0).then_some(())
    });
    site.wait_for_both(&server);
}
