//! The database of countries: a file that is read with the tables.

use std::fs::{self, File};
use std::path::Path;

use crate::countries::CountryNetworks;
use crate::host::files::check_absolute;
use crate::memory;

/// Bytes of the largest file that is read.
const MOST_BYTES: u64 = 1 << 30;

/// Whether a file may be the database.
pub fn check(path: &Path) -> Result<(), String> {
    check_absolute(path)?;
    File::open(path).map(drop).map_err(|e| format!("\"{}\" cannot be read: {e}", path.display()))
}

/// Reads the database.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub fn load(path: &Path) -> Result<CountryNetworks, String> {
    let wrong = |why: String| format!("parameter geoip_db: \"{}\" {why}", path.display());
    let cannot = |e: std::io::Error| wrong(format!("cannot be read: {e}"));
    let size = fs::metadata(path).map_err(cannot)?.len();
    if size > MOST_BYTES {
        return Err(wrong(format!("has {size} bytes, more than {MOST_BYTES}")));
    }
    // The file, its networks, and what these grow to.
    memory::ask_for(8 * size as usize).map_err(|why| wrong(format!("cannot be read: {why}")))?;
    // At once, so that a file that is being replaced is the old one or the new one.
    let bytes = fs::read(path).map_err(cannot)?;
    CountryNetworks::read(&bytes).map_err(wrong)
}
