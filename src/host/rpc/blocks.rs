//! `sipwarden.source`, `sipwarden.blocks`, `sipwarden.block`, `sipwarden.unblock`.

use super::arguments::{address, prefix_of, seconds};
use super::feeds::{self, Listed};
use super::page::Page;
use super::{bans, proofs, spraying};
use crate::address::{Address, Prefix};
use crate::clock::{self, Moment};
use crate::desk::{Lift, Lifted};
use crate::flood::{Block, Rules, Seen};
use crate::host::contract::abi::command;
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::report::blocks::{MIN_BLOCK_PREFIX, lift, started};
use crate::host::state::rules::{flood_class, with_rules};
use crate::host::state::{State, with_snapshot};
use crate::limiter::{ClassId, Reason};
use crate::policy::{self, FloodFlags};
use crate::printable::Printable;
use crate::proven::Proven;
use crate::snapshot::{CompanyView, SourceKind, View};
use crate::source::Ways;
use crate::tables::MinPrefix;
use crate::verdict::Verdict;

/// Blocks on a page: hosts bound the structures of one reply.
const PAGE: usize = 20;
/// Seconds of a block by hand where `flood_block` is 0.
const DEFAULT_BLOCK: u32 = 300;

/// All blocks, in the order of the table, or those that a text is found in or an address
/// lies in: [page [text]].
pub fn blocks(call: &Call, state: &State) -> Result<(), Fault> {
    let page = Page::read(call, PAGE)?;
    let text = call.argument("text")?.filter(|text| !text.is_empty());
    call.no_more()?;
    let text = text.map(|text| String::from_utf8_lossy(&text).to_ascii_lowercase());
    let prefix = text.as_ref().and_then(|text| Prefix::parse(text, None).ok());
    let is_meant = |block: &Block| {
        text.as_ref().is_none_or(|text| block.prefix.name().contains(text))
            || prefix.is_some_and(|p| block.prefix.contains(p) || p.contains(block.prefix))
    };
    let now = Moment::now();
    let mut total = 0;
    let mut shown = Vec::new();
    state.flood.blocks(clock::monotonic, |block| {
        if is_meant(&block) {
            if page.has(total) {
                shown.push(block);
            }
            total += 1;
        }
    });
    page.check(total)?;
    let reply = call.reply();
    reply.int(c"total", total as u64);
    page.tell(&reply, total);
    let list = reply.array(c"blocks");
    for block in &shown {
        describe(&list.item_structure(), state, now, block);
    }
    Ok(())
}

fn describe(node: &Node<'_>, state: &State, now: Moment, block: &Block) {
    node.text(c"source", block.prefix.name());
    node.text(c"class", state.settings.classes.name(block.class));
    node.text(c"reason", block.reason.name());
    node.time((c"since", c"since_date"), now.date(block.since) / 1000);
    node.time((c"until", c"until_date"), now.date(block.until) / 1000);
    node.int(c"seconds_left", clock::seconds_left(block.until, now.monotonic));
    node.int(c"refused", block.seen);
    node.int(c"times", block.times);
    node.text(c"learnt", block.ways.names());
    node.int(c"in_firewall", u64::from(state.flood.is_offloaded(block.prefix)));
}

/// What is known of a source and why: address.
pub fn source(call: &Call, state: &State) -> Result<(), Fault> {
    let source = address(call, "address")?;
    call.no_more()?;
    let reply = call.reply();
    reply.text(c"ip", source);
    foretell(state, source).tell(&reply, state, FloodFlags::default());
    proofs::tell(&reply, state, source);
    spraying::tell(&reply, state, source);
    bans::tell_of_source(&reply, state, source);
    Ok(())
}

/// What `flood_check` would say to a request now, and the rule behind it.
pub struct Foretold {
    /// Without monitor mode.
    pub verdict: Verdict,
    /// Whether a refusal is only reported.
    pub watched: bool,
    source: Prefix,
    class: Option<ClassId>,
    class_rule: String,
    requests: u32,
    /// Of these over connections.
    streamed: u32,
    limit: u32,
    window: u32,
    proven: Option<Proven>,
    block: Option<Block>,
    listed: Option<Listed>,
    now: Moment,
}

