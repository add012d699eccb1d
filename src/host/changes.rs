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

/// Changes a setting that was checked. The lock of the rules, which workers take, is
/// held around nothing that asks the host or the file system. Several processes may
/// change values of a list at once: rules and values change in one order, by a lock that
/// nobody else waits for.
///
/// # Errors
/// What is wrong with the value.
pub fn apply(state: &State, index: usize, value: &Value) -> Result<(), String> {
    let _order = state.changing.lock();
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use super::*;
    use crate::flood::{ClassId, FloodSettings, Rules};
    use crate::host::settings::Settings;
    use crate::host::values::Values;
    use crate::shm::Area;

    const PROCESSES: u64 = 4;
    const ROUNDS: u64 = 2000;

    /// All processes are there.
    fn meet(arrived: &AtomicU64, round: u64) {
        arrived.fetch_add(1, SeqCst);
        while arrived.load(SeqCst) < PROCESSES * (round + 1) {
            std::thread::yield_now();
        }
    }

    /// Limit of `default` as it is shown and as it is in force.
    fn limits(state: &State) -> (u32, u32) {
        let text = state.values.text(at::FLOOD_CLASS);
        let shown = text.rsplit(':').next().and_then(|limit| limit.parse().ok()).unwrap_or(0);
        let mut rules = Rules::NONE;
        state.flood_rules.refresh(&mut rules);
        (shown, rules.class(Some(ClassId(1))).limit)
    }

    #[test]
    fn what_is_shown_of_a_list_is_what_holds() {
        let (mut settings, _) = Settings::take().unwrap();
        settings.snapshot_bytes = 1 << 16;
        settings.classes.add("office".into()).unwrap();
        let mut flood = FloodSettings::new(100, 2000, 300, 0);
        flood.know(&settings.classes);
        let state = State::new(settings, Values::new().unwrap(), flood, [1, 2], [3, 4]).unwrap();
        let [arrived, wrong] = [(); 2].map(|()| Area::share::<AtomicU64>().unwrap());
        let work = |n: u64| {
            for round in 0..ROUNDS {
                let limit = 1 + n + PROCESSES * (round % 50);
                let class = Value::Text(format!("office=limit:{limit}"));
                meet(arrived, 2 * round);
                apply(&state, at::FLOOD_CLASS, &class).unwrap();
                meet(arrived, 2 * round + 1);
                let (shown, holds) = limits(&state);
                wrong.fetch_add(u64::from(shown != holds), SeqCst);
            }
        };
        let children: Vec<_> = (0..PROCESSES)
            // SAFETY: the child changes settings and ends without destructors.
            .map(|n| match unsafe { libc::fork() } {
                0 => {
                    work(n);
                    // SAFETY: ends the child.
                    unsafe { libc::_exit(0) }
                }
                pid => pid,
            })
            .collect();
        for pid in children {
            // SAFETY: waits for a child of this process.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        }
        assert_eq!(arrived.load(SeqCst), PROCESSES * ROUNDS * 2);
        assert_eq!(wrong.load(SeqCst), 0);
    }
}
