//! Starts the module as a host does.

use serde_json::Value;

use super::door;
use super::world::{tenants, world};

/// Starts the module with these settings, as a host does; whether it has started.
pub fn start(settings: &[(&str, Value)]) -> bool {
    door::attach();
    // The module keeps what a panic says for its own log.
    drop(std::panic::take_hook());
    let known: Vec<_> = (0..).map_while(door::param).collect();
    for (name, _) in settings {
        assert!(known.iter().any(|(known, ..)| known == name), "{name}");
    }
    let configured = known.iter().enumerate().all(|(index, (name, kind, default))| {
        let mut given = settings.iter().filter(|(set, _)| set == name).map(|(_, value)| value);
        let set = |value: &Value| door::set_param(index as u32, value);
        match *kind {
            sipwarden::host::abi::SW_PARAM_LIST => given.all(set),
            _ => set(given.next().unwrap_or(default)),
        }
    });
    configured && door::init()
}

/// Starts with the usual tables.
pub fn started(settings: &[(&str, Value)]) {
    tenants();
    assert!(start(settings), "{:#?}", world().log);
}
