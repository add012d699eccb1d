//! What a script function is called for: a message, an INVITE, a failed login.

use std::ptr;

use super::abi::{self, SW_MAX_CREDENTIALS, sw_address, sw_attempt, sw_call, sw_message, sw_text};
use crate::address::Address;
use crate::source::{Learnt, Source};

/// Headers with credentials that are told apart.
pub const MAX_CREDENTIALS: usize = SW_MAX_CREDENTIALS as usize;

/// A SIP message. Only the entries from C make one, for as long as they last.
#[derive(Clone, Copy)]
pub struct Message<'a>(&'a sw_message);

/// Names a message: no two messages of one process share all three, and a
/// message that goes on in another process is another one there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MessageKey {
    address: usize,
    id: u32,
    pid: i32,
}

impl<'a> Message<'a> {
    /// None for NULL.
    ///
    /// # Safety
    /// It and its texts stay as they are for `'a`, in which the script function runs.
    pub(super) unsafe fn new(message: *const sw_message) -> Option<Self> {
        // SAFETY: as the caller guarantees.
        unsafe { message.as_ref() }.map(Message)
    }

    /// Its name.
    pub fn key(self) -> MessageKey {
        MessageKey { address: self.0.address as usize, id: self.0.id, pid: self.0.pid }
    }

    /// Whom it has come from; None if nobody has sent it.
    #[inline(always)]
    pub fn sender(self) -> Option<Source> {
        let learnt = if self.0.proxied != 0 { Learnt::Proxy } else { Learnt::Packet };
        Some(Source { address: address_of(&self.0.source)?, learnt })
    }

    /// Whether it came over a connection, so that its sender receives what is sent.
    #[inline(always)]
    pub fn is_stream(self) -> bool {
        self.0.stream != 0
    }

    /// What the script gives to judge in place of the sender.
    pub fn given(self) -> Option<&'a [u8]> {
        // SAFETY: where it is given, the text lives as long as the message, see `new`.
        (self.0.is_given != 0).then(|| unsafe { self.0.given.bytes() })
    }

    /// Its Call-ID and the URI in its From header, empty where it has none.
    pub fn names(self) -> [&'a [u8]; 2] {
        let mut texts = [sw_text { s: ptr::null(), len: 0 }; 2];
        if let Some(read) = abi::host().and_then(|host| host.message_names) {
            let [call_id, from] = &mut texts;
            // SAFETY: the script function that the message was made for still runs.
            unsafe { read(self.0, call_id, from) };
        }
        // SAFETY: the texts are of this message, which lives for `'a`.
        texts.map(|text| unsafe { text.bytes() })
    }
}

impl<'a> Message<'a> {
    /// What it claims to be: its User-Agent, From and To, empty where it has none.
    pub fn claims(self) -> [&'a [u8]; 3] {
        let mut texts = [sw_text { s: ptr::null(), len: 0 }; 3];
        if let Some(read) = abi::host().and_then(|host| host.message_claims) {
            let [agent, from, to] = &mut texts;
            // SAFETY: the script function that the message was made for still runs.
            unsafe { read(self.0, agent, from, to) };
        }
        // SAFETY: the texts are of this message, which lives for `'a`.
        texts.map(|text| unsafe { text.bytes() })
    }
}

/// Whether a nonce is good only for requests from the address that it was sent to.
pub fn nonces_are_bound() -> bool {
    abi::host().and_then(|host| host.nonces_are_bound).is_some_and(|bound| {
        // SAFETY: reads parameters that were set at the start.
        unsafe { bound() != 0 }
    })
}

#[inline(always)]
pub(super) fn address_of(address: &sw_address) -> Option<Address> {
    let [a, b, c, d, ..] = address.bytes;
    match address.family {
        4 => Some(Address::from_v4([a, b, c, d])),
        6 => Some(Address::from_v6(address.bytes)),
        _ => None,
    }
}

/// A message that may begin or belong to a call.
#[derive(Clone, Copy)]
pub struct CallRequest<'a>(&'a sw_call);

impl<'a> CallRequest<'a> {
    /// None for NULL.
    ///
    /// # Safety
    /// As for [`Message::new`].
    pub(super) unsafe fn new(call: *const sw_call) -> Option<Self> {
        // SAFETY: as the caller guarantees.
        unsafe { call.as_ref() }.map(CallRequest)
    }

    pub(super) fn raw(self) -> *const sw_call {
        self.0
    }

    /// The message.
    pub fn message(self) -> Message<'a> {
        Message(&self.0.msg)
    }

    /// Its Call-ID.
    pub fn call_id(self) -> &'a [u8] {
        // SAFETY: the text lives as long as the message, see `new`.
        unsafe { self.0.call_id.bytes() }
    }

    /// CSeq, and the branch that the first sender put into Via: they name an INVITE
    /// among those with its Call-ID.
    pub fn transaction(self) -> [&'a [u8]; 2] {
        // SAFETY: as above.
        unsafe { [self.0.cseq.bytes(), self.0.branch.bytes()] }
    }

    /// Whether it is an INVITE without a To tag.
    pub fn is_initial_invite(self) -> bool {
        self.0.initial_invite != 0
    }

    /// Whether it has a To tag: a request within a dialog.
    pub fn is_within_dialog(self) -> bool {
        self.0.within != 0
    }

    /// Whether it was asked in a kind of route in which no call can be counted.
    pub fn is_misplaced(self) -> bool {
        self.0.misplaced != 0
    }
}

/// A request that has failed to authenticate.
#[derive(Clone, Copy)]
pub struct Attempt<'a>(&'a sw_attempt);

impl<'a> Attempt<'a> {
    /// None for NULL.
    ///
    /// # Safety
    /// As for [`Message::new`].
    pub(super) unsafe fn new(attempt: *const sw_attempt) -> Option<Self> {
        // SAFETY: as the caller guarantees.
        unsafe { attempt.as_ref() }.map(Attempt)
    }

    /// The message.
    pub fn message(self) -> Message<'a> {
        Message(&self.0.msg)
    }

    /// Bodies of its headers with credentials; those beyond their number are empty.
    pub fn credentials(self) -> [&'a [u8]; MAX_CREDENTIALS] {
        // SAFETY: the texts live as long as the message, see `new`; unused ones are NULL.
        self.0.credentials.map(|text| unsafe { text.bytes() })
    }

    /// What the host's function returned that has compared the password; empty if the script
    /// does not say.
    pub fn code(self) -> &'a [u8] {
        // SAFETY: as above.
        unsafe { self.0.code.bytes() }
    }

    /// How many such headers there are; maybe more than fit.
    pub fn credential_count(self) -> usize {
        self.0.credential_count as usize
    }
}
