//! Builds replies through the host's RPC API.

use std::ffi::{CStr, c_char, c_void};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::ptr;

use super::abi::{
    self, SW_ARGUMENT_BY_NAME, SW_ARGUMENT_DOUBTFUL, SW_ARGUMENT_TEXT, SW_ARGUMENT_UNUSABLE,
    sw_host, sw_text,
};
use crate::clock;
use crate::printable::Printable;

/// Longest reason that JSON-RPC passes on whole.
const REASON_BYTES: usize = 127;

/// One RPC call.
pub struct Call {
    host: &'static sw_host,
    /// The method and its arguments.
    usage: &'static CStr,
    handle: *mut c_void,
}

/// Why a call fails.
pub struct Fault {
    code: i32,
    reason: String,
}

impl Fault {
    /// The caller's fault: an argument is missing or unusable.
    pub fn argument(reason: impl Into<String>) -> Self {
        Fault { code: 400, reason: reason.into() }
    }

    /// As [`Fault::internal`]; a reason that has to be cut ends with where all of it
    /// stands.
    pub fn cut(reason: String, whole: &str) -> Self {
        if reason.len() <= REASON_BYTES {
            return Fault::internal(reason);
        }
        let hint = format!(" ...; all of it: {whole}");
        let end = reason.floor_char_boundary(REASON_BYTES.saturating_sub(hint.len()));
        let shown = reason.get(..end).unwrap_or_default();
        // Between words: half a value would be taken for another one.
        let shown = shown.rsplit_once(' ').map_or(shown, |(words, _)| words);
        Fault::internal(shown.to_owned() + &hint)
    }

    /// What was asked for is not there.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Fault { code: 404, reason: reason.into() }
    }

    /// Anything else.
    pub fn internal(reason: impl Into<String>) -> Self {
        Fault { code: 500, reason: reason.into() }
    }
}

impl Call {
    /// None before mod_init.
    ///
    /// # Safety
    /// `usage` is a literal of the shim, `handle` its handle of a call that outlives the
    /// result.
    pub(super) unsafe fn new(usage: *const c_char, handle: *mut c_void) -> Option<Self> {
        // SAFETY: as the caller guarantees.
        let usage = unsafe { CStr::from_ptr(usage) };
        Some(Call { host: abi::host()?, usage, handle })
    }

    /// What is wrong with the arguments, after how they go.
    fn misused(&self, what: impl Display) -> Fault {
        let usage = self.usage.to_string_lossy();
        Fault::argument(format!("usage: {}; {what}", usage.trim_end()))
    }

    fn missing(&self, name: &str) -> Fault {
        self.misused(format_args!("{name} is missing"))
    }

    /// The next argument, whole numbers as text; None if there is none.
    ///
    /// # Errors
    /// A fault that names it: it is neither text nor a whole number. Nothing may be
    /// done then as if it were not there.
    pub fn argument(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.next(name, false)
    }

    /// As [`Call::required`], for what may be a number of any size, 0 too.
    ///
    /// # Errors
    /// A fault that names it.
    pub fn value(&self, name: &str) -> Result<Vec<u8>, Fault> {
        self.next(name, true)?.ok_or_else(|| self.missing(name))
    }

    fn next(&self, name: &str, any_number: bool) -> Result<Option<Vec<u8>>, Fault> {
        let mut text = sw_text { s: ptr::null(), len: 0 };
        let Some(next) = self.host.rpc_argument else { return Ok(None) };
        // SAFETY: the text stays until the next argument is asked for.
        match unsafe { next(self.handle, &raw mut text) } {
            // SAFETY: as above.
            found if found == SW_ARGUMENT_TEXT as i32 => Ok(Some(unsafe { text.bytes() }.to_vec())),
            // SAFETY: as above.
            SW_ARGUMENT_DOUBTFUL if any_number => Ok(Some(unsafe { text.bytes() }.to_vec())),
            SW_ARGUMENT_UNUSABLE | SW_ARGUMENT_DOUBTFUL => Err(Fault::argument(format!(
                "argument {name} is neither text nor a whole number of 1 to 9 digits: with kamcmd \
                 write s: before it"
            ))),
            SW_ARGUMENT_BY_NAME => {
                Err(Fault::argument("arguments go by position: give a list of them as params"))
            }
            _ => Ok(None),
        }
    }

    /// The next argument, which must be there.
    ///
    /// # Errors
    /// A fault that names it.
    pub fn required(&self, name: &str) -> Result<Vec<u8>, Fault> {
        self.argument(name)?.ok_or_else(|| self.missing(name))
    }

