//! Both proxies of a platform, with the configurations that the project ships.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::kamailio::{free_port, module};
use super::platform::Platform;
use super::{Folder, project, signal, wait_for};

/// A running proxy; stopped when dropped.
pub struct Proxy {
    name: &'static str,
    child: Child,
    folder: Folder,
    port: u16,
}

/// Both, which know each other.
pub struct Proxies {
    pub users: Proxy,
    pub trunks: Proxy,
}

/// What the platform's own modules log in with.
const KAMAILIO: &str = "
    CREATE USER kamailio@'127.0.0.1' IDENTIFIED BY 'own';
    GRANT SELECT ON ivozprovider.* TO kamailio@'127.0.0.1';
    GRANT INSERT, UPDATE ON ivozprovider.BannedAddresses TO kamailio@'127.0.0.1';";

impl Proxies {
    /// Starts users.cfg and trunks.cfg, external calls going to `carrier`, with these
    /// names defined in both.
    pub fn start(platform: &Platform, carrier: SocketAddr, defines: &[(&str, &str)]) -> Self {
        platform.server.run_script(KAMAILIO);
        let (users, trunks) = (free_port(), free_port());
        let quoted = |text: &str| format!("\"{text}\"");
        let db = platform.server.url_of("kamailio", "own", "ivozprovider");
        let both = |ports: [(&'static str, String); 2]| {
            let mut all = vec![
                ("DB_URL", quoted(&platform.db_url())),
                ("AUDIT_URL", quoted(&platform.audit_url())),
                ("PLATFORM_DB_URL", quoted(&db)),
                ("PLATFORM_SQLCON", quoted(&format!("platform=>{db}"))),
                ("WORKERS", "4".into()),
            ];
            all.extend(ports);
            all.extend(defines.iter().map(|&(name, value)| (name, value.to_owned())));
            all
        };
        let of_users = both([
            ("USERS_LISTEN", format!("udp:127.0.0.1:{users}")),
            ("TRUNKS", quoted(&format!("sip:127.0.0.1:{trunks}"))),
        ]);
        let mut of_trunks = both([
            ("TRUNKS_LISTEN", format!("udp:127.0.0.1:{trunks}")),
            ("INSIDE", quoted(&format!("sip:127.0.0.1:{users}"))),
        ]);
        of_trunks.push(("CARRIER", quoted(&format!("sip:{carrier}"))));
        Proxies {
            users: Proxy::start("users", users, &of_users),
            trunks: Proxy::start("trunks", trunks, &of_trunks),
        }
    }

    /// Both read the tables again.
    pub fn reload(&self) {
        for proxy in [&self.users, &self.trunks] {
            let said = proxy.kamcmd(&["sipwarden.reload"]);
            assert!(said.contains("generation"), "{said}");
        }
    }
}

impl Proxy {
    fn start(name: &'static str, port: u16, defines: &[(&str, String)]) -> Self {
        let folder = Folder::new();
        let modules = Command::new("tools/kamailio-modules.sh")
            .current_dir(project())
            .output()
            .expect("the folder of Kamailio's modules");
        let modules = String::from_utf8(modules.stdout).unwrap();
        let ours = module();
        let log = fs::File::create(folder.join("log")).unwrap();
        let socket = format!("\"unix:{}/ctl\"", folder.path().display());
        let define = |name: &str, value: &str| match value {
            "" => ["-A".to_owned(), name.to_owned()],
            _ => ["-A".to_owned(), format!("{name}={value}")],
        };
        let child = Command::new("kamailio")
            .args(["-DD", "-E", "-f"])
            .arg(project().join(format!("kamailio-cfg/ivozprovider/{name}.cfg")))
            .arg("-L")
            .arg(format!("{}/:{}/", modules.trim(), ours.parent().unwrap().display()))
            .arg("-w")
            .arg(folder.path())
            .arg("-Y")
            .arg(folder.path())
            .args(define("CTL_SOCKET", &socket))
            .args(define("TABLES_FILE", &format!("\"{}/kept\"", folder.path().display())))
            .args(defines.iter().flat_map(|(name, value)| define(name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap();
        let mut proxy = Proxy { name, child, folder, port };
        wait_for("the proxy to answer", || {
            assert!(proxy.child.try_wait().unwrap().is_none(), "{}", proxy.log());
            proxy.kamcmd(&["sipwarden.version"]).contains("sipwarden:").then_some(())
        });
        proxy
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("log")).unwrap()).into_owned()
    }

    /// What an operator types; standard output and error.
    pub fn kamcmd(&self, args: &[&str]) -> String {
        let socket = format!("unix:{}/ctl", self.folder.path().display());
        let out = Command::new("kamcmd").args(["-s", &socket]).args(args).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    }

    /// Waits until a line of what kamcmd says is there.
    pub fn wait_until(&self, command: &[&str], expected: &str) {
        wait_for(&format!("{command:?} to say {expected}"), || {
            self.kamcmd(command).lines().any(|line| line.trim() == expected).then_some(())
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the proxy for {}\n{}", self.name, self.log());
        }
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
}
