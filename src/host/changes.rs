//! Settings that are changed while Kamailio runs.

use super::auth;
use super::params::{PARAMS, Value, at};
use super::state::{self, State};

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
    state.settings.check(state.flood_rules.settings(), index, &value)
}

/// Changes a setting that was checked. No lock is held around what asks the host or
/// the file system: workers take that of the rules.
///
/// # Errors
/// What is wrong with the value.
pub fn apply(state: &State, index: usize, value: &Value) -> Result<(), String> {
    let before = state.flood_rules.settings();
    let mut after = before;
    if at::is_auth(index) {
        auth::apply_setting(state, index, value)?;
    } else {
        state.settings.change(&mut after, index, value)?;
    }
    if after != before {
        let mut result = Ok(());
        state.flood_rules.change(|flood| result = state.settings.change(flood, index, value));
        result?;
    }
    state.values.set(index, value);
    Ok(())
}
