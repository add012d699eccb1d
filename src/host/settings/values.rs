//! The current values of all parameters. No request path reads them. Changes at run time come
//! through the host.

use std::io;
use std::path::PathBuf;

use bytemuck::{Pod, Zeroable};

use super::at;
use super::param::Value;
use super::params::PARAMS;
use crate::shm::{Area, SharedMutex};
use crate::tables::{BadRows, TableSource};

/// Longest text of a parameter, in bytes.
const MAX_TEXT: usize = 1024;

/// A number, or a text of so many bytes.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Slot {
    number: i32,
    len: u32,
    text: [u8; MAX_TEXT],
}

impl Default for Slot {
    fn default() -> Self {
        Slot::zeroed()
    }
}

/// The values in shared memory, in the order of [`PARAMS`]. Any process may read. After
/// the start the warden writes; values of lists are written by the process that got the
/// change, under the lock `State::changing`.
pub struct Values {
    slots: &'static [SharedMutex<Slot>],
}

impl Values {
    /// Maps them, all empty.
    pub fn new() -> io::Result<Self> {
        Ok(Values { slots: Area::share_slice(PARAMS.len())? })
    }

    pub fn set(&self, index: usize, value: &Value) {
        let Some(slot) = self.slots.get(index) else { return };
        let mut slot = slot.lock();
        match value {
            Value::Int(number) => slot.number = *number,
            Value::Text(text) => {
                let len = text.len().min(MAX_TEXT);
                slot.text.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
                slot.len = len as u32;
            }
        }
    }

    pub fn int(&self, index: usize) -> i32 {
        self.slots.get(index).map_or(0, |slot| slot.lock().number)
    }

    pub fn text(&self, index: usize) -> String {
        let Some(slot) = self.slots.get(index) else { return String::new() };
        let slot = slot.lock();
        let bytes = slot.text.get(..slot.len as usize).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// Where the tables come from.
    pub fn table_source(&self) -> TableSource {
        TableSource {
            db_url: self.text(at::DB_URL),
            tables: std::array::from_fn(|n| self.text(at::FIRST_TABLE + n)),
            bad_rows: match self.text(at::RELOAD_BAD_ROWS).as_str() {
                "skip" => BadRows::Skip,
                _ => BadRows::Fail,
            },
            geoip_db: self.path(at::GEOIP_DB),
        }
    }

    fn path(&self, index: usize) -> Option<PathBuf> {
        Some(self.text(index)).filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    /// File in which blocks survive a restart.
    pub fn flood_persist(&self) -> Option<PathBuf> {
        self.path(at::FLOOD_PERSIST)
    }

    /// File that keeps the last tables.
    pub fn tables_file(&self) -> Option<PathBuf> {
        self.path(at::TABLES_FILE)
    }

    /// Whether there is an audit table.
    pub fn has_audit(&self) -> bool {
        self.slots.get(at::AUDIT_URL).is_some_and(|slot| slot.lock().len > 0)
    }

    /// Database and name of the audit table; None for none.
    pub fn audit(&self) -> Option<(String, String)> {
        let url = self.text(at::AUDIT_URL);
        (!url.is_empty()).then(|| (url, self.text(at::AUDIT_TABLE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_whole() {
        let values = Values::new().unwrap();
        assert_eq!((values.audit(), values.flood_persist()), (None, None));
        values.set(at::AUDIT_URL, &Value::Text("sqlite:////a/long/one".into()));
        values.set(at::AUDIT_URL, &Value::Text("sqlite:///x".into()));
        values.set(at::AUDIT_TABLE, &Value::Text("audit".into()));
        assert_eq!(values.audit(), Some(("sqlite:///x".into(), "audit".into())));
        values.set(at::REAPER_INTERVAL, &Value::Int(7));
        assert_eq!(values.int(at::REAPER_INTERVAL), 7);
    }
}