/// What it would say of a source.
pub fn foretell(state: &State, source: Address) -> Foretold {
    with_rules(state, |rules| {
        let now = Moment::now();
        let (block, seen) = state.flood.look(source, rules, clock::monotonic);
        let (class, class_rule) =
            with_snapshot(|view, _| class_and_rule(state, view, rules, source))
                .unwrap_or((Some(ClassId::DEFAULT), "no snapshot is loaded".into()));
        let rule = rules.class(class);
        let (_, streamed) = state.streams.look(source, rules, clock::monotonic);
        let proven = proofs::of(state, rules, source);
        let listed = feeds::listed(state, source);
        let verdict = match &listed {
            Some(listed) if listed.is_refused() => Verdict::FloodListed,
            _ => verdict_on_next(rules, block, class, seen, proven.is_some()),
        };
        Foretold {
            verdict,
            listed,
            watched: rules.monitor != 0,
            source: rules.source_of(source),
            class,
            class_rule,
            requests: seen.map_or(0, |seen| seen.requests),
            streamed: streamed.map_or(0, |seen| seen.requests),
            limit: rule.limit,
            window: rule.window,
            proven,
            block,
            now,
        }
    })
}

impl Foretold {
    /// Whether, how and since when the source is proven.
    pub fn proof_words(&self) -> String {
        proofs::words(self.source, self.proven, self.now)
    }

    /// Its class; None: exempt.
    pub fn class(&self) -> Option<ClassId> {
        self.class
    }

    /// Name of its class.
    pub fn class_name<'s>(&self, state: &'s State) -> &'s str {
        state.settings.classes.name(self.class)
    }

    /// Its fields; the verdict is what the script would be told.
    pub fn tell(&self, reply: &Node<'_>, state: &State, flags: FloodFlags) {
        let told = policy::soften(self.verdict, flags, self.watched);
        reply.text(c"source", self.source.name());
        reply.int(c"code", told.code());
        reply.text(c"reason", told.reason());
        reply.text(c"class", state.settings.classes.name(self.class));
        reply.text(c"class_rule", &self.class_rule);
        reply.int(c"requests", self.requests);
        reply.int(c"requests_by_connection", self.streamed);
        reply.int(c"limit", self.limit);
        reply.int(c"window_ms", self.window);
        if let Some(block) = &self.block {
            describe(&reply.structure(c"block"), state, self.now, block);
        }
        if let Some(listed) = &self.listed {
            listed.tell(reply);
        }
    }

    /// The rule.
    pub fn words(&self, state: &State) -> String {
        let blocked = self.block.map_or(String::new(), |block| {
            let since = clock::date(self.now.date(block.since) / 1000);
            let left = clock::seconds_left(block.until, self.now.monotonic);
            let (source, reason) = (block.prefix.name(), block.reason.name());
            format!("; {source} is blocked since {since}, for another {left} s ({reason})")
        });
        let streamed = match self.streamed {
            0 => String::new(),
            count => format!(" and {count} over connections"),
        };
        let listed = self.listed.as_ref();
        let listed = listed.map_or(String::new(), |listed| format!("; {}", listed.words()));
        format!(
            "class {} ({}), {} of {} requests in {} ms{streamed}{blocked}{listed}",
            state.settings.classes.name(self.class),
            self.class_rule,
            self.requests,
            self.limit,
            self.window
        )
    }
}

/// The verdict on the next request, if it came now.
fn verdict_on_next(
    rules: &Rules,
    block: Option<Block>,
    class: Option<ClassId>,
    seen: Option<Seen>,
    proven: bool,
) -> Verdict {
    if block.is_some_and(|block| block.reason.applies_to(class)) {
        return Verdict::FloodBlocked;
    }
    if class.is_none() {
        return Verdict::Exempt;
    }
    let rule = rules.class(class);
    match seen.filter(|seen| seen.class == class) {
        Some(seen) if seen.requests < rule.limit => Verdict::UnderLimit,
        None => Verdict::UnderLimit,
        Some(_) if rule.block == 0 => Verdict::FloodThrottled,
        Some(_) if proven || rules.common.block_unproven == 0 => Verdict::FloodUnproven,
        Some(_) => Verdict::FloodStarted,
    }
}

fn class_and_rule(
    state: &State,
    view: &View<'_>,
    rules: &Rules,
    source: Address,
) -> (Option<ClassId>, String) {
    let (listed, kind) = policy::source_class(view, source, rules.company_sources());
    let class = match kind {
        SourceKind::Anybody => flood_class(state, rules, source).0,
        _ => listed,
    };
    let rule = match kind {
        SourceKind::Trusted(_) => match view.trusted_range(source) {
            Some(range) => format!("trusted {}", range.name()),
            None => "trusted".into(),
        },
        SourceKind::Company | SourceKind::Anybody => company_rule(view, source),
    };
    (class, rule)
}

