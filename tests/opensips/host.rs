//! A real OpenSIPS with the built module.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::kamailio::free_port;
use crate::support::{Folder, project, signal, wait_for};

/// The library that `make HOST=opensips build` has made.
fn module() -> PathBuf {
    let path = project().join("target/opensips/release/sipwarden.so");
    assert!(path.exists(), "{} is missing: run make test-opensips", path.display());
    path
}

/// Where OpenSIPS's modules are.
fn modules() -> PathBuf {
    let found = Command::new("tools/opensips-modules.sh").current_dir(project()).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())
}

/// The server beside its modules, else the installed one.
fn program() -> PathBuf {
    let modules = modules();
    let mut built = modules.ancestors().map(|dir| dir.join("sbin/opensips"));
    built.find(|path| path.exists()).unwrap_or_else(|| "opensips".into())
}

/// A file of OpenSIPS's sources.
pub fn source(path: &str) -> String {
    let sources = std::env::var_os("OPENSIPS_SRC").expect("OPENSIPS_SRC is set");
    fs::read_to_string(Path::new(&sources).join(path)).unwrap()
}

/// What a test changes in the configuration.
pub struct Config {
    pub workers: u32,
    /// Core parameters.
    pub core: String,
    /// Lines before `loadmodule "sipwarden.so"`.
    pub modules: String,
    /// Lines after it, usually modparams.
    pub settings: String,
    /// `route` and others.
    pub routes: String,
    /// Port of the proxy; a free one if not given.
    pub port: Option<u16>,
    pub db_url: String,
}

/// Answers OPTIONS with the verdict on the company in the request's user part and the pid of
/// the worker.
pub const ANSWER_VERDICT: &str = r#"
route {
    check_company_ip("$rU");
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    sl_send_reply(200, "OK");
}
"#;

impl Config {
    pub fn new(db_url: &str) -> Self {
        Config {
            workers: 4,
            core: String::new(),
            modules: "loadmodule \"db_sqlite.so\"\n".into(),
            settings: String::new(),
            routes: ANSWER_VERDICT.into(),
            port: None,
            db_url: db_url.into(),
        }
    }

    pub fn settings(mut self, lines: &str) -> Self {
        self.settings.push_str(lines);
        self
    }

    pub fn routes(mut self, routes: &str) -> Self {
        self.routes = routes.into();
        self
    }

    /// The whole configuration.
    fn text(&self, port: u16, command_port: u16) -> String {
        format!(
            r#"log_level=3
xlog_level=3
stderror_enabled=yes
syslog_enabled=no
udp_workers={workers}
socket=udp:127.0.0.1:{port}
{core}
mpath="{mpath}/"
loadmodule "proto_udp.so"
loadmodule "signaling.so"
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "sipmsgops.so"
loadmodule "textops.so"
loadmodule "cfgutils.so"
loadmodule "mi_datagram.so"
modparam("mi_datagram", "socket_name", "udp:127.0.0.1:{command_port}")
{modules}
loadmodule "{module}"
modparam("sipwarden", "db_url", "{db_url}")
modparam("sipwarden", "flood_unproven", "block")
{settings}
{routes}
"#,
            workers = self.workers,
            core = self.core,
            mpath = modules().display(),
            modules = self.modules,
            module = module().display(),
            db_url = self.db_url,
            settings = self.settings,
            routes = self.routes,
        )
    }

    /// Starts and waits until commands are answered.
    pub fn start(&self) -> OpenSips {
        let mut opensips = self.spawn();
        wait_for("OpenSIPS to answer", || {
            if let Some(status) = opensips.child.try_wait().unwrap() {
                panic!("OpenSIPS stopped ({status}):\n{}", opensips.log());
            }
            opensips.try_rpc("sipwarden_version", json!([])).ok()
        });
        opensips
    }

    /// Starts an OpenSIPS that must stop by itself; its log.
    pub fn fail_to_start(&self) -> String {
        let mut opensips = self.spawn();
        let status = wait_for("OpenSIPS to stop", || opensips.child.try_wait().unwrap());
        assert!(!status.success(), "{}", opensips.log());
        opensips.log()
    }

