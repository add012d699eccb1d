//! OpenSIPS with the built module.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::scripts;
use crate::support::host::{Host, Place};
use crate::support::server::under;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, config, project, running, uninterrupted};

/// OpenSIPS among the hosts.
pub struct OfOpenSips;

pub type OpenSips = running::Running<OfOpenSips>;
pub type Config = config::Config<OfOpenSips>;

/// What a build has made.
fn built(path: &str) -> PathBuf {
    let path = project().join(path);
    assert!(path.exists(), "{} is missing: run make test-opensips", path.display());
    path
}

/// Where OpenSIPS's modules are.
pub fn modules() -> PathBuf {
    let found =
        Command::new("tools/modules.sh").arg("opensips").current_dir(project()).output().unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())
}

/// The server beside its modules, else the installed one.
fn program() -> PathBuf {
    let modules = modules();
    let mut built = modules.ancestors().map(|dir| dir.join("sbin/opensips"));
    built.find(|path| path.exists()).unwrap_or_else(|| "opensips".into())
}

/// Its version's first number.
pub fn major() -> u32 {
    static MAJOR: OnceLock<u32> = OnceLock::new();
    *MAJOR.get_or_init(|| {
        let said = Command::new(program()).arg("-V").output().unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        let (_, version) = said.split_once("version: opensips ").expect(&said);
        version.split('.').next().unwrap().parse().unwrap()
    })
}

/// A file of OpenSIPS's sources.
pub fn source(path: &str) -> String {
    let sources = std::env::var_os("OPENSIPS_SRC").expect("OPENSIPS_SRC is set");
    fs::read_to_string(Path::new(&sources).join(path)).unwrap()
}

impl Host for OfOpenSips {
    const NAME: &str = "OpenSIPS";
    const PREFIX: &str = "sipwarden_";
    const VERSION: &str = "version";
    /// The server's own, before the module is asked.
    const TOO_MANY: &str = "-32602 ";
    const FAULT_BYTES: usize = usize::MAX;
    const TIMERS: &str = scripts::TIMERS;
    const DIALOG: &str = scripts::DIALOG;
    const MORE: &str = "";
    const ENDS_COPIES: &[&str] = &["\n    t_check_trans();", scripts::TRANSACTION];
    const SCOPES: &str = "$(hdr(X-Aor){re.subst,/\\+/;/g})";
    const REPEATS: &str = "modparam(\"tm\", \"fr_timeout\", 30)\n";
    const AUTH: &str = scripts::AUTH;
    const PASSWORD: &str = scripts::PASSWORD;
    const CHALLENGE: &str = scripts::CHALLENGE;
    /// The dialog module's own line: it does not load them.
    const LEFT_OUT: (&str, usize) = ("Dialog in DB doesn't match any listening sockets", 2);
    const WHOLE_DIALOGS: &str = "modparam(\"dialog\", \"db_flush_vals_profiles\", 1)\n";
    const REMEMBERED: &str = "SELECT COALESCE(SUM(LENGTH(vars) - LENGTH(REPLACE(vars, \
                              'sipwarden_', 'sipwarden'))), 0) FROM dialog;";

    fn module() -> PathBuf {
        built("target/opensips/release/sipwarden.so")
    }

    fn faulty_module() -> PathBuf {
        built("target/opensips/faulty/sipwarden.so")
    }

    fn rings_for(seconds: u32) -> String {
        format!("modparam(\"tm\", \"fr_inv_timeout\", {seconds})\n")
    }

    fn dialogs(folder: &Folder) -> Sqlite {
        let db = Sqlite::empty(folder.join("dialogs.sqlite"));
        db.run("PRAGMA journal_mode=WAL;");
        for name in ["standard", "dialog"] {
            db.run(&source(&format!("scripts/sqlite/{name}-create.sql")));
        }
        db
    }

    fn text(config: &Config, place: &Place) -> String {
        format!(
            r#"log_level=3
xlog_level=3
stderror_enabled=yes
syslog_enabled=no
{core}
udp_workers={workers}
socket=udp:127.0.0.1:{port}
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
modparam("mi_datagram", "socket_name", "udp:127.0.0.1:{commands}")
{modules}
{module}
{settings}
{routes}
"#,
            workers = config.workers,
            port = place.port,
            core = config.core,
            mpath = modules().display(),
            commands = place.commands,
            modules = config.modules,
            module = config.sipwarden(),
            settings = config.settings,
            routes = scripts::of_version(major(), scripts::of_opensips(&config.routes)),
        )
    }

    fn command(config: &Config, file: &Path, place: &Place) -> Command {
        let mut command = under(&config.wrapper, program().as_os_str());
        command
            // Thousands of dialogs need more than the host's own 32 MiB.
            .args(["-F", "-m", "256", "-M", "16", "-f"])
            .arg(file)
            .arg("-w")
            .arg(place.folder)
            .args(&config.arguments)
            .envs(config.environment.iter().cloned());
        command
    }

    fn commands(place: &Place) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, place.commands).into()
    }

    /// JSON-RPC over UDP.
    fn call(server: &OpenSips, method: &str, params: &Value) -> Result<Value, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut call = json!({"jsonrpc": "2.0", "method": method, "id": 1});
        // No parameters are none at all there.
        if params.as_array().is_none_or(|params| !params.is_empty()) {
            call["params"] = params.clone();
        }
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(text)?;
        socket.set_read_timeout(Some(Duration::from_secs(60))).map_err(text)?;
        socket.connect(server.commands).map_err(text)?;
        socket.send(call.to_string().as_bytes()).map_err(text)?;
        let mut buffer = [0u8; 65536];
        let length = uninterrupted(|| socket.recv(&mut buffer)).map_err(text)?;
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

    fn processes(server: &OpenSips) -> Vec<(String, u32)> {
        let list = server.rpc("ps", json!([]));
        let all = list["Processes"].as_array().unwrap().iter();
        all.map(|p| (p["Type"].as_str().unwrap().into(), p["PID"].as_u64().unwrap() as u32))
            .collect()
    }
}
