//! Debian's own kamailio.cfg with the lines that the README shows.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Child;

use super::call::{Endpoint, unique};
use super::machine::{Machine, said};
use super::{project, sanitizer, signal, wait_for};

/// What Debian ships.
pub const CONFIG: &str = "/etc/kamailio/kamailio.cfg";
const LOG: &str = "/srv/kamailio.log";
/// Where anybody may write.
const FOUND: &str = "/tmp";
/// The address that Kamailio finds and listens on.
pub const PROXY: &str = "192.0.2.1";

/// The block of a file between ``` and ``` that has this text.
pub fn block_with(file: &str, text: &str) -> String {
    let whole = fs::read_to_string(project().join(file)).unwrap();
    let mut blocks = whole.split("```").skip(1).step_by(2);
    let found = blocks.find(|block| block.contains(text));
    let found = found.unwrap_or_else(|| panic!("{file}: no block with {text:?}"));
    // Behind the name of the language.
    found.split_once('\n').unwrap().1.to_owned()
}

/// A machine with Debian's configuration as the package brought it.
pub struct Stock {
    pub machine: Machine,
    child: Option<Child>,
}

impl Stock {
    pub fn new() -> Self {
        let machine = Machine::new();
        machine.ok(&format!(
            "ip address add {PROXY}/32 dev lo
            for net in 192.0.2.0/24 198.51.100.0/24 203.0.113.0/24; do ip route add local $net dev lo; done
            echo '{PROXY} proxy.example' >>/etc/hosts
            rm -rf /var/lib/kamailio; install -d -o kamailio -g kamailio /run/kamailio"
        ));
        let stock = Stock { machine, child: None };
        stock.restore_the_configuration();
        stock
    }

    /// Undoes what the owner of this machine has changed; says what it has used.
    fn restore_the_configuration(&self) {
        let unchanged = format!(
            "dpkg-query -W -f '${{Conffiles}}' kamailio | grep -q \"{CONFIG} $(md5sum <{CONFIG} | cut -d' ' -f1)\""
        );
        if self.machine.shell(&unchanged).status.success() {
            println!("{CONFIG} of the installed package");
        } else {
            println!("{CONFIG} is changed: that of the package's sources");
            self.machine.ok(&format!(
                "tar -xOf target/kamailio/files/*.orig.tar.?z --wildcards '*/etc/kamailio.cfg' >{CONFIG}"
            ));
        }
    }

    /// Does what the README says under "Install", without a package, but for what it says
    /// of editors, of the build, and of systemd.
    pub fn install(&self) {
        let blocks =
            ["make install", "make deb"].map(|text| block_with("README.md", text)).concat();
        let skipped = ["apt-get ", "make setup", "make deb", "cd /usr/", "editor ", "systemctl "];
        let lines = blocks.split_inclusive('\n');
        let script: String =
            lines.filter(|line| !skipped.iter().any(|start| line.starts_with(start))).collect();
        self.machine.ok(&script);
        self.edit();
    }

    /// Makes it the server of these domains, in the file that Debian's includes.
    pub fn serve(&self, domains: &[&str]) {
        let lines: String = domains.iter().map(|name| format!("alias=\"{name}\"\n")).collect();
        self.machine.write("/etc/kamailio/kamailio-local.cfg", &lines);
    }

    /// Kamailio's own tables of these names.
    pub fn create_tables(&self, names: &str) {
        self.machine.ok(&format!(
            "for name in standard {names}; do
                sqlite3 /var/lib/kamailio/kamailio.sqlite </usr/share/kamailio/db_sqlite/$name-create.sql
            done"
        ));
    }

    /// Puts the README's lines where the README says.
    fn edit(&self) {
        let lines = block_with("README.md", "include_file \"sipwarden.cfg\"");
        let line = |start: &str| {
            let found = lines.lines().find(|line| line.trim().starts_with(start));
            found.unwrap_or_else(|| panic!("no {start} in {lines}")).to_owned() + "\n"
        };
        self.insert_behind("\nloadmodule \"counters.so\"\n", &line("include_file"));
        self.insert_behind("\nrequest_route {\n", &line("route(SIPWARDEN_FLOOD)"));
        self.insert_behind("\n\troute(AUTH);\n", &line("route(SIPWARDEN);"));
    }

