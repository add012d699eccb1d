//! What the guides show, for tests that run it.

use std::fs;

use super::project;

/// The fenced lines behind `<!-- block NAME -->` in a file of docs/.
pub fn block(file: &str, name: &str) -> String {
    let text = fs::read_to_string(project().join("docs").join(file)).unwrap();
    let marker = format!("<!-- block {name} -->\n```\n");
    let (_, rest) = text.split_once(&marker).unwrap_or_else(|| panic!("{file}: no {marker}"));
    rest.split_once("```\n").unwrap().0.to_owned()
}
