//! Writes the file of countries for the firewall, from a MaxMind DB:
//! `sipwarden-countries DATABASE FILE COUNTRY...`. See docs/firewall.md.
#![forbid(unsafe_code)]

use std::fs;
use std::process::ExitCode;

use sipwarden::countries::{CountryCode, CountryNetworks, country_sets};

const USAGE: &str = "usage: sipwarden-countries DATABASE FILE COUNTRY...
Writes the networks of these countries (ES PT ...) out of a MaxMind database of countries
into FILE, for the firewall's sets countries4 and countries6.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [database, file, countries @ ..] if !countries.is_empty() => {
            write(database, file, countries)
        }
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The file is replaced as a whole, or stays as it is.
fn write(database: &str, file: &str, countries: &[String]) -> Result<(), String> {
    let about = |name: &str| {
        let name = name.to_owned();
        move |error: String| format!("{name}: {error}")
    };
    let mut codes = Vec::new();
    for country in countries {
        let code = CountryCode::parse(country.as_bytes());
        codes.push(code.ok_or_else(|| {
            format!("{country:?} is not a country: give two capitals, such as ES")
        })?);
    }
    let bytes = fs::read(database).map_err(|e| e.to_string()).map_err(about(database))?;
    let networks = CountryNetworks::read(&bytes).map_err(about(database))?;
    let sets = country_sets(&networks, &codes).map_err(about(database))?;
    let new = format!("{file}.new");
    fs::write(&new, sets).map_err(|e| e.to_string()).map_err(about(&new))?;
    fs::rename(&new, file).map_err(|e| e.to_string()).map_err(about(file))
}
