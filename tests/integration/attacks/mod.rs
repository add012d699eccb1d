//! Attacks with real packets, and honest phones among them.

mod botnet;
mod forger;
mod meanwhile;
mod scanner;
mod sprayer;

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::call::{Caller, Endpoint};
use crate::support::digest::{challenge, credentials};
use crate::support::example::Example;
use crate::support::kamailio::{Kamailio, OfKamailio};
use crate::support::login::{self, guess};
use crate::support::netns::Namespace;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, Going, wait_for, wait_up_to};

/// An OPTIONS of a stranger.
fn options(from: SocketAddr, server: SocketAddr, n: usize) -> String {
    format!(
        "OPTIONS sip:x@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKa{n}\r\n\
         From: <sip:a@test.invalid>;tag={n}\r\nTo: <sip:x@{server}>\r\nCall-ID: a{n}@{from}\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn source(kamailio: &Kamailio, address: &str) -> Value {
    kamailio.rpc("sipwarden.source", json!([address]))
}
