//! Both proxies of a platform, as it has them or with sipwarden's calls.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Mutex;

use super::kamailio::free_port;
use super::platform::Platform;
use super::server::{kamcmd, program, search_path, under};
use super::{Folder, merge, sanitizer, signal, uninterrupted, wait_for};

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The platform as it is, without sipwarden.
    Stock,
    /// The platform, and sipwarden watches.
    Watch,
    /// sipwarden.
    Sipwarden,
}

/// Port of JSON-RPC at a proxy's own address, which nobody else has.
const RPC: u16 = 8000;

/// A running proxy; stopped when dropped.
pub struct Proxy {
    name: &'static str,
    child: Child,
    folder: Folder,
    ip: Ipv4Addr,
    arguments: Vec<String>,
    wrapper: Vec<String>,
}

/// Both, which know each other.
pub struct Proxies {
    pub users: Proxy,
    pub trunks: Proxy,
}

/// Where the platform's servers are.
#[derive(Clone, Copy)]
pub struct Inside {
    pub users: Ipv4Addr,
    pub trunks: Ipv4Addr,
    pub server: Ipv4Addr,
}

impl Inside {
    /// Addresses of loopback for one test, so that all ports may be 5060.
    pub fn new() -> Self {
        static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
        let [high, low] = loop {
            let port = free_port();
            if TAKEN.lock().unwrap().insert(port) {
                break port.to_be_bytes();
            }
        };
        let at = |last| Ipv4Addr::new(127, high, low, last);
        Inside { users: at(10), trunks: at(11), server: at(5) }
    }
}

/// What the platform's own modules log in with.
const KAMAILIO: &str = "
    CREATE USER IF NOT EXISTS kamailio@'127.0.0.1' IDENTIFIED BY 'own';
    GRANT SELECT ON ivozprovider.* TO kamailio@'127.0.0.1';
    GRANT INSERT, UPDATE, DELETE ON ivozprovider.BannedAddresses TO kamailio@'127.0.0.1';";

impl Proxies {
    /// Starts both, external calls going to `carrier`, with these settings; `PROXY` in
    /// them is the name of either.
    pub fn start(
        platform: &Platform,
        kind: Kind,
        inside: Inside,
        carrier: SocketAddr,
        settings: &[(&str, &str)],
    ) -> Self {
        Proxies::start_under(&[], platform, kind, inside, carrier, settings)
    }

    /// The same by another program, which is given Kamailio's.
    pub fn start_under(
        wrapper: &[String],
        platform: &Platform,
        kind: Kind,
        inside: Inside,
        carrier: SocketAddr,
        settings: &[(&str, &str)],
    ) -> Self {
        platform.server.run_script(KAMAILIO);
        let quoted = |text: &str| format!("\"{text}\"");
        let db = platform.server.url_of("kamailio", "own", "ivozprovider");
        let defines = [
            ("DBURL", quoted(&db)),
            ("SQLCON", quoted(&format!("cb=>{db}"))),
            ("WORKERS", "4".into()),
            ("USERS_LISTEN", format!("udp:{}:5060", inside.users)),
            ("TRUNKS_LISTEN", format!("udp:{}:5060", inside.trunks)),
            ("USERS_ADDRESS", quoted(&inside.users.to_string())),
            ("TRUNKS_ADDRESS", quoted(&inside.trunks.to_string())),
            ("CARRIER", quoted(&format!("sip:{carrier}"))),
            ("PUSHSERVERS", "1".into()),
        ];
        let start = |name, ip: Ipv4Addr| {
            let folder = Folder::new();
            let more = merge::settings(
                &platform.db_url(),
                &platform.audit_url(),
                kind == Kind::Watch,
                settings,
            )
            .replace("PROXY", name)
            .replace("LISTEN", &ip.to_string());
            match kind {
                Kind::Stock => {
                    fs::write(folder.join("kamailio.cfg"), merge::stock(name)).unwrap();
                }
                _ => merge::install(name, folder.path(), &more),
            }
            Proxy::start(name, folder, ip, &defines, wrapper)
        };
        Proxies { users: start("users", inside.users), trunks: start("trunks", inside.trunks) }
    }

