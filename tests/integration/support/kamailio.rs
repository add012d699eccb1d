//! A real Kamailio with the built module.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{self, program};
use super::{Folder, project, sanitizer, signal, wait_for};

/// The shipped library; `SIPWARDEN_SO` names one built for another Kamailio.
pub fn module() -> PathBuf {
    let path = std::env::var_os("SIPWARDEN_SO")
        .map_or_else(|| project().join("target/release/sipwarden.so"), PathBuf::from);
    assert!(path.exists(), "{} is missing: run make build", path.display());
    path
}

/// The build in which panics can be injected; `SIPWARDEN_FAULTY_SO` as above.
pub fn faulty_module() -> PathBuf {
    let path = std::env::var_os("SIPWARDEN_FAULTY_SO")
        .map_or_else(|| project().join("target/faulty/debug/libsipwarden.so"), PathBuf::from);
    assert!(path.exists(), "{} is missing: run make integration", path.display());
    path
}

/// What a test changes in the configuration.
pub struct Config {
    pub module: PathBuf,
    pub workers: u32,
    pub db_url: String,
    /// Lines before `loadmodule "sipwarden.so"`.
    pub modules: String,
    /// Lines after it, usually modparams.
    pub settings: String,
    /// `request_route` and others.
    pub routes: String,
    pub environment: Vec<(String, String)>,
    /// Port of the proxy; a free one if not given.
    pub port: Option<u16>,
    /// More arguments for the command line.
    pub arguments: Vec<String>,
    /// Without sipwarden if false.
    pub sipwarden: bool,
    /// What Kamailio is started by: a program and its arguments.
    pub wrapper: Vec<String>,
    /// With a route that answers RPC over HTTP; else the test has one.
    pub http: bool,
    /// User and group that own its folder; those of the test if not given.
    pub owner: Option<u32>,
}

/// Answers OPTIONS with the verdict on the company in the request's user part
/// and the pid of the worker.
pub const ANSWER_VERDICT: &str = r#"
request_route {
    check_company_ip("$rU");
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    sl_send_reply("200", "OK");
}
"#;

