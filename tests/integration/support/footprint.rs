//! The memory of a Kamailio, sampled, and whether it grows.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::kamailio::{Config, Kamailio};
use super::{Folder, own_memory, preload, signal, wait_for};

/// Bytes at one time, by what has them.
pub type Sample = BTreeMap<String, u64>;

/// What a series may gain over the second half of a run, by the first line whose words are in its
/// name. Processes that answer RPCs or write files and databases have a heap that is in use by turns
/// for much and for little: its free pieces settle late, so that its pages grow on for long. What is
/// in use of it does not.
const ALLOWED: [(&[&str], u64); 8] = [
    (&["private pool of"], 8 << 10),
    // The one before stays until the next reload where a process has still read it.
    (&["snapshots"], 16 << 10),
    (&["shared pool"], 64 << 10),
    (&["tables"], 0),
    (&["heap of"], 64 << 10),
    (&["tcp receiver"], 1 << 20),
    (&["sipwarden"], 1 << 20),
    (&["own memory of"], 64 << 10),
];

/// The heap of each process: what it has from malloc.
pub struct Heaps {
    folder: Folder,
    library: PathBuf,
}

impl Heaps {
    pub fn new() -> Self {
        let folder = Folder::new();
        let library = preload::library(folder.path(), "heap.c");
        Heaps { folder, library }
    }

    /// So that the processes of a Kamailio tell it.
    pub fn watch(&self, config: &mut Config) {
        config.preload(&self.library, "HEAP_FOLDER", self.folder.path());
    }

    fn of(&self, pid: u64) -> u64 {
        let told = self.folder.join(&pid.to_string());
        signal(pid as i32, libc::SIGRTMAX());
        let bytes = wait_for("a process to tell its heap", || {
            std::fs::read_to_string(&told).ok()?.trim().parse().ok()
        });
        std::fs::remove_file(told).unwrap();
        bytes
    }
}

/// Memory of a Kamailio that has nothing to do.
pub fn sample(kamailio: &Kamailio, heaps: &Heaps) -> Sample {
    let mut sample = Sample::new();
    let processes = kamailio.rpc("core.psx", json!([]));
    for process in processes.as_array().unwrap() {
        let pid = process["PID"].as_u64().unwrap();
        let name = format!("{} ({})", process["IDX"], process["DSC"].as_str().unwrap());
        sample.insert(format!("own memory of {name}"), own_memory(pid));
        sample.insert(format!("heap of {name}"), heaps.of(pid));
        *sample.entry("resident, shared parts divided".into()).or_default() += proportional(pid);
    }
    for process in kamailio.rpc("pkg.stats", json!([])).as_array().unwrap() {
        let used = process["used"].as_u64().unwrap();
        sample.insert(format!("private pool of {}", process["entry"]), used);
    }
    let pool = kamailio.rpc("core.shmmem", json!([]));
    sample.insert("shared pool".into(), pool["used"].as_u64().unwrap());
    let stats = kamailio.rpc("sipwarden.stats", json!([]));
    let tables = ["calls_memory", "sources_memory", "auth_memory", "grants_memory"];
    let tables = tables.map(|name| stats[name].as_u64().unwrap());
    sample.insert("tables".into(), tables.into_iter().sum());
    // Tables that are read anew at each reload: those of both generations.
    sample.insert("snapshots".into(), number(&stats, "snapshot_memory_used"));
    sample
}

fn number(stats: &Value, name: &str) -> u64 {
    stats[name].as_u64().unwrap_or_else(|| panic!("no {name} in {stats}"))
}

/// Bytes that a process has, what it shares divided by how many share it.
fn proportional(pid: u64) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
}

/// A series over a run: its first value, the second half's, and what it gains there.
#[derive(Debug)]
pub struct Trend {
    pub first: u64,
    pub middle: u64,
    pub last: u64,
    /// By the line of least squares through the second half.
    pub gains: f64,
}

/// The second half is what is judged: the first one is for pools to become as large as they need
/// to be.
pub fn trend(values: &[u64]) -> Trend {
    let half = &values[values.len() / 2..];
    let mean_x = (half.len() - 1) as f64 / 2.0;
    let mean_y = half.iter().sum::<u64>() as f64 / half.len() as f64;
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in half.iter().enumerate() {
        above += (x as f64 - mean_x) * (*y as f64 - mean_y);
        below += (x as f64 - mean_x).powi(2);
    }
    Trend {
        first: values[0],
        middle: half[0],
        last: *half.last().unwrap(),
        gains: above / below * (half.len() - 1) as f64,
    }
}

/// The trend of each series, and a line for each that grows.
pub fn judge(samples: &[Sample]) -> (BTreeMap<String, Trend>, Vec<String>) {
    let mut trends = BTreeMap::new();
    let mut growing = Vec::new();
    for name in samples[0].keys() {
        let values: Vec<u64> = samples.iter().filter_map(|s| s.get(name).copied()).collect();
        assert_eq!(values.len(), samples.len(), "{name} is not there all the time");
        let trend = trend(&values);
        let allowed =
            ALLOWED.iter().find(|(words, _)| words.iter().all(|word| name.contains(word)));
        if let Some((_, allowed)) = allowed {
            if trend.gains > *allowed as f64 {
                growing.push(format!("{name} gains {:.0}, more than {allowed}", trend.gains));
            }
        }
        trends.insert(name.clone(), trend);
    }
    (trends, growing)
}
