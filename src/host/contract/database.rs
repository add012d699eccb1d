//! Reads the tables through the host's database drivers.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ptr;

use super::abi::{self, sw_host, sw_text};
use super::guard::{Entry, guard};
use crate::printable::without_password;
use crate::tables::{Loader, Table, TableSource, VERSION_COLUMNS, VERSIONS, Versions};

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
        if let Some(path) = sqlite_path(db_url) {
            check_file(path)?;
        }
        let mut error: *const c_char = ptr::null();
        // SAFETY: the URL outlives the call, `error` is set to a literal.
        let handle = unsafe { open(url.as_ptr(), &raw mut error) };
        if handle.is_null() {
            let why = match error.is_null() {
                true => "it cannot be opened".into(),
                // SAFETY: a string literal of the shim.
                false => unsafe { CStr::from_ptr(error) }.to_string_lossy(),
            };
            return Err(failed(&why));
        }
        Ok(Connection { host, handle })
    }

    /// Reads a table; whether it could be.
    fn read(&self, table: Table, name: &str, loader: &mut Loader) -> Result<bool, String> {
        match self.each(name, table.columns(), &mut |row| loader.row(table, row)) {
            0 => Ok(true),
            STOP => Err(format!("table {name}: a row cannot be taken")),
            _ => Ok(false),
        }
    }

    /// Whether a table has a column.
    fn has(&self, name: &str, column: &str) -> bool {
        self.each(&format!("{name} WHERE 1=0"), &[column], &mut |_| ()) == 0
    }

    /// What the table of versions says, if there is one of Kamailio's structure. It is not
    /// asked where there is none: that would be an error in the driver's log.
    fn versions(&self, db_url: &str) -> Result<Versions, String> {
        let mut found = false;
        let (columns, name) = columns_of_versions(db_url);
        self.each(columns, &[name], &mut |_| found = true);
        let mut versions = Versions::default();
        let read = !found
            || self.each(VERSIONS, &VERSION_COLUMNS, &mut |row| {
                if let [Some(name), Some(version)] = row {
                    versions.add(name, version);
                }
            }) == 0;
        let unreadable =
            || format!("table {VERSIONS} cannot be read: {}'s log says why", abi::host_name());
        read.then_some(versions).ok_or_else(unreadable)
    }

    /// Gives each row to `take`; what the shim answers.
    fn each(&self, name: &str, columns: &[&str], mut take: Take<'_>) -> i32 {
        let (Some(rows), Ok(name)) = (self.host.db_rows, CString::new(name)) else { return -1 };
        let columns: Vec<CString> = columns.iter().filter_map(|c| CString::new(*c).ok()).collect();
        let pointers: Vec<_> = columns.iter().map(|c| c.as_ptr()).collect();
        let count = pointers.len() as u32;
        let ctx = (&raw mut take).cast();
        // SAFETY: all pointers outlive the call; `take_row` gets `take` back.
        unsafe { rows(self.handle, name.as_ptr(), pointers.as_ptr(), count, Some(take_row), ctx) }
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

/// The file of an SQLite database.
fn sqlite_path(db_url: &str) -> Option<&str> {
    db_url.strip_prefix("sqlite:///")?.split('?').next()
}

/// First bytes of an SQLite database that is not empty.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// What SQLite's driver does not say: why a file cannot be opened. One that is not there
/// it would make, empty.
///
/// # Errors
/// What is wrong with the file; its name comes last, as an answer may be cut.
fn check_file(path: &str) -> Result<(), String> {
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(16).read_to_end(&mut begin));
    // SAFETY: a system call that cannot fail.
    let user = unsafe { libc::geteuid() };
    let why = match read.map_err(|error| (error.kind(), error.to_string())) {
        Ok(_) if begin.is_empty() || begin == MAGIC => return Ok(()),
        Ok(_) => "it is not an SQLite database; kamailio-cfg/sql makes one".to_owned(),
        Err((kind, error)) => {
            let error = error.split(" (os error").next().unwrap_or_default();
            match kind {
                ErrorKind::NotFound => format!("{error}; kamailio-cfg/sql makes one"),
                ErrorKind::PermissionDenied => {
                    format!("{error}; {} runs as user {user}", abi::host_name())
                }
                _ => error.to_owned(),
            }
        }
    };
    Err(format!("database: it cannot be opened: {why}: {path}"))
}

