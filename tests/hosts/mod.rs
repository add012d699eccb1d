//! What must hold in each host. Both test programs have these files: `crate::Here` is the host
//! that theirs runs on.

pub mod addresses;
mod calls;
mod databases;
pub mod endings;
pub mod floods;
mod grants;
pub mod limits;
mod panics;
mod refusals;
mod reload;
mod restart;
pub mod settings;
mod storms;
mod tables_file;
pub mod verdicts;

use crate::support;

type Config = support::config::Config<crate::Here>;
type Server = support::running::Running<crate::Here>;
