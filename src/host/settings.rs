//! Module parameters: one table of names, types, defaults and bounds.

use std::ffi::CStr;

use parking_lot::Mutex;

use crate::tables::{BadRows, Table};

/// What a parameter takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// An integer, both bounds allowed.
    Int {
        /// Value without a modparam.
        default: i32,
        /// Lowest value.
        min: i32,
        /// Highest value.
        max: i32,
    },
    /// A text of 1 to `max` bytes.
    Text {
        /// Value without a modparam.
        default: &'static CStr,
        /// Longest value in bytes.
        max: usize,
    },
    /// A name of a table or view, possibly with schema: letters, digits, `_`, `.`.
    Name {
        /// Value without a modparam.
        default: &'static CStr,
    },
    /// One of a few words.
    Choice {
        /// Value without a modparam.
        default: &'static CStr,
        /// All words.
        words: &'static [&'static str],
    },
}

/// A module parameter.
pub struct Param {
    /// Name in `modparam("sipwarden", name, value)`.
    pub name: &'static CStr,
    /// Type, default and bounds.
    pub kind: Kind,
    /// One sentence for the reference.
    pub meaning: &'static str,
}

const DB_URL: usize = 0;
const FIRST_TABLE: usize = 1;
const RELOAD_BAD_ROWS: usize = FIRST_TABLE + Table::ALL.len();
const SNAPSHOT_MEMORY: usize = RELOAD_BAD_ROWS + 1;
const MAX_CALLS: usize = SNAPSHOT_MEMORY + 1;
const REAPER_INTERVAL: usize = MAX_CALLS + 1;

/// Longest table name, as databases allow.
const MAX_NAME: usize = 128;

const fn table(name: &'static CStr, default: &'static CStr, meaning: &'static str) -> Param {
    Param { name, kind: Kind::Name { default }, meaning }
}

/// All parameters.
pub const PARAMS: [Param; 11] = [
    Param {
        name: c"db_url",
        kind: Kind::Text { default: c"sqlite:////var/lib/kamailio/sipwarden.sqlite", max: 1024 },
        meaning: "Database with the six tables, as Kamailio's database drivers take it.",
    },
    table(c"brand_table", c"sipwarden_brand", "Table or view of the brands."),
    table(c"company_table", c"sipwarden_company", "Table or view of the companies."),
    table(
        c"company_address_table",
        c"sipwarden_company_address",
        "Table or view of the companies' address ranges.",
    ),
    table(
        c"company_country_table",
        c"sipwarden_company_country",
        "Table or view of the companies' countries.",
    ),
    table(c"user_table", c"sipwarden_user", "Table or view of the users."),
    table(
        c"trusted_table",
        c"sipwarden_trusted",
        "Table or view of the platform's and its peers' addresses.",
    ),
    Param {
        name: c"reload_bad_rows",
        kind: Kind::Choice { default: c"fail", words: &["fail", "skip"] },
        meaning: "Whether a bad row fails the whole load or is left out and reported.",
    },
    Param {
        name: c"snapshot_memory",
        kind: Kind::Int { default: 256, min: 2, max: 8192 },
        meaning: "Address space for two generations of the tables, in MiB; only what is used takes memory.",
    },
    Param {
        name: c"max_calls",
        kind: Kind::Int { default: 65_536, min: 16, max: 4_194_304 },
        meaning: "Calls that can be counted at a time; further ones are refused with `ledger_full`.",
    },
    Param {
        name: c"reaper_interval",
        kind: Kind::Int { default: 60, min: 0, max: 86_400 },
        meaning: "Seconds between two comparisons of the counted calls with the dialogs; 0 for none.",
    },
];

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Int(i32),
    Text(String),
}

/// Values as they arrive in mod_init, before [`Settings::take`].
static CONFIGURED: Mutex<Vec<Value>> = Mutex::new(Vec::new());

/// Checked parameters.
pub struct Settings {
    /// Database with the tables.
    pub db_url: String,
    /// Names of the tables, in the order of [`Table::ALL`].
    pub tables: [String; Table::ALL.len()],
    /// What bad rows do.
    pub bad_rows: BadRows,
    /// Bytes for two generations.
    pub snapshot_bytes: usize,
    /// Calls that can be counted at a time.
    pub max_calls: usize,
    /// Seconds between two comparisons with the dialogs, 0 for none.
    pub reaper_interval: i32,
}

impl Param {
    fn name(&self) -> &str {
        self.name.to_str().unwrap_or_default()
    }

