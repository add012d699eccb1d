//! What happens in any process, put into the journal: never a wait, never a log
//! line, and a flood of repeats is one event.

use crate::address::{Address, Prefix};
use crate::auth::Ban;
use crate::clock::{self, Moment};
use crate::events::{Event, EventKind, Expiry, Subject};
use crate::flood::Block;
use crate::grants::{Grant, GrantedBy};
use crate::host::contract::message::Message;
use crate::host::state::{self, State};
use crate::ledger::{Direction, LeaseInfo, Limit, Scope, ScopeKind, Taken, Wanted};
use crate::limiter::{ClassId, Reason};
use crate::policy::Numbers;
use crate::snapshot::{CompanyView, View};
use crate::source::{Learnt, Source};
use crate::verdict::{AUTH_FAILED, FLOOD_CHECK, Function, GRANT, Verdict};

/// What is said of a source, in full: the subject of an event.
pub fn subject(source: Option<Source>) -> Subject<'static> {
    let Some(Source { address, learnt }) = source else { return Subject::default() };
    let source = Some(address.prefix(128));
    Subject { source, learnt: Some(learnt), ..Subject::default() }
}

/// A function has refused a request, or would have: of a company, if it is known.
pub fn refused(
    company: Option<&CompanyView<'_>>,
    msg: Message<'_>,
    function: &'static Function,
    verdict: Verdict,
    monitored: bool,
    subject: &Subject<'_>,
    numbers: &Numbers,
) {
    let Some(state) = state::get() else { return };
    let now = clock::wall();
    let Subject { source, learnt, company: id, aor, text, .. } = *subject;
    let what = (function.place(), verdict as u8, monitored, learnt.map(|way| way as u8));
    let key = (what, source, id, (aor, text));
    state.journal.put_folded(&key, now, || {
        let limited = numbers.hit.is_some() || verdict == Verdict::LedgerFull;
        let kind = if limited { EventKind::Limit } else { EventKind::Denied };
        let brand = company.map_or(&[][..], |company| company.brand().0);
        let [call_id, from] = msg.names();
        let subject = Subject { brand, call_id, from, ..*subject };
        let event = Event::new(kind, now, &subject).with_verdict(function, verdict, monitored);
        numbers.hit.map_or(event, |hit| event.with_limit(hit.direction, hit.calls, hit.limit))
    });
}

