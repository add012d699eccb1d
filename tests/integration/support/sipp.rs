//! Storms of calls.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::kamailio::free_port;
use super::{Folder, project, wait_up_to};

/// Calls of SIPp, as tests/sipp/storm.xml has them.
pub struct Sipp {
    child: Child,
    log: PathBuf,
    errors: PathBuf,
}

/// What became of them.
pub struct Seen {
    /// By domain.
    pub admitted: HashMap<String, usize>,
    pub refused: usize,
}

impl Sipp {
    /// Starts calls that take the rows in turn.
    pub fn start(
        folder: &Folder,
        name: &str,
        proxy: SocketAddr,
        rows: &[&str],
        invites: usize,
    ) -> Self {
        Sipp::start_at(4000, folder, name, proxy, rows, invites)
    }

    /// So many a second.
    pub fn start_at(
        per_second: u32,
        folder: &Folder,
        name: &str,
        proxy: SocketAddr,
        rows: &[&str],
        invites: usize,
    ) -> Self {
        let fields = folder.join(&format!("{name}.csv"));
        std::fs::write(&fields, format!("SEQUENTIAL\n{}\n", rows.join("\n"))).unwrap();
        let log = folder.join(&format!("{name}.log"));
        let errors = folder.join(&format!("{name}.errors"));
        let child = Command::new("sipp")
            .arg(proxy.to_string())
            .arg("-sf")
            .arg(project().join("tests/sipp/storm.xml"))
            .arg("-inf")
            .arg(fields)
            .args(["-i", "127.0.0.1", "-p", &free_port().to_string(), "-m", &invites.to_string()])
            .args([
                "-r",
                &per_second.to_string(),
                "-l",
                "6000",
                "-nostdin",
                "-timeout",
                "300",
                "-timeout_error",
            ])
            // A request may be lost often on a machine with much else to do.
            .args(["-max_invite_retrans", "30", "-max_non_invite_retrans", "30"])
            // Refusals come in bursts, and an answer that is lost among them comes again only some times.
            .args(["-buff_size", "4000000"])
            .args(["-trace_logs", "-log_file"])
            .arg(&log)
            .args(["-trace_err", "-error_file"])
            .arg(&errors)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Sipp { child, log, errors }
    }

    /// Waits until so many calls were admitted or refused.
    pub fn wait_for_judged(&self, calls: usize) {
        wait_up_to(Duration::from_secs(240), "all calls to be judged", || {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            (text.lines().count() >= calls).then_some(())
        });
    }

    pub fn finish(mut self) -> Seen {
        let went_well = self.child.wait().unwrap().success();
        let errors = std::fs::read_to_string(&self.errors).unwrap_or_default();
        assert!(went_well, "SIPp saw a call fail: {errors}");
        let text = std::fs::read_to_string(&self.log).unwrap();
        let mut admitted = HashMap::new();
        for domain in text.lines().filter_map(|l| l.strip_prefix("admitted=")) {
            *admitted.entry(domain.to_owned()).or_default() += 1;
        }
        Seen { admitted, refused: text.matches("refused=").count() }
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
