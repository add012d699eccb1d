//! `sipwarden.check`: the whole decision on a request that nobody has sent.

mod calls;
mod source;
mod words;

use super::company::no_snapshot;
use super::{bans, blocks};
use crate::address::Address;
use crate::host::contract::rpc::{Call, Fault};
use crate::host::state::rules::monitors;
use crate::host::state::{State, with_snapshot};
use crate::printable::Printable;
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
    /// The rule behind it.
    words: String,
}

impl Step {
    fn refuses(&self) -> bool {
        self.verdict.code() < 0
    }

    /// The function and its verdict.
    fn name(&self) -> String {
        format!("{}: {} ({})", self.function.name, self.verdict.reason(), self.verdict.code())
    }
}

/// The verdict of all functions together, then each with the rule behind it: company
/// ip [aor]. Nothing is counted.
pub fn check(call: &Call, state: &State) -> Result<(), Fault> {
    let company = call.required("company")?;
    let ip = call.required("ip")?;
    let ip = Address::parse(&ip).ok_or_else(|| {
        Fault::argument(format!("ip \"{}\" is no IP address", Printable::short(&ip)))
    })?;
    let aor = call.argument("aor")?;
    call.no_more()?;
    with_snapshot(|view, pinned| {
        let everywhere = monitors();
        let filter_watched = policy::is_filter_monitored(view, &company, everywhere);
        let flood = blocks::foretell(state, ip);
        let login = aor.as_ref().map(|aor| bans::foretell(state, aor, ip));
        let source = source::Foretold::new(view, &company, ip);
        let user = aor.as_ref().map(|aor| calls::ForetoldUser::new(state, view, aor, &company, ip));
        let limits =
            view.company(&company).map(|company| calls::ForetoldCall::new(state, &company));

        // In the order in which the example configuration asks.
        let mut steps = vec![Step {
            function: &FLOOD_CHECK,
            verdict: flood.verdict,
            watched: flood.watched,
            words: flood.words(state),
        }];
        if let Some(login) = &login {
            let (verdict, watched) = (login.verdict, login.watched);
            steps.push(Step { function: &AUTH_CHECK, verdict, watched, words: login.words(state) });
        }
        // The roadwarriors' rule asks for the address itself.
        let asked = match &user {
            None => (&CHECK_COMPANY_IP, source.verdict(), source.words()),
            Some(user) => {
                (&ROADWARRIOR_ACQUIRE, user.verdict, source.words() + "; " + &user.words())
            }
        };
        let (function, verdict, words) = asked;
        steps.push(Step { function, verdict, watched: filter_watched, words });
        if let Some(limits) = &limits {
            let (verdict, words) = (limits.verdict, limits.words());
            steps.push(Step { function: &CC_LIMIT, verdict, watched: everywhere, words });
        }

        let reply = call.reply();
        reply.text(c"verdict", verdict_of(&steps));
        let list = reply.array(c"steps");
        for step in &steps {
            list.item(format_args!("{}, {}", step.name(), step.words));
        }
        let (generation, loaded) = (pinned.generation(), view.compiled_at());
        list.item(format_args!(
            "tables: generation {generation}, loaded {}, {} s ago",
            clock::date(loaded),
            clock::age(loaded)
        ));
        if filter_watched {
            let whose = if everywhere { "everywhere" } else { "for this company's filter" };
            list.item(format_args!("monitor mode is on {whose}: refusals are only reported"));
        }
        reply.int(c"generation", generation);
        reply.text(c"company", Printable::full(&company));
        reply.text(c"ip", ip);
        source.tell(&reply);
        if let Some(user) = &user {
            user.tell(&reply.structure(c"roadwarrior"));
        }
        if let Some(limits) = &limits {
            limits.tell(&reply.structure(c"cc_limit"));
        }
        flood.tell(&reply.structure(c"flood"), state);
        if let Some(login) = &login {
            login.tell(&reply.structure(c"auth"), state);
        }
    })
    .ok_or_else(no_snapshot)
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
