//! `cc_limit` and `roadwarrior_acquire`, and what becomes of their calls.

use super::answer::{About, answer, keep_limited, with_limited};
use super::counting::{MISPLACED, begin, dialog_of, hold, no_dialog, take, wait_for};
use super::flags::bad_scopes;
use super::judged::judged;
use super::restored;
use super::shared::Later;
use crate::events::{Expiry, Subject};
use crate::host::contract::counters::{self, Own};
use crate::host::contract::dialogs::{self, DialogRef};
use crate::host::contract::log;
use crate::host::contract::message::CallRequest;
use crate::host::contract::module::DialogEvent;
use crate::host::report::complaint::{ComplaintKind, complain, misused, unknown_flag};
use crate::host::report::events::{self, subject};
use crate::host::state::rules::monitors;
use crate::host::state::sources::judge_source;
use crate::host::state::{self, UNKNOWN_KINDS, note_use, with_snapshot};
use crate::ledger::{DialogId, Direction, Enforcement, Outcome, Taken, Wanted};
use crate::policy::{self, BadScopes, CallFlags, CallScopes, Numbers, Roadwarrior};
use crate::printable::Printable;
use crate::snapshot::{CompanyView, View};
use crate::source::Source;
use crate::unset::is_unset;
use crate::verdict::{CC_LIMIT, Function, ROADWARRIOR_ACQUIRE, Verdict};

/// A verdict and the live calls and limits behind it.
type Decision = (Verdict, Numbers);

const ERROR: Decision = (Verdict::InternalError, Numbers::NONE);

/// `roadwarrior_acquire(aor, company [, flags [, ip]])`.
pub fn roadwarrior_acquire(
    call: CallRequest<'_>,
    aor: &[u8],
    company: &[u8],
    flags: &[u8],
) -> Verdict {
    let flags = read_flags(&ROADWARRIOR_ACQUIRE, flags);
    let monitored = is_filter_monitored(company);
    let source = judged(call.message(), &ROADWARRIOR_ACQUIRE);
    let (mut verdict, numbers) = match source {
        Ok(source) => decide_roadwarrior(call, source, (aor, company), flags, monitored),
        Err(none) => (none.refusal(), Numbers::NONE),
    };
    if (flags.emergency || numbers.emergency) && verdict.code() < 0 {
        verdict = Verdict::RoadwarriorEmergency;
    }
    let asked = Asked { source: source.ok(), aor, company, monitored };
    finish(&ROADWARRIOR_ACQUIRE, call, &asked, verdict, &numbers)
}

/// `cc_limit(company [, flags [, scopes]])`.
pub fn cc_limit(call: CallRequest<'_>, company: &[u8], flags: &[u8], scopes: &[u8]) -> Verdict {
    let flags = read_flags(&CC_LIMIT, flags);
    let scopes = if is_unset(scopes) { &[] } else { scopes };
    let monitored = monitors();
    let mut numbers = Numbers::NONE;
    let asked = CallAsked { call, company, flags, scopes, monitored };
    let mut verdict = decide_cc_limit(&asked, &mut numbers);
    let emergency = flags.emergency || numbers.emergency;
    if emergency && verdict.code() < 0 && numbers.hit.is_none() {
        uncounted(verdict);
        verdict = Verdict::CallEmergency;
    }
    let asked = Asked { source: call.message().sender(), aor: &[], company, monitored };
    finish(&CC_LIMIT, call, &asked, verdict, &numbers)
}

/// An emergency is not counted: no company, no dialog or no room. Allowed all the same.
#[cold]
fn uncounted(verdict: Verdict) {
    counters::count_own(Own::EmergencyUncounted);
    let reason = verdict.reason();
    complain(
        ComplaintKind::Emergency,
        format_args!("an emergency call is allowed but not counted: {reason}"),
    );
}

/// Whom a function was asked about, and whether refusals are only watched.
struct Asked<'a> {
    source: Option<Source>,
    aor: &'a [u8],
    company: &'a [u8],
    monitored: bool,
}

fn finish(
    function: &'static Function,
    call: CallRequest<'_>,
    asked: &Asked<'_>,
    verdict: Verdict,
    numbers: &Numbers,
) -> Verdict {
    counters::count_verdict(function, verdict);
    let (told, watched) = policy::watch(verdict, asked.monitored);
    if verdict.code() < 0 {
        report_refusal(function, call, asked, verdict, numbers);
    }
    if watched {
        counters::count_verdict(function, told);
    }
    answer(call.message(), function.name, (told, verdict), asked.source, About::Calls(*numbers))
}

