//! The servers that the module is for, as the tests drive them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::config::Config;
use super::running::Running;

/// Where a server listens that is about to start.
pub struct Place<'a> {
    pub folder: &'a Path,
    /// Of SIP.
    pub port: u16,
    /// Of commands, where these have one.
    pub commands: u16,
}

/// One of them. What a test needs beyond this is that host's alone.
pub trait Host: Sized {
    const NAME: &str;
    /// What is written before the name of one of the module's methods.
    const PREFIX: &str;
    /// A method of the server's own, which answers when it is ready.
    const VERSION: &str;
    /// Answers OPTIONS with the verdict on the company in the request's user part and the pid
    /// of the worker.
    const ANSWER_VERDICT: &str;
    /// Short timers of the modules tm and dialog, so that endings that wait for them come soon.
    const TIMERS: &str;
    /// A proxy whose script counts calls; headers of the INVITE steer it. See
    /// [`super::proxy`].
    const PROXY: &str;
    /// The header X-Aor as scopes of a call, with `+` between them.
    const SCOPES: &str;

    /// The library with the module, and the build in which panics can be injected.
    fn module() -> PathBuf;
    fn faulty_module() -> PathBuf;

    /// The file of a configuration.
    fn text(config: &Config<Self>, place: &Place) -> String;

    /// What starts the server with that file.
    fn command(config: &Config<Self>, file: &Path, place: &Place) -> Command;

    /// A method of the server or the module, by its whole name. `commands`: where it listens
    /// for them.
    fn call(server: &Running<Self>, method: &str, params: &Value) -> Result<Value, String>;

    /// Where that is.
    fn commands(place: &Place) -> SocketAddr;

    /// What each of its processes is, and its pid.
    fn processes(server: &Running<Self>) -> Vec<(String, u32)>;
}
