//! Private MariaDB and PostgreSQL servers on loopback, stopped when dropped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use super::kamailio::{Config, free_port};
use super::{Folder, wait_for};

/// A database server of the test's own.
pub struct Server {
    kind: Kind,
    folder: Folder,
    port: u16,
    process: Option<Child>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    MariaDb,
    Postgres,
}

/// Less to copy for each server.
const SMALL_LOG: &str = "--innodb-log-file-size=8M";

/// A server that starts clears the temporary tables of all others in a shared one.
fn own_tmpdir(folder: &Folder) -> String {
    format!("--tmpdir={}", folder.path().display())
}

/// The files of a MariaDB without data. To make them takes seconds, so it is done once for each
/// version.
fn new_mariadb() -> &'static Path {
    static FILES: LazyLock<PathBuf> = LazyLock::new(|| {
        let version = Command::new("mariadbd").arg("--version").output().unwrap();
        let version = String::from_utf8(version.stdout).unwrap();
        let version = version.split_whitespace().nth(2).unwrap();
        let files = super::project().join(format!("target/tmp/mariadb-{version}"));
        if !files.exists() {
            let folder = Folder::new();
            let data = super::project().join(format!("target/tmp/mariadb-{}", std::process::id()));
            run(Command::new("mariadb-install-db").args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--user=root",
                SMALL_LOG,
                &format!("--datadir={}", data.display()),
                &own_tmpdir(&folder),
            ]));
            // Another run may have been faster.
            if std::fs::rename(&data, &files).is_err() {
                std::fs::remove_dir_all(data).unwrap();
            }
        }
        files
    });
    &FILES
}

impl Server {
    pub fn mariadb() -> Self {
        let server = Server::new(Kind::MariaDb);
        run(Command::new("cp").arg("-a").arg(new_mariadb()).arg(server.folder.join("data")));
        server.started().with_database(
            "CREATE DATABASE sip; GRANT SELECT ON sip.* TO sip@'127.0.0.1' IDENTIFIED BY 'secret';",
        )
    }

    pub fn postgres() -> Self {
        let server = Server::new(Kind::Postgres);
        let data = server.folder.join("data");
        std::fs::create_dir(&data).unwrap();
        if is_root() {
            run(Command::new("chown").arg("-R").arg("postgres:").arg(server.folder.path()));
        }
        run(unprivileged(&postgres_bin("initdb"))
            .args(["-A", "trust", "-U", "root", "-E", "UTF8", "-D"])
            .arg(&data));
        server
            .started()
            .with_database("CREATE DATABASE sip; CREATE ROLE sip LOGIN PASSWORD 'secret';")
    }

    fn new(kind: Kind) -> Self {
        Server { kind, folder: Folder::new(), port: free_port(), process: None }
    }

    fn started(mut self) -> Self {
        self.start();
        self
    }

    fn with_database(self, sql: &str) -> Self {
        for statement in sql.split_inclusive(';') {
            self.run_in(None, statement);
        }
        self.create_tables();
        if self.kind == Kind::MariaDb {
            self.run("GRANT INSERT, UPDATE ON sip.sipwarden_audit TO sip@'127.0.0.1';");
        } else {
            self.run(
                "GRANT SELECT ON ALL TABLES IN SCHEMA public TO sip;
                 GRANT INSERT, UPDATE ON sipwarden_audit TO sip;",
            );
        }
        self
    }

