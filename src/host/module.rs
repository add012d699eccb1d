//! The module: what is called when the host calls, and how it starts.
#![forbid(unsafe_code)]

use std::ffi::CStr;

use super::cluster::broker;
use super::contract::abi;
use super::contract::message::{Attempt, CallRequest, Message};
use super::contract::method::Method;
use super::contract::module::{DialogEvent, Module, ParamEntry, ParamKind, Restored};
use super::contract::rpc::{Call, Fault};
use super::contract::values::Value;
use super::contract::{dialogs, log};
use super::process::blocks_keeper::Loaded;
use super::process::{blocks_keeper, loader, recorder, resolver, uses_keeper, warden};
use super::reload::{compile, fallback, feeds};
use super::report::{bans, blocks, complaint};
use super::script::variables::{self, ATTRIBUTES};
use super::script::{auth, calls, flags, flood, grants, restored, scanner, sources};
use super::settings::{ClusterSettings, Kind, PARAMS, Param, Settings, Values, configure, doubts};
use super::state::{self, State, gauges};
use super::{change, rpc};
use crate::clock;
use crate::events::EventKind;
use crate::flood::Rules;
use crate::ledger::DialogId;
use crate::memory;
use crate::shm::on_long_wait;
use crate::verdict::Verdict;

/// What the module does when the host calls.
pub struct Sipwarden;

impl Module for Sipwarden {
    fn param(index: usize) -> Option<ParamEntry> {
        let param = PARAMS.get(index)?;
        let kind = match param.kind {
            Kind::Int { default, min, max } => ParamKind::Int(default, min, max),
            Kind::Duration { default } => ParamKind::Duration(default),
            Kind::Classes | Kind::AuthClasses | Kind::Feeds => ParamKind::List,
            Kind::Database => ParamKind::Text(abi::default_db_url()),
            Kind::Text { default, .. }
            | Kind::Name { default }
            | Kind::Choice { default, .. }
            | Kind::Class { default } => ParamKind::Text(default),
        };
        let &Param { name, runtime, meaning, .. } = param;
        Some(ParamEntry { name, kind, runtime, meaning })
    }

    fn rpc_method(index: usize) -> Option<&'static Method> {
        rpc::methods().nth(index)
    }

    fn statistic(index: usize) -> Option<(&'static CStr, bool)> {
        gauges::names().nth(index)
    }

    fn gauge(index: usize) -> u64 {
        gauges::value_of(index)
    }

    fn variable_index(name: &[u8]) -> Option<usize> {
        variables::index_of(name)
    }

    fn variable_name(index: usize) -> Option<&'static str> {
        ATTRIBUTES.get(index).map(|attribute| attribute.name)
    }

    fn event_name(index: usize) -> Option<&'static str> {
        EventKind::ROUTES.get(index).copied()
    }

    fn variable(message: Message<'_>, index: usize, tell: impl FnOnce(Value<'_>)) {
        variables::tell_attribute(message, index, tell);
    }

    fn set_param(index: usize, text: Option<&[u8]>, number: i32) -> bool {
        logged("", configure(index, text, number))
    }

    fn check_setting(index: usize, text: Option<&[u8]>, number: i32) -> bool {
        logged("not changed: ", change::check(index, text, number))
    }

    fn apply_setting(index: usize, text: Option<&[u8]>, number: i32) {
        let (Some(state), Some(param)) = (state::get(), PARAMS.get(index)) else { return };
        let value = param.check(text, number);
        logged("not changed: ", value.and_then(|value| change::apply(state, index, &value)));
    }

    fn check_flags(function: &[u8], flags: &[u8]) -> bool {
        logged("", flags::check_flags(function, flags))
    }

    fn check_scopes(scopes: &[u8]) -> bool {
        logged("", flags::check_scopes(scopes))
    }

    fn init() -> bool {
        logged("not started: ", start())
    }

    fn destroy() {
        broker::leave();
    }

    fn can_load() -> bool {
        loader::is_needed()
    }

    fn load() {
        loader::load();
    }

    fn can_serve() -> bool {
        broker::is_needed()
    }

    fn serve() {
        broker::serve();
    }

    fn can_resolve() -> bool {
        resolver::is_needed()
    }

    fn resolve() {
        resolver::resolve();
    }

    #[inline(always)]
    fn check_company_ip(message: Message<'_>, company: &[u8]) -> Verdict {
        sources::check_company_ip(message, company)
    }

    #[inline(always)]
    fn check_country(message: Message<'_>, list: &[u8]) -> Verdict {
        sources::check_country(message, list)
    }

    #[inline(always)]
    fn flood_check(message: Message<'_>, flags: &[u8]) -> Verdict {
        flood::flood_check(message, flags)
    }

    #[inline(always)]
    fn auth_check(message: Message<'_>, aor: &[u8]) -> Verdict {
        auth::auth_check(message, aor)
    }

    fn auth_failed(attempt: Attempt<'_>, aor: &[u8], credentials: Option<&[u8]>) -> Verdict {
        auth::auth_failed(attempt, aor, credentials)
    }

    #[inline(always)]
    fn auth_ok(message: Message<'_>, aor: &[u8]) -> Verdict {
        auth::auth_ok(message, aor)
    }

    fn scanner_check(message: Message<'_>) -> Verdict {
        scanner::scanner_check(message)
    }

    fn grant(message: Message<'_>, company: &[u8], seconds: &[u8]) -> Verdict {
        grants::grant(message, company, seconds)
    }

    fn roadwarrior_acquire(
        call: CallRequest<'_>,
        aor: &[u8],
        company: &[u8],
        flags: &[u8],
    ) -> Verdict {
        calls::roadwarrior_acquire(call, aor, company, flags)
    }

    #[inline]
    fn cc_limit(call: CallRequest<'_>, company: &[u8], flags: &[u8], scopes: &[u8]) -> Verdict {
        calls::cc_limit(call, company, flags, scopes)
    }

    fn dialog_request(message: Message<'_>) {
        flood::dialog_request(message);
    }

    fn dialog_event(event: DialogEvent, dialog: DialogId) {
        calls::dialog_event(event, dialog);
    }

    fn dialog_expired(dialog: DialogId, why: usize, said_bye: bool) {
        calls::dialog_expired(dialog, why, said_bye);
    }

    fn dialog_counts(dialog: DialogId) -> bool {
        calls::dialog_counts(dialog)
    }

    fn dialog_restored(restored: &Restored<'_>) {
        restored::dialog_restored(restored);
    }

    fn tick() {
        warden::tick();
    }

    fn record() -> bool {
        recorder::record()
    }

    fn rpc(index: usize, call: &Call) -> Result<(), Fault> {
        rpc::answer(index, call)
    }
}