    fn spawn(&self) -> OpenSips {
        let folder = Folder::new();
        let port = self.port.unwrap_or_else(free_port);
        let command_port = free_port();
        let config = folder.join("opensips.cfg");
        fs::write(&config, self.text(port, command_port)).unwrap();
        OpenSips::spawn(folder, &config, port, command_port)
    }
}

/// A running OpenSIPS; stopped when dropped.
pub struct OpenSips {
    child: Child,
    folder: Folder,
    port: u16,
    commands: SocketAddr,
}

impl OpenSips {
    /// Of a configuration that answers commands at a port.
    pub fn spawn(folder: Folder, config: &Path, port: u16, command_port: u16) -> Self {
        let log = fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(program())
            // Thousands of dialogs need more than the host's own 32 MiB.
            .args(["-F", "-m", "256", "-M", "16", "-f"])
            .arg(config)
            .arg("-w")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("OpenSIPS is beside the modules of OPENSIPS_MODULES, or installed");
        let commands = (Ipv4Addr::LOCALHOST, command_port).into();
        OpenSips { child, folder, port, commands }
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its main process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it has written to its log.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.join("log")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends TERM to the main process, or KILL to all of them, and waits.
    pub fn stop(&mut self, how: i32) -> ExitStatus {
        let main = self.child.id() as i32;
        signal(if how == libc::SIGKILL { -main } else { main }, how);
        wait_for("OpenSIPS to stop", || self.child.try_wait().unwrap())
    }

    /// Whether the main process still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// A JSON-RPC call over UDP.
    pub fn try_rpc(&self, method: &str, params: Value) -> Result<Value, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut call = json!({"jsonrpc": "2.0", "method": method, "id": 1});
        // No parameters are none at all there.
        if params.as_array().is_none_or(|params| !params.is_empty()) {
            call["params"] = params;
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(text)?;
        socket.set_read_timeout(Some(Duration::from_secs(10))).map_err(text)?;
        socket.connect(self.commands).map_err(text)?;
        socket.send(call.to_string().as_bytes()).map_err(text)?;
        let mut buffer = [0u8; 65536];
        let length = loop {
            match socket.recv(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                received => break received.map_err(text)?,
            }
        };
        let answer: Value = serde_json::from_slice(&buffer[..length]).map_err(|e| e.to_string())?;
        match answer.get("error") {
            Some(error) => {
                let data = error["data"].as_str().map_or(String::new(), |data| format!(": {data}"));
                let message = error["message"].as_str().unwrap_or_default();
                Err(format!("{} {message}{data}", error["code"]))
            }
            None => Ok(answer["result"].clone()),
        }
    }

    /// As [`OpenSips::try_rpc`]; panics on a fault.
    pub fn rpc(&self, method: &str, params: Value) -> Value {
        self.try_rpc(method, params.clone())
            .unwrap_or_else(|e| panic!("{method} {params}: {e}\n{}", self.log()))
    }

    /// Value of one of the module's statistics.
    pub fn counter(&self, name: &str) -> u64 {
        self.rpc("sipwarden_stats", json!([]))["counters"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("no counter {name}"))
    }

    /// Pids of its processes, by what they are.
    pub fn processes(&self, words: &str) -> Vec<u32> {
        let list = self.rpc("ps", json!([]));
        let all = list["Processes"].as_array().unwrap().iter();
        all.filter(|p| p["Type"].as_str().is_some_and(|kind| kind.contains(words)))
            .map(|p| p["PID"].as_u64().unwrap() as u32)
            .collect()
    }
}

impl Drop for OpenSips {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            signal(self.child.id() as i32, libc::SIGTERM);
            for _ in 0..250 {
                if self.child.try_wait().ok().flatten().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Children that a killed main process has left behind.
        // SAFETY: a system call without memory; the group is this OpenSIPS's own.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
        if std::thread::panicking() {
            eprintln!("--- log of OpenSIPS\n{}", self.log());
        }
    }
}