/// Which company's range makes a source one of a company, or why none does.
fn company_rule(view: &View<'_>, source: Address) -> String {
    let name = |company: &CompanyView<'_>| Printable::full(company.id()).to_string();
    let min_prefix = view.min_prefix();
    if let Some((company, range)) =
        view.company_of(source, |range| !min_prefix.is_longer_than(range))
    {
        return format!("range {} of company {}", range.name(), name(&company));
    }
    match view.company_of(source, |_| true) {
        Some((company, range)) => format!(
            "range {} of company {} is broader than {}",
            range.name(),
            name(&company),
            MinPrefix::parameter(&range)
        ),
        None => "neither trusted nor in a range of a company".into(),
    }
}

/// Blocks a source or range: address|prefix [seconds].
pub fn block(call: &Call, state: &State) -> Result<(), Fault> {
    let prefix = prefix_of(&call.required("address")?, state)?;
    if MIN_BLOCK_PREFIX.is_longer_than(&prefix) {
        let min_prefix = MIN_BLOCK_PREFIX.of(&prefix);
        return Err(Fault::argument(format!("{prefix} is broader than /{min_prefix}")));
    }
    let seconds = seconds(call)?;
    call.no_more()?;
    let now = Moment::now();
    with_rules(state, |rules| {
        let (class, _) = flood_class(state, rules, prefix.first());
        let seconds = seconds.unwrap_or(match rules.class(None).block {
            0 => DEFAULT_BLOCK,
            block => block,
        });
        let block = Block {
            prefix,
            class,
            since: now.monotonic,
            until: now.monotonic + u64::from(seconds) * 1000,
            seen: 0,
            times: 1,
            reason: Reason::Manual,
            ways: Ways::NONE,
        };
        let over = (state.flood.block(&block, rules, now.monotonic))
            .map_err(|_| Fault::internal("no room: flood_sources is full of blocks"))?;
        started(state, rules, (&block, now.monotonic), over.as_ref(), "an operator said so");
        let reply = call.reply();
        describe(&reply, state, now, &block);
        let warnings = reply.array(c"warnings");
        if rules.monitor != 0 {
            warnings.item("flood_monitor is on: nothing is refused");
        }
        with_snapshot(|view, _| warn_of_friends(state, &warnings, view, rules, prefix));
        Ok(())
    })
}

/// Names whom a block hits that was never meant to be refused.
fn warn_of_friends(
    state: &State,
    warnings: &Node<'_>,
    view: &View<'_>,
    rules: &Rules,
    prefix: Prefix,
) {
    let (count, first) = view.trusted_within(prefix);
    if let Some(first) = first {
        let first = first.name();
        warnings.item(format_args!("{count} trusted ranges are refused too, first {first}"));
    }
    let (class, rule) = class_and_rule(state, view, rules, prefix.first());
    if class.is_none() {
        warnings.item(format_args!("{} was exempt: {rule}", prefix.first()));
    }
}

/// The block that a source is under.
pub(super) fn block_of(state: &State, source: Address) -> Option<Block> {
    let look = |rules: &Rules| state.flood.look(source, rules, clock::monotonic);
    with_rules(state, look).0
}

/// Lifts blocks and forgets the evidence: address|prefix|all.
pub fn unblock(call: &Call, state: &State) -> Result<(), Fault> {
    let text = call.required("address")?;
    let prefix = match text.as_slice() {
        b"all" => None,
        text => Some(prefix_of(text, state)?),
    };
    call.no_more()?;
    let lifted = lift(state, prefix);
    state.tell_lift(&Lift { what: Lifted::Blocks, within: prefix, of: None });
    let reply = call.reply();
    reply.int(c"lifted", lifted);
    if let Some(prefix) = prefix {
        let first = prefix.first();
        if let Some(block) = block_of(state, first) {
            reply.text(c"still_blocked_by", block.prefix.name());
        }
        if let Some(listed) = feeds::listed(state, first).filter(Listed::is_refused) {
            reply.text(c"hint", format_args!("{}: {} serves it", listed.words(), command("allow")));
        }
    }
    Ok(())
}
