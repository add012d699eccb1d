//! Rows with host names in the snapshot. Their addresses are among the ranges and trusted
//! sources; here is why.

use super::blob::{Builder, Section};
use super::sources::number_of;
use super::text::Text;
use crate::address::Address;
use crate::tables::{NamedAddress, NamedFor, NamedRow};

/// Position of the company or [`NOBODY`], number of the class, offset and length of the name,
/// first address and how many.
pub type NamedRecord = [u32; 6];
/// Family, whether a row of its own has it, four words of address.
pub type AddressRecord = [u32; 6];

/// In place of a company: trusted sources.
pub(super) const NOBODY: u32 = u32::MAX;

pub(super) fn compile(rows: &[NamedRow], text: &mut Text, out: &mut Builder) -> Option<()> {
    let mut addresses: Vec<AddressRecord> = Vec::new();
    let mut records: Vec<NamedRecord> = Vec::with_capacity(rows.len());
    for row in rows {
        let (company, class) = match row.of {
            NamedFor::Company(company) => (company, 0),
            NamedFor::Trusted(class) => (NOBODY, number_of(class)),
        };
        let (first, count) = (addresses.len() as u32, row.addresses.len() as u32);
        addresses.extend(row.addresses.iter().map(address_record));
        let name = text.add(&row.name)?;
        records.push([company, class.into(), name, row.name.len() as u32, first, count]);
    }
    out.section(Section::NamedRows, &records)?;
    out.section(Section::NamedAddresses, &addresses)
}

fn address_record(named: &NamedAddress) -> AddressRecord {
    let (family, bits) = match named.address {
        Address::V4(bits) => (4, u128::from(bits)),
        Address::V6(bits) => (6, bits),
    };
    let [a, b, c, d]: [u32; 4] = bytemuck::cast(bits);
    [family, named.is_listed.into(), a, b, c, d]
}
