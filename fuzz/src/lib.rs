//! What is fuzzed: the code that a host runs, as a library. `make fuzz` feeds the targets with what
//! libFuzzer makes up; tests/core/fuzzed.rs feeds them with the corpora alone.

pub mod host;
pub mod targets;
