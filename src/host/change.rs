//! Settings that are changed while the host runs.
#![forbid(unsafe_code)]

use std::path::Path;

use super::contract::database;
use super::files::check_absolute;
use super::process::blocks_keeper;
use super::reload::{geoip, tables_file};
use super::report::{bans, blocks};
use super::settings::{PARAMS, Settings, Value, at, policies};
use super::state::rules::{with_auth_rules, with_rules};
use super::state::{self, State};
use crate::flood::FloodSettings;
use crate::{auth, flood};

/// Whether a setting may be changed.
pub fn check(index: usize, text: Option<&[u8]>, number: i32) -> Result<(), String> {
    let state = state::get().ok_or("not started")?;
    let value = PARAMS.get(index).ok_or("no such parameter")?.check(text, number)?;
    if at::is_auth(index) {
        return state.settings.change_auth(&mut state.auth_rules.settings(), index, &value);
    }
    check_flood(&state.settings, state.flood_rules.settings(), index, &value)
}

/// Checks a new value of a setting: files exist, drivers are loaded, and [`Settings::change`]
/// would accept it.
fn check_flood(
    settings: &Settings,
    mut flood: FloodSettings,
    index: usize,
    value: &Value,
) -> Result<(), String> {
    let name = PARAMS.get(index).map_or("", |param| param.name());
    if !PARAMS.get(index).is_some_and(|param| param.runtime) {
        return Err(format!("parameter {name} cannot be changed at run time"));
    }
    check_text(index, value, check_at_run_time)?;
    settings.change(&mut flood, index, value)
}

/// Checks what the configured values name, as far as that keeps the host from starting.
///
/// # Errors
/// A sentence that names parameter and value.
pub fn check_configured() -> Result<(), String> {
    let configured = Settings::configured();
    let mut values = configured.iter();
    values.try_for_each(|(index, value)| check_text(*index, value, check_at_start))
}

fn check_text(
    index: usize,
    value: &Value,
    check: fn(usize, &str) -> Result<(), String>,
) -> Result<(), String> {
    let Value::Text(text) = value else { return Ok(()) };
    let name = PARAMS.get(index).map_or("", |param| param.name());
    check(index, text).map_err(|why| format!("parameter {name}: {why}"))
}

/// Checks that a text makes sense. A missing file or a full disk must not stop a start.
fn check_at_start(index: usize, text: &str) -> Result<(), String> {
    match index {
        at::DB_URL => database::check_driver(text),
        _ if text.is_empty() => Ok(()),
        at::AUDIT_URL => database::check_driver(text),
        at::FLOOD_PERSIST => blocks_keeper::check_kind(Path::new(text)),
        at::GEOIP_DB | at::TABLES_FILE => check_absolute(Path::new(text)),
        _ => Ok(()),
    }
}

/// Checks that what a text names can be used: asks the host and the file system.
fn check_at_run_time(index: usize, text: &str) -> Result<(), String> {
    check_at_start(index, text)?;
    match index {
        _ if text.is_empty() => Ok(()),
        at::FLOOD_PERSIST => blocks_keeper::check(Path::new(text)),
        at::GEOIP_DB => geoip::check(Path::new(text)),
        at::TABLES_FILE => tables_file::check(Path::new(text)),
        _ => Ok(()),
    }
}

/// Changes a setting that was checked, and logs the new rules. Several processes may change
/// the values of a list at once: a lock, on which workers never wait, keeps rules and values
/// in one order. The log is written without it.
pub fn apply(state: &State, index: usize, value: &Value) -> Result<(), String> {
    let order = state.changing.lock();
    let before = match at::is_auth(index) {
        true => Before::Auth(apply_auth(state, index, value)?.into()),
        false => Before::Flood(apply_flood(state, index, value)?.map(Box::new)),
    };
    state.values.set(index, value);
    if let Some(desk) = state.desk.as_ref().filter(|_| at::is_cluster(index)) {
        desk.standing.set_policies(&policies(&state.values));
    }
    drop(order);
    match before {
        Before::Auth(rules) => bans::log_rules(state, &rules),
        Before::Flood(Some(rules)) => blocks::log_rules(state, &rules),
        Before::Flood(None) => {}
    }
    Ok(())
}

