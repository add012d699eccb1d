//! `sipwarden.check`: the whole decision on a request that nobody has sent.

mod calls;
mod source;
mod words;

use super::arguments::no_snapshot;
use super::totals::Totals;
use super::{bans, blocks, budgets, spraying};
use crate::address::Address;
use crate::host::contract::rpc::{Call, Fault};
use crate::host::report::complaint::no_such_flag;
use crate::host::script::flags::bad_scopes;
use crate::host::settings::at;
use crate::host::state::rules::monitors;
use crate::host::state::{State, with_snapshot};
use crate::policy::{CallFlags, FloodFlags};
use crate::printable::Printable;
use crate::tables::Table;
use crate::verdict::{
    AUTH_CHECK, CC_LIMIT, CHECK_COMPANY_IP, FLOOD_CHECK, Function, ROADWARRIOR_ACQUIRE, Verdict,
};
use crate::{clock, policy};

/// What one function would say.
struct Step {
    function: &'static Function,
    /// Without monitor mode.
    verdict: Verdict,
    /// Whether a refusal is only reported.
    watched: bool,
    /// Whether the request gets so far: the script asks nothing after a refusal.
    asked: bool,
    /// Whether the example configurations do not ask it of an emergency.
    spared: bool,
    /// The rule behind it.
    words: String,
}

impl Step {
    /// As the list of steps shows it.
    fn line(&self) -> String {
        let (name, words) = (self.name(), &self.words);
        if self.spared {
            return format!("{}: not asked of an emergency, {words}", self.function.name);
        }
        match (self.asked, self.refuses()) {
            (true, _) => format!("{name}, {words}"),
            (false, false) => format!("{}: not asked, {words}", self.function.name),
            (false, true) => format!(
                "{}: not asked; it would refuse too: {} ({}), {words}",
                self.function.name,
                self.verdict.reason(),
                self.verdict.code()
            ),
        }
    }

    fn refuses(&self) -> bool {
        self.verdict.code() < 0 && !self.spared
    }

    /// The function and its verdict.
    fn name(&self) -> String {
        format!("{}: {} ({})", self.function.name, self.verdict.reason(), self.verdict.code())
    }
}

/// The functions that the script asks, up to the first that refuses, and those below it.
#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    /// Adds one with its verdict and whether a refusal is only reported; whether it is
    /// asked, which `words` is told too.
    fn add(
        &mut self,
        function: &'static Function,
        (verdict, watched): (Verdict, bool),
        words: impl FnOnce(bool) -> String,
    ) -> bool {
        let asked = !self.0.iter().any(|step| step.refuses() && !step.watched);
        self.0.push(Step { function, verdict, watched, asked, spared: false, words: words(asked) });
        asked
    }

    /// Adds one that emergencies are spared.
    fn add_unless(
        &mut self,
        emergency: bool,
        function: &'static Function,
        (verdict, watched): (Verdict, bool),
        words: impl FnOnce() -> String,
    ) {
        self.add(function, (verdict, watched), |_| words());
        if let Some(step) = self.0.last_mut() {
            step.spared = emergency;
        }
    }
}