    /// As the folders of schemas and the schemes of URLs name the server.
    fn word(&self) -> &'static str {
        match self.kind {
            Kind::MariaDb => "mysql",
            Kind::Postgres => "postgres",
        }
    }

    /// Runs the project's own schema.
    pub fn create_tables(&self) {
        let file = format!("kamailio-cfg/sql/{}/sipwarden.sql", self.word());
        self.run(&std::fs::read_to_string(super::project().join(file)).unwrap());
    }

    /// Tables for dialogs beside it, which the module's user may change. Kamailio's table of
    /// versions is ours too.
    pub fn create_dialog_tables(&self) {
        let file = format!("/usr/share/kamailio/{}/dialog-create.sql", self.word());
        self.run(&std::fs::read_to_string(file).unwrap());
        let rights = "SELECT, INSERT, UPDATE, DELETE";
        self.run(&match self.kind {
            Kind::MariaDb => ["dialog", "dialog_vars"]
                .map(|table| format!("GRANT {rights} ON sip.{table} TO sip@'127.0.0.1';"))
                .concat(),
            Kind::Postgres => format!(
                "GRANT {rights} ON dialog, dialog_vars TO sip; GRANT SELECT ON version TO sip;
                 GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO sip;"
            ),
        });
    }

    /// Starts the server and waits until it answers.
    pub fn start(&mut self) {
        let data = self.folder.join("data");
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        let port = self.port.to_string();
        let mut command = match self.kind {
            Kind::MariaDb => {
                let mut command = Command::new("mariadbd");
                command
                    .args([
                        "--no-defaults",
                        "--user=root",
                        SMALL_LOG,
                        "--bind-address=127.0.0.1",
                        "--port",
                        &port,
                    ])
                    .arg(format!("--datadir={}", data.display()))
                    .arg(own_tmpdir(&self.folder))
                    .arg(format!("--socket={}", self.folder.join("socket").display()))
                    .arg(format!("--pid-file={}", self.folder.join("pid").display()));
                command
            }
            Kind::Postgres => {
                let mut command = unprivileged(&postgres_bin("postgres"));
                command.args(["-h", "127.0.0.1", "-p", &port, "-k"]).arg(self.folder.path());
                command.arg("-D").arg(&data);
                command
            }
        };
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().expect("make test installs the database servers"));
        super::wait_up_to(std::time::Duration::from_secs(60), "the database server", || {
            let asked = self
                .client(None)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            asked.unwrap().success().then_some(())
        });
    }

    /// Halts the server: whoever asks it waits.
    pub fn stop(&self) {
        self.signal(libc::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: i32) {
        if let Some(process) = &self.process {
            super::signal(process.id() as i32, signal);
        }
    }

    /// Stops the server at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // PostgreSQL's children go with SIGQUIT to the first one.
            super::signal(process.id() as i32, libc::SIGQUIT);
            if self.kind == Kind::MariaDb {
                let _ = process.kill();
            }
            let _ = process.wait();
        }
    }

    fn client(&self, database: Option<&str>) -> Command {
        let port = self.port.to_string();
        let mut command;
        match self.kind {
            Kind::MariaDb => {
                command = Command::new("mariadb");
                command.args([
                    "--no-defaults",
                    "--default-character-set=utf8mb4",
                    "-u",
                    "root",
                    "--port",
                    &port,
                ]);
                command.arg(format!("--socket={}", self.folder.join("socket").display()));
                command.args(database);
            }
            Kind::Postgres => {
                command = Command::new("psql");
                command.args([
                    "-X",
                    "-q",
                    "-v",
                    "ON_ERROR_STOP=1",
                    "-h",
                    "127.0.0.1",
                    "-U",
                    "root",
                    "-p",
                    &port,
                ]);
                command.arg(database.unwrap_or("postgres"));
            }
        }
        command
    }

    /// Runs SQL in the tables' database.
    pub fn run(&self, sql: &str) {
        self.run_in(Some("sip"), sql);
    }

    /// Runs a file of SQL that names its databases itself.
    pub fn run_script(&self, sql: &str) {
        self.run_in(None, sql);
    }

    /// What goes in `db_url` for another user and database.
    pub fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        let scheme = self.word();
        format!("{scheme}://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// What a query prints, without a head.
    pub fn query(&self, sql: &str) -> String {
        let mut client = self.client(Some("sip"));
        match self.kind {
            Kind::MariaDb => client.args(["-N", "-e", sql]),
            Kind::Postgres => client.args(["-A", "-t", "-c", sql]),
        };
        let out = client.output().unwrap();
        assert!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// A line of shell that asks as the administrator: `mysql` with more arguments.
    pub fn as_mysql(&self) -> String {
        assert!(self.kind == Kind::MariaDb);
        let socket = self.folder.join("socket");
        format!("exec mariadb --no-defaults -u root --socket={} \"$@\"", socket.display())
    }

    /// What a query of another user prints, or the server's complaint.
    pub fn try_query_as(&self, user: &str, password: &str, sql: &str) -> Result<String, String> {
        assert!(self.kind == Kind::MariaDb);
        let login = [format!("-u{user}"), format!("-p{password}"), format!("-P{}", self.port)];
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-h127.0.0.1", "-N", "-e", sql]).args(login);
        let out = client.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    }

    fn run_in(&self, database: Option<&str>, sql: &str) {
        let mut child =
            self.client(database).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{sql}");
    }

    /// A view of the trusted addresses that takes two seconds to read.
    pub fn make_trusted_slow(&self) {
        // Both give an empty text, which is `exempt`.
        let sleep = match self.kind {
            // The driver gives up after 2 s, which is another fault.
            Kind::MariaDb => "IF(SLEEP(1) = 0, '', NULL)",
            Kind::Postgres => "pg_sleep(2)::text",
        };
        self.run(&format!(
            "ALTER TABLE sipwarden_trusted RENAME TO fast;
             CREATE VIEW sipwarden_trusted AS SELECT '192.0.2.1' AS ip_addr, NULL AS mask, {sleep} AS tag;"
        ));
        if self.kind == Kind::Postgres {
            self.run("GRANT SELECT ON sipwarden_trusted TO sip;");
        }
    }

    /// Ends the session that sleeps in [`Server::make_trusted_slow`]'s view.
    pub fn kill_sleeping_session(&self) {
        let find = match self.kind {
            Kind::MariaDb => {
                "SELECT id FROM information_schema.processlist WHERE user = 'sip' AND state LIKE '%sleep%' AND info LIKE '%sipwarden_trusted%';"
            }
            Kind::Postgres => "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep';",
        };
        let id = wait_for("the session to sleep", || {
            let mut client = self.client(Some("sip"));
            match self.kind {
                Kind::MariaDb => client.args(["-N", "-e", find]),
                Kind::Postgres => client.args(["-A", "-t", "-c", find]),
            };
            let out = client.output().unwrap();
            String::from_utf8_lossy(&out.stdout).trim().parse::<u64>().ok()
        });
        match self.kind {
            Kind::MariaDb => self.run(&format!("KILL CONNECTION {id};")),
            Kind::Postgres => self.run(&format!("SELECT pg_terminate_backend({id});")),
        }
    }

    /// What goes in `db_url`.
    pub fn url(&self) -> String {
        self.url_of("sip", "secret", "sip")
    }

    /// The line that loads Kamailio's driver.
    pub fn driver(&self) -> &'static str {
        match self.kind {
            Kind::MariaDb => "loadmodule \"db_mysql.so\"\n",
            Kind::Postgres => "loadmodule \"db_postgres.so\"\n",
        }
    }

    /// A proxy with its tables, which refuses each request and writes that to its audit
    /// table; the header `X-Aor` says of which AoR.
    pub fn audited(&self) -> Config {
        let mut config = Config::new(&self.url())
            .settings(&format!("modparam(\"sipwarden\", \"audit_url\", \"{}\")\n", self.url()))
            .routes(
                r#"
                request_route {
                    roadwarrior_acquire("$hdr(X-Aor)", "c");
                    sl_send_reply("403", "$swd(reason)");
                }"#,
            );
        config.modules = format!("{}loadmodule \"dialog.so\"\n", self.driver());
        config
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn is_root() -> bool {
    // SAFETY: asks for a number.
    unsafe { libc::geteuid() == 0 }
}

/// PostgreSQL refuses to run as root.
fn unprivileged(program: &PathBuf) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command.current_dir("/");
    command
}

fn postgres_bin(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("make test installs postgresql");
    let newest = versions.filter_map(Result::ok).map(|v| v.path()).max().unwrap();
    newest.join("bin").join(name)
}
