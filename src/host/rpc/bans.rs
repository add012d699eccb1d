//! `sipwarden.bans`, `sipwarden.ban`, `sipwarden.unban`.

use super::arguments::{address, prefix_of, seconds};
use super::page::Page;
use crate::address::Address;
use crate::auth::{Aor, AuthOutcome, Ban};
use crate::clock::{self, Moment};
use crate::desk::{Lift, Lifted};
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::report::bans::{report_end, report_lift, shown};
use crate::host::report::events;
use crate::host::state::State;
use crate::host::state::rules::{class_of, is_monitored, source_of, with_auth_rules};
use crate::limiter::{ClassId, Reason};
use crate::policy::{self, AuthFunction};
use crate::printable::Printable;
use crate::tables::has_domain;
use crate::verdict::Verdict;

/// Bans on a page: hosts bound the structures of one reply.
const PAGE: usize = 20;

/// AoRs that are named for a source.
const NAMED: usize = 5;

/// All bans, in the order of the table: [page].
pub fn bans(call: &Call, state: &State) -> Result<(), Fault> {
    let page = Page::read(call, PAGE)?;
    call.no_more()?;
    let now = Moment::now();
    let mut total = 0;
    let mut listed = Vec::new();
    state.auth.bans(clock::monotonic, |ban| {
        if page.has(total) {
            listed.push(ban);
        }
        total += 1;
    });
    page.check(total)?;
    let reply = call.reply();
    reply.int(c"total", total as u64);
    page.tell(&reply, total);
    let list = reply.array(c"bans");
    for ban in &listed {
        describe(&list.item_structure(), state, now, ban);
    }
    Ok(())
}

fn describe(node: &Node<'_>, state: &State, now: Moment, ban: &Ban) {
    node.text(c"aor", shown(ban));
    node.text(c"source", ban.source.name());
    node.text(c"class", state.settings.classes.name(ban.class));
    node.text(c"reason", ban.reason.name());
    node.time((c"since", c"since_date"), now.date(ban.since) / 1000);
    node.time((c"until", c"until_date"), now.date(ban.until) / 1000);
    node.int(c"seconds_left", clock::seconds_left(ban.until, now.monotonic));
    node.int(c"refused", ban.seen);
}

/// What `auth_check` would say of an AoR from an address now.
pub struct Foretold {
    /// Without monitor mode.
    pub verdict: Verdict,
    /// Whether a refusal is only reported.
    pub watched: bool,
    aor: Vec<u8>,
    class: Option<ClassId>,
    failures: u32,
    limit: u32,
    window: u32,
    ban: Option<Ban>,
    now: Moment,
}

/// What it would say of them.
pub fn foretell(state: &State, aor: &[u8], address: Address) -> Foretold {
    with_auth_rules(state, |rules| {
        let now = Moment::now();
        let class = class_of(address, rules.company_sources());
        let login = state.auth.login(aor, source_of(state, address));
        let (ban, failures) = state.auth.look(&login, class, rules, clock::monotonic);
        let outcome = match (&ban, class) {
            (Some(_), _) => AuthOutcome::Banned,
            (None, None) => AuthOutcome::Exempt,
            (None, Some(_)) => AuthOutcome::Clear,
        };
        let rule = rules.class(class);
        Foretold {
            verdict: policy::auth_verdict(AuthFunction::Check, outcome),
            watched: is_monitored(state, rules),
            aor: aor.into(),
            class,
            failures,
            limit: rule.limit,
            window: rule.window,
            ban,
            now,
        }
    })
}

impl Foretold {
    /// Its fields; the verdict is what the script would be told.
    pub fn tell(&self, reply: &Node<'_>, state: &State) {
        let told = policy::watch_auth(self.verdict, self.watched);
        reply.text(c"aor", Printable::full(&self.aor));
        reply.int(c"code", told.code());
        reply.text(c"reason", told.reason());
        reply.text(c"class", state.settings.classes.name(self.class));
        reply.int(c"failures", self.failures);
        reply.int(c"limit", self.limit);
        reply.int(c"window", self.window);
        if let Some(ban) = &self.ban {
            describe(&reply.structure(c"ban"), state, self.now, ban);
        }
    }

