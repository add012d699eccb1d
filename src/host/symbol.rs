//! The one symbol that C finds.

use super::contract::abi::sw_module;
use super::contract::entries::table;
use super::module::Sipwarden;

/// What `c_shim/sipwarden.h` declares.
// SAFETY: no other library has a symbol of this name.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static sw_rust_module: sw_module = table::<Sipwarden>();
