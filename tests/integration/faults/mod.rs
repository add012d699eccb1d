//! Faults in a Kamailio under traffic, each with the outcome that docs/reliability.md promises.
//! `make faults` runs the long form of each.

mod clock;
mod databases;
mod descriptors;
mod disk;
mod entries;
mod entries_of_calls;
mod entries_of_the_start;
mod full;
mod memory;
mod pools;
mod processes;
mod rpc;
mod stops;
mod traffic;

use std::process::Command;

use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::kamailio::{Config, Kamailio};
use crate::support::proxy::{self, call_up, keep_each_dialog};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, Going, wait_for};
use serde_json::json;
use traffic::{end_under_calls, under_calls};

/// Company `c` may have two calls, `d` any number, `office` only from 127.0.1.0/24.
const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 2), ('d', 'b', 0, 0), ('office', 'b', 1, 0);
INSERT INTO sipwarden_company_address VALUES ('office', '127.0.1.0', 24);
";

/// Answers OPTIONS with the verdict on the company in the request's user part.
const VERDICTS: &str = r#"request_route {
    if (is_method("OPTIONS") && !has_totag()) {
        check_company_ip("$rU");
        append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
        sl_send_reply("200", "OK");
        exit;
    }
"#;

/// Whether this is the long form.
fn is_long() -> bool {
    std::env::var_os("FAULTS_LONG").is_some()
}

/// A table that takes seconds to read, where there is none: one for some millions of steps.
fn slow_table(millions: u32) -> String {
    format!(
        "CREATE VIEW sipwarden_trusted AS
        WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {millions}000000)
        SELECT '192.0.2.1' AS ip_addr, NULL AS mask, SUBSTR(MAX(i), 99) AS tag FROM n;"
    )
}

/// A proxy that counts calls and keeps both files.
struct Site {
    folder: Folder,
    db: Sqlite,
    callee: AutoCallee,
    config: Config,
}

impl Site {
    fn new() -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(TENANTS);
        let callee = AutoCallee::start("127.0.0.1");
        let file = |name: &str| folder.join(name).display().to_string();
        let mut config = proxy::config(&db.url(), callee.address).settings(&format!(
            "modparam(\"sipwarden\", \"tables_file\", \"{}\")\n\
             modparam(\"sipwarden\", \"flood_persist\", \"{}\")\n\
             exit_timeout=5\n",
            file("tables"),
            file("blocks")
        ));
        config.routes = config.routes.replacen("request_route {", VERDICTS, 1);
        Site { folder, db, callee, config }
    }

    fn settings(mut self, lines: &str) -> Self {
        self.config.settings.push_str(lines);
        self
    }

    /// Waits until both files keep what there is now.
    fn wait_for_files(&self, kamailio: &Kamailio) {
        kamailio.rpc("sipwarden.block", json!(["203.0.113.7", "600"]));
        let blocks = self.folder.join("blocks");
        wait_for("both files", || {
            let text = std::fs::read_to_string(&blocks).unwrap_or_default();
            (text.contains("203.0.113.7") && kamailio.counter("tables_kept") == 1).then_some(())
        });
    }

    /// Whether a process has the database open.
    fn reads(&self, pid: u32) -> bool {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let mut targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        targets.any(|target| target == self.db.path())
    }

    /// Both files are whole.
    fn assert_files(&self) {
        let tables = std::fs::read(self.folder.join("tables")).unwrap();
        sipwarden::tables::kept::Kept::read(&tables).unwrap();
        let blocks = std::fs::read_to_string(self.folder.join("blocks")).unwrap();
        assert!(blocks.starts_with("sipwarden blocks 1\n") && blocks.ends_with('\n'), "{blocks}");
        assert!(blocks.contains("203.0.113.7"), "{blocks}");
    }
}

/// SIGTERM ends it by itself or by its exit_timeout, and nothing fell over: Kamailio's processes may
/// wait for a lock of its shared memory when they hear of the end, and some of them may have ended
/// with it. A panic that was injected is none of it. No process is left.
fn assert_ends(kamailio: &mut Kamailio) {
    let status = kamailio.stop(libc::SIGTERM);
    let log = kamailio.log();
    assert!(status.success() || log.contains("shutdown timeout triggered"), "{status}: {log}");
    let own = log.lines().filter(|line| !line.contains("host/contract/faults.rs"));
    for bad in ["BUG", "segfault", "core was", "signal 11", "signal 6"] {
        assert!(!own.clone().any(|line| line.contains(bad)), "{bad} in {log}");
    }
    wait_for("its last process to go", || kamailio.live_processes().is_empty().then_some(()));
}

/// The final reply to one call, as its line.
fn answer_to(endpoint: &Endpoint, kamailio: &Kamailio, domain: &str) -> String {
    let mut call = Caller::new(endpoint, kamailio.address(), domain, "");
    call.invite();
    call.final_reply().line
}

/// Pids of all processes of a Kamailio, the main one too.
fn pids(kamailio: &Kamailio) -> Vec<u64> {
    let list = kamailio.rpc("core.psx", json!([]));
    list.as_array().unwrap().iter().map(|process| process["PID"].as_u64().unwrap()).collect()
}

/// A limit of a process that runs, as prlimit(1) takes it: `--as=N:`.
fn limit(pid: u64, limit: &str) {
    let done = Command::new("prlimit").arg(format!("--pid={pid}")).arg(limit).status();
    assert!(done.unwrap().success(), "{limit} of {pid}");
}
