//! A platform with IvozProvider's tables in a real MariaDB, and sipwarden's views.

use std::fs;

use super::kamailio::Config;
use super::project;
use super::servers::Server;

/// Companies that are made in numbers; ids from 1.
pub const COMPANIES: usize = 3000;
/// Brands; ids from 1.
pub const BRANDS: usize = 20;
/// Passwords that replace those of the shipped grants.
const PASSWORDS: [(&str, &str); 2] = [("change-me-too", "written"), ("change-me", "shown")];

/// The database of a platform.
pub struct Platform {
    pub server: Server,
}

impl Platform {
    /// Tables with thousands of companies, the views, and the grants as they are shipped.
    ///
    /// Company n has the range 10.x.y.0/24, the domain `cn.example`, and the users
    /// alice (`n % 4` calls from elsewhere) and bob (none).
    pub fn start() -> Self {
        let platform = Platform::empty();
        platform.run(&companies());
        platform
    }

    /// As [`Platform::start`], without the views: as it is before sipwarden comes.
    pub fn bare() -> Self {
        let server = Server::mariadb();
        server.run_script(&read("tests/ivozprovider/schema.sql"));
        let platform = Platform { server };
        platform.run(&companies());
        platform
    }

    /// As [`Platform::start`], without any row.
    pub fn empty() -> Self {
        let server = Server::mariadb();
        server.run_script(&read("tests/ivozprovider/schema.sql"));
        let platform = Platform { server };
        platform.install();
        platform
    }

    /// The views and the grants, as they are shipped.
    pub fn install(&self) {
        self.server.run_script(&read("kamailio-cfg/ivozprovider/views.sql"));
        let mut grants = read("kamailio-cfg/ivozprovider/grants.sql");
        for (shipped, ours) in PASSWORDS {
            assert!(grants.contains(shipped), "{shipped}");
            grants = grants.replace(shipped, ours);
        }
        self.server.run_script(&grants);
    }

    /// Runs SQL in the platform's own database.
    pub fn run(&self, sql: &str) {
        self.server.run_script(&format!("USE ivozprovider; {sql}"));
    }

    /// The `db_url` that sees the views only.
    pub fn db_url(&self) -> String {
        self.server.url_of("sipwarden", "shown", "sipwarden")
    }

    /// The `audit_url`.
    pub fn audit_url(&self) -> String {
        self.server.url_of("sipwarden_audit", "written", "sipwarden")
    }

    /// A Kamailio that only answers verdicts, with these tables.
    pub fn config(&self, trusted: &str) -> Config {
        let mut config = Config::new(&self.db_url())
            .settings(&format!("modparam(\"sipwarden\", \"trusted_table\", \"{trusted}\")\n"));
        config.modules = self.server.driver().into();
        config
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(project().join(path)).unwrap()
}

/// The first three numbers of company n's range.
pub fn network_of(n: usize) -> String {
    format!("10.{}.{}", n / 250, n % 250)
}

fn values<'a>(rows: impl Iterator<Item = String> + 'a) -> String {
    rows.collect::<Vec<_>>().join(",")
}

fn companies() -> String {
    let all = || 1..=COMPANIES;
    let sql = [
        ("Brands (id, name)", values((1..=BRANDS).map(|n| format!("({n},'brand {n}')")))),
        (
            "Companies (id, brandId, type)",
            values(all().map(|n| format!("({n},{},'vpbx')", n % BRANDS + 1))),
        ),
        (
            "kam_users_address (companyId, source_address, ip_addr, mask)",
            values(all().map(|n| {
                let network = network_of(n);
                format!("({n},'{network}.0/24','{network}.0',24)")
            })),
        ),
        ("Domains (id, domain)", values(all().map(|n| format!("({n},'c{n}.example')")))),
        (
            "Terminals (id, name, domainId, companyId, password)",
            values(all().map(|n| {
                let (alice, bob) = (2 * n - 1, 2 * n);
                format!("({alice},'alice',{n},{n},'secret'),({bob},'bob',{n},{n},'secret')")
            })),
        ),
        (
            "Users (id, companyId, terminalId, externalIpCalls)",
            values(all().map(|n| {
                let (alice, bob) = (2 * n - 1, 2 * n);
                format!("({alice},{n},{alice},'{}'),({bob},{n},{bob},'0')", n % 4)
            })),
        ),
    ];
    sql.map(|(table, rows)| format!("INSERT INTO {table} VALUES {rows};")).join("\n")
}
