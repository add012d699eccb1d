//! A Kamailio that runs orders of the benchmarks' own module.

use std::collections::BTreeMap;
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
    pub p999: f64,
    pub batches: u64,
}

/// What an order measured.
#[derive(Clone, Debug)]
pub struct Sample {
    pub batch: u64,
    pub calls: f64,
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

    /// The share of calls that returned one of these codes.
    pub fn share(&self, codes: &[i32]) -> f64 {
        let of: f64 = codes.iter().filter_map(|c| self.codes.get(c)).sum();
        of / self.codes.values().sum::<f64>()
    }
}

fn times(of: &Value) -> Times {
    let number = |name: &str| of[name].as_f64().unwrap_or(0.0);
    Times { p50: number("p50"), p999: number("p999"), batches: number("batches") as u64 }
}

/// Kamailio with the module for benchmarks.
pub struct Host {
    pub kamailio: Kamailio,
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
        Host { kamailio: config.start() }
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
                order.size
            ]),
        )?;
        let codes = answer["codes"].as_object().map(|codes| {
            codes.iter().map(|(code, n)| (code.parse().unwrap(), n.as_f64().unwrap())).collect()
        });
        Ok(Sample {
            batch: answer["batch"].as_u64().unwrap(),
            calls: answer["calls"].as_f64().unwrap(),
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

    /// Calls each source of the file so often, unmeasured.
    pub fn warm(&self, target: &str, picks: &Path, calls: u64, repeat: u32) -> Sample {
        self.run(&Order { count: calls, repeat, ..Order::new(target).picks(picks) })
    }
}
