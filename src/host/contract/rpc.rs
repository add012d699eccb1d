//! Builds replies through the host's RPC API.

use std::ffi::{CStr, c_void};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::ptr;

use super::abi::{
    self, SW_ARGUMENT_DOUBTFUL, SW_ARGUMENT_NONE, SW_ARGUMENT_TEXT, sw_host, sw_text,
};
use super::arguments::{Arguments, Given};
pub use super::fault::Fault;
use super::method::Method;
use crate::clock;
use crate::printable::Printable;

/// One RPC call.
pub struct Call {
    host: &'static sw_host,
    handle: *mut c_void,
    arguments: Arguments,
}

/// The next argument that the host has, and its name.
///
/// # Safety
/// `handle` is that of a call that has not ended.
unsafe fn next_argument(host: &sw_host, handle: *mut c_void) -> Option<(Option<Vec<u8>>, Given)> {
    let mut texts = [sw_text { s: ptr::null(), len: 0 }; 2];
    let [name, value] = &mut texts;
    // SAFETY: as the caller guarantees; the texts outlive the call.
    let found = unsafe { host.rpc_argument?(handle, name, value) };
    let is_named = !name.s.is_null();
    // SAFETY: both texts stay until the next argument is asked for.
    let [name, value] = texts.map(|text| unsafe { text.bytes() }.to_vec());
    #[allow(non_upper_case_globals)]
    let given = match found {
        SW_ARGUMENT_NONE => return None,
        SW_ARGUMENT_TEXT => Given::Text(value),
        SW_ARGUMENT_DOUBTFUL => Given::Doubtful(value),
        _ => Given::Unusable,
    };
    Some((is_named.then_some(name), given))
}

impl Call {
    /// A call of a method, with its arguments.
    ///
    /// # Errors
    /// What is wrong with their names.
    ///
    /// # Safety
    /// `handle` is the host's of a call that outlives the result.
    pub(super) unsafe fn read(
        host: &'static sw_host,
        handle: *mut c_void,
        method: &'static Method,
    ) -> Result<Self, Fault> {
        // SAFETY: as the caller guarantees.
        let given = std::iter::from_fn(|| unsafe { next_argument(host, handle) });
        Ok(Call { host, handle, arguments: Arguments::read(method, given)? })
    }

    fn missing(&self, name: &str) -> Fault {
        self.arguments.misused(format_args!("{name} is missing"))
    }

    /// An argument, whole numbers as text; None if it was not given.
    ///
    /// # Errors
    /// A fault that names it: it is neither text nor a whole number. Nothing may be
    /// done then as if it were not there.
    pub fn argument(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        text_of(name, self.arguments.get(name)?, false)
    }

    /// As [`Call::required`], for what may be a number of any size, 0 too.
    ///
    /// # Errors
    /// A fault that names it.
    pub fn value(&self, name: &str) -> Result<Vec<u8>, Fault> {
        text_of(name, self.arguments.get(name)?, true)?.ok_or_else(|| self.missing(name))
    }

    /// An argument that must be there.
    ///
    /// # Errors
    /// A fault that names it.
    pub fn required(&self, name: &str) -> Result<Vec<u8>, Fault> {
        self.argument(name)?.ok_or_else(|| self.missing(name))
    }

    /// An argument, a whole number between these.
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

    /// No argument was given besides those of the method.
    ///
    /// # Errors
    /// A fault that names a further one.
    pub fn no_more(&self) -> Result<(), Fault> {
        match text_of("too many", self.arguments.further(), false)? {
            None => Ok(()),
            Some(text) => {
                let text = Printable::short(&text);
                Err(self.arguments.misused(format_args!("one argument too many: \"{text}\"")))
            }
        }
    }

    /// Begins the reply.
    pub fn reply(&self) -> Node<'_> {
        self.open(ptr::null_mut(), None, false)
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

/// What an argument says.
fn text_of(name: &str, given: Option<&Given>, any_number: bool) -> Result<Option<Vec<u8>>, Fault> {
    match given {
        None => Ok(None),
        Some(Given::Text(text)) => Ok(Some(text.clone())),
        Some(Given::Doubtful(text)) if any_number => Ok(Some(text.clone())),
        Some(Given::Doubtful(_) | Given::Unusable) => {
            Err(Fault::argument(format!("argument {name} {}", abi::unusable_argument())))
        }
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
