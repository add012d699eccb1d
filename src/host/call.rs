//! One script call: the message it is for, and what it was told last.

use std::cell::Cell;

use super::abi::sw_message;
use super::log;
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

thread_local! {
    static LAST: Cell<Option<(MessageKey, Verdict)>> = const { Cell::new(None) };
}

/// Keeps the verdict for `$swd` and returns the code for the script.
pub fn answer(msg: &sw_message, function: &str, verdict: Verdict) -> i32 {
    LAST.set(Some((msg.into(), verdict)));
    log::debug(format_args!("{function}: {} ({})", verdict.reason(), verdict.code()));
    verdict.code()
}

/// The last verdict in this message.
pub fn last_verdict(msg: &sw_message) -> Option<Verdict> {
    LAST.get().filter(|(key, _)| *key == msg.into()).map(|(_, verdict)| verdict)
}