/// A call was counted: tells which scopes that has brought near to a limit.
pub fn counted(view: &View<'_>, company: &CompanyView<'_>, wanted: &[Wanted<'_>], taken: &Taken) {
    for (at, calls) in taken.raised() {
        let Some(want) = wanted.get(at) else { continue };
        for (direction, limit) in want.limits() {
            let calls = calls.of(direction);
            if limit.comes_near(calls) {
                near(view, company, want, (direction, calls, limit));
            }
        }
    }
}

#[cold]
fn near(
    view: &View<'_>,
    company: &CompanyView<'_>,
    want: &Wanted<'_>,
    (direction, calls, limit): (Direction, u32, &Limit),
) {
    let Some(state) = state::get() else { return };
    let Scope { kind, id } = want.scope;
    let now = clock::wall();
    let key = (kind.number() as u8, id, direction as u8, limit.calls);
    state.journal.put_folded(&key, now, || {
        let (brand, _) = company.brand();
        let text = [view.word_of(kind), b"=", id].concat();
        let subject = match kind {
            ScopeKind::BRAND => Subject { brand, ..Subject::default() },
            ScopeKind::COMPANY => Subject { company: id, brand, ..Subject::default() },
            _ => Subject { company: company.id(), brand, text: &text, ..Subject::default() },
        };
        Event::new(EventKind::NearLimit, now, &subject).with_near_limit(direction, calls, limit)
    });
}

/// A source is blocked from now on.
pub fn block_started(state: &State, block: &Block) {
    block_event(state, EventKind::BlockStarted, block);
}

/// A block has ended.
pub fn block_ended(state: &State, block: &Block) {
    block_event(state, EventKind::BlockEnded, block);
}

fn block_event(state: &State, kind: EventKind, block: &Block) {
    let now = Moment::now();
    let (source, learnt) = (Some(block.prefix), block.ways.first());
    let subject = Subject { source, learnt, ..Subject::default() };
    let mut event = Event::new(kind, now.wall, &subject).with_class(block.class);
    match block.reason {
        Reason::Flood => event = event.by(&FLOOD_CHECK),
        Reason::Spraying => event = event.with_verdict(&AUTH_FAILED, Verdict::Spraying, false),
        _ => {}
    }
    event.calls = block.seen;
    (event.since, event.until) = (now.date(block.since), now.date(block.until));
    put(state, &event, block.reason);
}

/// How many sources flood or fail at a time is up to strangers, what operators do is not.
fn put(state: &State, event: &Event, reason: Reason) {
    match reason {
        Reason::Manual => state.journal.put(event),
        _ => state.journal.put_frequent(event),
    }
}

/// An AoR is banned from a source from now on; by a `failure`, how its source was
/// learnt, and whether bans are only watched.
pub fn ban_started(state: &State, ban: &Ban, failure: Option<(Learnt, bool)>) {
    let learnt = failure.map(|(learnt, _)| learnt);
    let mut event = ban_event(EventKind::BanStarted, ban, learnt);
    if let Some((_, monitored)) = failure {
        event = event.with_verdict(&AUTH_FAILED, Verdict::AuthBanStarted, monitored);
    }
    put(state, &event, ban.reason);
}

/// A ban has ended.
pub fn ban_ended(state: &State, ban: &Ban) {
    put(state, &ban_event(EventKind::BanEnded, ban, None), ban.reason);
}

fn ban_event(kind: EventKind, ban: &Ban, learnt: Option<Learnt>) -> Event {
    let now = Moment::now();
    let (source, aor) = (Some(ban.source), ban.aor.bytes());
    let subject = Subject { source, learnt, aor, ..Subject::default() };
    let mut event = Event::new(kind, now.wall, &subject);
    event.calls = ban.seen;
    (event.since, event.until) = (now.date(ban.since), now.date(ban.until));
    event
}

/// A company may use a source from now on.
pub fn grant_started(state: &State, grant: &Grant) {
    grant_event(state, EventKind::GrantStarted, grant);
}

/// A grant has ended.
pub fn grant_ended(state: &State, grant: &Grant) {
    grant_event(state, EventKind::GrantEnded, grant);
}

fn grant_event(state: &State, kind: EventKind, grant: &Grant) {
    let now = Moment::now();
    let (company, text, source) = (&grant.company, &grant.note, Some(grant.source));
    let subject = Subject { source, company, text, ..Subject::default() };
    let mut event = Event::new(kind, now.wall, &subject);
    if grant.by == GrantedBy::Script {
        event = event.by(&GRANT);
    }
    event.calls = u32::try_from(grant.used).unwrap_or(u32::MAX);
    (event.since, event.until) = (now.date(grant.since), now.date(grant.until));
    state.journal.put(&event);
}

/// A source is throttled from now on.
pub fn throttled(
    state: &State,
    (source, learnt): (Prefix, Learnt),
    class: Option<ClassId>,
    limit: u32,
    verdict: Verdict,
) {
    let (source, learnt) = (Some(source), Some(learnt));
    let subject = Subject { source, learnt, ..Subject::default() };
    let mut event = Event::new(EventKind::Limit, clock::wall(), &subject)
        .with_verdict(&FLOOD_CHECK, verdict, false)
        .with_class(class);
    event.limit = limit;
    state.journal.put_frequent(&event);
}

/// The unknown sources of a class have spent its budget.
pub fn budget_spent(state: &State, class: Option<ClassId>, limit: u32) {
    let mut event = Event::new(EventKind::Limit, clock::wall(), &Subject::default())
        .with_verdict(&FLOOD_CHECK, Verdict::FloodBudget, false)
        .with_class(class);
    event.limit = limit;
    state.journal.put(&event);
}

/// The tables were loaded as this generation, or not, and why.
pub fn reloaded(state: &State, result: Result<u64, &str>) {
    let (kind, text, generation) = match result {
        Ok(generation) => (EventKind::Reload, "", generation),
        Err(why) => (EventKind::ReloadFailed, why, 0),
    };
    let subject = Subject { text: text.as_bytes(), ..Subject::default() };
    let mut event = Event::new(kind, clock::wall(), &subject);
    event.calls = u32::try_from(generation).unwrap_or(u32::MAX);
    state.journal.put(&event);
}

/// A host name means these addresses from now on; of one company, if all its rows are its.
pub fn name_changed(state: &State, name: &[u8], company: &[u8], addresses: &[Address]) {
    let mut text = name.to_vec();
    addresses.iter().for_each(|address| text.extend_from_slice(format!(" {address}").as_bytes()));
    let source = addresses.first().map(|address| address.prefix(128));
    let subject = Subject { source, company, text: &text, ..Subject::default() };
    state.journal.put(&Event::new(EventKind::NameChanged, clock::wall(), &subject));
}

/// A call that counted ended although neither end hung up.
pub fn call_expired(state: &State, call: &LeaseInfo, why: Expiry, said_bye: bool) {
    state.journal.put(&expired(call, why, said_bye));
}

/// A call that counts would have been ended, but for monitor mode.
pub fn call_would_expire(state: &State, call: &LeaseInfo, why: Expiry) {
    state.journal.put(&expired(call, why, false).watched());
}

fn expired(call: &LeaseInfo, why: Expiry, said_bye: bool) -> Event {
    let (brand, company) = (call.ids(ScopeKind::BRAND), call.ids(ScopeKind::COMPANY));
    let (company, brand, call_id) = (&company, &brand, &call.call_id);
    let subject = Subject { company, brand, call_id, ..Subject::default() };
    let event = Event::new(EventKind::CallExpired, clock::wall(), &subject);
    event.with_expiry(why, said_bye)
}

/// A call was still counted while its dialog was gone.
pub fn leaked(state: &State, call_id: &[u8]) {
    let subject = Subject { call_id, ..Subject::default() };
    state.journal.put(&Event::new(EventKind::Leak, clock::wall(), &subject));
}
