//! The configured values, checked as a whole, and changes at run time.

use std::ffi::CString;
use std::path::PathBuf;

use parking_lot::Mutex;

use super::params::{PARAMS, Value, at};
use crate::firewall::Sets;
use crate::flood::{ClassId, ClassNames, FloodSettings, parse_class, parse_duration};
use crate::tables::{BadRows, Table};

/// Values as they arrive in mod_init, before [`Settings::take`].
static CONFIGURED: Mutex<Vec<(usize, Value)>> = Mutex::new(Vec::new());

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
    /// Sources that can be known at a time.
    pub flood_sources: usize,
    /// File in which blocks survive a restart.
    pub flood_persist: Option<PathBuf>,
    /// KEMI function for events.
    pub event_callback: CString,
    /// Database of the audit table, None for none.
    pub audit_url: Option<String>,
    /// Its name.
    pub audit_table: CString,
    /// Classes of sources.
    pub classes: ClassNames,
    /// Sets of nftables for blocked sources.
    pub firewall: Option<Sets>,
    /// Refused requests in [`crate::firewall::PURSUIT_PERIOD`] before that.
    pub firewall_after: u32,
    /// The program that feeds them.
    pub firewall_nft: PathBuf,
}

/// Checks and keeps the value of parameter `index`; values come in order, those
/// of a list one by one.
///
/// # Errors
/// A sentence that names the parameter, its value and what is allowed.
pub fn configure(index: usize, text: Option<&[u8]>, number: i32) -> Result<(), String> {
    let value = PARAMS.get(index).ok_or("no such parameter")?.check(text, number)?;
    let mut configured = CONFIGURED.lock();
    if index == 0 {
        configured.clear();
    }
    configured.push((index, value));
    Ok(())
}

impl Settings {
    /// The values kept by [`configure`], and the settings of flood control.
    ///
    /// # Errors
    /// What is wrong with the values as a whole.
    pub fn take() -> Result<(Self, FloodSettings), String> {
        let configured = CONFIGURED.lock();
        let value =
            |index: usize| configured.iter().find(|(own, _)| *own == index).map(|(_, value)| value);
        let text = |index: usize| match value(index) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let int = |index: usize| match value(index) {
            Some(Value::Int(number)) => usize::try_from(*number).unwrap_or(0),
            _ => 0,
        };
        let mut settings = Settings {
            db_url: text(at::DB_URL),
            tables: std::array::from_fn(|n| text(at::FIRST_TABLE + n)),
            bad_rows: match text(at::RELOAD_BAD_ROWS).as_str() {
                "skip" => BadRows::Skip,
                _ => BadRows::Fail,
            },
            snapshot_bytes: int(at::SNAPSHOT_MEMORY) << 20,
            max_calls: int(at::MAX_CALLS),
            reaper_interval: int(at::REAPER_INTERVAL) as i32,
            flood_sources: int(at::FLOOD_SOURCES),
            flood_persist: absolute(text(at::FLOOD_PERSIST))?,
            event_callback: CString::new(text(at::EVENT_CALLBACK)).unwrap_or_default(),
            audit_url: Some(text(at::AUDIT_URL)).filter(|url| !url.is_empty()),
            audit_table: CString::new(text(at::AUDIT_TABLE)).unwrap_or_default(),
            classes: ClassNames::default(),
            firewall: firewall(&text(at::FIREWALL))?,
            firewall_after: int(at::FIREWALL_AFTER) as u32,
            firewall_nft: text(at::FIREWALL_NFT).into(),
        };
        for (_, value) in configured.iter().filter(|(index, _)| *index == at::FLOOD_CLASS) {
            settings.add_class(value)?;
        }
        let mut flood = FloodSettings::new(1, 1000, 0, 0);
        for (index, value) in &*configured {
            if PARAMS.get(*index).is_some_and(|param| param.runtime) {
                settings.change(&mut flood, *index, value)?;
            }
        }
        Ok((settings, flood))
    }

    fn add_class(&mut self, value: &Value) -> Result<(), String> {
        let Value::Text(text) = value else { return Ok(()) };
        let name = parse_class(text)?.name;
        self.classes.add(name).map_err(|e| format!("parameter flood_class: {e}"))
    }

