//! What the fake host knows, and what it was told.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};

use serde_json::{Map, Value};
use sipwarden::tables::Table;

use super::rpc::Rpc;

/// A row as columns of text; `NULL` is one.
type Row = Vec<Option<String>>;

pub struct Dialog {
    pub call_id: String,
    /// Entry and id.
    pub name: (u32, u32),
    pub is_gone: bool,
    pub is_answered: bool,
    /// What it remembers.
    pub remembers: BTreeMap<String, String>,
}

pub struct World {
    /// Level and text of each line.
    pub log: Vec<(u32, String)>,
    pub counts: BTreeMap<u32, u64>,
    /// Tables by name, their columns as the module names them.
    pub tables: BTreeMap<String, (&'static [&'static str], Vec<Row>)>,
    /// Whether the database answers.
    pub has_database: bool,
    /// What its resolver knows: addresses and TTL of each name.
    pub names: BTreeMap<String, (Vec<IpAddr>, u32)>,
    /// Whether it answers.
    pub has_resolver: bool,
    /// Whether a nonce is good only for the address that it was sent to.
    pub has_bound_nonces: bool,
    /// Bits SW_DIALOG_*.
    pub dialog_support: u32,
    pub dialogs: Vec<Dialog>,
    /// No BYE can be sent.
    pub is_mute: bool,
    /// References to dialogs that were not given back.
    pub held: i64,
    /// Name and attributes of each event.
    pub events: Vec<(String, Map<String, Value>)>,
    /// Reason, source, company and hits of each row.
    pub audit: Vec<(String, String, String, i64)>,
    /// The RPC call that is being answered.
    pub rpc: Option<Rpc>,
}

static WORLD: Mutex<World> = Mutex::new(World {
    log: Vec::new(),
    counts: BTreeMap::new(),
    tables: BTreeMap::new(),
    has_database: true,
    names: BTreeMap::new(),
    has_resolver: true,
    has_bound_nonces: true,
    dialog_support: 7,
    dialogs: Vec::new(),
    is_mute: false,
    held: 0,
    events: Vec::new(),
    audit: Vec::new(),
    rpc: None,
});

/// Not to be kept while the module is called: it calls back.
pub fn world() -> MutexGuard<'static, World> {
    WORLD.lock().unwrap()
}

/// Puts rows into a table of the database.
pub fn rows(table: Table, rows: &[&[&str]]) {
    let cell = |text: &&str| (*text != "NULL").then(|| (*text).to_owned());
    let rows = rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let name = match table {
        Table::Brand => "sipwarden_brand",
        Table::Company => "sipwarden_company",
        Table::CompanyAddress => "sipwarden_company_address",
        Table::CompanyCountry => "sipwarden_company_country",
        Table::User => "sipwarden_user",
        Table::Trusted => "sipwarden_trusted",
        Table::Limit => "sipwarden_limit",
        Table::Tool => "sipwarden_tool",
    };
    world().tables.insert(name.into(), (table.columns(), rows));
}

/// Two companies of a brand, a user, and a trusted network.
pub fn tenants() {
    rows(Table::Brand, &[&["b", "0"]]);
    rows(Table::Company, &[&["7", "b", "1", "2"], &["open", "b", "0", "0"]]);
    rows(Table::CompanyAddress, &[&["7", "192.0.2.0", "24"], &["7", "2001:db8::", "32"]]);
    rows(Table::CompanyCountry, &[]);
    rows(Table::User, &[&["alice@example.com", "7", "1"]]);
    rows(Table::Trusted, &[&["198.51.100.0", "24", "NULL"]]);
}

/// Whether the log has a text.
pub fn logged(text: &str) -> bool {
    world().log.iter().any(|(_, line)| line.contains(text))
}

/// All events of a name.
pub fn events(name: &str) -> Vec<Map<String, Value>> {
    let world = world();
    let found = world.events.iter().filter(|(known, _)| known == name);
    found.map(|(_, attributes)| attributes.clone()).collect()
}

impl World {
    /// The columns of all rows of a table; None if it has not got all of them.
    pub fn read(&self, table: &str, columns: &[String]) -> Option<Vec<Row>> {
        let (name, condition) = table.split_once(' ').unwrap_or((table, ""));
        let (known, rows) = self.tables.get(name).filter(|_| self.has_database)?;
        if columns == ["1"] {
            return Some(Vec::new());
        }
        let places: Option<Vec<usize>> =
            columns.iter().map(|wanted| known.iter().position(|name| name == wanted)).collect();
        let places = places?;
        let pick = |row: &Row| places.iter().map(|place| row[*place].clone()).collect();
        Some(if condition.is_empty() { rows.iter().map(pick).collect() } else { Vec::new() })
    }

    /// The dialog of a call, made if there is none; its position.
    pub fn dialog(&mut self, call_id: &str, may_be_made: bool) -> Option<usize> {
        let known = |dialog: &Dialog| dialog.call_id == call_id && !dialog.is_gone;
        if let Some(place) = self.dialogs.iter().position(known) {
            return Some(place);
        }
        let id = self.dialogs.len() as u32;
        may_be_made.then(|| {
            self.dialogs.push(Dialog {
                call_id: call_id.into(),
                name: (id % 3, id + 1),
                is_gone: false,
                is_answered: false,
                remembers: BTreeMap::new(),
            });
            self.dialogs.len() - 1
        })
    }
}