#[cold]
fn report_refusal(
    function: &'static Function,
    call: CallRequest<'_>,
    asked: &Asked<'_>,
    verdict: Verdict,
    numbers: &Numbers,
) {
    with_snapshot(|view, _| {
        let &Asked { source, aor, company, monitored } = asked;
        let known = view.company(company);
        let known = known.as_ref();
        with_limited(|scope| {
            // Other verdicts name the company, its brand or the user.
            let is_named = matches!(verdict, Verdict::Limit | Verdict::Rate | Verdict::Ringing);
            let text = if is_named { scope.text() } else { &[] };
            let subject = Subject { company, aor, text, ..subject(source) };
            events::refused(known, call.message(), function, verdict, monitored, &subject, numbers);
        });
    });
}

/// Whether refusals for a company's sources are only watched.
fn is_filter_monitored(company: &[u8]) -> bool {
    let everywhere = monitors();
    with_snapshot(|view, _| policy::is_filter_monitored(view.company(company).as_ref(), everywhere))
        .unwrap_or(everywhere)
}

/// What limits do to a call: nothing to one that is spared.
fn enforcement(spared: bool, monitored: bool) -> Enforcement {
    match (spared, monitored) {
        (true, _) => Enforcement::Off,
        (_, true) => Enforcement::Monitor,
        _ => Enforcement::Full,
    }
}

/// The same for `cc_limit`: a call that was admitted is counted, not judged, and of an
/// emergency only limits with reserved slots ask.
fn cc_enforcement(flags: CallFlags, within: bool, monitored: bool) -> Enforcement {
    match (within, flags.emergency, monitored) {
        (true, ..) => Enforcement::Within,
        (_, true, false) => Enforcement::Reserved,
        (_, emergency, monitored) => enforcement(emergency, monitored),
    }
}

fn read_flags(function: &Function, text: &[u8]) -> CallFlags {
    let (flags, unknown) = CallFlags::parse(text);
    if let Some(letter) = unknown {
        unknown_flag(function.name, letter, CallFlags::KNOWN);
    }
    flags
}

fn decide_roadwarrior(
    call: CallRequest<'_>,
    Source { address: source, .. }: Source,
    (aor, company): (&[u8], &[u8]),
    flags: CallFlags,
    monitored: bool,
) -> Decision {
    let initial = call.is_initial_invite();
    let rule = with_snapshot(|view, pinned| {
        let known = view.company(company);
        let decision = judge_source(known.as_ref(), company, source, true);
        note_use(pinned, decision.place);
        policy::roadwarrior(view, aor, company, decision.verdict, initial)
    });
    match rule {
        None => ERROR,
        Some(Roadwarrior::Decided(verdict)) => {
            if verdict == Verdict::InternalError {
                let (aor, company) = (Printable::short(aor), Printable::short(company));
                misused(
                    ROADWARRIOR_ACQUIRE.name,
                    format_args!("the AoR is \"{aor}\", the company \"{company}\""),
                );
            }
            (verdict, Numbers::NONE)
        }
        Some(Roadwarrior::Slot { limit }) => {
            let Some(dialog) = hold(&ROADWARRIOR_ACQUIRE, call) else { return ERROR };
            let wanted = policy::roadwarrior_scopes(aor, company, limit);
            let enforcement = enforcement(flags.emergency, monitored);
            let taken = take(call, &dialog, &wanted, flags, enforcement);
            if taken.exceeded.is_some() || taken.outcome == Outcome::HeldByOther {
                keep_limited(b"roadwarrior", aor);
            }
            if taken.outcome == Outcome::Counted {
                dialog.remember(c"sipwarden_user", aor);
            }
            if flags.emergency && (taken.outcome == Outcome::Counted || taken.became_emergency) {
                dialog.append(&restored::emergency());
            }
            let watched = monitored && !flags.emergency && !taken.is_emergency;
            (policy::roadwarrior_verdict(&taken, watched), Numbers::new(&wanted, &taken))
        }
    }
}

/// What `cc_limit` is asked about a call.
struct CallAsked<'a> {
    call: CallRequest<'a>,
    company: &'a [u8],
    flags: CallFlags,
    /// Those that the script names.
    scopes: &'a [u8],
    monitored: bool,
}

