//! One script call: the message it is for, and what it was told last.

use std::cell::{Cell, RefCell};

use crate::host::contract::log;
use crate::host::contract::message::{Message, MessageKey};
use crate::policy::{AuthNumbers, FloodNumbers, Numbers};
use crate::source::Source;
use crate::verdict::Verdict;

/// What a verdict is about, besides a source.
#[derive(Clone, Copy)]
pub enum About {
    /// Nothing else.
    Nothing,
    /// Calls.
    Calls(Numbers),
    /// Requests of the source.
    Flood(FloodNumbers),
    /// An AoR from a source.
    Auth(AuthNumbers),
}

/// What the script was told last.
#[derive(Clone, Copy)]
pub struct Answer {
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict without monitor mode and without flag `e` of `flood_check`.
    pub judged: Verdict,
    /// The source that it is about, if there is one.
    pub source: Option<Source>,
    /// What else it is about.
    pub about: About,
}

/// A scope as text, `kind=id`.
#[derive(Default)]
pub struct ScopeText {
    text: Vec<u8>,
    /// Length of the kind.
    kind: usize,
}

impl ScopeText {
    /// The whole.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Word of its kind.
    pub fn kind(&self) -> &[u8] {
        self.text.get(..self.kind).unwrap_or_default()
    }

    /// Its id.
    pub fn id(&self) -> &[u8] {
        self.text.get(self.kind + 1..).unwrap_or_default()
    }
}

/// What was told last, in parts: so a function stores what it knows, and no more.
struct Last {
    key: Cell<Option<MessageKey>>,
    verdicts: Cell<(Verdict, Verdict)>,
    source: Cell<Option<Source>>,
    about: Cell<Kind>,
    calls: Cell<Numbers>,
    flood: Cell<FloodNumbers>,
    auth: Cell<AuthNumbers>,
}

/// Which of the numbers are of the last verdict.
#[derive(Clone, Copy)]
enum Kind {
    Nothing,
    Calls,
    Flood,
    Auth,
}

thread_local! {
    static LIMITED: RefCell<ScopeText> =
        const { RefCell::new(ScopeText { text: Vec::new(), kind: 0 }) };
    static LAST: Last = const {
        Last {
            key: Cell::new(None),
            verdicts: Cell::new((Verdict::InternalError, Verdict::InternalError)),
            source: Cell::new(None),
            about: Cell::new(Kind::Nothing),
            calls: Cell::new(Numbers::NONE),
            flood: Cell::new(FloodNumbers::NONE),
            auth: Cell::new(AuthNumbers::NONE),
        }
    };
}

impl Last {
    #[inline(always)]
    fn set_about(&self, about: About) {
        let kind = match about {
            About::Nothing => Kind::Nothing,
            About::Calls(numbers) => {
                self.calls.set(numbers);
                Kind::Calls
            }
            About::Flood(numbers) => {
                self.flood.set(numbers);
                Kind::Flood
            }
            About::Auth(numbers) => {
                self.auth.set(numbers);
                Kind::Auth
            }
        };
        self.about.set(kind);
    }

    fn told(&self) -> Answer {
        let (verdict, judged) = self.verdicts.get();
        let about = match self.about.get() {
            Kind::Nothing => About::Nothing,
            Kind::Calls => About::Calls(self.calls.get()),
            Kind::Flood => About::Flood(self.flood.get()),
            Kind::Auth => About::Auth(self.auth.get()),
        };
        Answer { verdict, judged, source: self.source.get(), about }
    }
}

/// Keeps the verdict for `$swd` and returns it for the script. It may be another one
/// than was judged.
#[inline(always)]
pub fn answer(
    msg: Message<'_>,
    function: &str,
    verdicts: (Verdict, Verdict),
    source: Option<Source>,
    about: About,
) -> Verdict {
    LAST.with(|last| {
        last.key.set(Some(msg.key()));
        last.verdicts.set(verdicts);
        last.source.set(source);
        last.set_about(about);
    });
    let (verdict, _) = verdicts;
    if log::debugs() {
        log_verdict(function, verdict);
    }
    verdict
}

#[cold]
fn log_verdict(function: &str, verdict: Verdict) {
    log::debug(format_args!("{function}: {} ({})", verdict.reason(), verdict.code()));
}

/// Keeps the scope whose limit a verdict names, by the word of its kind and its id.
pub fn keep_limited(word: &[u8], id: &[u8]) {
    LIMITED.with_borrow_mut(|scope| {
        scope.text.clear();
        scope.text.extend_from_slice(word);
        scope.text.push(b'=');
        scope.text.extend_from_slice(id);
        scope.kind = word.len();
    });
}

/// Gives the scope whose limit was named last to `f`.
pub fn with_limited<R>(f: impl FnOnce(&ScopeText) -> R) -> R {
    LIMITED.with_borrow(f)
}

/// What was told last in this message.
pub fn last_answer(msg: Message<'_>) -> Option<Answer> {
    LAST.with(|last| (last.key.get() == Some(msg.key())).then(|| last.told()))
}
