//! A SIP request as a host has parsed it.

use std::net::IpAddr;

/// What functions are told of it.
#[derive(Clone, Default)]
pub struct Request {
    pub id: u32,
    /// Of the process that has it.
    pub pid: u32,
    pub source: Option<IpAddr>,
    pub proxied: bool,
    /// What the script gives in place of the source.
    pub given: Option<String>,
    pub call_id: String,
    pub from: String,
    pub cseq: String,
    pub branch: String,
    pub initial_invite: bool,
    pub within: bool,
    pub misplaced: bool,
    pub credentials: Vec<String>,
    pub stream: bool,
    pub user_agent: String,
    /// What the function returned that has compared the password.
    pub code: String,
}

impl Request {
    /// From an address, or from nobody.
    pub fn from(source: &str) -> Self {
        Request {
            id: 1,
            pid: std::process::id(),
            source: source.parse().ok(),
            call_id: "a@b".into(),
            from: "sip:alice@example.com".into(),
            cseq: "1".into(),
            branch: "z9hG4bK1".into(),
            ..Request::default()
        }
    }

    /// An initial INVITE.
    pub fn invite(source: &str, call_id: &str) -> Self {
        Request { call_id: call_id.into(), initial_invite: true, ..Request::from(source) }
    }
}
