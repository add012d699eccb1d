//! What must hold in each host. Both test programs have these files: `crate::Here` is the host
//! that theirs runs on.

mod databases;
pub mod endings;
mod panics;
mod reload;
mod restart;
mod storms;
pub mod verdicts;

use crate::support;

type Config = support::config::Config<crate::Here>;
type Server = support::running::Running<crate::Here>;
