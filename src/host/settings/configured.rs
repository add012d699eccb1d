//! The configured values, checked as a whole, and changes at run time.

use std::path::PathBuf;

use parking_lot::Mutex;

use super::at;
use super::cluster::ClusterSettings;
use super::feed_file::FeedFile;
use super::param::Value;
use super::params::PARAMS;
use super::values::Values;
use crate::auth::{self, AuthSettings};
use crate::feeds::MAX_FEEDS;
use crate::firewall::Sets;
use crate::flood::{self, FloodSettings};
use crate::limiter::{ClassId, ClassNames, parse};

/// Values as they arrive at the start, before [`Settings::take`].
static CONFIGURED: Mutex<Vec<(usize, Value)>> = Mutex::new(Vec::new());

/// What is fixed at start-up; the rest is in [`super::Values`].
pub struct Settings {
    pub snapshot_bytes: usize,
    /// Calls that can be counted at a time.
    pub max_calls: usize,
    /// Sources that can be known at a time.
    pub flood_sources: usize,
    pub classes: ClassNames,
    /// Pairs of AoR and source that can be known at a time.
    pub auth_sources: usize,
    /// Brute force protection, as configured.
    pub auth: AuthSettings,
    /// Files with addresses that are refused.
    pub feeds: Vec<FeedFile>,
    /// Address space for what they list.
    pub feeds_bytes: usize,
    /// Grants that there may be at a time.
    pub grants: usize,
    /// Host names that may stand in the place of addresses.
    pub host_names: usize,
    /// Sets of nftables for blocked sources.
    pub firewall: Option<Sets>,
    /// The program that feeds them.
    pub firewall_nft: PathBuf,
    /// The cluster whose nodes share limits.
    pub cluster: Option<ClusterSettings>,
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
        let int = |index: usize| match configured.iter().find(|(own, _)| *own == index) {
            Some((_, Value::Int(number))) => usize::try_from(*number).unwrap_or(0),
            _ => 0,
        };
        let text = |index: usize| match configured.iter().find(|(own, _)| *own == index) {
            Some((_, Value::Text(text))) => text.as_str(),
            _ => "",
        };
        let mut settings = Settings {
            snapshot_bytes: int(at::SNAPSHOT_MEMORY) << 20,
            max_calls: int(at::MAX_CALLS),
            flood_sources: int(at::FLOOD_SOURCES),
            classes: ClassNames::default(),
            auth_sources: int(at::AUTH_SOURCES),
            auth: AuthSettings::new(1, 1, 1, 0),
            feeds: Vec::new(),
            feeds_bytes: int(at::BLOCKLIST_MEMORY) << 20,
            grants: int(at::GRANTS),
            host_names: int(at::HOST_NAMES),
            firewall: firewall(text(at::FIREWALL))?,
            firewall_nft: text(at::FIREWALL_NFT).into(),
            cluster: None,
        };
        for (_, value) in configured.iter().filter(|(index, _)| *index == at::FLOOD_CLASS) {
            settings.add_class(value)?;
        }
        for (_, value) in configured.iter().filter(|(index, _)| *index == at::AUTH_CLASS) {
            settings.add_auth_class(value)?;
        }
        for (_, value) in configured.iter().filter(|(index, _)| *index == at::BLOCKLIST_FILE) {
            settings.add_feed(value)?;
        }
        let mut flood = FloodSettings::new(1, 1000, 0, 0);
        let mut auth = settings.auth;
        flood.add_classes(&settings.classes);
        auth.add_classes(&settings.classes);
        for (index, value) in &*configured {
            if at::is_auth(*index) && *index != at::AUTH_SOURCES {
                settings.change_auth(&mut auth, *index, value)?;
            } else if PARAMS.get(*index).is_some_and(|param| param.runtime) {
                settings.change(&mut flood, *index, value)?;
            }
        }
        settings.auth = auth;
        Ok((settings, flood))
    }

    /// The values kept by [`configure`], in their order.
    pub fn configured() -> Vec<(usize, Value)> {
        CONFIGURED.lock().clone()
    }

    /// Puts the values kept by [`configure`] where all processes see them.
    pub fn publish(values: &Values) {
        CONFIGURED.lock().iter().for_each(|(index, value)| values.set(*index, value));
    }

    /// Classes are shared with flood control: a tag names one for both.
    fn add_auth_class(&mut self, value: &Value) -> Result<(), String> {
        let Value::Text(text) = value else { return Ok(()) };
        let name = auth::ParsedClass::parse(text)?.name;
        match self.classes.id(&name) {
            Some(_) => Ok(()),
            None => self.classes.add(name).map_err(|e| format!("parameter auth_class: {e}")),
        }
    }

    /// As [`Settings::change`], for a setting of brute force protection.
    ///
    /// # Errors
    /// A sentence that names parameter and value; nothing has changed then.
    pub fn change_auth(
        &self,
        auth: &mut AuthSettings,
        index: usize,
        value: &Value,
    ) -> Result<(), String> {
        let name = PARAMS.get(index).map_or("", |param| param.name());
        match (index, value) {
            (
                at::AUTH_LIMIT..=at::AUTH_SAME
                | at::AUTH_MONITOR
                | at::SPRAY_AORS..=at::SPRAY_BLOCK,
                Value::Int(number),
            ) => {
                let number = u32::try_from(*number).unwrap_or(0);
                match index {
                    at::AUTH_LIMIT => auth.default_mut().limit = number,
                    at::AUTH_WINDOW => auth.default_mut().window = number,
                    at::AUTH_BLOCK => auth.default_mut().block = number,
                    at::AUTH_RESTART => auth.default_mut().restart = number,
                    at::AUTH_SAME => auth.common.same = number,
                    at::SPRAY_AORS => auth.default_mut().aors = number,
                    at::SPRAY_AORS_WINDOW => auth.default_mut().aors_window = number,
                    at::SPRAY_UNKNOWN => auth.default_mut().unknown = number,
                    at::SPRAY_UNKNOWN_WINDOW => auth.default_mut().unknown_window = number,
                    at::SPRAY_PASSWORDS => auth.default_mut().passwords = number,
                    at::SPRAY_PASSWORDS_WINDOW => auth.default_mut().passwords_window = number,
                    at::SPRAY_BLOCK => auth.default_mut().spray_block = number,
                    _ => auth.monitor = number,
                }
            }
            (at::AUTH_CLASS, Value::Text(text)) => {
                let class = auth::ParsedClass::parse(text)?;
                let ClassId(position) = self
                    .classes
                    .id(&class.name)
                    .ok_or_else(|| format!("parameter {name}: there is no class {}", class.name))?;
                auth.set_class(position.into(), &class);
            }
            (at::AUTH_COMPANY_SOURCES, Value::Text(text)) => {
                let sources = self.classes.parse(text).ok_or_else(|| {
                    let shown = text.escape_debug();
                    format!("parameter {name}: \"{shown}\" is neither exempt nor a class")
                })?;
                auth.company_sources = ClassId::to_number(sources).into();
            }
            _ => return Err(format!("parameter {name} cannot be changed at run time")),
        }
        Ok(())
    }

    fn add_feed(&mut self, value: &Value) -> Result<(), String> {
        let Value::Text(text) = value else { return Ok(()) };
        let feed = FeedFile::parse(text)?;
        let wrong = |why: String| Err(format!("parameter blocklist_file: {why}"));
        if self.feeds.iter().any(|known| known.name == feed.name) {
            return wrong(format!("feed {} stands twice", feed.name));
        }
        if self.feeds.len() == MAX_FEEDS {
            return wrong(format!("feed {} is one too many: there may be {MAX_FEEDS}", feed.name));
        }
        self.feeds.push(feed);
        Ok(())
    }

    fn add_class(&mut self, value: &Value) -> Result<(), String> {
        let Value::Text(text) = value else { return Ok(()) };
        let name = flood::ParsedClass::parse(text)?.name;
        self.classes.add(name).map_err(|e| format!("parameter flood_class: {e}"))
    }

    /// Changes a setting of flood control; leaves `flood` as it is for another one.
    ///
    /// # Errors
    /// A sentence that names parameter and value; nothing has changed then.
    pub fn change(
        &self,
        flood: &mut FloodSettings,
        index: usize,
        value: &Value,
    ) -> Result<(), String> {
        match value {
            Value::Int(number) => {
                set_number(flood, index, u32::try_from(*number).unwrap_or(0));
                Ok(())
            }
            Value::Text(text) => self.set_text(flood, index, text).map_err(|why| {
                let name = PARAMS.get(index).map_or("", |param| param.name());
                format!("parameter {name}: {why}")
            }),
        }
    }

    fn set_text(&self, flood: &mut FloodSettings, index: usize, text: &str) -> Result<(), String> {
        match index {
            at::FLOOD_WINDOW => {
                flood.default_mut().window = parse::duration(text)?;
            }
            at::FLOOD_CLASS => {
                let class = flood::ParsedClass::parse(text)?;
                let ClassId(position) = (self.classes.id(&class.name))
                    .ok_or_else(|| format!("there is no class {}", class.name))?;
                flood.set_class(position.into(), &class);
            }
            at::FLOOD_COMPANY_SOURCES => {
                let sources = self.classes.parse(text).ok_or_else(|| {
                    format!("\"{}\" is neither exempt nor a class", text.escape_debug())
                })?;
                flood.company_sources = ClassId::to_number(sources).into();
            }
            at::FLOOD_UNPROVEN => flood.common.block_unproven = u32::from(text == "block"),
            at::FLOOD_PROVEN_CLASS => {
                let class = self.classes.id(text).ok_or_else(|| {
                    let shown = text.escape_debug();
                    format!("\"{shown}\" is not a class; a proof exempts nobody")
                })?;
                flood.common.proven_class = ClassId::to_number(Some(class)).into();
            }
            _ => {}
        }
        Ok(())
    }
}

