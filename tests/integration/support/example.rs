//! A real Kamailio with the example configuration that the project ships.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use super::kamailio::free_port;
use super::server::{kamcmd, program, search_path};
use super::sqlite::Sqlite;
use super::{Folder, own_memory, project, sanitizer, signal, wait_for};

/// Runs kamailio-cfg/kamailio.cfg with 4 workers; stopped when dropped.
pub struct Example {
    child: Child,
    folder: Folder,
    port: u16,
}

impl Example {
    /// Starts it with these tables, relaying to `gateway`.
    pub fn start(db: &Sqlite, gateway: SocketAddr) -> Self {
        Example::start_with(db, gateway, &[], &[])
    }

    /// As [`Example::start`], with names defined, and in a copy of the
    /// configuration in which texts are replaced.
    pub fn start_with(
        db: &Sqlite,
        gateway: SocketAddr,
        defines: &[(&str, String)],
        edits: &[(&str, &str)],
    ) -> Self {
        let (folder, port) = (Folder::new(), free_port());
        let shipped = project().join("kamailio-cfg");
        let mut config = fs::read_to_string(shipped.join("kamailio.cfg")).unwrap();
        for (from, to) in edits {
            assert!(config.contains(from), "{from}");
            config = config.replace(from, to);
        }
        fs::write(folder.join("kamailio.cfg"), config).unwrap();
        fs::copy(shipped.join("http.cfg"), folder.join("http.cfg")).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let define = |name: &str, value: String| ["-A".to_owned(), format!("{name}={value}")];
        let mut command = program("kamailio");
        command
            .args(["-DD", "-E", "-f"])
            .arg(folder.join("kamailio.cfg"))
            .arg("-L")
            .arg(search_path())
            .arg("-w")
            .arg(folder.path())
            .arg("-Y")
            .arg(folder.path())
            .args(define("SIP_LISTEN", format!("udp:127.0.0.1:{port}")))
            .args(define("GATEWAY", format!("\"sip:{gateway}\"")))
            .args(define("CTL_SOCKET", format!("\"unix:{}/ctl\"", folder.path().display())))
            .args(define("DB_URL", format!("\"{}\"", db.url())))
            .args(define("TABLES_FILE", format!("\"{}/kept\"", folder.path().display())))
            .args(define("WORKERS", "4".into()))
            .args(defines.iter().flat_map(|(name, value)| define(name, value.clone())))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        sanitizer::watch(&mut command, folder.path());
        let child = command.spawn().unwrap();
        let mut example = Example { child, folder, port };
        wait_for("the example to answer", || {
            assert!(example.child.try_wait().unwrap().is_none(), "{}", example.log());
            example.kamcmd(&["sipwarden.version"]).contains("sipwarden:").then_some(())
        });
        example
    }

    /// Its main process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Bytes of their own that all of its processes have.
    pub fn own_memory(&self) -> u64 {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        children.chain([pid.into()]).map(own_memory).sum()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("log")).unwrap()).into_owned()
    }

    /// What an operator types; standard output and error.
    pub fn kamcmd(&self, args: &[&str]) -> String {
        kamcmd(self.folder.path(), args)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of Kamailio\n{}", self.log());
        }
        if self.child.try_wait().ok().flatten().is_none() {
            signal(self.child.id() as i32, libc::SIGTERM);
        }
        let _ = self.child.wait();
        sanitizer::assert_silent(self.folder.path(), &self.log());
    }
}