/// The verdict of all functions together, then each with the rule behind it: company
/// ip [aor [scopes [flags]]]. Nothing is counted.
pub fn check(call: &Call, state: &State) -> Result<(), Fault> {
    let company = call.required("company")?;
    let ip = call.required("ip")?;
    let ip = Address::parse(&ip).ok_or_else(|| {
        Fault::argument(format!("ip \"{}\" is not an IP address", Printable::short(&ip)))
    })?;
    let aor = call.argument("aor")?.filter(|text| !text.is_empty());
    let scopes = call.argument("scopes")?.unwrap_or_default();
    let flags = call.argument("flags")?.unwrap_or_default();
    let (flags, unknown) = CallFlags::parse(&flags);
    if let Some(letter) = unknown {
        return Err(Fault::argument(no_such_flag(CC_LIMIT.name, letter, CallFlags::KNOWN)));
    }
    call.no_more()?;
    let asked = calls::AskedCall { flags, scopes: &scopes };
    let totals =
        Totals::ask(state, |view| calls::keys(state, view, &company, aor.as_deref(), &asked));
    with_snapshot(|view, pinned| {
        let everywhere = monitors();
        let known = view.company(&company);
        let filter_watched = policy::is_filter_monitored(known.as_ref(), everywhere);
        let flood = blocks::foretell(state, ip);
        let login = aor.as_ref().map(|aor| bans::foretell(state, aor, ip));
        let source = source::Foretold::new(view, &company, ip);
        let emergency = flags.emergency;
        let user = aor.as_ref();
        let user = user.map(|aor| {
            calls::ForetoldUser::new(state, view, aor, &company, ip, emergency, &totals)
        });
        let limits =
            known.map(|company| calls::ForetoldCall::new(state, view, &company, &asked, &totals));
        let limits = limits.transpose().map_err(|bad| Fault::argument(bad_scopes(&bad)))?;

        // In the order in which the example configuration asks.
        let mut steps = Steps::default();
        let flood_flags = FloodFlags { emergency, peek: false };
        let verdict = policy::soften(flood.verdict, flood_flags, false);
        steps.add(&FLOOD_CHECK, (verdict, flood.watched), |_| flood.words(state));
        if let Some(login) = &login {
            let verdict = (login.verdict, login.watched);
            steps.add_unless(emergency, &AUTH_CHECK, verdict, || login.words(state));
        }
        // The roadwarriors' rule asks for the address itself.
        let acquires = match &user {
            None => {
                let verdict = (source.verdict(), filter_watched);
                steps.add_unless(emergency, &CHECK_COMPANY_IP, verdict, || source.words());
                false
            }
            Some(user) => {
                let verdict = (user.verdict, filter_watched);
                steps.add(&ROADWARRIOR_ACQUIRE, verdict, |asked| {
                    source.words() + "; " + &user.words(asked)
                })
            }
        };
        let limited = limits.as_ref().is_some_and(|limits| {
            steps.add(&CC_LIMIT, (limits.verdict, everywhere), |asked| limits.words(asked))
        });
        if limits.is_none() && emergency {
            let words = "an emergency passes, but does not count: there is no such company";
            steps.add(&CC_LIMIT, (Verdict::CallEmergency, false), |_| words.into());
        }
        let Steps(steps) = steps;

        let reply = call.reply();
        reply.text(c"verdict", verdict_of(&steps));
        let list = reply.array(c"steps");
        for step in &steps {
            list.item(step.line());
        }
        list.item(flood.proof_words());
        list.item(spraying::words(state, ip));
        if let Some(budget) = budgets::words(state, flood.class()) {
            list.item(budget);
        }
        if let Some(range) = view.trusted_range(ip) {
            let table = state.values.text(at::FIRST_TABLE + Table::Trusted.index());
            list.item(format_args!(
                "trusted: {ip} is in {} of {table}, class {}: for flood control and brute force \
                 protection; the companies' ranges are asked all the same",
                range.name(),
                flood.class_name(state)
            ));
        }
        let (generation, loaded) = (pinned.generation(), view.compiled_at());
        list.item(format_args!(
            "tables: generation {generation}, loaded {}, {} s ago",
            clock::date(loaded),
            clock::age(loaded)
        ));
        if state.desk.as_ref().is_some_and(|desk| !desk.standing.is_exact(clock::boottime())) {
            list.item(
                "cluster: the other proxies cannot be asked now; cluster_policy decides on new \
                 calls, and the verdict here is by this proxy's own calls only",
            );
        }
        if filter_watched {
            let whose = if everywhere { "everywhere" } else { "for this company's filter" };
            list.item(format_args!("monitor mode is on {whose}: refusals are only reported"));
        }
        reply.int(c"generation", generation);
        reply.text(c"company", Printable::full(&company));
        reply.text(c"ip", ip);
        source.tell(&reply);
        if let Some(user) = &user {
            user.tell(&reply.structure(c"roadwarrior"), acquires);
        }
        if let Some(limits) = &limits {
            limits.tell(&reply.structure(c"cc_limit"), limited, state, view);
        }
        flood.tell(&reply.structure(c"flood"), state, flood_flags);
        if let Some(login) = &login {
            login.tell(&reply.structure(c"auth"), state);
        }
        Ok(())
    })
    .ok_or_else(no_snapshot)?
}

/// What becomes of the request, in one line.
fn verdict_of(steps: &[Step]) -> String {
    let mut refusals = steps.iter().filter(|step| step.refuses());
    let told = |step: &Step| format!("refused by {}", step.name());
    if let Some(step) = refusals.clone().find(|step| !step.watched) {
        return told(step);
    }
    match refusals.next() {
        Some(step) => format!("allowed by monitor mode only; without it {}", told(step)),
        None => "allowed".into(),
    }
}
