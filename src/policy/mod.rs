//! Decisions: pure functions of a snapshot, the time and the arguments.
#![forbid(unsafe_code)]

mod auth;
mod calls;
mod flags;
mod flood;
mod monitor;
mod numbers;
mod scopes;
mod source;

pub use auth::{AuthFunction, auth_verdict, watch_auth};
pub use calls::{
    CallFlags, Roadwarrior, call_verdict, roadwarrior, roadwarrior_scopes, roadwarrior_verdict,
};
pub use flood::{FloodFlags, flood_verdict, soften, source_class};
pub use monitor::{is_filter_monitored, watch};
pub use numbers::{AuthNumbers, FloodNumbers, Hit, Numbers};
pub use scopes::{BadScopes, CallScopes, call_scopes, limit_of, named_scopes};
pub use source::{SourceDecision, check_company_ip, check_country, check_source, with_grant};
