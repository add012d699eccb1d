//! The shipped rules, and what the kernel says of them, in the thread's namespace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::netns::run;
use super::{Folder, project};

/// A copy of the shipped files, as it lies in `/etc`.
pub struct Rules {
    folder: Folder,
}

impl Rules {
    pub fn new() -> Self {
        let rules = Rules { folder: Folder::new() };
        fs::create_dir(rules.folder.join("sipwarden")).unwrap();
        for name in ["firewall.nft", "early.nft", "blocked.nft", "variables.nft"] {
            let file = project().join("kamailio-cfg/firewall/sipwarden").join(name);
            fs::copy(file, rules.folder.join("sipwarden").join(name)).unwrap();
        }
        rules
    }

    /// Changes a variable, as an operator would.
    pub fn set(&self, variable: &str, value: &str) -> &Self {
        let file = self.folder.join("sipwarden/variables.nft");
        let text = fs::read_to_string(&file).unwrap();
        let begin = format!("define {variable} = ");
        let line = text.lines().find(|line| line.starts_with(&begin)).expect(variable);
        fs::write(&file, text.replace(line, &format!("{begin}{value}"))).unwrap();
        self
    }

    /// Adds a file of countries.
    pub fn countries(&self, name: &str, text: &str) -> &Self {
        fs::write(self.folder.join("sipwarden").join(name), text).unwrap();
        self
    }

    /// What stands for `/etc`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of countries that is made by a tool.
    pub fn countries_file(&self) -> PathBuf {
        self.folder.join("sipwarden/countries.nft")
    }

    /// Checks the rules, then loads them.
    pub fn load(&self) {
        let folder = self.folder.path().to_str().unwrap();
        let file = format!("{folder}/sipwarden/firewall.nft");
        run("nft", &["-I", folder, "-c", "-f", &file]);
        run("nft", &["-I", folder, "-f", &file]);
    }
}

/// Runs one command of nft.
pub fn nft(command: &str) -> String {
    run("nft", &[command])
}

/// Packets of a counter of the rules.
pub fn counter(name: &str) -> u64 {
    let text = run("nft", &["-j", "list", "counter", "inet", "sipwarden", name]);
    let listed: Value = serde_json::from_str(&text).unwrap();
    listed["nftables"][1]["counter"]["packets"].as_u64().unwrap()
}

/// Prefix and seconds left of the elements of a set; none without the set.
pub fn elements(set: &str) -> Vec<(String, u64)> {
    let out =
        Command::new("nft").args(["-j", "list", "set", "inet", "sipwarden", set]).output().unwrap();
    let Ok(listed) = serde_json::from_slice::<Value>(&out.stdout) else { return Vec::new() };
    let elements = listed["nftables"][1]["set"]["elem"].as_array().cloned().unwrap_or_default();
    let one = |element: &Value| {
        let element = element.get("elem").unwrap_or(element);
        let value = element.get("val").unwrap_or(element);
        let prefix = match &value["prefix"] {
            Value::Null => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            prefix => format!("{}/{}", prefix["addr"].as_str().unwrap(), prefix["len"]),
        };
        (prefix, element["expires"].as_u64().unwrap_or(u64::MAX))
    };
    elements.iter().map(one).collect()
}
