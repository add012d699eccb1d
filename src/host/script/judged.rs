//! The source that a function judges.

use crate::address::Address;
use crate::host::contract::message::Message;
use crate::host::report::complaint::{ComplaintKind, complain};
use crate::printable::Printable;
use crate::source::{Learnt, Source};
use crate::verdict::{Function, Verdict};

/// Why there is nothing to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSource {
    /// Nobody has sent the message.
    Nobody,
    /// The script gave a text that is no address.
    Bad,
}

impl NoSource {
    /// The verdict of a function that refuses then.
    pub const fn refusal(self) -> Verdict {
        match self {
            NoSource::Nobody => Verdict::InternalError,
            NoSource::Bad => Verdict::BadAddress,
        }
    }

    /// The verdict of one that lets pass, `untracked` being its own word.
    pub const fn pass(self, untracked: Verdict) -> Verdict {
        match self {
            NoSource::Nobody => untracked,
            NoSource::Bad => Verdict::BadAddressPassed,
        }
    }
}

/// What a function judges: the address that the script has given, else the sender.
///
/// # Errors
/// Why there is none; complained of. A wrong text never stands for the sender, who
/// may be a balancer with many clients behind it.
#[inline(always)]
pub fn judged(msg: Message<'_>, function: &Function) -> Result<Source, NoSource> {
    match msg.given() {
        None => msg.sender().ok_or_else(|| nobody(function)),
        Some(text) => given(msg, function, text),
    }
}

#[cold]
fn nobody(function: &Function) -> NoSource {
    complain(
        ComplaintKind::NoSource,
        format_args!(
            "{} has no source to judge: nobody has sent this message; give an address as the last \
             argument (said once a minute)",
            function.name
        ),
    );
    NoSource::Nobody
}

#[inline(never)]
fn given(msg: Message<'_>, function: &Function, text: &[u8]) -> Result<Source, NoSource> {
    let address = Address::parse(text).ok_or_else(|| {
        let text = Printable::short(text);
        complain(
            ComplaintKind::Address,
            format_args!(
                "{} has judged nothing: \"{text}\" is not an IP address; give one address, without a \
                 port (said once a minute)",
                function.name
            ),
        );
        NoSource::Bad
    })?;
    // A script may always give an address, also that of the sender.
    let sender = msg.sender().filter(|sender| sender.address == address);
    Ok(sender.unwrap_or(Source { address, learnt: Learnt::Script }))
}
