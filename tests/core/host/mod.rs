//! A host in Rust: it fills the contract and drives the whole module without a server.
//! `served` is what the module calls, `door` calls the module, `world` is what this host
//! knows and is told.
#![deny(unsafe_code)]

pub mod alone;
mod attackers;
pub mod begin;
mod calls;
mod crowds;
pub mod door;
mod events;
pub mod examples;
mod feeds;
mod functions;
mod methods;
mod names;
pub mod request;
mod rpc;
mod served;
mod settings;
mod start;
pub mod world;