/// The rules before a change; None if the change left them as they were.
enum Before {
    Auth(Box<auth::Rules>),
    Flood(Option<Box<flood::Rules>>),
}

fn apply_flood(state: &State, index: usize, value: &Value) -> Result<Option<flood::Rules>, String> {
    let rules = with_rules(state, |rules| *rules);
    let before = state.flood_rules.settings();
    let mut after = before;
    state.settings.change(&mut after, index, value)?;
    if after == before {
        return Ok(None);
    }
    let mut result = Ok(());
    state.flood_rules.change(|flood| result = state.settings.change(flood, index, value));
    result.map(|()| Some(rules))
}

fn apply_auth(state: &State, index: usize, value: &Value) -> Result<auth::Rules, String> {
    let before = with_auth_rules(state, |rules| *rules);
    let mut result = Ok(());
    state.auth_rules.change(|auth| result = state.settings.change_auth(auth, index, value));
    result.map(|()| before)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;
    use crate::flood::Rules;
    use crate::host::settings::Values;
    use crate::limiter::ClassId;

    #[test]
    fn a_refused_change_changes_nothing() {
        let known = Settings::with_classes(&["carrier=limit:5"]).unwrap();
        let before = FloodSettings::new(100, 2000, 300, 0);
        let flood = before;
        let change = |index, text: &str| {
            check_flood(&known, flood, index, &Value::Text(text.into())).unwrap_err()
        };
        let refused = change(at::FLOOD_COMPANY_SOURCES, "office");
        assert!(refused.contains("\"office\" is neither exempt nor a class"), "{refused}");
        let refused = change(at::FLOOD_CLASS, "office=limit:5");
        assert!(refused.contains("there is no class office"), "{refused}");
        let refused = change(at::FLOOD_PERSIST, "blocks");
        assert!(refused.contains("\"blocks\" does not begin with /"), "{refused}");
        let refused = change(at::MAX_CALLS, "5");
        assert!(refused.contains("max_calls cannot be changed"), "{refused}");
        assert_eq!(flood, before);
    }
    /// Threads in place of processes: the lock is the same for both.
    const WRITERS: u64 = 4;
    const ROUNDS: u64 = 2000;

    /// Waits for all writers.
    fn meet(arrived: &AtomicU64, round: u64) {
        arrived.fetch_add(1, SeqCst);
        while arrived.load(SeqCst) < WRITERS * (round + 1) {
            std::thread::yield_now();
        }
    }

    /// Limit of a class as it is shown and as it is in force.
    fn limits(state: &State) -> (u32, u32) {
        let text = state.values.text(at::FLOOD_CLASS);
        let shown = text.rsplit(':').next().and_then(|limit| limit.parse().ok()).unwrap_or(0);
        let mut rules = Rules::NONE;
        state.flood_rules.refresh(&mut rules);
        (shown, rules.class(Some(ClassId(1))).limit)
    }

    #[test]
    fn the_value_of_a_list_that_is_shown_is_the_one_in_force() {
        let mut settings = Settings::with_classes(&["office=limit:5"]).unwrap();
        settings.snapshot_bytes = 1 << 16;
        let mut flood = FloodSettings::new(100, 2000, 300, 0);
        flood.add_classes(&settings.classes);
        let state = State::new(settings, Values::new().unwrap(), flood, [1, 2], [3, 4]).unwrap();
        let (arrived, wrong) = (&AtomicU64::new(0), &AtomicU64::new(0));
        let work = &|n: u64| {
            for round in 0..ROUNDS {
                let limit = 1 + n + WRITERS * (round % 50);
                let class = Value::Text(format!("office=limit:{limit}"));
                meet(arrived, 2 * round);
                apply(&state, at::FLOOD_CLASS, &class).unwrap();
                meet(arrived, 2 * round + 1);
                let (shown, holds) = limits(&state);
                wrong.fetch_add(u64::from(shown != holds), SeqCst);
            }
        };
        std::thread::scope(|scope| {
            for n in 0..WRITERS {
                scope.spawn(move || work(n));
            }
        });
        assert_eq!(arrived.load(SeqCst), WRITERS * ROUNDS * 2);
        assert_eq!(wrong.load(SeqCst), 0);
    }
}
