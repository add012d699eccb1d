//! Settings that are changed while Kamailio runs.
#![forbid(unsafe_code)]

use std::path::Path;

use super::contract::database;
use super::files::check_absolute;
use super::process::keeper;
use super::reload::{geoip, tables_file};
use super::report::{bans, blocks};
use super::settings::{PARAMS, Settings, Value, at};
use super::state::rules::{with_auth_rules, with_rules};
use super::state::{self, State};
use crate::flood::FloodSettings;

/// Whether a setting may be changed.
///
/// # Errors
/// What is wrong with the value.
pub fn check(index: usize, text: Option<&[u8]>, number: i32) -> Result<(), String> {
    let state = state::get().ok_or("not started")?;
    let value = PARAMS.get(index).ok_or("no such parameter")?.check(text, number)?;
    if at::is_auth(index) {
        return state.settings.change_auth(&mut state.auth_rules.settings(), index, &value);
    }
    check_flood(&state.settings, state.flood_rules.settings(), index, &value)
}

/// Checks a setting that can be changed at run time: that files are there, that drivers
/// are loaded, and whether [`Settings::change`] would take it.
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

/// Checks what the configured values name, as far as that keeps Kamailio from starting.
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

/// Whether a text can be meant. A file that is not there, or a disk that is full, keeps no
/// proxy from starting.
fn check_at_start(index: usize, text: &str) -> Result<(), String> {
    match index {
        at::DB_URL => database::check_driver(text),
        _ if text.is_empty() => Ok(()),
        at::AUDIT_URL => database::check_driver(text),
        at::FLOOD_PERSIST => keeper::check_kind(Path::new(text)),
        at::GEOIP_DB | at::TABLES_FILE => check_absolute(Path::new(text)),
        _ => Ok(()),
    }
}

/// Whether what a text names can be used. Asks the host and the file system.
fn check_at_run_time(index: usize, text: &str) -> Result<(), String> {
    check_at_start(index, text)?;
    match index {
        _ if text.is_empty() => Ok(()),
        at::FLOOD_PERSIST => keeper::check(Path::new(text)),
        at::GEOIP_DB => geoip::check(Path::new(text)),
        at::TABLES_FILE => tables_file::check(Path::new(text)),
        _ => Ok(()),
    }
}

/// Changes a setting that was checked, and logs the rules that are new. No lock is held
/// around what asks the host or the file system: workers take that of the rules.
///
/// # Errors
/// What is wrong with the value.
pub fn apply(state: &State, index: usize, value: &Value) -> Result<(), String> {
    match at::is_auth(index) {
        true => apply_auth(state, index, value)?,
        false => apply_flood(state, index, value)?,
    }
    state.values.set(index, value);
    Ok(())
}

fn apply_flood(state: &State, index: usize, value: &Value) -> Result<(), String> {
    let rules = with_rules(state, |rules| *rules);
    let before = state.flood_rules.settings();
    let mut after = before;
    state.settings.change(&mut after, index, value)?;
    if after != before {
        let mut result = Ok(());
        state.flood_rules.change(|flood| result = state.settings.change(flood, index, value));
        result?;
        blocks::log_rules(state, &rules);
    }
    Ok(())
}

fn apply_auth(state: &State, index: usize, value: &Value) -> Result<(), String> {
    let before = with_auth_rules(state, |rules| *rules);
    let mut result = Ok(());
    state.auth_rules.change(|auth| result = state.settings.change_auth(auth, index, value));
    result?;
    bans::log_rules(state, &before);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