    fn check(&self, text: Option<&[u8]>, number: i32) -> Result<Value, String> {
        let refused = |value: &dyn std::fmt::Display, rule: String| {
            Err(format!("parameter {}: {value} {rule}", self.name()))
        };
        let text = text.map(String::from_utf8_lossy);
        match (self.kind, text) {
            (Kind::Int { min, max, .. }, None) if (min..=max).contains(&number) => {
                Ok(Value::Int(number))
            }
            (Kind::Int { min, max, .. }, _) => {
                refused(&number, format!("is not from {min} to {max}"))
            }
            (_, None) => refused(&"no value", "where a text is expected".into()),
            (Kind::Text { max, .. }, Some(text)) => match text.len() {
                len if (1..=max).contains(&len) => Ok(Value::Text(text.into_owned())),
                len => refused(&len, format!("bytes are not from 1 to {max}")),
            },
            (Kind::Name { .. }, Some(text)) => {
                let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
                if (1..=MAX_NAME).contains(&text.len()) && text.chars().all(valid) {
                    return Ok(Value::Text(text.into_owned()));
                }
                let rule = "is no table name (1 to 128 letters, digits, '_' and '.')";
                refused(&format_args!("\"{}\"", text.escape_debug()), rule.into())
            }
            (Kind::Choice { words, .. }, Some(text)) => {
                if words.contains(&&*text) {
                    return Ok(Value::Text(text.into_owned()));
                }
                let shown = format!("\"{}\"", text.escape_debug());
                refused(&shown, format!("is none of {}", words.join(", ")))
            }
        }
    }
}

/// Checks and keeps the value of parameter `index`; values come in order.
///
/// # Errors
/// A sentence that names the parameter, its value and what is allowed.
pub fn configure(index: usize, text: Option<&[u8]>, number: i32) -> Result<(), String> {
    let param = PARAMS.get(index).ok_or("no such parameter")?;
    let value = param.check(text, number)?;
    let mut configured = CONFIGURED.lock();
    configured.truncate(index);
    configured.push(value);
    Ok(())
}

impl Settings {
    /// The values kept by [`configure`].
    pub fn take() -> Self {
        let configured = CONFIGURED.lock();
        let text = |index: usize| match configured.get(index) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let int = |index: usize| match configured.get(index) {
            Some(Value::Int(number)) => usize::try_from(*number).unwrap_or(0),
            _ => 0,
        };
        Settings {
            db_url: text(DB_URL),
            tables: std::array::from_fn(|n| text(FIRST_TABLE + n)),
            bad_rows: match text(RELOAD_BAD_ROWS).as_str() {
                "skip" => BadRows::Skip,
                _ => BadRows::Fail,
            },
            snapshot_bytes: int(SNAPSHOT_MEMORY) << 20,
            max_calls: int(MAX_CALLS),
            reaper_interval: int(REAPER_INTERVAL) as i32,
        }
    }

    /// The name of a table in the database.
    pub fn table(&self, table: Table) -> &str {
        self.tables.get(table.index()).map_or("", String::as_str)
    }

    /// The database URL without its password.
    pub fn shown_url(&self) -> String {
        // scheme://user:password@host; a password may hold any of these signs.
        let Some((head, host)) = self.db_url.rsplit_once('@') else {
            return self.db_url.clone();
        };
        let scheme_end = head.find("://").map_or(0, |at| at + 3);
        let (scheme, user) = head.split_at_checked(scheme_end).unwrap_or(("", head));
        let user = user.split(':').next().unwrap_or_default();
        format!("{scheme}{user}:***@{host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(index: usize, text: Option<&[u8]>, number: i32) -> String {
        PARAMS[index].check(text, number).unwrap_err()
    }

    #[test]
    fn refused_values_are_named() {
        assert_eq!(
            refusal(SNAPSHOT_MEMORY, None, 1),
            "parameter snapshot_memory: 1 is not from 2 to 8192"
        );
        assert_eq!(
            refusal(FIRST_TABLE, Some(b"a; drop"), 0),
            "parameter brand_table: \"a; drop\" is no table name (1 to 128 letters, digits, '_' and '.')"
        );
        assert_eq!(
            refusal(RELOAD_BAD_ROWS, Some(b"keep"), 0),
            "parameter reload_bad_rows: \"keep\" is none of fail, skip"
        );
        assert_eq!(
            refusal(DB_URL, Some(b""), 0),
            "parameter db_url: 0 bytes are not from 1 to 1024"
        );
    }

    #[test]
    fn defaults_are_valid() {
        for param in &PARAMS {
            let ok = match param.kind {
                Kind::Int { default, .. } => param.check(None, default),
                Kind::Text { default, .. }
                | Kind::Name { default }
                | Kind::Choice { default, .. } => param.check(Some(default.to_bytes()), 0),
            };
            assert!(ok.is_ok(), "{ok:?}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let mut settings = Settings::take();
        settings.db_url = "mysql://kamailio:se:cr@t@db.example/sip".into();
        assert_eq!(settings.shown_url(), "mysql://kamailio:***@db.example/sip");
        settings.db_url = "mysql:kamailio:secret@db.example/sip".into();
        assert_eq!(settings.shown_url(), "mysql:***@db.example/sip");
        settings.db_url = "sqlite:////tmp/x".into();
        assert_eq!(settings.shown_url(), "sqlite:////tmp/x");
    }
}