    /// Inserts lines behind a text that stands there once.
    pub fn insert_behind(&self, text: &str, lines: &str) {
        self.replace(CONFIG, text, &format!("{text}{lines}"));
    }

    /// Replaces a text that stands once in a file.
    pub fn replace(&self, file: &str, from: &str, to: &str) {
        let text = self.machine.read(file);
        assert_eq!(text.matches(from).count(), 1, "{from}");
        self.machine.write(file, &text.replace(from, to));
    }

    fn spawn(&self) -> Child {
        let log = fs::File::create(self.machine.path(LOG)).unwrap();
        let mut command = self.machine.command("kamailio");
        command.args(["-DD", "-E", "-u", "kamailio", "-g", "kamailio", "-f", CONFIG]);
        sanitizer::watch(&mut command, Path::new(FOUND));
        command.process_group(0).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// Starts Kamailio as the service would, and waits until it answers.
    pub fn start(&mut self) {
        let mut child = self.spawn();
        wait_for("Kamailio to answer", || {
            assert!(child.try_wait().unwrap().is_none(), "{}", self.log());
            self.machine.shell("kamcmd core.version").status.success().then_some(())
        });
        self.child = Some(child);
    }

    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        self.end(&mut child);
        sanitizer::assert_silent(&self.machine.path(FOUND), &self.log());
    }

    fn end(&self, child: &mut Child) {
        let main = child.id() as i32;
        signal(main, libc::SIGTERM);
        // A child that was just forked may lose the signal: the host waits a minute for it.
        for _ in 0..150 {
            if child.try_wait().unwrap().is_some() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        signal(-main, libc::SIGKILL);
        child.wait().unwrap();
    }

    /// Starts a Kamailio that must stop by itself; its log.
    pub fn fail_to_start(&self) -> String {
        let mut child = self.spawn();
        let status = wait_for("Kamailio to stop", || child.try_wait().unwrap());
        assert!(!status.success(), "{}", self.log());
        self.log()
    }

    /// The main process of what was started.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn log(&self) -> String {
        // Kamailio's own lines show what it was sent.
        let log = fs::read(self.machine.path(LOG)).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }

    pub fn address(&self) -> SocketAddr {
        format!("{PROXY}:5060").parse().unwrap()
    }

    /// What an operator types; standard output and error.
    pub fn kamcmd(&self, arguments: &[&str]) -> String {
        said(&self.machine.command("kamcmd").args(arguments).output().unwrap())
    }

    /// Waits until so many calls are counted.
    pub fn calls_are(&self, calls: u32) {
        let expected = format!("total: {calls}\n");
        wait_for(&expected, || self.kamcmd(&["sipwarden.calls"]).contains(&expected).then_some(()));
    }

    /// Sends a REGISTER; the status of the answer.
    pub fn register(&self, endpoint: &Endpoint, user: &str, domain: &str) -> u16 {
        let (me, id) = (endpoint.address(), unique());
        let text = format!(
            "REGISTER sip:{domain} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{id}\r\n\
             From: <sip:{user}@{domain}>;tag={id}\r\nTo: <sip:{user}@{domain}>\r\nCall-ID: {id}\r\n\
             CSeq: 1 REGISTER\r\nContact: <sip:{user}@{me}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        endpoint.send(&text, self.address());
        let (reply, _) = endpoint.receive_within(super::PATIENCE).expect("a reply");
        reply.status().unwrap()
    }
}

impl Drop for Stock {
    fn drop(&mut self) {
        if std::thread::panicking() && self.machine.path(LOG).exists() {
            eprintln!("--- log of Kamailio\n{}", self.log());
        }
        self.stop();
    }
}

/// An HTTP request to the page; status line and all that follows.
pub fn get(port: u16, path: &str) -> String {
    ask(
        port,
        &format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"),
    )
}

/// The same for JSON that is sent there.
pub fn post(port: u16, path: &str, body: &str) -> String {
    let len = body.len();
    ask(
        port,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n\
             Content-Length: {len}\r\nConnection: close\r\n\r\n{body}"
        ),
    )
}

fn ask(port: u16, request: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}