    /// The next argument, a whole number between these.
    ///
    /// # Errors
    /// A fault that names it.
    pub fn number(&self, name: &str, allowed: RangeInclusive<u32>) -> Result<Option<u32>, Fault> {
        let Some(text) = self.argument(name)? else { return Ok(None) };
        std::str::from_utf8(&text)
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .filter(|number| allowed.contains(number))
            .map(Some)
            .ok_or_else(|| {
                let (text, first, last) = (Printable::short(&text), allowed.start(), allowed.end());
                Fault::argument(format!("{name} \"{text}\" is not a number from {first} to {last}"))
            })
    }

    /// All arguments were read.
    ///
    /// # Errors
    /// A fault that names a further one.
    pub fn no_more(&self) -> Result<(), Fault> {
        match self.argument("too many")? {
            None => Ok(()),
            Some(text) => {
                let text = Printable::short(&text);
                Err(self.misused(format_args!("one argument too many: \"{text}\"")))
            }
        }
    }

    /// Begins the reply.
    pub fn reply(&self) -> Node<'_> {
        self.open(ptr::null_mut(), None, false)
    }

    /// Ends the call with a fault.
    pub fn fault(&self, fault: &Fault) {
        let end = fault.reason.floor_char_boundary(REASON_BYTES);
        let reason = fault.reason.get(..end).unwrap_or_default();
        if let Some(send) = self.host.rpc_fault {
            // SAFETY: the text is valid during the call.
            unsafe { send(self.handle, fault.code, reason.as_bytes().into()) };
        }
    }

    fn open(&self, parent: *mut c_void, name: Option<&CStr>, array: bool) -> Node<'_> {
        let name = name.map_or(ptr::null(), CStr::as_ptr);
        let handle = self.host.rpc_open.map_or(ptr::null_mut(), |open| {
            // SAFETY: the parent belongs to this call, the name outlives it.
            unsafe { open(self.handle, parent, name, i32::from(array)) }
        });
        Node { call: self, handle }
    }
}

/// A structure or an array of a reply. After an allocation failure in the host
/// its handle is null and what is added is left out.
pub struct Node<'a> {
    call: &'a Call,
    handle: *mut c_void,
}

impl<'a> Node<'a> {
    /// Adds a structure to a structure.
    pub fn structure(&self, name: &CStr) -> Node<'a> {
        self.child(name, false)
    }

    /// Adds a structure to an array.
    pub fn item_structure(&self) -> Node<'a> {
        if self.handle.is_null() {
            return Node { call: self.call, handle: ptr::null_mut() };
        }
        self.call.open(self.handle, None, false)
    }

    /// Adds an array to a structure.
    pub fn array(&self, name: &CStr) -> Node<'a> {
        self.child(name, true)
    }

    fn child(&self, name: &CStr, array: bool) -> Node<'a> {
        if self.handle.is_null() {
            return Node { call: self.call, handle: ptr::null_mut() };
        }
        self.call.open(self.handle, Some(name), array)
    }

    /// Adds a number to a structure.
    pub fn int(&self, name: &CStr, value: impl TryInto<i64>) {
        let value = value.try_into().unwrap_or(i64::MAX);
        if let Some(add) = self.call.host.rpc_int {
            // SAFETY: handle and name are valid during the call.
            unsafe { add(self.call.handle, self.handle, name.as_ptr(), value) };
        }
    }

    /// Adds a time in seconds since 1970, and as people write it.
    pub fn time(&self, (seconds_name, date_name): (&CStr, &CStr), seconds: u64) {
        self.int(seconds_name, seconds);
        let date = if seconds == 0 { String::new() } else { clock::date(seconds) };
        self.text(date_name, date);
    }

    /// Adds a text to a structure.
    pub fn text(&self, name: &CStr, value: impl Display) {
        let text = value.to_string();
        if let Some(add) = self.call.host.rpc_text {
            // SAFETY: handle, name and text are valid during the call; the host
            // copies the text.
            unsafe { add(self.call.handle, self.handle, name.as_ptr(), text.as_bytes().into()) };
        }
    }

    /// Adds a text to an array.
    pub fn item(&self, value: impl Display) {
        let text = value.to_string();
        if let Some(add) = self.call.host.rpc_item {
            // SAFETY: as in `text`.
            unsafe { add(self.call.handle, self.handle, text.as_bytes().into()) };
        }
    }
}
