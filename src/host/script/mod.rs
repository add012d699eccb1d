//! The script's face: its functions and variables.
#![forbid(unsafe_code)]

pub mod answer;
pub mod auth;
pub mod calls;
pub mod flags;
pub mod flood;
pub mod grants;
pub mod judged;
pub mod listed;
pub mod restored;
pub mod scanner;
pub mod sources;
pub mod spraying;
pub mod variables;