    /// Changes a setting that can be changed at run time.
    ///
    /// # Errors
    /// A sentence that names parameter and value; nothing has changed then.
    pub fn change(
        &self,
        flood: &mut FloodSettings,
        index: usize,
        value: &Value,
    ) -> Result<(), String> {
        let name = PARAMS.get(index).map_or("", |param| param.name());
        match value {
            Value::Int(number) => {
                let number = u32::try_from(*number).unwrap_or(0);
                match index {
                    at::FLOOD_LIMIT => flood.set_default(|limit, _, _, _| *limit = number),
                    at::FLOOD_BLOCK => flood.set_default(|_, _, block, _| *block = number),
                    at::FLOOD_BLOCK_MAX => flood.set_default(|_, _, _, most| *most = number),
                    at::FLOOD_EXEMPT_PREFIX => flood.broadest_v4 = number,
                    at::FLOOD_EXEMPT_IPV6_PREFIX => flood.broadest_v6 = number,
                    at::FLOOD_IPV6_PREFIX => flood.ipv6_prefix = number,
                    at::FLOOD_MONITOR => flood.monitor = number,
                    at::MONITOR => flood.monitor_all = number,
                    _ => return Err(format!("parameter {name} cannot be changed at run time")),
                }
            }
            Value::Text(text) => match index {
                at::FLOOD_WINDOW => {
                    let ms = parse_duration(text)?;
                    flood.set_default(|_, window, _, _| *window = ms);
                }
                at::FLOOD_CLASS => {
                    let class = parse_class(text)?;
                    let ClassId(position) = self.classes.id(&class.name).ok_or_else(|| {
                        format!("parameter {name}: there is no class {}", class.name)
                    })?;
                    flood.set_class(position.into(), &class);
                }
                at::FLOOD_COMPANY_SOURCES => {
                    let sources = self.classes.parse(text).ok_or_else(|| {
                        let shown = text.escape_debug();
                        format!("parameter {name}: \"{shown}\" is neither exempt nor a class")
                    })?;
                    flood.company_sources = ClassId::to_number(sources).into();
                }
                _ => return Err(format!("parameter {name} cannot be changed at run time")),
            },
        }
        Ok(())
    }

    /// The name of a table in the database.
    pub fn table(&self, table: Table) -> &str {
        self.tables.get(table.index()).map_or("", String::as_str)
    }

    /// The database URL without its password.
    pub fn shown_url(&self) -> String {
        without_password(&self.db_url)
    }
}

/// A database URL as it may be logged.
pub fn without_password(url: &str) -> String {
    // scheme://user:password@host; a password may hold any of these signs.
    let Some((head, host)) = url.rsplit_once('@') else {
        return url.to_owned();
    };
    let scheme_end = head.find("://").map_or(0, |at| at + 3);
    let (scheme, user) = head.split_at_checked(scheme_end).unwrap_or(("", head));
    let user = user.split(':').next().unwrap_or_default();
    format!("{scheme}{user}:***@{host}")
}

/// A path, None for an empty text. Kamailio changes its folder when it starts.
fn absolute(text: String) -> Result<Option<PathBuf>, String> {
    let path = PathBuf::from(&text);
    match path.is_absolute() {
        true => Ok(Some(path)),
        false if text.is_empty() => Ok(None),
        false => Err(format!(
            "parameter flood_persist: \"{}\" does not begin with /",
            text.escape_debug()
        )),
    }
}

fn firewall(table: &str) -> Result<Option<Sets>, String> {
    if table.is_empty() {
        return Ok(None);
    }
    Sets::of(table).map(Some).map_err(|e| format!("parameter firewall: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(classes: &[&str]) -> Result<Settings, String> {
        let (mut settings, _) = Settings::take()?;
        for class in classes {
            settings.add_class(&Value::Text((*class).into()))?;
        }
        Ok(settings)
    }

    #[test]
    fn passwords_are_not_shown() {
        let mut settings = settings(&[]).unwrap();
        settings.db_url = "mysql://kamailio:se:cr@t@db.example/sip".into();
        assert_eq!(settings.shown_url(), "mysql://kamailio:***@db.example/sip");
        settings.db_url = "mysql:kamailio:secret@db.example/sip".into();
        assert_eq!(settings.shown_url(), "mysql:***@db.example/sip");
        settings.db_url = "sqlite:////tmp/x".into();
        assert_eq!(settings.shown_url(), "sqlite:////tmp/x");
    }

    #[test]
    fn classes_are_known_by_name_and_there_are_at_most_fourteen() {
        let known = settings(&["carrier=limit:5", "office=block:0"]).unwrap();
        assert_eq!(known.classes.id("office"), Some(ClassId(2)));
        assert_eq!(known.classes.name(Some(ClassId(1))), "carrier");
        assert_eq!(known.classes.name(Some(ClassId::DEFAULT)), "default");
        assert_eq!(known.classes.name(None), "exempt");
        let refused = settings(&["a=limit:5", "a=limit:6"]).err().unwrap();
        assert!(refused.contains("class a stands twice"), "{refused}");
        let many: Vec<String> = (0..16).map(|n| format!("c{n}=limit:5")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(settings(&many[..14]).is_ok());
        assert!(settings(&many).err().unwrap().contains("class c14 is one too many"));
    }

    #[test]
    fn a_refused_change_changes_nothing() {
        let known = settings(&["carrier=limit:5"]).unwrap();
        let before = FloodSettings::new(100, 2000, 300, 0);
        let mut flood = before;
        let mut change = |index, text: &str| {
            known.change(&mut flood, index, &Value::Text(text.into())).unwrap_err()
        };
        let refused = change(at::FLOOD_COMPANY_SOURCES, "office");
        assert!(refused.contains("\"office\" is neither exempt nor a class"), "{refused}");
        let refused = change(at::FLOOD_CLASS, "office=limit:5");
        assert!(refused.contains("there is no class office"), "{refused}");
        let refused = change(at::DB_URL, "sqlite:///x");
        assert!(refused.contains("db_url cannot be changed"), "{refused}");
        assert_eq!(flood, before);
    }
}
