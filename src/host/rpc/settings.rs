//! `sipwarden.settings`.

use std::thread::sleep;
use std::time::Duration;

use super::reply::{Call, Fault};
use crate::host::abi;
use crate::host::auth::with_auth_rules;
use crate::host::flood::with_rules;
use crate::host::params::{Kind, PARAMS, at};
use crate::host::state::State;
use crate::host::values::without_password;

/// Looks for changes that have not been applied yet, and ms between two.
const LOOKS: u32 = 400;
const PAUSE: u64 = 5;

/// Whether the module's own process has applied all changes of settings so far.
fn is_settled() -> bool {
    let settled = abi::host().and_then(|host| host.settings_settled);
    // SAFETY: takes nothing, and may be called in any process.
    settled.is_none_or(|settled| unsafe { settled() } != 0)
}

/// Waits until all changes of settings so far hold: a tenth of a second, unless an event
/// route or the audit's database keeps the module's own process.
///
/// # Errors
/// They do not hold yet.
pub fn settle() -> Result<(), Fault> {
    for _ in 0..LOOKS {
        if is_settled() {
            return Ok(());
        }
        sleep(Duration::from_millis(PAUSE));
    }
    Err(Fault::internal(
        "nothing was done: changes of settings do not hold yet, since the module's own process is \
         busy (an event route, or the audit's database); try again",
    ))
}

/// All parameters as they hold now, and whether changes are still to come.
pub fn settings(call: &Call, state: &State) -> Result<(), Fault> {
    call.no_more()?;
    let reply = call.reply();
    reply.int(c"pending", u64::from(!is_settled()));
    for (index, param) in PARAMS.iter().enumerate() {
        match param.kind {
            Kind::Int { .. } => reply.int(param.name, state.values.int(index)),
            // Told class by class, below.
            Kind::Classes => {}
            _ if matches!(index, at::DB_URL | at::AUDIT_URL) => {
                reply.text(param.name, without_password(&state.values.text(index)));
            }
            _ => reply.text(param.name, state.values.text(index)),
        }
    }
    with_rules(state, |rules| {
        let names = &state.settings.classes;
        let classes = reply.array(c"classes");
        for class in names.ids().map(Some) {
            let rule = rules.class(class);
            let node = classes.item_structure();
            node.text(c"class", names.name(class));
            node.int(c"limit", rule.limit);
            node.int(c"window_ms", rule.window);
            node.int(c"block", rule.block);
            node.int(c"block_max", rule.block_max);
        }
    });
    with_auth_rules(state, |rules| {
        let names = &state.settings.classes;
        let classes = reply.array(c"auth_classes");
        for class in names.ids().map(Some) {
            let rule = rules.class(class);
            let node = classes.item_structure();
            node.text(c"class", names.name(class));
            node.int(c"limit", rule.limit);
            node.int(c"window", rule.window);
            node.int(c"block", rule.block);
            node.int(c"restart", rule.restart);
        }
    });
    Ok(())
}
