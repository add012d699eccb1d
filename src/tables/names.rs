//! Host names in the place of addresses.

use std::collections::{HashMap, HashSet};

use super::kept::parse_addresses;
use super::loader::Loader;
use super::value::{Column, quoted};
use super::{RangeRow, Trusted};
use crate::address::{Address, Prefix};
use crate::limiter::ClassId;
use crate::names::{Answers, host_name};

/// Whom a row with a host name is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedFor {
    /// The company at a position.
    Company(u32),
    /// Trusted sources of a class; None: exempt.
    Trusted(Option<ClassId>),
}

/// A row with a host name, and what that means now.
#[derive(Clone, Debug)]
pub struct NamedRow {
    /// In lower case.
    pub name: Box<[u8]>,
    pub of: NamedFor,
    pub addresses: Vec<NamedAddress>,
}

/// An address of a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedAddress {
    pub address: Address,
    /// It counts without the name too: a row of its own has it.
    pub is_listed: bool,
}

/// What a loader knows of host names.
#[derive(Default)]
pub struct HostNames {
    /// Different names that are allowed; 0: none.
    pub room: usize,
    /// What they mean.
    pub answers: Answers,
    seen: HashSet<Box<[u8]>>,
    classes: HashMap<Box<[u8]>, Option<ClassId>>,
}

impl HostNames {
    /// So many, with these meanings.
    pub fn new(room: usize, answers: Answers) -> Self {
        HostNames { room, answers, ..HostNames::default() }
    }

    /// The name that stands in the place of an address. `wrong` is what is wrong with it as an
    /// address.
    ///
    /// # Errors
    /// It is not a name, or not allowed.
    pub(super) fn name(
        &mut self,
        ip: Column<'_>,
        mask: Column<'_>,
        wrong: String,
    ) -> Result<Box<[u8]>, String> {
        let text = ip.unwrap_or_default();
        let mut parts = text.splitn(2, |byte| *byte == b'/');
        let Some(name) = parts.next().and_then(host_name) else { return Err(wrong) };
        if self.room == 0 {
            return Err(format!("{wrong}; host_names allows names"));
        }
        if mask.is_some() || parts.next().is_some() {
            return Err(format!("ip_addr {}: a host name has no mask", quoted(text)));
        }
        if !self.seen.contains(&name) {
            if self.seen.len() >= self.room {
                return Err(format!(
                    "ip_addr {}: one name too many, host_names is {}",
                    quoted(text),
                    self.room
                ));
            }
            self.seen.insert(name.clone());
        }
        Ok(name)
    }

    /// Notes the class that a trusted name has.
    ///
    /// # Errors
    /// An earlier row says otherwise.
    pub(super) fn set_class(&mut self, name: &[u8], class: Option<ClassId>) -> Result<(), String> {
        match self.classes.insert(name.into(), class) {
            Some(before) if before != class => {
                Err(format!("{} stands twice, with different tags", quoted(name)))
            }
            _ => Ok(()),
        }
    }
}

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
