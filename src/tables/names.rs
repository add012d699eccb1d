//! Host names in the place of addresses: which are allowed, and what they mean.

use std::collections::{HashMap, HashSet};

use super::value::{Column, quoted};
use crate::limiter::ClassId;
use crate::names::{Answers, host_name};

/// What a loader knows of host names.
#[derive(Default)]
pub struct HostNames {
    /// Different names that are allowed; 0: none.
    pub room: usize,
    /// What they mean.
    pub answers: Answers,
    seen: HashSet<Box<[u8]>>,
    classes: HashMap<Box<[u8]>, Option<ClassId>>,
}

impl HostNames {
    /// So many, with these meanings.
    pub fn new(room: usize, answers: Answers) -> Self {
        HostNames { room, answers, ..HostNames::default() }
    }

    /// The name that stands in the place of an address. `wrong` is what is wrong with it as an
    /// address.
    ///
    /// # Errors
    /// It is not a name, or not allowed.
    pub(super) fn name(
        &mut self,
        ip: Column<'_>,
        mask: Column<'_>,
        wrong: String,
    ) -> Result<Box<[u8]>, String> {
        let text = ip.unwrap_or_default();
        let mut parts = text.splitn(2, |byte| *byte == b'/');
        let Some(name) = parts.next().and_then(host_name) else { return Err(wrong) };
        let has_mask = mask.is_some() || parts.next().is_some();
        if self.room == 0 {
            let remedy = if has_mask { "" } else { "; host_names allows names" };
            return Err(wrong + remedy);
        }
        if has_mask {
            return Err(format!("ip_addr {}: a host name has no mask", quoted(text)));
        }
        if !self.seen.contains(&name) {
            if self.seen.len() >= self.room {
                return Err(format!(
                    "ip_addr {}: one name too many, host_names is {}",
                    quoted(text),
                    self.room
                ));
            }
            self.seen.insert(name.clone());
        }
        Ok(name)
    }

    /// Notes the class that a trusted name has.
    ///
    /// # Errors
    /// An earlier row says otherwise.
    pub(super) fn set_class(&mut self, name: &[u8], class: Option<ClassId>) -> Result<(), String> {
        // The first row holds, however many come after it.
        match *self.classes.entry(name.into()).or_insert(class) == class {
            true => Ok(()),
            false => Err(format!("{} stands twice, with different tags", quoted(name))),
        }
    }
}
