//! RPC methods `sipwarden.*`.
#![forbid(unsafe_code)]

mod arguments;
mod bans;
mod blocks;
mod budgets;
mod calls;
mod check;
mod cluster;
mod company;
mod denied;
mod feeds;
mod grants;
mod limits;
mod lint;
mod listing;
mod names;
mod page;
mod proofs;
mod reload_all;
mod settings;
mod spraying;
mod status;
mod totals;

use std::ffi::CStr;

use crate::host::contract::method::{Argument, Method};
use crate::host::contract::rpc::{Call, Fault};
use crate::host::state::{self, State};

type Answer = fn(&Call, &State) -> Result<(), Fault>;

/// How many arguments must be given, and all of them.
type Arguments = (usize, &'static [Argument]);

const fn method(
    name: &'static CStr,
    (required, arguments): Arguments,
    meaning: &'static CStr,
    answer: Answer,
) -> (Method, Answer) {
    (Method { name, meaning, arguments, required }, answer)
}

const NONE: Arguments = (0, &[]);
const ADDRESS: Argument = Argument::new(c"address");
const AOR: Argument = Argument::new(c"aor");
const COMPANY: Argument = Argument::new(c"company");
const IP: Argument = Argument::new(c"ip");
const PAGE: Argument = Argument::new(c"page");
const PREFIX: Argument = Argument::shown(c"address", "<address|prefix>");
const LISTED: &[Argument] = &[PAGE, Argument::new(c"text")];
const SECONDS: Argument = Argument::new(c"seconds");

/// All methods.
static METHODS: [(Method, Answer); 33] = [
    method(c"reload", NONE, c"Reads the tables and the feeds and publishes them.", status::reload),
    method(
        c"reload_all",
        NONE,
        c"Reloads on all proxies of the cluster, and says what became of it on each.",
        reload_all::reload_all,
    ),
    method(
        c"check",
        (2, &[COMPANY, IP, AOR, Argument::new(c"scopes"), Argument::new(c"flags")]),
        c"Explains verdicts, without side effects.",
        check::check,
    ),
    method(c"source", (1, &[ADDRESS]), c"Class, rate and block of a source.", blocks::source),
    method(
        c"blocks",
        (0, &[PAGE, Argument::new(c"text")]),
        c"Blocked sources, 20 a page, or those with a text.",
        blocks::blocks,
    ),
    method(c"block", (1, &[PREFIX, SECONDS]), c"Blocks a source or range.", blocks::block),
    method(
        c"unblock",
        (1, &[Argument::shown(c"address", "<address|prefix|all>")]),
        c"Lifts blocks, forgets the evidence.",
        blocks::unblock,
    ),
    method(c"bans", (0, &[PAGE]), c"Banned AoRs and their sources, 20 a page.", bans::bans),
    method(c"ban", (2, &[AOR, IP, SECONDS]), c"Bans an AoR from a source.", bans::ban),
    method(
        c"unban",
        (1, &[Argument::shown(c"aor", "<aor|all>"), PREFIX]),
        c"Lifts bans, forgets failures.",
        bans::unban,
    ),
    method(c"feeds", (0, &[PAGE]), c"Feeds, and what is wrong with them.", feeds::feeds),
    method(
        c"grants",
        (0, &[PAGE, COMPANY]),
        c"Sources that companies may use for a time, 20 a page.",
        grants::grants,
    ),
    method(
        c"allow",
        (2, &[COMPANY, PREFIX, SECONDS, Argument::new(c"note")]),
        c"Allows a company a source for a time.",
        grants::allow,
    ),
    method(c"disallow", (1, &[COMPANY, PREFIX]), c"Ends grants of a company.", grants::disallow),
    method(
        c"company",
        (1, &[COMPANY, PAGE]),
        c"Settings and ranges of a company.",
        company::company,
    ),
    method(
        c"companies",
        (0, LISTED),
        c"Companies, 20 a page, or those with a text.",
        listing::companies,
    ),
    method(c"users", (0, LISTED), c"Users, 20 a page, or those with a text.", listing::users),
    method(
        c"trusted",
        (0, LISTED),
        c"Trusted ranges, 20 a page, or those with a text.",
        listing::trusted,
    ),
    method(c"names", (0, &[PAGE]), c"Host names and what they mean, 20 a page.", names::names),
    method(
        c"lint",
        (0, &[PAGE, Argument::new(c"days")]),
        c"Ranges that companies share, that are too broad, that feeds list, or that nobody has used for days (90).",
        lint::lint,
    ),
    method(
        c"calls",
        (0, &[Argument::shown(c"company", "<company|kind=id>"), PAGE]),
        c"Live calls, 20 a page; s: for all companies.",
        calls::calls,
    ),
    method(
        c"limits",
        (0, &[Argument::new(c"kind"), Argument::new(c"id"), PAGE]),
        c"Rows of limit_table, 20 a page; with an id its limits and calls.",
        limits::limits,
    ),
    method(
        c"release",
        (1, &[Argument::new(c"call-id")]),
        c"Takes a call out of all counts.",
        calls::release,
    ),
    method(
        c"reconcile",
        (0, &[Argument::shown(c"free", "free")]),
        c"Compares calls with dialogs.",
        calls::reconcile,
    ),
    method(
        c"denied",
        (0, &[COMPANY, PAGE]),
        c"The last refusals, blocks and bans, 20 a page.",
        denied::denied,
    ),
    method(
        c"top",
        (0, &[Argument::new(c"n")]),
        c"Companies, brands and scopes near their limits, busy sources.",
        denied::top,
    ),
    method(
        c"suggest",
        (1, &[COMPANY]),
        c"Ranges that the last refused sources would need.",
        denied::suggest,
    ),
    method(
        c"cluster",
        (0, &[Argument::new(c"kind"), Argument::new(c"id")]),
        c"How limits are shared with other nodes; with an id, the slots of each.",
        cluster::cluster,
    ),
    method(c"settings", NONE, c"Settings that can be changed at run time.", settings::settings),
    method(
        c"set",
        (2, &[Argument::new(c"name"), Argument::new(c"value")]),
        c"Changes a setting at run time.",
        settings::set,
    ),
    method(
        c"problems",
        (0, &[PAGE]),
        c"The bad rows and warnings of the last reload.",
        status::problems,
    ),
    method(c"stats", NONE, c"Sizes, use and counters.", status::stats),
    method(c"version", NONE, c"Version of the module and its build.", status::version),
];

/// All methods, in the order of their indexes.
pub fn methods() -> impl Iterator<Item = &'static Method> {
    METHODS.iter().map(|(method, _)| method)
}

/// Answers method number `index`.
///
/// # Errors
/// The fault with which the call ends.
pub fn answer(index: usize, call: &Call) -> Result<(), Fault> {
    let state = state::get().ok_or_else(|| Fault::internal("not started"))?;
    let (_, answer) = METHODS.get(index).ok_or_else(|| Fault::internal("no such method"))?;
    answer(call, state)
}