    /// The rule.
    pub fn words(&self, state: &State) -> String {
        let banned = self.ban.map_or(String::new(), |ban| {
            let since = clock::date(self.now.date(ban.since) / 1000);
            let left = clock::seconds_left(ban.until, self.now.monotonic);
            format!("; banned since {since}, for another {left} s ({})", ban.reason.name())
        });
        format!(
            "class {}, {} of {} failures in {} s{banned}",
            state.settings.classes.name(self.class),
            self.failures,
            self.limit,
            self.window
        )
    }
}

/// How many AoRs are banned from the source of an address, and the first of them.
pub fn tell_of_source(reply: &Node<'_>, state: &State, address: Address) {
    let source = source_of(state, address);
    let (mut count, mut named) = (0u64, Vec::new());
    state.auth.bans(clock::monotonic, |ban| {
        if ban.source == source {
            count += 1;
            if named.len() < NAMED {
                named.push(ban);
            }
        }
    });
    reply.int(c"bans", count);
    let list = reply.array(c"banned_aors");
    named.iter().for_each(|ban| list.item(shown(ban)));
}

/// Bans an AoR from a source: aor ip [seconds].
pub fn ban(call: &Call, state: &State) -> Result<(), Fault> {
    let aor = call.required("aor")?;
    if aor.is_empty() {
        return Err(Fault::argument("the aor is empty"));
    }
    let address = address(call, "ip")?;
    let seconds = seconds(call)?;
    call.no_more()?;
    with_auth_rules(state, |rules| {
        let now = Moment::now();
        let class = class_of(address, rules.company_sources());
        let seconds = seconds.unwrap_or(rules.class(class).block);
        let ban = Ban {
            aor: Aor::new(&aor, false, state.auth.aor_hash(&aor)),
            source: source_of(state, address),
            class,
            since: now.monotonic,
            until: now.monotonic + u64::from(seconds) * 1000,
            seen: 0,
            reason: Reason::Manual,
        };
        let before = (state.auth.ban(&ban, rules, now.monotonic))
            .map_err(|_| Fault::internal("no room: auth_sources is full of bans"))?;
        if let Some(before) = &before {
            report_end(state, before);
        }
        counters::count_own(Own::AuthBansStarted);
        events::ban_started(state, &ban, None);
        log::warning(format_args!(
            "ban of {} from {} starts: an operator said so; {seconds} s",
            shown(&ban),
            ban.source.name()
        ));
        let reply = call.reply();
        describe(&reply, state, now, &ban);
        let warnings = reply.array(c"warnings");
        if !has_domain(&aor) {
            warnings.item(format_args!(
                "\"{}\" has no domain: ban user@domain if the script asks for that",
                Printable::short(&aor)
            ));
        }
        Ok(())
    })
}

/// Lifts bans and forgets failures: aor|all [address|prefix].
pub fn unban(call: &Call, state: &State) -> Result<(), Fault> {
    let aor = call.required("aor")?;
    let sources = match call.argument("address")? {
        None => None,
        Some(text) => Some(prefix_of(&text, state)?),
    };
    call.no_more()?;
    let mut hashes = vec![(aor != b"all").then(|| state.auth.aor_hash(&aor))];
    // An AoR that is shown shortened may be given so.
    state.auth.bans(clock::monotonic, |ban| {
        if ban.aor.is_cut() && shown(&ban).as_bytes() == aor {
            hashes.push(Some(ban.aor.hash));
        }
    });
    let mut lifted = 0;
    for hash in hashes {
        state.auth.forget(hash, sources, |ban| {
            lifted += 1;
            report_lift(state, &ban);
        });
    }
    let of = (aor != b"all").then(|| aor.clone());
    state.tell_lift(&Lift { what: Lifted::Bans, within: sources, of });
    let reply = call.reply();
    reply.text(c"aor", Printable::full(&aor));
    reply.int(c"lifted", lifted);
    Ok(())
}
