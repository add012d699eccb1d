//! Reads the countries of all networks out of a MaxMind DB.
//! Format: <https://maxmind.github.io/MaxMind-DB/>.

use std::collections::HashMap;

use maxminddb::{PathElement, Reader, WithinOptions};

use super::code::CountryCode;
use crate::address::Prefix;

/// A tree has one leaf more than nodes. Leaves may be shared, but not more often than this:
/// a damaged tree may lead back into itself, and the walk must end.
const LEAVES_PER_NODE: u64 = 16;
/// Countries, so that a number fits in a byte.
const MOST_COUNTRIES: usize = 255;

/// A prefix: its first address, its length, and the number of its country.
pub type Network<K> = (K, u8, u8);

/// The networks of a database whose country is known. Empty without a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountryNetworks {
    /// IPv4, in no order.
    pub v4: Vec<Network<u32>>,
    /// IPv6, in no order.
    pub v6: Vec<Network<u128>>,
    /// Country number n, from 1 on, is at n - 1.
    pub codes: Vec<CountryCode>,
    /// When the database was built, seconds since 1970.
    pub built: u64,
    /// Its `database_type`.
    pub kind: String,
}

impl CountryNetworks {
    /// Reads the bytes of a database: of each network the country in which its
    /// addresses are (`country`), else the one in which it is registered
    /// (`registered_country`). Aliases of IPv4 networks in IPv6 (6to4, Teredo) are left
    /// out.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let reader = Reader::from_source(bytes).map_err(|e| format!("is not a MaxMind DB: {e}"))?;
        let metadata = reader.metadata();
        let mut found = CountryNetworks {
            built: metadata.build_epoch,
            kind: metadata.database_type.clone(),
            ..Self::default()
        };
        let mut numbers = CountryNumbers::default();
        let damaged = |e: maxminddb::MaxMindDbError| format!("is damaged: {e}");
        // Leaves without data too: they count towards the bound.
        let options = WithinOptions::default().include_networks_without_data();
        let most = (u64::from(metadata.node_count) + 1) * LEAVES_PER_NODE;
        for (n, network) in (0..).zip(reader.networks(options).map_err(damaged)?) {
            if n >= most {
                return Err("is damaged: its search tree leads back into itself".into());
            }
            let network = network.map_err(damaged)?;
            let Some(at) = network.offset() else { continue };
            let number = numbers.at(at, &mut found.codes, || {
                for of in ["country", "registered_country"] {
                    let path = [PathElement::Key(of), PathElement::Key("iso_code")];
                    if let Some(code) = network.decode_path::<&str>(&path).map_err(damaged)? {
                        return Ok(Some(code.to_owned()));
                    }
                }
                Ok(None)
            })?;
            if number > 0 {
                let network = network.network().map_err(damaged)?;
                found.add(network.network(), network.prefix(), number);
            }
        }
        if found.codes.is_empty() {
            return Err(format!("tells no countries (it is a {:?})", found.kind));
        }
        Ok(found)
    }

    fn add(&mut self, first: std::net::IpAddr, len: u8, number: u8) {
        match Prefix::of_network(first, len) {
            Some(Prefix::V4(bits, len)) => self.v4.push((bits, len, number)),
            Some(Prefix::V6(bits, len)) => self.v6.push((bits, len, number)),
            None => {}
        }
    }

    /// Type, age and size, for the log.
    pub fn summary(&self) -> String {
        format!(
            "{} built at {}, {} networks of {} countries",
            self.kind.escape_debug(),
            self.built,
            self.count(),
            self.codes.len()
        )
    }

    pub fn count(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

/// Numbers of countries by the offset of their record: many networks share one.
#[derive(Default)]
struct CountryNumbers {
    by_offset: HashMap<usize, u8>,
}

impl CountryNumbers {
    /// The number of the country at an offset, 0 for none.
    fn at(
        &mut self,
        offset: usize,
        codes: &mut Vec<CountryCode>,
        read: impl FnOnce() -> Result<Option<String>, String>,
    ) -> Result<u8, String> {
        if let Some(number) = self.by_offset.get(&offset) {
            return Ok(*number);
        }
        let number = match read()? {
            Some(name) => number_of(&name, codes)?,
            None => 0,
        };
        self.by_offset.insert(offset, number);
        Ok(number)
    }
}

fn number_of(name: &str, codes: &mut Vec<CountryCode>) -> Result<u8, String> {
    let code = CountryCode::parse(name.as_bytes())
        .ok_or_else(|| format!("is damaged: \"{}\" is not a country", name.escape_debug()))?;
    let position = codes.iter().position(|known| *known == code).unwrap_or_else(|| {
        codes.push(code);
        codes.len() - 1
    });
    match position < MOST_COUNTRIES {
        true => Ok(position as u8 + 1),
        false => Err(format!("has more than {MOST_COUNTRIES} countries")),
    }
}
