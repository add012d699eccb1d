//! A host in Rust: it fills the contract and drives the whole module without a server.
//! `served` is what the module calls, `door` calls the module, `world` is what this host
//! knows and is told.
#![deny(unsafe_code)]

pub mod alone;
mod attackers;
mod calls;
mod crowds;
mod door;
mod events;
mod examples;
mod feeds;
mod functions;
mod methods;
mod names;
mod request;
mod rpc;
mod served;
mod settings;
mod start;
mod world;
