//! Endings that are Kamailio's own; those of each host are in tests/hosts.

mod answers;
mod by_time;

use std::time::Duration;

use crate::hosts::endings::Stage;
use crate::support::call::{Caller, Endpoint};
use crate::support::proxy::{assert_nothing_left, calls, wait_for_calls};
use crate::support::wait_for;
use serde_json::json;

/// Nothing counts, now and when every process has had its turn.
fn assert_counts_stay_zero(stage: &Stage) {
    for _ in 0..20 {
        assert_eq!(stage.calls(), 0);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The line that says that a call has ended by time, and why.
fn wait_for_line(stage: &Stage, call: &Caller<'_>, company: &str, why: &str) {
    let line = format!("the call {} of company \"{company}\" counts no more: {why}", call.call_id);
    stage.server.wait_for_line(&line);
}
