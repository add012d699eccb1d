//! Instructions that Kamailio's workers run, counted by callgrind from the arrival of each
//! message to its end.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::report::Section;

/// Whether there is no valgrind, which the section then says.
pub fn is_missing(section: &mut Section) -> bool {
    let is_missing = Command::new("valgrind").arg("--version").output().is_err();
    if is_missing {
        println!("  skipped: valgrind is not installed");
        section.text.push_str(" Not measured: valgrind is not installed.");
    }
    is_missing
}

/// What a Kamailio is started with: each process leaves its counts in `folder`.
pub fn wrapper(folder: &Path) -> Vec<String> {
    vec![
        "valgrind".into(),
        "--tool=callgrind".into(),
        "--toggle-collect=receive_msg".into(),
        format!("--callgrind-out-file={}/%p", folder.display()),
    ]
}

/// Instructions of some processes.
#[derive(Clone, Copy, Default)]
pub struct Count {
    pub all: f64,
    /// In sipwarden's own code.
    pub ours: f64,
}

impl Count {
    /// What these processes have left in `folder`.
    pub fn of(folder: &Path, pids: &[u64]) -> Self {
        let files = pids.iter().map(|pid| folder.join(pid.to_string()));
        files.map(|file| Count::read(&file)).fold(Count::default(), |sum, count| Count {
            all: sum.all + count.all,
            ours: sum.ours + count.ours,
        })
    }

    /// The format: <https://valgrind.org/docs/manual/cl-format.html>.
    fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        let (mut names, mut object, mut is_of_callee) = (HashMap::new(), "", false);
        let mut count = Count::default();
        for line in text.lines() {
            if let Some(total) = line.strip_prefix("totals: ") {
                count.all = total.parse().unwrap();
            }
            let of_object = line.strip_prefix("ob=").or_else(|| line.strip_prefix("cob="));
            if let Some((id, name)) =
                of_object.map(|name| name.split_once(' ').unwrap_or((name, "")))
            {
                // A name is written out where it comes up first.
                let name = if name.is_empty() { names[id] } else { name };
                names.insert(id, name);
                object = if line.starts_with("ob=") { name } else { object };
            } else if line.starts_with("calls=") {
                // The next line has what the callee ran.
                is_of_callee = true;
            } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
                let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<f64>().ok());
                if !is_of_callee && object.ends_with("/sipwarden.so") {
                    count.ours += cost.unwrap_or(0.0);
                }
                is_of_callee = false;
            }
        }
        assert!(count.all > 0.0, "no totals in {}", file.display());
        count
    }

    /// Per call, where `self` is of so many calls more than `few`.
    pub fn per_call(self, few: Count, calls: u32) -> Self {
        let calls = f64::from(calls);
        Count { all: (self.all - few.all) / calls, ours: (self.ours - few.ours) / calls }
    }
}
