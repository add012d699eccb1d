//! `$swd(attribute)`: the last verdict in this message, or what there is to say of an event.

use super::answer::{About, Answer, ScopeText, last_answer, with_limited};
use crate::address::Address;
use crate::events::Event;
use crate::host::contract::message::Message;
use crate::host::contract::values::Value;
use crate::host::state::{self, with_snapshot};
use crate::ledger::ScopeKind;
use crate::policy::{AuthNumbers, FloodNumbers, Hit};
use crate::verdict::Verdict;

/// The operators' page, whole.
const PAGE: &str = include_str!("../../../web/index.html");

/// What `$swd` is about.
enum Context<'a> {
    /// A message in which a function was called, its sender, and the scope whose limit was
    /// named last.
    Message(Answer, Option<Address>, &'a ScopeText),
    /// An event that the script is told of.
    Event(&'a EventView),
    /// Another message, and its sender.
    Nothing(Option<Address>),
}

/// An event, and its source as text.
struct EventView {
    event: Event,
    source: String,
}

/// Gives all attributes that an event has to `f`.
pub fn with_attributes(event: &Event, f: impl FnOnce(&[(&'static str, Value<'_>)])) {
    let source = event.source().map(|source| source.name()).unwrap_or_default();
    let view = EventView { event: *event, source };
    let context = Context::Event(&view);
    let value =
        |attribute: &'static Attribute| Some((attribute.name, (attribute.value)(&context)?));
    f(&ATTRIBUTES.iter().filter_map(value).collect::<Vec<_>>());
}

/// An attribute of `$swd`.
pub struct Attribute {
    /// Name in `$swd(name)`.
    pub name: &'static str,
    /// One sentence for the reference.
    pub meaning: &'static str,
    value: for<'a> fn(&Context<'a>) -> Option<Value<'a>>,
}

const fn attribute(
    name: &'static str,
    meaning: &'static str,
    value: for<'a> fn(&Context<'a>) -> Option<Value<'a>>,
) -> Attribute {
    Attribute { name, meaning, value }
}

/// The verdict without monitor mode.
fn judged(context: &Context<'_>) -> Option<Verdict> {
    if let Context::Message(told, _, _) = context { Some(told.judged) } else { None }
}

fn scope(context: &Context<'_>, kind: ScopeKind) -> Option<(u32, u32)> {
    let Context::Message(Answer { about: About::Calls(numbers), .. }, _, _) = context else {
        return None;
    };
    *numbers.scopes.get(kind.number())?
}

fn count<'a>(context: &Context<'a>, kind: ScopeKind) -> Option<Value<'a>> {
    scope(context, kind).map(|(count, _)| Value::Int(count.into()))
}

fn limit<'a>(context: &Context<'a>, kind: ScopeKind) -> Option<Value<'a>> {
    scope(context, kind).map(|(_, limit)| Value::Int(limit.into()))
}

fn flood<'a>(context: &Context<'a>, number: fn(&FloodNumbers) -> u32) -> Option<Value<'a>> {
    let Context::Message(Answer { about: About::Flood(numbers), .. }, _, _) = context else {
        return None;
    };
    Some(Value::Int(number(numbers).into()))
}

fn auth<'a>(context: &Context<'a>, number: fn(&AuthNumbers) -> u32) -> Option<Value<'a>> {
    let Context::Message(Answer { about: About::Auth(numbers), .. }, _, _) = context else {
        return None;
    };
    Some(Value::Int(number(numbers).into()))
}

fn event_of<'a>(context: &Context<'a>) -> Option<&'a Event> {
    if let Context::Event(view) = context { Some(&view.event) } else { None }
}

fn event_int<'a>(context: &Context<'a>, number: fn(&Event) -> u64) -> Option<Value<'a>> {
    Some(Value::Int(i64::try_from(number(event_of(context)?)).unwrap_or(i64::MAX)))
}

/// A text of an event; none where it is empty.
fn event_text<'a>(context: &Context<'a>, text: fn(&Event) -> &[u8]) -> Option<Value<'a>> {
    Some(text(event_of(context)?)).filter(|text| !text.is_empty()).map(Value::Text)
}

fn class<'a>(context: &Context<'a>) -> Option<Value<'a>> {
    match context {
        Context::Message(Answer { about: About::Flood(numbers), .. }, _, _) => {
            Some(Value::Static(state::get()?.settings.classes.name(numbers.class).as_bytes()))
        }
        Context::Message(Answer { about: About::Auth(numbers), .. }, _, _) => {
            Some(Value::Static(state::get()?.settings.classes.name(numbers.class).as_bytes()))
        }
        Context::Event(view) => {
            let class = view.event.class()?;
            Some(Value::Static(state::get()?.settings.classes.name(class).as_bytes()))
        }
        _ => None,
    }
}

