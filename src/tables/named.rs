//! Rows with host names, and what they add to ranges and trusted sources.

use std::collections::HashSet;

use super::loader::Loader;
use super::{HostNames, NamedAddress, NamedFor, NamedRow, RangeRow, Trusted};
use crate::address::{Address, Prefix};
use crate::names::{host_name, parse_addresses};

impl Loader {
    /// With host names, and what they mean.
    pub fn host_names(mut self, names: HostNames) -> Self {
        self.host_names = names;
        self
    }

    /// What a name meant when the rows were kept, unless it is known better.
    pub(super) fn kept_answer(&mut self, name: &[u8], addresses: &[u8]) {
        let Some(name) = host_name(name) else { return };
        let addresses = || parse_addresses(addresses);
        self.host_names.answers.entry(name).or_insert_with(addresses);
    }

    pub(super) fn named_row(&mut self, name: Box<[u8]>, of: NamedFor) {
        self.config.names.push(NamedRow { name, of, addresses: Vec::new() });
    }

    /// Adds what the names mean to ranges and trusted sources. A row of its own comes before a
    /// name, and the first of several names.
    pub(super) fn add_named_addresses(&mut self) {
        let config = &mut self.config;
        if config.names.is_empty() {
            return;
        }
        let mut names = std::mem::take(&mut config.names);
        let companies: HashSet<u32> = names.iter().filter_map(company_of).collect();
        let is_meant =
            |company: u32, len: u8, host: u8| len == host && companies.contains(&company);
        let v4 = config.ranges_v4.iter().filter(|row| is_meant(row.company, row.len, 32));
        let v6 = config.ranges_v6.iter().filter(|row| is_meant(row.company, row.len, 128));
        let v4 = v4.map(|row| (row.company, Address::V4(row.start)));
        let listed: HashSet<_> =
            v4.chain(v6.map(|row| (row.company, Address::V6(row.start)))).collect();
        let trusted_rows: HashSet<Prefix> = self.trusted.keys().copied().collect();
        for row in &mut names {
            let addresses = self.host_names.answers.get(&row.name).into_iter().flatten();
            for address in addresses.copied() {
                let host = address.prefix(128);
                let is_listed = match row.of {
                    NamedFor::Company(company) => listed.contains(&(company, address)),
                    NamedFor::Trusted(_) => trusted_rows.contains(&host),
                };
                row.addresses.push(NamedAddress { address, is_listed });
                match (row.of, address) {
                    _ if is_listed => {}
                    (NamedFor::Company(company), Address::V4(start)) => {
                        config.ranges_v4.push(RangeRow { company, start, len: 32 });
                    }
                    (NamedFor::Company(company), Address::V6(start)) => {
                        config.ranges_v6.push(RangeRow { company, start, len: 128 });
                    }
                    (NamedFor::Trusted(class), _) if !self.trusted.contains_key(&host) => {
                        self.trusted.insert(host, class);
                        config.trusted.push(Trusted { prefix: host, class, is_named: true });
                    }
                    (NamedFor::Trusted(_), _) => {}
                }
            }
        }
        config.names = names;
    }
}

fn company_of(row: &NamedRow) -> Option<u32> {
    match row.of {
        NamedFor::Company(company) => Some(company),
        NamedFor::Trusted(_) => None,
    }
}
