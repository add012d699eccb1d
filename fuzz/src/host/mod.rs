//! A host in Rust, as the tests have it.

#[path = "../../../tests/core/host/begin.rs"]
pub mod begin;
#[path = "../../../tests/core/host/door.rs"]
pub mod door;
#[path = "../../../tests/core/host/examples.rs"]
pub mod examples;
#[path = "../../../tests/core/host/request.rs"]
pub mod request;
#[path = "../../../tests/core/host/rpc.rs"]
pub mod rpc;
#[path = "../../../tests/core/host/served.rs"]
pub mod served;
#[path = "../../../tests/core/host/world.rs"]
pub mod world;
