//! The targets: each takes bytes, and panics where something is wrong.

pub mod blob;
pub mod bytes;
pub mod feeds;
pub mod functions;
pub mod hosted;
pub mod looks;
pub mod maxmind;
pub mod redis;
pub mod rows;
pub mod rpc;
pub mod saved;
pub mod settings;
pub mod tables_file;
pub mod texts;

/// A name, and what is fed.
pub type Target = (&'static str, fn(&[u8]));

/// Those without a host.
pub const PURE: [Target; 7] = [
    ("rows", rows::run),
    ("blob", blob::run),
    ("tables_file", tables_file::run),
    ("texts", texts::run),
    ("feeds", feeds::run),
    ("maxmind", maxmind::run),
    ("redis", redis::run),
];

/// Those with a host, of which a process has one.
pub const HOSTED: [Target; 4] = [
    ("saved", saved::run),
    ("settings", settings::run),
    ("rpc", rpc::run),
    ("functions", functions::run),
];
