//! Kamailio with the built module.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::host::{Host, Place};
pub use super::running::free_port;
use super::server::{self, program, under};
use super::sqlite::Sqlite;
use super::{Folder, kamailio_scripts, project, uninterrupted};

/// Kamailio among the hosts.
pub struct OfKamailio;

pub type Kamailio = super::running::Running<OfKamailio>;
pub type Config = super::config::Config<OfKamailio>;

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
        .map_or_else(|| project().join("target/faulty/sipwarden.so"), PathBuf::from);
    assert!(path.exists(), "{} is missing: run make integration", path.display());
    path
}

impl Host for OfKamailio {
    const NAME: &str = "Kamailio";
    const PREFIX: &str = "sipwarden.";
    const VERSION: &str = "core.version";
    const TOO_MANY: &str = "400 ";
    /// What kamcmd and JSON-RPC show.
    const FAULT_BYTES: usize = 127;
    const TIMERS: &str = kamailio_scripts::TIMERS;
    const DIALOG: &str = kamailio_scripts::DIALOG;
    const MORE: &str = kamailio_scripts::SPIRAL;
    const ENDS_COPIES: &[&str] = &[];
    const SCOPES: &str = "$(hdr(X-Aor){s.replace,+,;})";
    /// The script refuses without a transaction.
    const REPEATS: &str = "";
    const AUTH: &str = "";
    const PASSWORD: &str = "pv_auth_check(\"test.invalid\", \"right\", \"0\", \"0\");";
    const CHALLENGE: &str = "auth_challenge(\"test.invalid\", \"0\");";
    const LEFT_OUT: (&str, usize) = ("2 calls of restored dialogs are not counted", 1);
    const WHOLE_DIALOGS: &str = "";
    const REMEMBERED: &str = "SELECT COUNT(*) FROM dialog_vars;";

    fn module() -> PathBuf {
        module()
    }

    fn faulty_module() -> PathBuf {
        faulty_module()
    }

    fn rings_for(seconds: u32) -> String {
        format!("modparam(\"tm\", \"fr_inv_timer\", {seconds}000)\n")
    }

    fn dialogs(folder: &Folder) -> Sqlite {
        Sqlite::dialogs(folder)
    }

    fn text(config: &Config, place: &Place) -> String {
        let (folder, port) = (place.folder, place.port);
        format!(
            r#"#!KAMAILIO
debug=2
log_stderror=yes
children={workers}
tcp_children=8
auto_aliases=no
{udp}
{core}
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
            workers = config.workers,
            udp = udp(config, port),
            core = config.core,
            modules = config.modules,
            module = config.sipwarden(),
            folder = folder.display(),
            settings = config.settings,
            routes = config.routes,
            http = match config.http {
                true => "event_route[xhttp:request] {\n    jsonrpc_dispatch();\n}\n",
                false => "",
            },
        )
    }

    fn command(config: &Config, file: &Path, place: &Place) -> Command {
        let mut command = under(&config.wrapper, program("kamailio").get_program());
        command
            // Thousands of dialogs need more than the host's own 64 MiB.
            .args(["-DD", "-E", "-m", "256", "-f"])
            .arg(file)
            .arg("-w")
            .arg(place.folder)
            .arg("-Y")
            .arg(place.folder)
            .args(&config.arguments)
            .envs(config.environment.iter().cloned());
        command
    }

    /// JSON-RPC over HTTP, served by one of the TCP workers.
    fn call(server: &Kamailio, method: &str, params: &Value) -> Result<Value, String> {
        let body = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": 1});
        let body = body.to_string();
        let mut stream =
            TcpStream::connect_timeout(&server.commands, Duration::from_secs(2)).map_err(text)?;
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

    fn commands(place: &Place) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, place.port).into()
    }

    fn processes(server: &Kamailio) -> Vec<(String, u32)> {
        let list = server.rpc("core.psx", json!([]));
        let all = list.as_array().unwrap().iter();
        all.map(|p| (p["DSC"].as_str().unwrap().into(), p["PID"].as_u64().unwrap() as u32))
            .collect()
    }
}

/// Where it listens over UDP. `SIPWARDEN_UDP_RECEIVER`: who receives there (Kamailio 6's
/// `udp_receiver_mode`): 0 processes, 1 threads, 2 threads of that socket.
fn udp(config: &Config, port: u16) -> String {
    let mode = udp_receiver();
    let address = format!("udp:127.0.0.1:{port}");
    let socket = match mode.as_str() {
        "2" => format!("socket = {{\n    bind = {address};\n    agname = \"udp\";\n}}"),
        _ => format!("listen={address}"),
    };
    if !["1", "2"].contains(&&*mode) || config.settings.contains("udp_receiver_mode") {
        return format!("listen={address}");
    }
    let workers = config.workers;
    format!(
        "async_workers_group=\"name=udp;workers={workers};nonblock=0;usleep=0\"\n\
         udp_receiver_mode={mode}\n{socket}"
    )
}

/// Who receives over UDP (Kamailio 6's `udp_receiver_mode`), of `SIPWARDEN_UDP_RECEIVER`.
fn udp_receiver() -> String {
    std::env::var("SIPWARDEN_UDP_RECEIVER").unwrap_or_default()
}

impl Kamailio {
    /// Pid of a worker that runs the script for SIP over UDP.
    pub fn worker_pid(&self) -> u32 {
        let mode = udp_receiver();
        self.process(match mode.as_str() {
            "" | "0" => "udp receiver",
            _ => "Async Task Worker - udp",
        })
    }

    /// The command by which a script asks it.
    pub fn kamcmd_command(&self) -> String {
        server::kamcmd_of(self.folder())
    }

    /// What an operator types; standard output and error.
    pub fn kamcmd(&self, args: &[&str]) -> String {
        server::kamcmd(self.folder(), args)
    }

    /// Changes a setting by Kamailio's own framework, which must take it; `how` is `int`
    /// or `string`.
    pub fn set_now(&self, how: &str, name: &str, value: &str) {
        let answer = self.kamcmd(&[&format!("cfg.set_now_{how}"), "sipwarden", name, value]);
        assert!(!answer.contains("error"), "{name}: {answer}");
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
        match uninterrupted(|| stream.read(&mut chunk)) {
            Ok(0) => return Err("connection closed".into()),
            Ok(n) => seen.extend_from_slice(&chunk[..n]),
            Err(e) => return Err(text(e)),
        }
    }
}
