//! Starts: parameters, tables, and what is wrong with them.

use std::path::{Path, PathBuf};

use serde_json::json;
use sipwarden::tables::Table;

use super::alone::alone;
pub use super::begin::{start, started};
use super::door;
use super::request::Request;
use super::world::{logged, rows, tenants, world};
use crate::fork::Child;

pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("sipwarden-core-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn defaults_are_those_of_the_module_and_of_the_host() {
    alone(|| {
        started(&[]);
        assert!(logged(&format!("sipwarden {} for fake 1.0", env!("CARGO_PKG_VERSION"))));
        let settings = door::ask("settings", json!([]));
        assert!(settings.to_string().contains("\"db_url\":\"mysql://fake/tables\""), "{settings}");
        let stats = door::ask("stats", json!([]));
        let loaded = json!({
            "brands": 1, "companies": 2, "ranges": 2, "countries": 0, "users": 1, "trusted": 1,
            "limits": 0, "tools": 0
        });
        assert_eq!(stats["rows"], loaded, "{stats}");
        let version = door::ask("version", json!([]));
        assert_eq!(version["fake"], "fake 1.0");
        assert!(!door::can_load());
        door::destroy();
    });
}

#[test]
fn a_value_that_is_not_allowed_stops_the_start() {
    alone(|| {
        tenants();
        assert!(!start(&[("flood_limit", json!(0))]));
        assert!(logged("parameter flood_limit: 0 is not from 1 to 65535"));
        assert!(!start(&[("flood_limit", json!("many"))]));
        assert!(logged("parameter flood_limit: \"many\" is a text"));
        assert!(!start(&[("db_url", json!("oracle://x"))]));
        assert!(logged("not started: parameter db_url: \"oracle\" is not supported"));
        assert!(!start(&[("db_url", json!("sqlite:///x"))]));
        assert!(logged("no driver is loaded for \"sqlite\""));
        assert!(start(&[("flood_class", json!("a=limit:9")), ("flood_class", json!("b=limit:8"))]));
    });
}

#[test]
fn a_database_that_does_not_answer_is_named() {
    alone(|| {
        world().has_database = false;
        assert!(!start(&[]));
        assert!(logged("not started: database mysql://fake/tables: the fake database is away"));
    });
}

#[test]
fn a_table_that_is_missing_is_named() {
    alone(|| {
        tenants();
        world().tables.remove("sipwarden_user");
        assert!(!start(&[]));
        assert!(logged("table sipwarden_user cannot be read"));
        assert!(logged("columns aor, company_id, external_calls); Fake's log says more"));
    });
}

#[test]
fn bad_rows_are_named_in_full() {
    alone(|| {
        started(&[]);
        // This host cuts no reason.
        let company = "x".repeat(128);
        rows(Table::Company, &[&[&company, "no brand", "1", "0"]]);
        let (code, reason) = door::rpc("reload", json!([])).unwrap_err();
        assert_eq!(code, 500);
        assert!(reason.len() > 127 && reason.ends_with("x...\")"), "{reason}");
        tenants();
        assert_eq!(door::ask("reload", json!([]))["generation"], 2);
    });
}

/// What the first process keeps in the file serves in the second.
#[test]
fn tables_of_a_file_serve_while_the_database_is_away() {
    alone(|| {
        let folder = Folder::new();
        let file = folder.0.join("tables");
        let settings = [("tables_file", json!(file))];
        let writer = Child::start(|| {
            started(&settings);
            wait_for(&file);
            0
        });
        writer.wait();
        world().has_database = false;
        assert!(start(&settings), "{:#?}", world().log);
        assert!(door::can_load());
        door::load();
        assert_eq!(door::check_company_ip(&Request::from("192.0.2.7"), "7"), 1);
        assert_eq!(door::ask("stats", json!([]))["tables_from_file"], 1);
        assert!(logged("the fake database is away"));
    });
}

fn wait_for(file: &Path) {
    for _ in 0..5000 {
        door::tick();
        if file.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    panic!("no file: {:#?}", world().log);
}