fn set_number(flood: &mut FloodSettings, index: usize, number: u32) {
    match index {
        at::FLOOD_LIMIT => flood.default_mut().limit = number,
        at::FLOOD_BLOCK => flood.default_mut().block = number,
        at::FLOOD_BLOCK_MAX => flood.default_mut().block_max = number,
        at::FLOOD_BUDGET => flood.default_mut().budget = number,
        at::FLOOD_PROVEN_KEEP => flood.common.proven_keep = number,
        at::FLOOD_EXEMPT_PREFIX => flood.common.min_prefix_v4 = number,
        at::FLOOD_EXEMPT_IPV6_PREFIX => flood.common.min_prefix_v6 = number,
        at::FLOOD_IPV6_PREFIX => flood.common.ipv6_prefix = number,
        at::FLOOD_MONITOR => flood.monitor = number,
        at::MONITOR => flood.common.monitor_all = number,
        _ => {}
    }
}

fn firewall(table: &str) -> Result<Option<Sets>, String> {
    if table.is_empty() {
        return Ok(None);
    }
    Sets::of(table).map(Some).map_err(|e| format!("parameter firewall: {e}"))
}

#[cfg(test)]
impl Settings {
    /// Those of an empty configuration with these classes.
    pub fn with_classes(classes: &[&str]) -> Result<Self, String> {
        let (mut settings, _) = Settings::take()?;
        for class in classes {
            settings.add_class(&Value::Text((*class).into()))?;
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_known_by_name_and_there_are_at_most_fourteen() {
        let known = Settings::with_classes(&["carrier=limit:5", "office=block:0"]).unwrap();
        assert_eq!(known.classes.id("office"), Some(ClassId(2)));
        assert_eq!(known.classes.name(Some(ClassId(1))), "carrier");
        assert_eq!(known.classes.name(Some(ClassId::DEFAULT)), "default");
        assert_eq!(known.classes.name(None), "exempt");
        let refused = Settings::with_classes(&["a=limit:5", "a=limit:6"]).err().unwrap();
        assert!(refused.contains("class a stands twice"), "{refused}");
        let many: Vec<String> = (0..16).map(|n| format!("c{n}=limit:5")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(Settings::with_classes(&many[..14]).is_ok());
        assert!(Settings::with_classes(&many).err().unwrap().contains("class c14 is one too many"));
    }
}
