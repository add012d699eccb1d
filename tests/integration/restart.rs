//! A worker that is killed amid traffic. Restarts of both hosts are in tests/hosts.

use std::process::Command;
use std::time::Duration;

use crate::support::callee::AutoCallee;
use crate::support::kamailio::{Kamailio, free_port};
use crate::support::proxy::{calls, config};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for, wait_up_to};
use libc::SIGKILL;

/// Kamailio stops when a child dies; the rest must not hang on what it held. The
/// core's own locks know no dead owner: then its exit timeout (60 s by default)
/// ends the main process, whatever modules do.
#[test]
fn a_killed_worker_cannot_hang_the_shutdown() {
    for round in 0..3 {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(
            "INSERT INTO sipwarden_brand VALUES ('b', 0);
             INSERT INTO sipwarden_company VALUES ('d', 'b', 0, 0);",
        );
        let callee = AutoCallee::start("127.0.0.1");
        let mut kamailio: Kamailio =
            config(&db.url(), callee.address).settings("exit_timeout=5\n").start();
        let sipp = Command::new("sipp")
            .arg(kamailio.address().to_string())
            .arg("-sf")
            .arg(crate::support::project().join("tests/sipp/storm.xml"))
            .arg("-inf")
            .arg(crate::support::project().join("tests/sipp/company-d.csv"))
            .args(["-i", "127.0.0.1", "-p", &free_port().to_string(), "-m", "20000", "-r", "3000"])
            .args(["-l", "20000", "-nostdin", "-timeout", "20"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut sipp = sipp;
        wait_for("traffic", || (calls(&kamailio, "d") > 50 * (round + 1)).then_some(()));
        let worker = kamailio.worker_pid();
        crate::support::signal(worker as i32, SIGKILL);
        wait_up_to(Duration::from_secs(90), "Kamailio to stop", || {
            (!kamailio.runs()).then_some(())
        });
        let _ = sipp.kill();
        let _ = sipp.wait();
    }
}
