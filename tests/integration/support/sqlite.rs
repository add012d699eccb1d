//! SQLite databases through the sqlite3 command.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Folder;

/// A database file with the project's own schema.
#[derive(Clone)]
pub struct Sqlite {
    path: PathBuf,
}

impl Sqlite {
    /// A database file without tables.
    pub fn empty(path: PathBuf) -> Self {
        Sqlite { path }
    }

    pub fn create(path: PathBuf) -> Self {
        let db = Sqlite { path };
        let schema = super::project().join("kamailio-cfg/sql/sqlite/sipwarden.sql");
        db.run(&std::fs::read_to_string(schema).unwrap());
        db
    }

    /// A database with Kamailio's own tables of the dialog module.
    pub fn dialogs(folder: &Folder) -> Self {
        let db = Sqlite { path: folder.join("dialogs.sqlite") };
        // Readers (the tests) do not lock out writers then.
        db.run("PRAGMA journal_mode=WAL;");
        for name in ["standard", "dialog"] {
            let schema = format!("/usr/share/kamailio/db_sqlite/{name}-create.sql");
            db.run(&std::fs::read_to_string(schema).unwrap());
        }
        db
    }

    /// Runs SQL; panics if it fails.
    pub fn run(&self, sql: &str) {
        let mut child = Command::new("sqlite3")
            .arg("-bail")
            .arg(&self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("sqlite3 is installed by make setup");
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "PRAGMA busy_timeout=60000;\n{sql}").unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success(), "{sql}");
    }

    /// What a query prints.
    pub fn query(&self, sql: &str) -> String {
        let out = Command::new("sqlite3")
            .args(["-cmd", ".timeout 10000"])
            .arg(&self.path)
            .arg(sql)
            .output()
            .unwrap();
        assert!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn url(&self) -> String {
        format!("sqlite:///{}", self.path.display())
    }
}