/// Why a table could not be read; the driver tells that to the log only.
fn unreadable(db_url: &str, table: Table, name: &str) -> String {
    // Each in a session of its own: after a failure PostgreSQL answers nothing more.
    let has = |column: &str| Connection::open(db_url).map(|open| open.has(name, column));
    let columns = table.columns();
    match has("1") {
        Err(why) => return why,
        Ok(false) => {
            let columns = columns.join(", ");
            let host = abi::host_name();
            return format!(
                "table {name} cannot be read: kamailio-cfg/sql makes it (columns {columns}); \
                 {host}'s log says more"
            );
        }
        Ok(true) => {}
    }
    // A session that is lost says no too: only a second one makes it sure.
    let lacks = |column: &&str| has(column) == Ok(false) && has(column) == Ok(false);
    let missing = columns.iter().copied().filter(lacks);
    match missing.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => {
            format!("table {name} cannot be read: {}'s log says why", abi::host_name())
        }
        missing => format!(
            "table {name} has no column {missing}: add it to the table or view, as in \
             kamailio-cfg/sql/{}/sipwarden.sql",
            scheme_of(db_url)
        ),
    }
}

/// Takes a row.
type Take<'a> = &'a mut dyn FnMut(&[Option<&[u8]>]);

unsafe extern "C" fn take_row(ctx: *mut c_void, values: *const sw_text, count: u32) -> i32 {
    guard(Entry::Row, STOP, || {
        // SAFETY: the context that `each` passed, not used elsewhere meanwhile.
        let Some(take) = (unsafe { ctx.cast::<Take<'_>>().as_mut() }) else {
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
        take(&row);
        0
    })
}

/// Reads all tables, in one transaction, into `loader`.
///
/// # Errors
/// What cannot be opened or read, without the password.
pub fn read_tables(source: &TableSource, loader: &mut Loader) -> Result<(), String> {
    let connection = Connection::open(&source.db_url)?;
    let versions = connection.versions(&source.db_url)?;
    let scripts = format!("kamailio-cfg/sql/{}", scheme_of(&source.db_url));
    let named = Table::ALL.into_iter().zip(&source.tables).filter(|(_, name)| !name.is_empty());
    for (table, name) in named {
        versions.check(table, name, &scripts)?;
        if !connection.read(table, name, loader)? {
            drop(connection);
            return Err(unreadable(&source.db_url, table, name));
        }
    }
    if !connection.close() {
        let url = without_password(&source.db_url);
        return Err(format!("database {url}: the connection was lost while the tables were read"));
    }
    Ok(())
}

fn scheme_of(url: &str) -> &str {
    url.split(':').next().unwrap_or_default()
}

/// Where a database lists the columns of the table of versions, and a column there.
fn columns_of_versions(db_url: &str) -> (&'static str, &'static str) {
    match scheme_of(db_url) {
        "sqlite" => ("pragma_table_info('version') WHERE name='table_version'", "name"),
        "mysql" => (
            "information_schema.columns WHERE table_schema=DATABASE() AND table_name='version' \
             AND column_name='table_version'",
            "column_name",
        ),
        _ => (
            "information_schema.columns WHERE table_schema=ANY(current_schemas(false)) AND \
             table_name='version' AND column_name='table_version'",
            "column_name",
        ),
    }
}

/// Schemes that the shim knows the SQL of.
const SCHEMES: [&str; 3] = ["sqlite", "mysql", "postgres"];

/// Whether a database can be used: of a scheme that is supported, and with its driver
/// loaded.
///
/// # Errors
/// A sentence that names its scheme, and what to do.
pub fn check_driver(url: &str) -> Result<(), String> {
    let scheme = scheme_of(url);
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