/// Whether it went well; if not, why is logged.
fn logged(what: &str, result: Result<(), String>) -> bool {
    if let Err(why) = &result {
        log::error(format_args!("{what}{why}"));
    }
    result.is_ok()
}

fn start() -> Result<(), String> {
    // Each process has its own, since all are forked from this one.
    memory::keep_reserve();
    on_long_wait(complaint::long_wait);
    log::info(format_args!(
        "sipwarden {} for {}, revision {}, flags {}",
        env!("CARGO_PKG_VERSION"),
        abi::host_version(),
        env!("SIPWARDEN_REVISION"),
        abi::host_flags()
    ));
    let (mut settings, mut flood) = Settings::take()?;
    flood.tick = clock::tick();
    settings.auth.tick = clock::tick();
    change::check_configured()?;
    let values = Values::new().map_err(|e| format!("no address space: {e}"))?;
    Settings::publish(&values);
    settings.cluster = ClusterSettings::take(&values)?;
    let auth_seed = match values.flood_persist().as_deref().and_then(blocks_keeper::seed) {
        Some(seed) => seed,
        None => compile::hash_key()?,
    };
    let state = State::new(settings, values, flood, compile::hash_key()?, auth_seed)?;
    let state = state::install(state);
    if let Some(doubt) = doubts(&state.values) {
        log::warning(format_args!("{doubt}"));
    }
    log::info(format_args!(
        "room for 2 snapshots of up to {} bytes each, and for {} readers: {} bytes",
        state.store.room(),
        crate::shm::MAX_READERS,
        size_of_val(state.store.publication())
    ));
    let ledger = state.ledger.memory();
    log::info(format_args!("room for {} calls: {} bytes", ledger.capacity, ledger.bytes));
    let sources = state.flood.usage();
    log::info(format_args!("room for {} sources: {} bytes", sources.capacity, sources.bytes));
    blocks::log_rules(state, &Rules::NONE);
    bans::log_start(state);
    match (dialogs::loaded(), dialogs::persist()) {
        (false, _) => log::warning(format_args!(
            "there is no dialog module: cc_limit and roadwarrior_acquire refuse every call that \
             they would have to count; loadmodule \"dialog.so\""
        )),
        (true, false) => log::info(format_args!(
            "the dialog module has no database (db_mode): after a restart the counts begin at zero"
        )),
        (true, true) => {}
    }
    if dialogs::loaded() && !dialogs::can_look_up() {
        log::warning(format_args!(
            "dialogs cannot be looked up in this {}: leaked calls are not found",
            abi::host_name()
        ));
    }
    fallback::start(state)?;
    feeds::load(state);
    uses_keeper::load(state);
    if let Some(path) = state.values.flood_persist() {
        match blocks_keeper::load(state, &path) {
            Ok(Loaded { blocks, bans, grants }) => log::info(format_args!(
                "{blocks} blocks, {bans} bans and {grants} grants loaded from {}",
                path.display()
            )),
            Err(why) => log::error(format_args!("no blocks, bans and grants are loaded: {why}")),
        }
    }
    Ok(())
}
