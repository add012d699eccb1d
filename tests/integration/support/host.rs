//! The servers that the module is for, as the tests drive them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Folder;
use super::config::Config;
use super::running::Running;
use super::sqlite::Sqlite;

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
    /// What a fault begins with that is about too many arguments.
    const TOO_MANY: &str;
    /// The longest fault that is told.
    const FAULT_BYTES: usize;
    /// Short timers of the modules tm and dialog, so that endings that wait for them come soon.
    const TIMERS: &str;
    /// How the script of [`super::proxy`] makes a dialog, and what that does in this host only.
    const DIALOG: &str;
    const MORE: &str;
    /// What that script ends copies of an INVITE with, where the module does so too.
    const ENDS_COPIES: &[&str];
    /// The header X-Aor as scopes of a call, with `+` between them.
    const SCOPES: &str;
    /// With it a refusal that has a transaction is repeated for as long as SIP wants it: a caller
    /// that has heard 100 asks no more.
    const REPEATS: &str;
    /// Settings of the module auth, with which nonces may be used again.
    const AUTH: &str;
    /// What compares a request's password with `right`, in the realm test.invalid: `$rc` is 1, or
    /// -2 if it is wrong.
    const PASSWORD: &str;
    /// What asks for one.
    const CHALLENGE: &str;
    /// What is said of two restored calls whose sockets are another server's, and how often.
    const LEFT_OUT: (&str, usize);
    /// Settings of the module dialog with which its database has all of a dialog at once.
    const WHOLE_DIALOGS: &str;
    /// SQL: how many values the dialogs in that database remember.
    const REMEMBERED: &str;

    /// The library with the module, and the build in which panics can be injected.
    fn module() -> PathBuf;
    fn faulty_module() -> PathBuf;

    /// How long a call may ring.
    fn rings_for(seconds: u32) -> String;

    /// A database with the server's own tables of the module dialog.
    fn dialogs(folder: &Folder) -> Sqlite;

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
