//! A Kamailio that runs orders of the benchmarks' own module.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::support::kamailio::{Config, Kamailio};

/// Processes that the module forks.
pub const PROCESSES: u32 = 4;

/// What to call and how often.
#[derive(Clone)]
pub struct Order<'a> {
    pub target: &'a str,
    /// Sources; none is one address.
    pub picks: Option<&'a Path>,
    pub processes: u32,
    pub milliseconds: u32,
    /// Calls per process; 0 is as many as the time allows.
    pub count: u64,
    /// Calls in a row from one source.
    pub repeat: u32,
    /// Calls that are timed together; 0 is about 20 us of them.
    pub batch: u32,
    /// Dialogs stay.
    pub hold: bool,
    /// KiB, for a walk through memory.
    pub size: u32,
    /// us from one batch to the next.
    pub pause: u32,
}

impl<'a> Order<'a> {
    pub fn new(target: &'a str) -> Self {
        Order {
            target,
            picks: None,
            processes: 1,
            milliseconds: super::milliseconds(),
            count: 0,
            repeat: 1,
            batch: 0,
            hold: false,
            size: 0,
            pause: 0,
        }
    }

    pub fn picks(mut self, file: &'a Path) -> Self {
        self.picks = Some(file);
        self
    }

    pub fn processes(mut self, processes: u32) -> Self {
        self.processes = processes;
        self
    }
}

/// ns per call, of batches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// The longest.
    pub most: f64,
    /// Batches that took longer than so many ms.
    pub over: [(u32, f64); 4],
}

/// What an order measured.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Calls per second of all processes together.
    pub per_second: f64,
    pub call: Times,
    /// The end of a dialog that was counted, and of one that was not.
    pub end: Times,
    pub bare_end: Times,
    /// The making of a dialog.
    pub made: Times,
    /// How often which code was returned.
    pub codes: BTreeMap<i32, f64>,
}

impl Sample {
    /// Panics unless every call returned this code: else another thing was measured.
    pub fn all(self, code: i32) -> Self {
        assert!(
            self.codes.keys().eq([&code]),
            "codes {:?} were returned, not only {code}",
            self.codes
        );
        self
    }

    /// Ns of the median call above that of a function that does nothing.
    pub fn above(&self, floor: &Sample) -> f64 {
        (self.call.p50 - floor.call.p50).max(0.0)
    }

    /// Calls of all processes.
    pub fn calls(&self) -> f64 {
        self.codes.values().sum()
    }

    /// The share of calls that returned one of these codes.
    pub fn share(&self, codes: &[i32]) -> f64 {
        let of = codes.iter().filter_map(|c| self.codes.get(c)).fold(0.0, |sum, n| sum + n);
        of / self.calls()
    }
}

fn times(of: &Value) -> Times {
    let number = |name: &str| of[name].as_f64().unwrap_or(0.0);
    Times {
        p50: number("p50"),
        p99: number("p99"),
        p999: number("p999"),
        most: number("most"),
        over: [1, 5, 15, 25].map(|ms| (ms, number(&format!("over_{ms}_ms")))),
    }
}

/// Kamailio with the module for benchmarks.
pub struct Host {
    pub kamailio: Kamailio,
    /// Size of Kamailio's own pool.
    megabytes: u32,
}

impl Host {
    /// `modules` and `settings` are lines of the configuration; `megabytes` of
    /// shared memory are for the stock modules.
    pub fn start(mut config: Config, megabytes: u32) -> Self {
        config.workers = 2;
        config.routes = "request_route {\n\texit;\n}\n".into();
        config.settings.push_str(&format!(
            "loadmodule \"{}\"\nmodparam(\"bench\", \"processes\", {PROCESSES})\n",
            super::support::project().join("target/bench/bench.so").display()
        ));
        config.arguments.extend(["-m".into(), megabytes.to_string()]);
        Host { kamailio: config.start(), megabytes }
    }

    /// Bytes of shared memory that the first of the module's processes has
    /// touched, Kamailio's own pool left out: that of sipwarden.
    pub fn touched(&self) -> f64 {
        let list = self.kamailio.rpc("core.psx", json!([]));
        let ours = list.as_array().unwrap().iter().find(|p| p["DSC"] == "bench");
        let maps = fs::read_to_string(format!("/proc/{}/smaps", ours.unwrap()["PID"])).unwrap();
        let pool = u64::from(self.megabytes) << 10;
        let mut sum = 0;
        let (mut shared, mut size) = (false, 0);
        for line in maps.lines() {
            let number =
                || line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            match line.split_whitespace().next() {
                Some("Size:") => size = number(),
                Some("Rss:") if shared && size != pool => sum += number(),
                Some(word) if !word.ends_with(':') => shared = line.contains("/dev/zero"),
                _ => {}
            }
        }
        (sum << 10) as f64
    }

    /// Runs an order; the fault if there is one.
    pub fn try_run(&self, order: &Order<'_>) -> Result<Sample, String> {
        let picks = order.picks.map_or(String::new(), |p| p.display().to_string());
        let answer = self.kamailio.try_rpc(
            "bench.run",
            json!([
                order.target,
                picks,
                order.processes,
                order.milliseconds,
                order.count,
                order.repeat,
                order.batch,
                u32::from(order.hold),
                order.size,
                order.pause
            ]),
        )?;
        let codes = answer["codes"].as_object().map(|codes| {
            codes.iter().map(|(code, n)| (code.parse().unwrap(), n.as_f64().unwrap())).collect()
        });
        Ok(Sample {
            per_second: answer["per_second"].as_f64().unwrap(),
            call: times(&answer["call"]),
            end: times(&answer["end"]),
            bare_end: times(&answer["bare_end"]),
            made: times(&answer["made"]),
            codes: codes.unwrap_or_default(),
        })
    }

    /// Runs an order that must not fail.
    pub fn run(&self, order: &Order<'_>) -> Sample {
        self.try_run(order)
            .unwrap_or_else(|e| panic!("{}: {e}\n{}", order.target, self.kamailio.log()))
    }

    /// How much more 2 processes do than 1 when they share nothing: 2 on a machine
    /// that does nothing else.
    pub fn free_cores(&self) -> f64 {
        let per_second = |n| self.run(&Order::new("nothing").processes(n)).per_second;
        per_second(2) / per_second(1)
    }

    /// Calls each source of the file so often, unmeasured.
    pub fn warm(&self, target: &str, picks: &Path, calls: u64, repeat: u32) -> Sample {
        self.run(&Order { count: calls, repeat, ..Order::new(target).picks(picks) })
    }
}