impl Config {
    pub fn new(db_url: &str) -> Self {
        Config {
            module: module(),
            workers: 4,
            db_url: db_url.into(),
            modules: "loadmodule \"db_sqlite.so\"\n".into(),
            settings: String::new(),
            routes: ANSWER_VERDICT.into(),
            environment: Vec::new(),
            port: None,
            arguments: Vec::new(),
            sipwarden: true,
            wrapper: Vec::new(),
            http: true,
            owner: None,
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

    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Where it listens over UDP. `SIPWARDEN_UDP_RECEIVER`: who receives there (Kamailio 6's
    /// `udp_receiver_mode`): 0 processes, 1 threads, 2 threads of that socket.
    fn udp(&self, port: u16) -> String {
        let mode = udp_receiver();
        let address = format!("udp:127.0.0.1:{port}");
        let socket = match mode.as_str() {
            "2" => format!("socket = {{\n    bind = {address};\n    agname = \"udp\";\n}}"),
            _ => format!("listen={address}"),
        };
        if !["1", "2"].contains(&&*mode) || self.settings.contains("udp_receiver_mode") {
            return format!("listen={address}");
        }
        let workers = self.workers;
        format!(
            "async_workers_group=\"name=udp;workers={workers};nonblock=0;usleep=0\"\n\
             udp_receiver_mode={mode}\n{socket}"
        )
    }

    fn write(&self, folder: &Path, port: u16) -> PathBuf {
        let module = match self.sipwarden {
            true => format!(
                // Tests flood over UDP, and nearly all are about blocks.
                "loadmodule \"{}\"\nmodparam(\"sipwarden\", \"db_url\", \"{}\")\n\
                 modparam(\"sipwarden\", \"flood_unproven\", \"block\")",
                self.module.display(),
                self.db_url
            ),
            false => String::new(),
        };
        let text = format!(
            r#"#!KAMAILIO
debug=2
log_stderror=yes
children={workers}
tcp_children=8
auto_aliases=no
{udp}
listen=tcp:127.0.0.1:{port}
tcp_accept_no_cl=yes
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "kex.so"
loadmodule "corex.so"
loadmodule "xhttp.so"
loadmodule "jsonrpcs.so"
loadmodule "ctl.so"
{modules}
{module}
modparam("jsonrpcs", "transport", 1)
modparam("ctl", "binrpc", "unix:{folder}/ctl")
{settings}
{routes}
{http}"#,
            workers = self.workers,
            udp = self.udp(port),
            modules = self.modules,
            folder = folder.display(),
            settings = self.settings,
            routes = self.routes,
            http = match self.http {
                true => "event_route[xhttp:request] {\n    jsonrpc_dispatch();\n}\n",
                false => "",
            },
        );
        let path = folder.join("kamailio.cfg");
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts and waits until RPC is answered.
    pub fn start(&self) -> Kamailio {
        let mut kamailio = self.spawn();
        wait_for("Kamailio to answer", || {
            if let Some(status) = kamailio.child.try_wait().unwrap() {
                panic!("Kamailio stopped ({status}):\n{}", kamailio.log());
            }
            kamailio.try_rpc("core.version", json!([])).ok()
        });
        kamailio
    }

    /// Starts one that may stop by itself: None if it does.
    pub fn try_start(&self) -> Option<Kamailio> {
        let mut kamailio = self.spawn();
        let answers = wait_for("Kamailio to answer or to stop", || {
            if kamailio.child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            kamailio.try_rpc("core.version", json!([])).ok().map(|_| true)
        });
        answers.then_some(kamailio)
    }

    /// Starts one, and does not wait for it.
    pub fn begin(&self) -> Kamailio {
        self.spawn()
    }

    /// Starts a Kamailio that must stop by itself; its log.
    pub fn fail_to_start(&self) -> String {
        let mut kamailio = self.spawn();
        let status = wait_for("Kamailio to stop", || kamailio.child.try_wait().unwrap());
        assert!(!status.success(), "{}", kamailio.log());
        kamailio.log()
    }

    fn spawn(&self) -> Kamailio {
        let folder = Folder::new();
        let port = self.port.unwrap_or_else(free_port);
        let config = self.write(folder.path(), port);
        let log = fs::File::create(folder.join("log")).unwrap();
        if self.owner.is_some() {
            chown(folder.path(), self.owner, self.owner).unwrap();
        }
        let kamailio = program("kamailio");
        let kamailio = kamailio.get_program().to_string_lossy();
        let mut words = self.wrapper.iter().map(String::as_str).chain([&*kamailio]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            // Thousands of dialogs need more than the host's own 64 MiB.
            .args(["-DD", "-E", "-m", "256", "-f"])
            .arg(config)
            .arg("-w")
            .arg(folder.path())
            .arg("-Y")
            .arg(folder.path())
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0);
        sanitizer::watch(&mut command, folder.path());
        let child = command.spawn().expect("kamailio is installed by make setup");
        Kamailio { child, folder, port }
    }
}

/// Who receives over UDP (Kamailio 6's `udp_receiver_mode`), of `SIPWARDEN_UDP_RECEIVER`.
fn udp_receiver() -> String {
    std::env::var("SIPWARDEN_UDP_RECEIVER").unwrap_or_default()
}

/// A port that is free for UDP and TCP on 127.0.0.1 now, and that no other test gets: until its
/// server listens nothing else keeps it. The system gives out none of these by itself.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    wait_for("a free port", || {
        let number = std::process::id().wrapping_mul(541).wrapping_add(NEXT.fetch_add(1, Relaxed));
        let port = 10_000 + (number % 20_000) as u16;
        let _tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| port)
    })
}

