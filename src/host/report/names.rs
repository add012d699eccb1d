//! Host names that come to mean something else: a log line, an event, a counter.

use super::events;
use crate::address::Address;
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::state::{State, with_snapshot};
use crate::names::{Meaning, Remark};
use crate::printable::Printable;

/// What a name means, in one line.
pub fn words(addresses: &[Address]) -> String {
    let words: Vec<String> = addresses.iter().map(Address::to_string).collect();
    if words.is_empty() { "nothing".into() } else { words.join(" ") }
}

/// A name that meant these addresses, with this remark, means something else.
pub fn report_change(state: &State, name: &[u8], before: &Meaning, now: &Meaning) {
    let why = match now.remark {
        Remark::None => String::new(),
        remark => format!(": {remark}"),
    };
    let (whom, company) = users(name);
    let name_shown = Printable::full(name);
    if before.addresses == now.addresses {
        log::warning(format_args!(
            "host name {name_shown} of {whom} means {}{why}",
            words(&now.addresses)
        ));
        return;
    }
    counters::count_own(Own::HostNameChanges);
    events::name_changed(state, name, &company, &now.addresses);
    log::warning(format_args!(
        "host name {name_shown} of {whom} means {} from now on, {} before{why}",
        words(&now.addresses),
        words(&before.addresses)
    ));
}

/// Whose name it is, in words, and the company if there is no other.
fn users(name: &[u8]) -> (String, Vec<u8>) {
    with_snapshot(|view, _| {
        let mut rows = view.named_rows().filter(|row| row.name() == name);
        let Some(first) = rows.next() else { return ("nobody".into(), Vec::new()) };
        let (whom, company) = match first.company() {
            Some(company) => {
                (format!("company \"{}\"", Printable::full(company.id())), company.id().to_vec())
            }
            None => ("trusted sources".to_owned(), Vec::new()),
        };
        match rows.count() {
            0 => (whom, company),
            more => (format!("{whom} and {more} more"), Vec::new()),
        }
    })
    .unwrap_or_default()
}
