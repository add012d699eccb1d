//! The audit table through the host's database drivers.

use std::ffi::{CString, c_void};
use std::ptr::NonNull;

use super::abi::{self, sw_audit};

/// A row: `hits` are added to the row with the same texts, or make it.
pub struct Row<'a> {
    /// Why something was refused.
    pub reason: &'a str,
    /// Address or prefix.
    pub source: &'a str,
    /// Id.
    pub company: &'a str,
    /// Id.
    pub brand: &'a str,
    /// AoR.
    pub aor: &'a str,
    /// Seconds since 1970.
    pub time: i64,
    /// How often it happened.
    pub hits: i64,
}

/// An open connection.
pub struct AuditTable {
    connection: NonNull<c_void>,
    /// The host keeps the table's name while it is connected.
    _table: CString,
}

impl AuditTable {
    /// Connects; None if that is not possible.
    pub fn open(url: &str, table: &str) -> Option<Self> {
        let open = abi::host().and_then(|host| host.audit_open)?;
        let (url, table) = (CString::new(url).ok()?, CString::new(table).unwrap_or_default());
        // SAFETY: the URL outlives the call; the table's name, which the host keeps, is
        // freed after the connection is closed, and does not move with its owner.
        let connection = NonNull::new(unsafe { open(url.as_ptr(), table.as_ptr()) })?;
        Some(AuditTable { connection, _table: table })
    }

    /// Whether a row was written. If not, the connection is of no more use.
    pub fn write(&self, row: &Row<'_>) -> bool {
        let Some(write) = abi::host().and_then(|host| host.audit_write) else { return false };
        let row = sw_audit {
            reason: row.reason.as_bytes().into(),
            source: row.source.as_bytes().into(),
            company: row.company.as_bytes().into(),
            brand: row.brand.as_bytes().into(),
            aor: row.aor.as_bytes().into(),
            first: row.time,
            last: row.time,
            hits: row.hits,
        };
        // SAFETY: the connection is open, the row and its texts outlive the call.
        unsafe { write(self.connection.as_ptr(), &raw const row) == 0 }
    }

    /// Disconnects. Not done at the end of the process, when the host's drivers may be
    /// gone.
    pub fn close(self) {
        if let Some(close) = abi::host().and_then(|host| host.audit_close) {
            // SAFETY: opened before, and given up here.
            unsafe { close(self.connection.as_ptr()) };
        }
    }
}
