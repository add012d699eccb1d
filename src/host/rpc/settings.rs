//! `sipwarden.settings`, `sipwarden.set`.

use std::ffi::CString;
use std::thread::sleep;
use std::time::Duration;

use crate::host::change;
use crate::host::contract::abi::{command, host_name};
use crate::host::contract::process::{change_setting, settings_are_settled};
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::settings::{Kind, PARAMS, Param, at};
use crate::host::state::State;
use crate::host::state::rules::{with_auth_rules, with_rules};
use crate::printable::{Printable, without_password};

/// Looks for changes that have not been applied yet, and ms between two.
const LOOKS: u32 = 400;
const PAUSE: u64 = 5;

/// Waits until the warden has applied all changes of settings; whether it
/// has.
fn settles() -> bool {
    (0..LOOKS).any(|_| {
        let settled = settings_are_settled();
        if !settled {
            sleep(Duration::from_millis(PAUSE));
        }
        settled
    })
}

/// Waits until all changes of settings so far hold: a tenth of a second.
///
/// # Errors
/// They are not in force yet.
pub fn settle() -> Result<(), Fault> {
    if settles() {
        return Ok(());
    }
    Err(Fault::internal(
        "nothing was done: changes of settings are not in force yet: the process \"sipwarden \
         warden\" does not run (is it stopped, or the machine overloaded?); try again",
    ))
}

/// All parameters as they hold now, and whether changes are still to come.
pub fn settings(call: &Call, state: &State) -> Result<(), Fault> {
    call.no_more()?;
    let reply = call.reply();
    reply.int(c"pending", u64::from(!settings_are_settled()));
    for (index, param) in PARAMS.iter().enumerate() {
        // Classes are told one by one, below; feeds by sipwarden.feeds.
        if !matches!(param.kind, Kind::Classes | Kind::AuthClasses | Kind::Feeds) {
            tell(&reply, state, index, param);
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

/// One parameter as it holds now.
fn tell(node: &Node<'_>, state: &State, index: usize, param: &Param) {
    match param.kind {
        Kind::Int { .. } => node.int(param.name, state.values.int(index)),
        _ if index == at::CLUSTER_SECRET => {
            let is_set = !state.values.text(index).is_empty();
            node.text(param.name, if is_set { "***" } else { "" });
        }
        _ if matches!(index, at::DB_URL | at::AUDIT_URL | at::CLUSTER_URL) => {
            node.text(param.name, without_password(&state.values.text(index)));
        }
        _ => node.text(param.name, state.values.text(index)),
    }
}

/// Changes a setting in all processes, and says what is wrong with the value: name
/// value.
pub fn set(call: &Call, state: &State) -> Result<(), Fault> {
    let name = call.required("name")?;
    let mut params = PARAMS.iter().enumerate();
    let found = params.find(|(_, param)| param.name.to_bytes() == name);
    let Some((index, param)) = found else {
        let name = Printable::short(&name);
        return Err(Fault::unknown(format!(
            "there is no parameter \"{name}\"; {} lists them",
            command("settings")
        )));
    };
    // A host may take an empty text for 0: only where a number is due it is one.
    let value = match param.kind {
        Kind::Int { .. } => call.value("value")?,
        _ => call.required("value")?,
    };
    call.no_more()?;
    if !param.runtime {
        return Err(Fault::argument(format!(
            "{} is fixed at start-up: change it in modparam and restart {}",
            param.name(),
            host_name()
        )));
    }
    let number = std::str::from_utf8(&value).ok().and_then(|text| text.parse::<i32>().ok());
    let (text, number) = match (param.kind, number) {
        (Kind::Int { .. }, Some(number)) => (None, number),
        _ => (Some(value), 0),
    };
    change::check(index, text.as_deref(), number).map_err(Fault::argument)?;
    change(index, text, number)?;
    let pending = !settles();
    let reply = call.reply();
    reply.int(c"pending", u64::from(pending));
    tell(&reply, state, index, param);
    Ok(())
}

/// Hands a change that was checked to the host, which tells all processes.
fn change(index: usize, text: Option<Vec<u8>>, number: i32) -> Result<(), Fault> {
    let text = text.map(CString::new).transpose();
    let text = text.map_err(|_| Fault::argument("the value has a zero byte"))?;
    match change_setting(index, text.as_deref(), number) {
        true => Ok(()),
        false => {
            Err(Fault::internal(format!("it was not changed: {}'s log says why", host_name())))
        }
    }
}
