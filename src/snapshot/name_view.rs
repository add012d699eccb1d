//! Host names: the rows that have them, and what they meant when the snapshot was compiled.

use std::collections::{HashMap, HashSet};

use super::blob::Section;
use super::names::{AddressRecord, NOBODY, NamedRecord};
use super::sources::{SourceKind, class_of};
use super::view::{CompanyView, View};
use crate::address::{Address, Prefix};
use crate::names::Answers;

/// A row with a host name.
#[derive(Clone, Copy)]
pub struct NamedView<'a> {
    view: View<'a>,
    record: &'a NamedRecord,
}

impl<'a> NamedView<'a> {
    /// In lower case.
    pub fn name(&self) -> &'a [u8] {
        let &[_, _, offset, len, ..] = self.record;
        self.view.text(offset, len as usize)
    }

    /// The company that it is for; None for trusted sources.
    pub fn company(&self) -> Option<CompanyView<'a>> {
        let &[company, ..] = self.record;
        self.view.company_at(company as usize)
    }

    /// The class of trusted sources; None for a company.
    pub fn trusted(&self) -> Option<SourceKind> {
        let &[company, class, ..] = self.record;
        (company == NOBODY).then(|| class_of(class as u8)).flatten()
    }

    /// What it means, in ascending order.
    pub fn addresses(&self) -> impl Iterator<Item = Address> + use<'a> {
        self.records().map(|(address, _)| address)
    }

    /// With each address, whether a row of its own has it.
    fn records(&self) -> impl Iterator<Item = (Address, bool)> + use<'a> {
        let &[.., first, count] = self.record;
        let all: &[AddressRecord] = self.view.section(Section::NamedAddresses);
        let own = all.iter().skip(first as usize).take(count as usize);
        own.map(|&[family, is_listed, a, b, c, d]| {
            let bits: u128 = bytemuck::cast([a, b, c, d]);
            let address = if family == 4 { Address::V4(bits as u32) } else { Address::V6(bits) };
            (address, is_listed != 0)
        })
    }
}

impl<'a> View<'a> {
    /// Rows with host names.
    pub fn named_rows(&self) -> impl Iterator<Item = NamedView<'a>> + use<'a> {
        let (view, records) = (*self, self.section::<NamedRecord>(Section::NamedRows));
        records.iter().map(move |record| NamedView { view, record })
    }

    /// What the names mean in this snapshot.
    pub fn answers(&self) -> Answers {
        self.named_rows().map(|row| (row.name().into(), row.addresses().collect())).collect()
    }

    /// The host name by which a host is in the ranges of a company, or among trusted sources
    /// (None).
    pub fn name_of(&self, company: Option<&[u8]>, host: Prefix) -> Option<&'a [u8]> {
        let own = |row: &NamedView<'_>| row.company().map(|company| company.id()) == company;
        let has = |(address, is_listed): (Address, bool)| !is_listed && address.prefix(128) == host;
        self.named_rows().filter(own).find(|row| row.records().any(has)).map(|row| row.name())
    }

    /// Hosts that are in a company's ranges for a name only, by the company's position.
    pub(super) fn named_only(&self) -> HashMap<u32, HashSet<Prefix>> {
        let mut all: HashMap<u32, HashSet<Prefix>> = HashMap::new();
        for row in self.named_rows() {
            let &[company, ..] = row.record;
            let only = row.records().filter(|(_, is_listed)| !is_listed);
            let only = only.map(|(address, _)| address.prefix(128));
            all.entry(company).or_default().extend(only);
        }
        all
    }
}

impl<'a> CompanyView<'a> {
    /// Rows with host names for it.
    pub fn named_rows(&self) -> impl Iterator<Item = NamedView<'a>> + use<'a> {
        let id = self.id();
        let is_own = move |row: &NamedView<'_>| row.company().is_some_and(|own| own.id() == id);
        self.view().named_rows().filter(is_own)
    }
}
