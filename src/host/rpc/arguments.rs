//! Arguments that several methods take, and a fault that they share.

use crate::address::{Address, Prefix};
use crate::flood::LONGEST_BLOCK;
use crate::host::contract::rpc::{Call, Fault};
use crate::host::state::State;
use crate::host::state::rules::source_of;
use crate::printable::Printable;

/// What to answer while no tables are loaded.
pub fn no_snapshot() -> Fault {
    Fault::internal("no snapshot is loaded")
}

/// The next argument: seconds of a block or ban.
pub fn seconds(call: &Call) -> Result<Option<u32>, Fault> {
    call.number("seconds", 1..=LONGEST_BLOCK)
}

/// The next argument, an address.
pub fn address(call: &Call, name: &str) -> Result<Address, Fault> {
    let text = call.required(name)?;
    Address::parse(&text).ok_or_else(|| {
        Fault::argument(format!("{name} \"{}\" is not an IP address", Printable::short(&text)))
    })
}

/// A prefix, or the source that an address belongs to.
pub fn prefix_of(text: &[u8], state: &State) -> Result<Prefix, Fault> {
    if let Some(address) = Address::parse(text) {
        return Ok(source_of(state, address));
    }
    let shown = Printable::short(text);
    Prefix::parse(&String::from_utf8_lossy(text), None)
        .map_err(|e| Fault::argument(format!("address \"{shown}\" {e}")))
}