/// A call that was counted, or refused by a limit.
struct Judged {
    /// It stays until the call is remembered.
    dialog: DialogRef,
    verdict: Verdict,
    news: News,
}

/// A call that is not judged yet, or cannot be.
enum Unjudged {
    /// Other nodes are asked first.
    Waits(DialogRef, Box<Later>),
    /// The verdict on it.
    Never(Verdict),
}

impl From<Verdict> for Unjudged {
    fn from(verdict: Verdict) -> Self {
        Unjudged::Never(verdict)
    }
}

/// What is new of a call, and to be kept with its dialog.
struct News {
    emergency: bool,
    company: bool,
    scopes: bool,
}

/// The numbers are those of no call yet: they are large, so they are filled where they are.
fn decide_cc_limit(asked: &CallAsked<'_>, numbers: &mut Numbers) -> Verdict {
    if is_unset(asked.company) {
        let company = Printable::short(asked.company);
        misused(CC_LIMIT.name, format_args!("the company is \"{company}\""));
        return Verdict::InternalError;
    }
    let judged = with_snapshot(|view, _| asked.judge(view, numbers));
    let Judged { dialog, verdict, news } = match judged {
        Some(Ok(judged)) => judged,
        Some(Err(Unjudged::Waits(dialog, later))) => asked.wait(dialog, *later, numbers),
        Some(Err(Unjudged::Never(verdict))) => return verdict,
        None => return Verdict::InternalError,
    };
    // It may wait for a database, so no snapshot is kept meanwhile.
    if dialogs::persist() {
        asked.remember(&dialog, &news);
    }
    verdict
}

