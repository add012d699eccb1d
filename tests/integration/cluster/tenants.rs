//! Tenants with limits of all kinds.

use std::collections::BTreeMap;

use super::traffic::Ask;

/// Who calls, and what limits that.
#[derive(Default)]
pub struct Tenants {
    pub sql: String,
    pub asks: Vec<Ask>,
    pub limits: BTreeMap<String, u32>,
    /// Scopes that a storm fills.
    pub full: Vec<String>,
}

impl Tenants {
    /// For each limit a company with it; a brand below the sum of its three companies; two
    /// companies with a scope in common; a scope with a limit for ids that are not listed; and
    /// users of a company that has fewer slots than all of them.
    pub fn new(limits: &[u32]) -> Self {
        let mut all = Tenants { sql: sql("brand", "'free', 0"), ..Tenants::default() };
        for (n, &limit) in limits.iter().enumerate() {
            all.add(n, limit);
        }
        all
    }

    fn add(&mut self, n: usize, limit: u32) {
        let twice = 2 * limit;
        self.sql += &sql("brand", &format!("'b{n}', {twice}"));
        let brand = (format!("brand b{n}"), twice);
        self.company(&format!("c{n}"), "free", limit, &[]);
        for name in ["x", "y", "z"] {
            self.company(&format!("{name}{n}"), &format!("b{n}"), limit, &[&brand]);
        }
        let row = |kind: &str, id: &str| {
            let columns = "sipwarden_limit (kind, id, direction, max_calls)";
            format!("INSERT INTO {columns} VALUES ('{kind}', '{id}', 'any', {limit});\n")
        };
        self.sql += &(row(&format!("carrier{n}"), "north") + &row(&format!("did{n}"), "*"));
        let carrier = (format!("carrier{n} north"), limit);
        self.company(&format!("f{n}"), "free", 0, &[&carrier]);
        self.company(&format!("g{n}"), "free", 0, &[&carrier]);
        self.company(&format!("h{n}"), "free", 0, &[&(format!("did{n} 7"), limit)]);
        // A user has three at most.
        let (limit, twice) = (limit.min(3), twice.min(6));
        for user in ["one", "two", "three"] {
            let aor = format!("{user}@r{n}");
            self.sql += &sql("user", &format!("'{aor}', 'r{n}', {limit}"));
            let user = (format!("roadwarrior {aor}"), limit);
            let company = (format!("company r{n}"), twice);
            self.ask(&format!("r{n}"), &[&company, &user]);
        }
        // Only where a company has addresses are calls from elsewhere those of roadwarriors.
        self.sql += &sql("company", &format!("'r{n}', 'free', 1, {twice}"));
        self.sql += &sql("company_address", &format!("'r{n}', '192.0.2.0', 24"));
        let full = [brand.0, carrier.0, format!("company c{n}"), format!("company r{n}")];
        self.full.extend(full);
    }

    fn company(&mut self, name: &str, brand: &str, limit: u32, more: &[&(String, u32)]) {
        self.sql += &sql("company", &format!("'{name}', '{brand}', 0, {limit}"));
        let own = (format!("company {name}"), limit);
        let scopes: Vec<_> = [&own].into_iter().chain(more.iter().copied()).collect();
        self.ask(name, &scopes);
    }

    fn ask(&mut self, company: &str, scopes: &[&(String, u32)]) {
        let limited = || scopes.iter().filter(|(_, limit)| *limit > 0);
        self.limits.extend(limited().map(|&scope| scope.clone()));
        let headers = limited().filter_map(|(scope, _)| {
            let (kind, id) = scope.split_once(' ').unwrap();
            match kind {
                "company" | "brand" => None,
                "roadwarrior" => Some(format!("X-Roadwarrior: {id}\r\n")),
                _ => Some(format!("X-Aor: {kind}={id}\r\n")),
            }
        });
        self.asks.push(Ask {
            company: company.to_owned(),
            headers: headers.collect(),
            scopes: limited().map(|(scope, _)| scope.clone()).collect(),
        });
    }
}

fn sql(table: &str, values: &str) -> String {
    format!("INSERT INTO sipwarden_{table} VALUES ({values});\n")
}
