//! What must hold in each host. Both test programs have these files: `crate::Here` is the host
//! that theirs runs on.

pub mod addresses;
mod bans;
mod calls;
mod cluster;
mod countries;
mod databases;
pub mod denied;
pub mod endings;
mod feeds;
pub mod floods;
mod grants;
pub mod limits;
mod listing;
mod logins;
pub mod mistakes;
mod monitor;
mod names;
mod panics;
mod refusals;
mod reload;
mod restart;
pub mod settings;
pub mod startup;
mod storms;
mod tables_file;
mod unwritable;
pub mod verdicts;

use crate::support;

type Config = support::config::Config<crate::Here>;
type Server = support::running::Running<crate::Here>;

/// The begin of a route that relays what is within a call; what follows sees each new request
/// once.
macro_rules! new_requests {
    () => {
        r#"
request_route {
    if (has_totag()) {
        if (loose_route()) { t_relay(); }
        exit;
    }
    if (t_precheck_trans()) { t_check_trans(); exit; }
    t_check_trans();
"#
    };
}
pub(crate) use new_requests;
