//! One script call: the message it is for, and what it was told last.

use std::cell::Cell;

use crate::host::contract::abi::sw_message;
use crate::host::contract::log;
use crate::policy::{AuthNumbers, FloodNumbers, Numbers};
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
