//! The script's face: its functions and variables.
#![forbid(unsafe_code)]

pub mod answer;
pub mod auth;
pub mod calls;
mod counting;
pub mod flags;
pub mod flood;
pub mod grants;
pub mod judged;
pub mod listed;
pub mod restored;
pub mod scanner;
mod shared;
pub mod sources;
pub mod spraying;
pub mod variables;