impl CallAsked<'_> {
    /// Judges the call, and counts it.
    ///
    /// # Errors
    /// It has to wait, or cannot be judged.
    fn judge(&self, view: &View<'_>, numbers: &mut Numbers) -> Result<Judged, Unjudged> {
        let company = view.company(self.company).ok_or(Verdict::UnknownCompany)?;
        let dialog = self.dialog()?;
        let direction = self.flags.direction();
        let counted = if self.scopes.is_empty() {
            let wanted = policy::call_scopes(view, &company, direction);
            self.count(view, &company, &dialog, &wanted, numbers)
        } else {
            let mut scopes = CallScopes::new(view, &company, direction);
            scopes.add_named(view, direction, self.scopes).map_err(|bad| refuse_scopes(&bad))?;
            scopes.unknown.iter().for_each(|word| unknown_kind(view, word));
            self.count(view, &company, &dialog, scopes.wanted(), numbers)
        };
        match counted {
            Ok((verdict, news)) => Ok(Judged { dialog, verdict, news }),
            Err(later) => Err(Unjudged::Waits(dialog, later)),
        }
    }

    fn dialog(&self) -> Result<DialogRef, Verdict> {
        if self.call.is_misplaced() {
            no_dialog(&CC_LIMIT, MISPLACED);
            return Err(Verdict::InternalError);
        }
        dialog_of(self.call).map_err(|why| {
            // A call that began before this Kamailio did, or elsewhere.
            if self.call.is_within_dialog() {
                return Verdict::CallUntracked;
            }
            no_dialog(&CC_LIMIT, why);
            Verdict::InternalError
        })
    }

    /// Counts it against these scopes of a company, or tells why not.
    ///
    /// # Errors
    /// It has to wait.
    fn count(
        &self,
        view: &View<'_>,
        company: &CompanyView<'_>,
        dialog: &DialogRef,
        wanted: &[Wanted<'_>],
        numbers: &mut Numbers,
    ) -> Result<(Verdict, News), Box<Later>> {
        let mut taken = Taken::nothing(Outcome::Full);
        begin(&mut taken, self.call, dialog, wanted, self.flags, self.enforcement())?;
        self.tell(view, company, wanted, &taken);
        numbers.note(wanted, &taken);
        Ok((self.verdict(&taken), self.news(&taken)))
    }

    /// Counts it after a wait, in which nobody reads the tables.
    #[cold]
    fn wait(&self, dialog: DialogRef, later: Later, numbers: &mut Numbers) -> Judged {
        let (taken, later) = wait_for(self.call, &dialog, self.flags, later);
        let wanted = later.wanted();
        with_snapshot(|view, _| {
            // It may be gone by now.
            if let Some(company) = view.company(self.company) {
                self.tell(view, &company, &wanted, &taken);
            }
        });
        numbers.note(&wanted, &taken);
        Judged { dialog, verdict: self.verdict(&taken), news: self.news(&taken) }
    }

    fn enforcement(&self) -> Enforcement {
        cc_enforcement(self.flags, self.call.is_within_dialog(), self.monitored)
    }

    fn verdict(&self, taken: &Taken) -> Verdict {
        let emergency = self.flags.emergency || taken.is_emergency;
        let watched = self.enforcement() == Enforcement::Monitor && !emergency;
        policy::call_verdict(taken, emergency, watched)
    }

    fn news(&self, taken: &Taken) -> News {
        News {
            emergency: taken.became_emergency,
            company: taken.first_company,
            scopes: taken.added != 0 && (!taken.first_company || !self.scopes.is_empty()),
        }
    }

    fn tell(
        &self,
        view: &View<'_>,
        company: &CompanyView<'_>,
        wanted: &[Wanted<'_>],
        taken: &Taken,
    ) {
        if let Some(exceeded) = &taken.exceeded {
            let id = wanted.get(exceeded.at).map_or(&b""[..], |want| want.scope.id);
            keep_limited(view.word_of(exceeded.kind), id);
        }
        if taken.added != 0 {
            events::counted(view, company, wanted, taken);
        }
        if taken.first_company {
            count_direction(self.flags);
        }
    }

    /// Keeps with the dialog what a restart needs to count the call again.
    fn remember(&self, dialog: &DialogRef, news: &News) {
        if news.emergency {
            dialog.append(&restored::emergency());
        }
        if news.company {
            dialog.remember(c"sipwarden_company", self.company);
            if self.flags != CallFlags::default() {
                dialog.remember(c"sipwarden_flags", &self.flags.letters());
            }
        }
        if news.scopes {
            dialog.append(&restored::record(self.company, self.flags, self.scopes));
        }
    }
}

#[cold]
fn refuse_scopes(bad: &BadScopes<'_>) -> Verdict {
    complain(ComplaintKind::Argument, format_args!("{} (said once a minute)", bad_scopes(bad)));
    match bad {
        BadScopes::TooMany => Verdict::TooManyScopes,
        _ => Verdict::InternalError,
    }
}

/// Told once by one of all processes, and again when the table has got another kind: a script
/// that names what the table does not limit is no fault.
#[cold]
fn unknown_kind(view: &View<'_>, word: &[u8]) {
    let Some(state) = state::get() else { return };
    let hash = state.ledger.hash((word, view.own_kinds().count()));
    if state.unknown_kinds.insert(hash as usize % UNKNOWN_KINDS) {
        let word = Printable::short(word);
        log::warning(format_args!(
            "cc_limit does not count \"{word}\": limit_table has no row of this kind (said once)"
        ));
    }
}

fn count_direction(flags: CallFlags) {
    match flags.direction() {
        Direction::In => counters::count_own(Own::CallsInbound),
        Direction::Out => counters::count_own(Own::CallsOutbound),
        Direction::Any => {}
    }
}

/// A dialog ended, turned out to live, or is gone.
pub fn dialog_event(event: DialogEvent, dialog: DialogId) {
    let Some(state) = state::get() else { return };
    match event {
        DialogEvent::Ended => {
            state.ledger.release(dialog);
        }
        DialogEvent::Resumed => {
            if state.ledger.resume(dialog) {
                counters::count_own(Own::CallsResumed);
            }
        }
        DialogEvent::Answered => {
            state.ledger.answer(dialog);
        }
        DialogEvent::Gone => {
            state.ledger.forget(dialog);
        }
    }
}

/// A dialog ended although neither end hung up; `said_bye`: both were sent a BYE.
pub fn dialog_expired(dialog: DialogId, why: usize, said_bye: bool) {
    let Some(state) = state::get() else { return };
    let Some(ended) = state.ledger.expire(dialog) else { return };
    counters::count_own(Own::CallsExpired);
    let why = Expiry::ALL.get(why).copied().unwrap_or(Expiry::Lifetime);
    events::call_expired(state, &ended, why, said_bye);
}

/// Whether the call of a dialog counts.
pub fn dialog_counts(dialog: DialogId) -> bool {
    state::get().is_some_and(|state| state.ledger.is_live(dialog))
}
