//! One module parameter, and the check of its values.

use std::borrow::Cow;
use std::ffi::CStr;

use super::feed_file::FeedFile;
use super::kind::Kind;
use crate::limiter::parse;
use crate::{auth, flood};

/// Longest database URL.
const MAX_URL: usize = 1024;
/// Longest table name, as databases allow.
const MAX_NAME: usize = 128;

#[derive(Clone, Copy)]
pub struct Param {
    /// Name in `modparam("sipwarden", name, value)`.
    pub name: &'static CStr,
    /// Type, default and bounds.
    pub kind: Kind,
    /// Whether it can be changed at run time.
    pub runtime: bool,
    /// One sentence for the reference.
    pub meaning: &'static CStr,
}

pub(super) const fn fixed(name: &'static CStr, kind: Kind, meaning: &'static CStr) -> Param {
    Param { name, kind, runtime: false, meaning }
}

pub(super) const fn runtime(name: &'static CStr, kind: Kind, meaning: &'static CStr) -> Param {
    Param { name, kind, runtime: true, meaning }
}

pub(super) const fn int(default: i32, min: i32, max: i32) -> Kind {
    Kind::Int { default, min, max }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Int(i32),
    Text(String),
}

impl Param {
    pub fn name(&self) -> &str {
        self.name.to_str().unwrap_or_default()
    }

    /// Checks a value; `text` is None for a number.
    ///
    /// # Errors
    /// A sentence that names the parameter, its value and what is allowed.
    pub fn check(&self, text: Option<&[u8]>, number: i32) -> Result<Value, String> {
        let refused = |value: &dyn std::fmt::Display, rule: String| {
            Err(format!("parameter {}: {value} {rule}", self.name()).trim_end().to_owned())
        };
        let of_length = |text: Cow<'_, str>, min, max| match text.len() {
            len if (min..=max).contains(&len) => Ok(Value::Text(text.into_owned())),
            len => refused(&len, format!("bytes are not from {min} to {max}")),
        };
        let text = text.map(String::from_utf8_lossy);
        match (self.kind, text) {
            (Kind::Int { min, max, .. }, None) if (min..=max).contains(&number) => {
                Ok(Value::Int(number))
            }
            (Kind::Int { min, max, .. }, None) => {
                refused(&number, format!("is not from {min} to {max}"))
            }
            (Kind::Int { min, max, .. }, Some(text)) => {
                let shown = format!("\"{}\"", text.escape_debug());
                let rule = format!("is a text; give a number from {min} to {max}, without quotes");
                refused(&shown, rule)
            }
            (_, None) => {
                refused(&number, format!("is a number; give a text, in quotes: \"{number}\""))
            }
            (Kind::Database, Some(text)) => of_length(text, 1, MAX_URL),
            (Kind::Text { min, max, .. }, Some(text)) => of_length(text, min, max),
            (Kind::Duration { .. }, Some(text)) => match parse::duration(&text) {
                Ok(_) => Ok(Value::Text(text.into_owned())),
                Err(e) => refused(&e, String::new()),
            },
            (Kind::Classes, Some(text)) => match flood::ParsedClass::parse(&text) {
                Ok(_) => Ok(Value::Text(text.into_owned())),
                Err(e) => refused(&e, String::new()),
            },
            (Kind::AuthClasses, Some(text)) => match auth::ParsedClass::parse(&text) {
                Ok(_) => Ok(Value::Text(text.into_owned())),
                Err(e) => refused(&e, String::new()),
            },
            (Kind::Feeds, Some(text)) => match FeedFile::parse(&text) {
                Ok(_) => Ok(Value::Text(text.into_owned())),
                Err(e) => refused(&e, String::new()),
            },
            // Whether there is such a class is known when all values are.
            (Kind::Class { .. }, Some(text)) => Ok(Value::Text(text.into_owned())),
            (Kind::Name { default }, Some(text)) => {
                if text.is_empty() && default.is_empty() {
                    return Ok(Value::Text(String::new()));
                }
                let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
                if (1..=MAX_NAME).contains(&text.len()) && text.chars().all(valid) {
                    return Ok(Value::Text(text.into_owned()));
                }
                let rule = "is not a table name (1 to 128 letters, digits, '_' and '.')";
                refused(&format_args!("\"{}\"", text.escape_debug()), rule.into())
            }
            (Kind::Choice { words, .. }, Some(text)) => {
                if words.contains(&&*text) {
                    return Ok(Value::Text(text.into_owned()));
                }
                let shown = format!("\"{}\"", text.escape_debug());
                refused(&shown, format!("is not one of {}", words.join(", ")))
            }
        }
    }
}
