//! The configuration of a server that a test starts.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use super::Folder;
use super::host::{Host, Place};
use super::running::{Running, free_port};
use super::scripts::ANSWER_VERDICT;

/// What a test changes in it.
pub struct Config<H> {
    pub module: PathBuf,
    pub workers: u32,
    pub db_url: String,
    /// Core parameters.
    pub core: String,
    /// Lines before `loadmodule "sipwarden.so"`.
    pub modules: String,
    /// Lines after it, usually modparams.
    pub settings: String,
    /// The routes of the script.
    pub routes: String,
    pub environment: Vec<(String, String)>,
    /// Port of the proxy; a free one if not given.
    pub port: Option<u16>,
    /// More arguments for the command line.
    pub arguments: Vec<String>,
    /// Without sipwarden if false.
    pub sipwarden: bool,
    /// What the server is started by: a program and its arguments.
    pub wrapper: Vec<String>,
    /// With a route that answers RPC over HTTP, where it needs one; else the test has one.
    pub http: bool,
    /// User and group that own its folder; those of the test if not given.
    pub owner: Option<u32>,
    of: std::marker::PhantomData<H>,
}

impl<H: Host> Config<H> {
    pub fn new(db_url: &str) -> Self {
        Config {
            module: H::module(),
            workers: 4,
            db_url: db_url.into(),
            core: String::new(),
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
            of: std::marker::PhantomData,
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

    /// A library that its processes load before all others, and the path that the library is
    /// told of by this name.
    pub fn preload(&mut self, library: &Path, name: &str, path: &Path) {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        self.environment.push(("LD_PRELOAD".into(), text(library)));
        self.environment.push((name.into(), text(path)));
    }

    /// The lines that load the module.
    pub fn sipwarden(&self) -> String {
        match self.sipwarden {
            true => format!(
                // Tests flood over UDP, and nearly all are about blocks.
                "loadmodule \"{}\"\nmodparam(\"sipwarden\", \"db_url\", \"{}\")\n\
                 modparam(\"sipwarden\", \"flood_unproven\", \"block\")",
                self.module.display(),
                self.db_url
            ),
            false => String::new(),
        }
    }

    /// Starts and waits until commands are answered.
    pub fn start(&self) -> Running<H> {
        let mut server = self.spawn();
        server.wait_until_ready();
        server
    }

    /// Starts one that may stop by itself: None if it does.
    pub fn try_start(&self) -> Option<Running<H>> {
        let mut server = self.spawn();
        server.answers_or_stops().then_some(server)
    }

    /// Starts one, and does not wait for it.
    pub fn begin(&self) -> Running<H> {
        self.spawn()
    }

    /// Starts a server that must stop by itself; its log.
    pub fn fail_to_start(&self) -> String {
        let mut server = self.spawn();
        let status = server.wait();
        assert!(!status.success(), "{}", server.log());
        server.log()
    }

    fn spawn(&self) -> Running<H> {
        let folder = Folder::new();
        let port = self.port.unwrap_or_else(free_port);
        let place = Place { folder: folder.path(), port, commands: free_port() };
        let file = folder.join("host.cfg");
        fs::write(&file, H::text(self, &place)).unwrap();
        if self.owner.is_some() {
            chown(folder.path(), self.owner, self.owner).unwrap();
        }
        let mut command = H::command(self, &file, &place);
        let commands = H::commands(&place);
        Running::start(&mut command, folder, port, commands)
    }
}
