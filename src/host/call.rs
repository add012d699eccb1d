//! One script call: the message it is for, and what it was told last.

use std::cell::Cell;

use super::abi::{self, sw_message, sw_text};
use super::log;
use crate::flood::ClassId;
use crate::ledger::{Taken, Wanted};
use crate::source::Source;
use crate::verdict::Verdict;

/// Names a message: no two messages of one process share all three, and a
/// message that goes on in another process is another one there.
#[derive(Clone, Copy, PartialEq, Eq)]
struct MessageKey {
    address: usize,
    id: u32,
    pid: i32,
}

impl From<&sw_message> for MessageKey {
    fn from(msg: &sw_message) -> Self {
        MessageKey { address: msg.address as usize, id: msg.id, pid: msg.pid }
    }
}

/// Live calls and limits of the scopes that a verdict is about.
#[derive(Clone, Copy)]
pub struct Numbers {
    /// (live calls, limit) of brand, company and roadwarrior, by [`ScopeKind::number`].
    pub scopes: [Option<(u32, u32)>; 3],
}

impl Numbers {
    /// The verdict is about no call.
    pub const NONE: Self = Numbers { scopes: [None; 3] };

    /// What an attempt to count a call saw.
    pub fn new(wanted: &[Wanted<'_>], taken: &Taken) -> Self {
        let mut numbers = Self::NONE;
        for (want, calls) in wanted.iter().zip(taken.counts) {
            if let Some(slot) = numbers.scopes.get_mut(want.scope.kind.number()) {
                *slot = calls.map(|calls| (calls.any, want.limit.calls));
            }
        }
        numbers
    }
}

/// The source that a verdict of flood control is about.
#[derive(Clone, Copy)]
pub struct FloodNumbers {
    /// Its class; None: exempt.
    pub class: Option<ClassId>,
    /// Its requests in the window.
    pub requests: u32,
    /// The limit of its class.
    pub limit: u32,
    /// Seconds that it is still blocked.
    pub block_seconds: u32,
}

/// The AoR and source that a verdict of brute force protection is about.
#[derive(Clone, Copy)]
pub struct AuthNumbers {
    /// Class of the source; None: exempt.
    pub class: Option<ClassId>,
    /// Failures in the window.
    pub failures: u32,
    /// The one that starts a ban.
    pub limit: u32,
    /// Seconds of the ban that are left.
    pub ban_seconds: u32,
}

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

thread_local! {
    static LAST: Cell<Option<(MessageKey, Told)>> = const { Cell::new(None) };
}

/// Call-ID of a message and the URI in its From header, empty where it has none.
pub fn names(msg: &sw_message) -> [&[u8]; 2] {
    let mut texts = [sw_text { s: std::ptr::null(), len: 0 }; 2];
    if let Some(read) = abi::host().and_then(|host| host.message_names) {
        let [call_id, from] = &mut texts;
        // SAFETY: the shim made it of the message that the script function was called for.
        unsafe { read(msg, call_id, from) };
    }
    // SAFETY: the texts are of this message, which outlives `msg`.
    texts.map(|text| unsafe { text.bytes() })
}

/// Keeps the verdict for `$swd` and returns the code for the script.
/// It may be another one than was judged.
pub fn answer(
    msg: &sw_message,
    function: &str,
    (verdict, judged): (Verdict, Verdict),
    source: Option<Source>,
    about: About,
) -> i32 {
    LAST.set(Some((msg.into(), Told { verdict, judged, source, about })));
    if log::debugs() {
        log::debug(format_args!("{function}: {} ({})", verdict.reason(), verdict.code()));
    }
    verdict.code()
}

/// What was told last in this message.
pub fn last_told(msg: &sw_message) -> Option<Told> {
    LAST.get().filter(|(key, _)| *key == msg.into()).map(|(_, told)| told)
}
