//! CPU time of whole calls: INVITE, ACK and BYE through all of Kamailio.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::platform::{Family, Platform, company_id};
use super::report::{Bound, Section, number};
use super::support::kamailio::{Config, Kamailio, free_port};
use super::support::{Folder, project, signal};

const COMPANIES: u32 = 100;
const RANGES: u32 = 1_000;
const CALLS_PER_SECOND: u32 = 300;
/// Callers' addresses: none of them calls often enough to be blocked.
const ADDRESSES: u32 = 250;

const NAMES: [&str; 3] = ["no checks", "sipwarden", "stock modules"];

struct Proxy {
    kamailio: Kamailio,
    /// us of CPU time per call, of each run.
    runs: Vec<f64>,
}

/// The gateway, stopped when dropped.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        signal(self.0.id() as i32, libc::SIGKILL);
        let _ = self.0.wait();
    }
}

fn gateway(port: u16) -> Gateway {
    let child = Command::new("sipp")
        .args(["-sf", "tests/sipp/uas.xml", "-i", "127.0.0.9", "-bind_local", "-nostdin"])
        .args(["-p", &port.to_string()])
        .current_dir(project())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sipp is installed by make setup");
    Gateway(child)
}

/// CPU time of all processes of the group, in ns.
fn cpu_time(group: u32) -> f64 {
    let mut sum = 0.0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // pid (name) state ppid pgrp
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        if rest.split_whitespace().nth(2) != Some(&group.to_string()) {
            continue;
        }
        if let Ok(times) = fs::read_to_string(entry.path().join("schedstat")) {
            sum += times.split(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
    sum
}

fn config(which: usize, gateway: u16, db_url: &str, folder: &Path) -> Config {
    let with_flood = super::flood::exported();
    let mut config = Config::new(db_url).routes(include_str!("calls.cfg"));
    config.sipwarden = which == 1;
    config.workers = 4;
    config.modules.push_str(
        "loadmodule \"maxfwd.so\"\nloadmodule \"sanity.so\"\nloadmodule \"dialog.so\"\n\
         modparam(\"dialog\", \"dlg_match_mode\", 1)\n",
    );
    if which == 2 {
        config.modules.push_str(
            "loadmodule \"htable.so\"\nloadmodule \"pike.so\"\nloadmodule \"permissions.so\"\n\
             loadmodule \"sqlops.so\"\n",
        );
        config = config.settings(&format!(
            "modparam(\"htable\", \"htable\", \"ipban=>size=8;autoexpire=300;\")\n\
             modparam(\"permissions\", \"address_file\", \"{}\")\n\
             modparam(\"permissions\", \"max_subnets\", {})\n\
             modparam(\"sqlops\", \"sqlcon\", \"limits=>{db_url}\")\n\
             modparam(\"dialog\", \"profiles_with_value\", \"brand;company\")\n",
            folder.join("addresses").display(),
            RANGES + 10
        ));
    }
    let define = ["WITH_NOTHING", "WITH_SIPWARDEN", "WITH_STOCK"][which];
    config.arguments = vec![
        "-A".into(),
        define.into(),
        "-A".into(),
        format!("GATEWAY=\"sip:127.0.0.9:{gateway}\""),
    ];
    if with_flood {
        config.arguments.extend(["-A".into(), "WITH_FLOOD".into()]);
    }
    config
}

/// Places calls and returns the CPU time of one, in us.
fn place_calls(proxy: &Kamailio, calls: u32, folder: &Path) -> f64 {
    let before = cpu_time(proxy.pid());
    let port = free_port().to_string();
    let out = Command::new("sipp")
        .arg(proxy.address().to_string())
        .args(["-sf", "benches/kamailio/caller.xml", "-t", "ui", "-ip_field", "0", "-inf"])
        .arg(folder.join("callers.csv"))
        .args(["-i", "127.0.1.1", "-p", &port, "-key", "own_port", &port])
        .args(["-nostdin", "-max_socket", "1000", "-d", "50", "-timeout", "60"])
        .args(["-m", &calls.to_string(), "-r", &CALLS_PER_SECOND.to_string()])
        .current_dir(project())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "calls failed: {}\n{}\n{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
        proxy.log()
    );
    (cpu_time(proxy.pid()) - before) / f64::from(calls) / 1000.0
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

pub fn section() -> Section {
    let runs = if super::quick() { 2 } else { 9 };
    let calls = if super::quick() { 300 } else { 1_800 };
    let mut section = Section::new(
        "Whole calls",
        &format!(
            "CPU time of all processes of a Kamailio per call (INVITE, 200, ACK, BYE, 200; 50 ms up), \
             from the scheduler's own accounts: three Kamailios with 4 workers each, asked in turn, \
             {runs} runs of {calls} calls each at {CALLS_PER_SECOND} a second from {ADDRESSES} \
             addresses of one company. All three make a dialog. Stock modules: htable ban, pike, \
             permissions with {RANGES} ranges of which the callers' one is in the middle, one \
             SQLite query, two dialog profiles. sipwarden: {}roadwarrior_acquire (which asks for the \
             source) and cc_limit, with {RANGES} ranges of {COMPANIES} companies.",
            if super::flood::exported() { "flood_check, " } else { "" }
        ),
    );
    let folder = Folder::new();
    let platform = Platform::new(COMPANIES, RANGES, Family::V4);
    let db = platform.database(folder.join("tables.sqlite"));
    let company = company_id(7);
    db.run(&format!(
        "INSERT INTO sipwarden_company_address VALUES ('{company}', '127.0.1.0', 24);"
    ));
    let addresses = folder.join("addresses");
    platform.address_file(&addresses);
    let text = fs::read_to_string(&addresses).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.insert(lines.len() / 2, "1 127.0.1.0 24");
    fs::write(&addresses, lines.join("\n") + "\n").unwrap();
    let callers: Vec<String> = (1..=ADDRESSES).map(|n| format!("127.0.1.{n};{company}")).collect();
    fs::write(folder.join("callers.csv"), format!("SEQUENTIAL\n{}\n", callers.join("\n"))).unwrap();

    let port = free_port();
    let _gateway = gateway(port);
    let mut proxies: Vec<Proxy> = (0..3)
        .map(|which| {
            let kamailio = config(which, port, &db.url(), folder.path()).start();
            // Until its memory has been used as in a server that runs for long.
            place_calls(&kamailio, calls, folder.path());
            Proxy { kamailio, runs: Vec::new() }
        })
        .collect();
    for run in 0..runs {
        for step in 0..proxies.len() {
            // Each is the first as often as the others.
            let n = (run + step) % proxies.len();
            let proxy = &mut proxies[n];
            proxy.runs.push(place_calls(&proxy.kamailio, calls, folder.path()));
        }
        println!("  run {} of {runs}", run + 1);
    }
    let told: Vec<&[f64]> = proxies.iter().map(|p| p.runs.as_slice()).collect();
    report(&mut section, &told);
    section
}

/// Half of the runs lie within this much of the median.
fn spread(values: &[f64]) -> f64 {
    let middle = median(values);
    median(&values.iter().map(|v| (v - middle).abs()).collect::<Vec<_>>())
}

fn report(section: &mut Section, runs: &[&[f64]]) {
    // Run by run, so that what changes slowly on the machine changes both.
    let added = |which: usize| -> Vec<f64> {
        runs[which].iter().zip(runs[0]).map(|(with, without)| with - without).collect()
    };
    let rows = NAMES.iter().enumerate().map(|(n, name)| {
        let (low, high) =
            runs[n].iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
        section.value(format!("CPU per whole call, {name}"), median(runs[n]), "us");
        let extra = added(n);
        vec![
            (*name).into(),
            number(median(runs[n])),
            format!("{} to {}", number(low), number(high)),
            if n == 0 { "-".into() } else { number(median(&extra)) },
            if n == 0 { "-".into() } else { number(spread(&extra)) },
        ]
    });
    let rows = rows.collect();
    section.table(
        &[
            "checks",
            "µs of CPU per call",
            "all runs",
            "more than no checks, µs",
            "half of the runs within ±",
        ],
        rows,
    );
    let (ours, theirs) = (added(1), added(2));
    let base = median(runs[0]);
    let noise = spread(&ours).max(spread(runs[0])) / base * 100.0;
    section.figure(
        "CPU per whole call, sipwarden against no checks",
        Some(median(&ours) / base * 100.0),
        "% more",
        Bound::AtMost(noise.max(1.0)),
    );
    section.note(format!(
        "half of the runs differ by less than {} % of a call from each other",
        number(noise)
    ));
    // A difference that is lost in the noise is not divided by.
    let ours = median(&ours).max(base / 1000.0);
    section.figure(
        "CPU per whole call: what stock modules add, against what sipwarden adds",
        Some(median(&theirs) / ours),
        "times",
        Bound::AtLeast(20.0),
    );
    section.note(format!("{} µs against {} µs", number(median(&theirs)), number(ours)));
}
