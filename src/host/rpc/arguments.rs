//! Arguments that several methods take, and faults that they share.

use crate::address::{Address, Prefix};
use crate::flood::LONGEST_BLOCK;
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::state::rules::source_of;
use crate::host::state::{State, with_snapshot};
use crate::printable::Printable;
use crate::snapshot::View;
use crate::tables::alike;

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

/// What to say of an id that no company has: first what to write instead, as an answer may
/// be cut. None if there is one.
pub(super) fn unknown(view: &View<'_>, id: &[u8]) -> Option<String> {
    if view.company(id).is_some() {
        return None;
    }
    let instead = alike(id, view.companies().map(|company| company.id()));
    let instead = instead
        .map_or_else(String::new, |known| format!("write \"{}\": ", Printable::short(known)));
    Some(format!("{instead}company \"{}\" is not known", Printable::short(id)))
}

/// Adds that to a list of a company that is not known.
pub(super) fn tell_if_unknown(reply: &Node<'_>, id: &[u8]) {
    if let Some(hint) = with_snapshot(|view, _| unknown(view, id)).flatten() {
        reply.text(c"hint", hint);
    }
}