/// The limit that a verdict names.
fn hit(context: &Context<'_>) -> Option<Hit> {
    let Context::Message(Answer { about: About::Calls(numbers), .. }, ..) = context else {
        return None;
    };
    numbers.hit
}

/// Kind and id of the scope whose limit was reached.
fn limited<'a>(context: &Context<'a>) -> Option<(&'a [u8], &'a [u8])> {
    match context {
        Context::Message(.., scope) => hit(context).map(|_| (scope.kind(), scope.id())),
        Context::Event(view) => view.event.limited(),
        Context::Nothing(_) => None,
    }
}

/// The address whose country is told.
fn address(context: &Context<'_>) -> Option<Address> {
    match context {
        Context::Message(Answer { source: Some(judged), .. }, _, _) => Some(judged.address),
        Context::Message(_, source, _) | Context::Nothing(source) => *source,
        Context::Event(view) => Some(view.event.source()?.first()),
    }
}

/// All attributes.
pub static ATTRIBUTES: [Attribute; 39] = [
    attribute("code", "code of the last verdict in this message, or of the event", |c| match c {
        Context::Message(told, _, _) => Some(Value::Int(told.verdict.code().into())),
        _ => event_of(c)?.code().map(|code| Value::Int(code.into())),
    }),
    attribute(
        "reason",
        "reason of the last verdict in this message, or of the event",
        |c| match c {
            Context::Message(told, _, _) => Some(Value::Static(told.verdict.reason().as_bytes())),
            _ => Some(Value::Text(event_of(c)?.reason().as_bytes())),
        },
    ),
    attribute("would_code", "code of the last verdict as it would be without monitor mode", |c| {
        judged(c).map(|judged| Value::Int(judged.code().into()))
    }),
    attribute("would", "its reason: why the request would be refused", |c| {
        judged(c).map(|judged| Value::Static(judged.reason().as_bytes()))
    }),
    attribute("company_calls", "live calls of the company, this one included if it counts", |c| {
        count(c, ScopeKind::COMPANY)
    }),
    attribute("company_limit", "its `max_calls`, 0 for none", |c| limit(c, ScopeKind::COMPANY)),
    attribute("brand_calls", "live calls of the company's brand", |c| count(c, ScopeKind::BRAND)),
    attribute("brand_limit", "its `max_calls`, 0 for none", |c| limit(c, ScopeKind::BRAND)),
    attribute(
        "user_calls",
        "live calls that the user has placed from addresses that are not granted",
        |c| count(c, ScopeKind::ROADWARRIOR),
    ),
    attribute("user_limit", "its `external_calls`", |c| limit(c, ScopeKind::ROADWARRIOR)),
    attribute(
        "class",
        "class of the source as `flood_check` or `auth_check` saw it: `exempt`, `default` or another",
        class,
    ),
    attribute(
        "requests",
        "requests of the source in its window, this one included; 0 for a blocked or exempt one",
        |c| flood(c, |numbers| numbers.requests),
    ),
    attribute("request_limit", "the limit of its class", |c| flood(c, |numbers| numbers.limit)),
    attribute("block_seconds", "seconds that the source is still blocked", |c| {
        flood(c, |numbers| numbers.block_seconds)
    }),
    attribute("failures", "failures of the AoR and source in their window", |c| {
        auth(c, |numbers| numbers.failures)
    }),
    attribute("failure_limit", "the failure that starts a ban", |c| {
        auth(c, |numbers| numbers.limit)
    }),
    attribute("ban_seconds", "seconds that the AoR is still banned from the source", |c| {
        auth(c, |numbers| numbers.ban_seconds)
    }),
    attribute(
        "event",
        "event: `block_started`, `block_ended`, `auth_ban_started`, `auth_ban_ended`, `grant_started`, `grant_ended`, `name_changed`, `denied`, `limit`, `near_limit`, `reload`, \
         `reload_failed`, `leak`, `call_expired`",
        |c| Some(Value::Text(event_of(c)?.kind()?.name().as_bytes())),
    ),
    attribute("function", "event: the function that refused, blocked or banned", |c| {
        Some(Value::Text(event_of(c)?.function().as_bytes())).filter(|_| event_of(c).is_some())
    }),
    attribute(
        "ip",
        "the address that the last function in this message has judged (`cc_limit`: the sender's); of \
         an event, its source, an address or prefix",
        |c| match c {
            Context::Message(told, _, _) => Some(Value::Address(told.source?.address)),
            Context::Event(view) if !view.source.is_empty() => {
                Some(Value::Text(view.source.as_bytes()))
            }
            _ => None,
        },
    ),
    attribute(
        "learnt",
        "how that address was learnt: `packet`, `proxy` (the PROXY protocol) or `script` (an \
         argument)",
        |c| {
            let learnt = match c {
                Context::Message(told, _, _) => told.source?.learnt,
                _ => event_of(c)?.learnt()?,
            };
            Some(Value::Static(learnt.name().as_bytes()))
        },
    ),
    attribute(
        "country",
        "country of the address that a function was given last, else of the message's source, as \
         two letters; of an event, that of its source",
        |c| {
            let code = with_snapshot(|view, _| view.country_of(address(c)?))??;
            Some(Value::Static(code.name().as_bytes()))
        },
    ),
    attribute("company", "event: id of the company", |c| event_text(c, Event::company)),
    attribute("brand", "event: id of the brand", |c| event_text(c, Event::brand)),
    attribute("aor", "event: AoR of the user", |c| event_text(c, Event::aor)),
    attribute(
        "text",
        "event: why a reload failed, the Call-ID of a leak or of a call that expired, the scope of a \
         limit as `kind=id`",
        |c| event_text(c, Event::text),
    ),
    attribute("call_id", "event: Call-ID of the request or call", |c| {
        event_text(c, Event::call_id)
    }),
    attribute("from", "event: URI in the From header of the request that was refused", |c| {
        event_text(c, Event::from)
    }),
    attribute("count", "event: how often it happened; repeats within 10 s are one", |c| {
        event_int(c, |event| event.count.into())
    }),
    attribute(
        "calls",
        "calls of the scope that `limit_kind` and `limit_id` name; event: live calls, requests \
         refused in a block or ban, or the generation of a reload",
        |c| match hit(c) {
            Some(hit) => Some(Value::Int(hit.calls.into())),
            None => event_int(c, |event| event.calls.into()),
        },
    ),
    attribute("limit", "its limit; event: the limit that was reached or is near", |c| {
        match hit(c) {
            Some(hit) => Some(Value::Int(hit.limit.into())),
            None => event_int(c, |event| event.limit.into()),
        }
    }),
    attribute(
        "limit_near",
        "event: calls from which on they are near this limit, 0 for never",
        |c| event_int(c, |event| event.near.into()),
    ),
    attribute(
        "limit_kind",
        "kind of the scope whose limit was reached, in the last verdict or the event: `brand`, \
         `company`, `roadwarrior`, `user`, or a word of your own",
        |c| limited(c).map(|(kind, _)| Value::Text(kind)),
    ),
    attribute("limit_id", "its id", |c| limited(c).map(|(_, id)| Value::Text(id))),
    attribute(
        "limit_direction",
        "the calls that this limit is for: `any`, `in` (to the scope) or `out` (from it)",
        |c| {
            let direction = hit(c).map(|hit| hit.direction).or_else(|| event_of(c)?.direction())?;
            Some(Value::Static(direction.name()))
        },
    ),
    attribute(
        "monitored",
        "1 if monitor mode lets pass what would be refused, or lets a call go on that would be ended; \
         else 0",
        |c| match c {
            Context::Message(told, _, _) => {
                Some(Value::Int(i64::from(told.verdict == Verdict::Monitored)))
            }
            _ => event_int(c, |event| event.is_monitored().into()),
        },
    ),
    attribute("since", "event: start of the block or ban, seconds since 1970", |c| {
        event_int(c, |event| event.since / 1000)
    }),
    attribute("until", "event: end of the block or ban, seconds since 1970", |c| {
        event_int(c, |event| event.until / 1000)
    }),
    attribute("page", "the operators' web page, for `xhttp_reply()`", |c| match c {
        Context::Event(_) => None,
        _ => Some(Value::Static(PAGE.as_bytes())),
    }),
];

/// Index of an attribute.
pub fn index_of(name: &[u8]) -> Option<usize> {
    ATTRIBUTES.iter().position(|attribute| attribute.name.as_bytes() == name)
}

/// Gives the value of an attribute to `tell`, if it has one.
pub fn tell_attribute(msg: Message<'_>, index: usize, tell: impl FnOnce(Value<'_>)) {
    let Some(attribute) = ATTRIBUTES.get(index) else { return };
    let address = msg.sender().map(|sender| sender.address);
    with_limited(|limited| {
        let context = match last_answer(msg) {
            Some(told) => Context::Message(told, address, limited),
            None => Context::Nothing(address),
        };
        if let Some(value) = (attribute.value)(&context) {
            tell(value);
        }
    });
}
