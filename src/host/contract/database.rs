//! Reads the tables through Kamailio's database drivers.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fs::File;
use std::io::ErrorKind;
use std::ptr;

use super::abi::{self, sw_host, sw_text};
use super::guard::{Entry, guard};
use crate::printable::without_password;
use crate::tables::{Loader, Table, TableSource};

/// Returned to the shim when a row cannot be taken at all.
const STOP: i32 = 1;

/// An open connection inside one read transaction.
struct Connection {
    host: &'static sw_host,
    handle: *mut c_void,
}

impl Connection {
    fn open(db_url: &str) -> Result<Self, String> {
        let failed = |why: &str| format!("database {}: {why}", without_password(db_url));
        let host = abi::host().ok_or_else(|| failed("no host"))?;
        let open = host.db_open.ok_or_else(|| failed("no database API"))?;
        let url = CString::new(db_url).map_err(|e| failed(&e.to_string()))?;
        let mut error: *const c_char = ptr::null();
        // SAFETY: the URL outlives the call, `error` is set to a literal.
        let handle = unsafe { open(url.as_ptr(), &raw mut error) };
        if handle.is_null() {
            let why = match error.is_null() {
                true => "it cannot be opened".into(),
                // SAFETY: a string literal of the shim.
                false => unsafe { CStr::from_ptr(error) }.to_string_lossy(),
            };
            return Err(failed(&file_error(db_url).unwrap_or(why.into_owned())));
        }
        Ok(Connection { host, handle })
    }

    fn read(&self, table: Table, name: &str, loader: &mut Loader) -> Result<(), String> {
        let cannot = || {
            let columns = table.columns().join(", ");
            format!(
                "table {name} cannot be read: kamailio-cfg/sql makes it (columns {columns}); Kamailio's log says more"
            )
        };
        let rows = self.host.db_rows.ok_or_else(cannot)?;
        let name = CString::new(name).map_err(|_| cannot())?;
        let columns: Vec<CString> =
            table.columns().iter().filter_map(|c| CString::new(*c).ok()).collect();
        let pointers: Vec<_> = columns.iter().map(|c| c.as_ptr()).collect();
        let mut reading = Reading { table, loader };
        // SAFETY: all pointers outlive the call; `take_row` gets `reading` back.
        let rc = unsafe {
            rows(
                self.handle,
                name.as_ptr(),
                pointers.as_ptr(),
                pointers.len() as u32,
                Some(take_row),
                (&raw mut reading).cast(),
            )
        };
        match rc {
            0 => Ok(()),
            STOP => Err(format!("table {}: a row cannot be taken", name.to_string_lossy())),
            _ => Err(cannot()),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end();
    }
}

impl Connection {
    /// Whether it was one session from open to close.
    fn close(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        let handle = std::mem::replace(&mut self.handle, ptr::null_mut());
        let Some(close) = self.host.db_close.filter(|_| !handle.is_null()) else {
            return false;
        };
        // SAFETY: the handle came from open; it is taken out, so closed once.
        unsafe { close(handle) == 0 }
    }
}

/// Why the file of an SQLite database cannot be opened, which its driver does not say.
fn file_error(db_url: &str) -> Option<String> {
    let path = db_url.strip_prefix("sqlite://")?;
    let error = File::options().read(true).write(true).open(path).err()?;
    // SAFETY: a system call that cannot fail.
    let user = unsafe { libc::geteuid() };
    let hint = match error.kind() {
        ErrorKind::NotFound => "kamailio-cfg/sql/sqlite makes one".to_owned(),
        ErrorKind::PermissionDenied => format!("Kamailio runs as user {user}"),
        _ => return Some(format!("it cannot be opened: {error}")),
    };
    Some(format!("it cannot be opened: {error}; {hint}"))
}

struct Reading<'a> {
    table: Table,
    loader: &'a mut Loader,
}

unsafe extern "C" fn take_row(ctx: *mut c_void, values: *const sw_text, count: u32) -> i32 {
    guard(Entry::Row, STOP, || {
        // SAFETY: the context that `read` passed, not used elsewhere meanwhile.
        let Some(reading) = (unsafe { ctx.cast::<Reading<'_>>().as_mut() }) else {
            return STOP;
        };
        if values.is_null() {
            return STOP;
        }
        // SAFETY: the shim passes `count` texts, valid during the call.
        let values = unsafe { std::slice::from_raw_parts(values, count as usize) };
        let row: Vec<Option<&[u8]>> = values
            .iter()
            // SAFETY: as above; NULL stands for a NULL column.
            .map(|text| (!text.s.is_null()).then(|| unsafe { text.bytes() }))
            .collect();
        reading.loader.row(reading.table, &row);
        0
    })
}

/// Reads all tables, in one transaction, into `loader`.
///
/// # Errors
/// What cannot be opened or read, without the password.
pub fn read_tables(source: &TableSource, loader: &mut Loader) -> Result<(), String> {
    let connection = Connection::open(&source.db_url)?;
    for (table, name) in Table::ALL.into_iter().zip(&source.tables) {
        connection.read(table, name, loader)?;
    }
    if !connection.close() {
        let url = without_password(&source.db_url);
        return Err(format!("database {url}: the connection was lost while the tables were read"));
    }
    Ok(())
}

/// Schemes that the shim knows the SQL of.
const SCHEMES: [&str; 3] = ["sqlite", "mysql", "postgres"];

/// Whether a database can be used: of a scheme that is supported, and with its driver
/// loaded.
///
/// # Errors
/// A sentence that names its scheme, and what to do.
pub fn check_driver(url: &str) -> Result<(), String> {
    let scheme = url.split(':').next().unwrap_or_default();
    if !SCHEMES.contains(&scheme) || !url.contains(':') {
        let instead = match scheme {
            "cluster" => "name one server; for several of them that of a TCP proxy before them",
            "text" => "import the files into SQLite, and name that",
            _ => "name a database of one of these",
        };
        let shown = scheme.escape_debug();
        return Err(format!(
            "\"{shown}\" is not supported, but sqlite, mysql and postgres are: {instead}"
        ));
    }
    let has_driver = abi::host().and_then(|host| host.db_has_driver);
    let name = CString::new(url).unwrap_or_default();
    // SAFETY: the URL outlives the call.
    if has_driver.is_none_or(|has_driver| unsafe { has_driver(name.as_ptr()) } != 0) {
        return Ok(());
    }
    Err(format!(
        "no driver is loaded for \"{scheme}\": db_sqlite.so, db_mysql.so or db_postgres.so goes before sipwarden.so"
    ))
}
