//! RPC methods `sipwarden.*`.
#![forbid(unsafe_code)]

mod arguments;
mod bans;
mod blocks;
mod calls;
mod check;
mod company;
mod denied;
mod limits;
mod page;
mod settings;
mod status;

use crate::host::contract::abi::{
    SW_RPC_ban, SW_RPC_bans, SW_RPC_block, SW_RPC_blocks, SW_RPC_calls, SW_RPC_check,
    SW_RPC_company, SW_RPC_denied, SW_RPC_problems, SW_RPC_reconcile, SW_RPC_release,
    SW_RPC_reload, SW_RPC_set, SW_RPC_settings, SW_RPC_source, SW_RPC_stats, SW_RPC_suggest,
    SW_RPC_top, SW_RPC_unban, SW_RPC_unblock, SW_RPC_version, sw_rpc_method,
};
use crate::host::contract::rpc::{Call, Fault};
use crate::host::state;

/// Answers a method.
///
/// # Errors
/// The fault with which the call ends.
pub fn answer(method: sw_rpc_method, call: &Call) -> Result<(), Fault> {
    let state = state::get().ok_or_else(|| Fault::internal("not started"))?;
    #[allow(non_upper_case_globals)]
    match method {
        SW_RPC_reload => status::reload(call, state),
        SW_RPC_check => check::check(call, state),
        SW_RPC_company => company::company(call, state),
        SW_RPC_calls => calls::calls(call, state),
        SW_RPC_release => calls::release(call, state),
        SW_RPC_reconcile => calls::reconcile(call, state),
        SW_RPC_source => blocks::source(call, state),
        SW_RPC_blocks => blocks::blocks(call, state),
        SW_RPC_block => blocks::block(call, state),
        SW_RPC_unblock => blocks::unblock(call, state),
        SW_RPC_bans => bans::bans(call, state),
        SW_RPC_ban => bans::ban(call, state),
        SW_RPC_unban => bans::unban(call, state),
        SW_RPC_denied => denied::denied(call, state),
        SW_RPC_top => denied::top(call, state),
        SW_RPC_suggest => denied::suggest(call, state),
        SW_RPC_settings => settings::settings(call, state),
        SW_RPC_set => settings::set(call, state),
        SW_RPC_problems => status::problems(call, state),
        SW_RPC_stats => status::stats(call, state),
        SW_RPC_version => status::version(call),
        _ => Err(Fault::internal("no such method")),
    }
}