/// A running Kamailio; stopped when dropped.
pub struct Kamailio {
    child: Child,
    folder: Folder,
    port: u16,
}

impl Kamailio {
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

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
        wait_for("Kamailio to stop", || self.child.try_wait().unwrap())
    }

    /// Pid of a worker that runs the script for SIP over UDP.
    pub fn worker_pid(&self) -> u32 {
        let mode = udp_receiver();
        self.process(match mode.as_str() {
            "" | "0" => "udp receiver",
            _ => "Async Task Worker - udp",
        })
    }

    /// Pid of the first process with these words in its description.
    pub fn process(&self, words: &str) -> u32 {
        let list = self.rpc("core.psx", json!([]));
        let mut all = list.as_array().unwrap().iter();
        let process = all.find(|p| p["DSC"].as_str().is_some_and(|d| d.contains(words)));
        process.unwrap_or_else(|| panic!("no {words} in {list}"))["PID"].as_u64().unwrap() as u32
    }

    /// Whether the main process still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// A JSON-RPC call over HTTP, served by one of the TCP workers.
    pub fn try_rpc(&self, method: &str, params: Value) -> Result<Value, String> {
        let body = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1});
        let body = body.to_string();
        let mut stream =
            TcpStream::connect_timeout(&self.address(), Duration::from_secs(2)).map_err(text)?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(text)?;
        // xhttp wants a Via, as SIP has.
        let request = format!(
            "POST /RPC HTTP/1.1\r\nHost: localhost\r\nVia: SIP/2.0/TCP 127.0.0.1:1\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).map_err(text)?;
        let answer = read_http(&mut stream)?;
        let answer: Value = serde_json::from_slice(&answer).map_err(text)?;
        match answer.get("error") {
            Some(error) => {
                Err(format!("{} {}", error["code"], error["message"].as_str().unwrap_or_default()))
            }
            None => Ok(answer["result"].clone()),
        }
    }

    /// As [`Kamailio::try_rpc`]; panics on a fault.
    pub fn rpc(&self, method: &str, params: Value) -> Value {
        self.try_rpc(method, params.clone())
            .unwrap_or_else(|e| panic!("{method} {params}: {e}\n{}", self.log()))
    }

    /// The command by which a script asks it.
    pub fn kamcmd_command(&self) -> String {
        server::kamcmd_of(self.folder.path())
    }

    /// What an operator types; standard output and error.
    pub fn kamcmd(&self, args: &[&str]) -> String {
        server::kamcmd(self.folder.path(), args)
    }

    /// Changes a setting by Kamailio's own framework, which must take it; `how` is `int`
    /// or `string`.
    pub fn set_now(&self, how: &str, name: &str, value: &str) {
        let answer = self.kamcmd(&[&format!("cfg.set_now_{how}"), "sipwarden", name, value]);
        assert!(!answer.contains("error"), "{name}: {answer}");
    }

    /// Value of one of the module's statistics.
    pub fn counter(&self, name: &str) -> u64 {
        self.rpc("sipwarden.stats", json!([]))["counters"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("no counter {name}"))
    }
}

impl Drop for Kamailio {
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
        // SAFETY: a system call without memory; the group is this Kamailio's own.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
        if std::thread::panicking() {
            eprintln!("--- log of Kamailio\n{}", self.log());
        }
        sanitizer::assert_silent(self.folder.path(), &self.log());
    }
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

pub fn read_http(stream: &mut TcpStream) -> Result<Vec<u8>, String> {
    let mut seen = Vec::new();
    let mut chunk = [0u8; 16384];
    loop {
        if let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&seen[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length:"))
                .and_then(|v| v.trim().parse::<usize>().ok())
                .ok_or_else(|| format!("no length in {head}"))?;
            if seen.len() >= end + 4 + length {
                return Ok(seen[end + 4..end + 4 + length].to_vec());
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) => return Err("connection closed".into()),
            Ok(n) => seen.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(text(e)),
        }
    }
}
