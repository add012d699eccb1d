//! The script's face: its functions and variables.

pub mod auth;
pub mod calls;
pub mod flags;
pub mod flood;
pub mod judged;
pub mod sources;
pub mod told;
pub mod variables;