    /// Both read the tables again, the platform's own modules too.
    pub fn reload(&self) {
        for proxy in [&self.users, &self.trunks] {
            proxy.kamcmd(&["permissions.addressReload"]);
            proxy.kamcmd(&["permissions.trustedReload"]);
            proxy.kamcmd(&["sipwarden.reload"]);
        }
    }
}

impl Proxy {
    fn start(
        name: &'static str,
        folder: Folder,
        ip: Ipv4Addr,
        defines: &[(&str, String)],
        wrapper: &[String],
    ) -> Self {
        let path = folder.path().display();
        let define = |name: &str, value: &str| ["-A".to_owned(), format!("{name}={value}")];
        let mut arguments =
            vec![format!("-f{path}/kamailio.cfg"), format!("-w{path}"), format!("-Y{path}")];
        arguments.push(format!("-L{}", search_path()));
        arguments.extend(define("CTL_SOCKET", &format!("\"unix:{path}/ctl\"")));
        arguments.extend(define("RPC_PORT", &RPC.to_string()));
        arguments.extend(define("RPC_ADDRESS", &ip.to_string()));
        arguments.extend(defines.iter().flat_map(|(name, value)| define(name, value)));
        let wrapper = wrapper.to_vec();
        let child = spawn(&folder, &arguments, &wrapper);
        let mut proxy = Proxy { name, child, folder, ip, arguments, wrapper };
        proxy.wait_until_it_answers();
        proxy
    }

    fn wait_until_it_answers(&mut self) {
        wait_for("the proxy to answer", || {
            assert!(self.child.try_wait().unwrap().is_none(), "{}", self.log());
            self.kamcmd(&["core.version"]).contains("kamailio").then_some(())
        });
    }

    /// Stops it and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.child = spawn(&self.folder, &self.arguments, &self.wrapper);
        self.wait_until_it_answers();
    }

    fn stop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            signal(self.child.id() as i32, libc::SIGTERM);
            for _ in 0..250 {
                if self.child.try_wait().ok().flatten().is_some() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // SAFETY: a system call without memory; the group is this proxy's own.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
    }

    /// Its main process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn address(&self) -> SocketAddr {
        (self.ip, 5060).into()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap()).into_owned()
    }

    /// Where kamcmd finds it.
    pub fn ctl_socket(&self) -> String {
        self.folder.join("ctl").display().to_string()
    }

    /// Where its log is.
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// What an operator types; standard output and error.
    pub fn kamcmd(&self, args: &[&str]) -> String {
        kamcmd(self.folder.path(), args)
    }

    /// Waits until a line of what kamcmd says is there.
    pub fn wait_until(&self, command: &[&str], expected: &str) {
        wait_for(&format!("{command:?} to say {expected}"), || {
            self.kamcmd(command).lines().any(|line| line.trim() == expected).then_some(())
        });
    }

    /// The page on this port of its address, with its head.
    pub fn get(&self, port: u16) -> String {
        let mut stream = TcpStream::connect((self.ip, port)).unwrap();
        let head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let (mut answer, mut part) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&answer).contains("</title>") {
            let len = uninterrupted(|| stream.read(&mut part)).unwrap();
            assert!(len > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&part[..len]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What the portal sends: JSON-RPC over HTTP. The answer with its head.
    pub fn portal(&self, method: &str, params: &[&str]) -> String {
        let params: Vec<_> = params.iter().map(|param| format!("\"{param}\"")).collect();
        let params = params.join(",");
        let body = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":[{params}],\"id\":1}}"
        );
        let mut stream = TcpStream::connect((self.ip, RPC)).unwrap();
        let head = format!(
            "POST /RPC HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
        let mut answer = [0; 4096];
        let len = uninterrupted(|| stream.read(&mut answer)).unwrap();
        String::from_utf8_lossy(&answer[..len]).into_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the proxy for {}\n{}", self.name, self.log());
        }
        self.stop();
        sanitizer::assert_silent(self.folder.path(), &self.log());
    }
}

/// Starts Kamailio, in the foreground of a group of its own.
fn spawn(folder: &Folder, arguments: &[String], wrapper: &[String]) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = under(wrapper, program("kamailio").get_program());
    command
        .args(["-DD", "-E"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0);
    sanitizer::watch(&mut command, folder.path());
    command.spawn().unwrap()
}
