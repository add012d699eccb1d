//! The source that a function judges, as the shim hands it over.

use crate::address::Address;
use crate::host::contract::abi::sw_message;
use crate::host::report::complaint::{Kind, complain};
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

impl sw_message {
    /// Whom the message has come from; None if nobody has sent it.
    #[inline]
    pub fn sender(&self) -> Option<Source> {
        let learnt = if self.proxied != 0 { Learnt::Proxy } else { Learnt::Packet };
        Some(Source { address: self.source.to_address()?, learnt })
    }

    /// The sender, if this is its address.
    fn sender_at(&self, address: Address) -> Option<Source> {
        self.sender().filter(|sender| sender.address == address)
    }

    /// What a function judges: the address that the script has given, else the sender.
    ///
    /// # Errors
    /// Why there is none; complained of. A wrong text never stands for the sender, who
    /// may be a balancer with many clients behind it.
    #[inline]
    pub fn judged(&self, function: &Function) -> Result<Source, NoSource> {
        if self.is_given != 0 {
            // SAFETY: the shim passes a text that outlives the call that this is in.
            let source = given(function, unsafe { self.given.bytes() })?;
            // A script may give what it always gives, also for those who send themselves.
            return Ok(self.sender_at(source.address).unwrap_or(source));
        }
        self.sender().ok_or_else(|| nobody(function))
    }
}

#[cold]
fn nobody(function: &Function) -> NoSource {
    complain(
        Kind::NoSource,
        format_args!(
            "{} has no source to judge: nobody has sent this message; give an address as the last \
             argument (said once a minute)",
            function.name
        ),
    );
    NoSource::Nobody
}

fn given(function: &Function, text: &[u8]) -> Result<Source, NoSource> {
    let address = Address::parse(text).ok_or_else(|| {
        let text = Printable::short(text);
        complain(
            Kind::Address,
            format_args!(
                "{} has judged nothing: \"{text}\" is no IP address; give one address, without a \
                 port (said once a minute)",
                function.name
            ),
        );
        NoSource::Bad
    })?;
    Ok(Source { address, learnt: Learnt::Script })
}
