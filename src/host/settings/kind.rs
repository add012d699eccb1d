//! The kinds of values that parameters take.

use std::ffi::CStr;

/// What a parameter takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// An integer, both bounds allowed.
    Int {
        /// Value without a modparam.
        default: i32,
        min: i32,
        max: i32,
    },
    /// A text of `min` to `max` bytes.
    Text {
        /// Value without a modparam.
        default: &'static CStr,
        /// Shortest value in bytes.
        min: usize,
        /// Longest value in bytes.
        max: usize,
    },
    /// A database URL of 1 to 1024 bytes; each host has a default of its own.
    Database,
    /// A name of a table or view, possibly with schema: letters, digits, `_`, `.`.
    Name {
        /// Value without a modparam; if it is empty, there may be no table.
        default: &'static CStr,
    },
    /// One of a few words.
    Choice {
        /// Value without a modparam.
        default: &'static CStr,
        words: &'static [&'static str],
    },
    /// A window: seconds, or milliseconds as `1500ms`.
    Duration {
        /// Value without a modparam.
        default: &'static CStr,
    },
    /// A class of sources, `name=key:value;...`; may be given several times.
    Classes,
    /// The same for brute force protection.
    AuthClasses,
    /// A file with addresses, `name=/path`; may be given several times.
    Feeds,
    /// `exempt` or the name of a class.
    Class {
        /// Value without a modparam.
        default: &'static CStr,
    },
}
