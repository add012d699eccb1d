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
pub struct Told {
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

thread_local! {
    static LIMITED: RefCell<ScopeText> = const { RefCell::new(ScopeText { text: Vec::new(), kind: 0 }) };
    static LAST: Cell<Option<(MessageKey, Told)>> = const { Cell::new(None) };
}

/// Keeps the verdict for `$swd` and returns it for the script. It may be another one
/// than was judged.
pub fn answer(
    msg: Message<'_>,
    function: &str,
    (verdict, judged): (Verdict, Verdict),
    source: Option<Source>,
    about: About,
) -> Verdict {
    LAST.set(Some((msg.key(), Told { verdict, judged, source, about })));
    if log::debugs() {
        log::debug(format_args!("{function}: {} ({})", verdict.reason(), verdict.code()));
    }
    verdict
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
pub fn last_told(msg: Message<'_>) -> Option<Told> {
    LAST.get().filter(|(key, _)| *key == msg.key()).map(|(_, told)| told)
}
