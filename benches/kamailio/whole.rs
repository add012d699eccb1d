//! CPU time of whole calls: INVITE, ACK and BYE through all of Kamailio.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::platform::{Family, Platform, company_id};
use super::report::{Bound, Section, number};
use super::support::kamailio::{Config, Kamailio, free_port};
use super::support::{Folder, project, signal};

const COMPANIES: u32 = 100;
const RANGES: u32 = 1_000;
const CALLS_PER_SECOND: u32 = 500;
/// Callers' addresses: none of them calls often enough to be blocked.
pub const ADDRESSES: u32 = 250;

pub const NAMES: [&str; 3] = ["no checks", "sipwarden", "stock modules"];

struct Proxy {
    kamailio: Kamailio,
    /// us of CPU time per call, of each run.
    runs: Vec<f64>,
}

/// The gateway, stopped when dropped.
pub struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        signal(self.0.id() as i32, libc::SIGKILL);
        let _ = self.0.wait();
    }
}

pub fn gateway(port: u16) -> Gateway {
    let child = Command::new("sipp")
        .args(["-sf", "tests/sipp/uas.xml", "-i", "127.0.0.9", "-bind_local", "-nostdin"])
        .args(["-p", &port.to_string()])
        .current_dir(project())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sipp is installed by make setup");
    pin(child.id() as i32, false);
    Gateway(child)
}

/// Kamailio has the first core, SIPp the others: so neither is moved about.
pub fn pin(pid: i32, first: bool) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        return;
    }
    // SAFETY: a set of cores is plain bits, all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for core in if first { 0..1 } else { 1..cores } {
        // SAFETY: the set is this function's own.
        unsafe { libc::CPU_SET(core, &mut set) };
    }
    // SAFETY: the kernel reads the set during the call.
    unsafe { libc::sched_setaffinity(pid, size_of_val(&set), &raw const set) };
}

/// The one of [`NAMES`] with this number, or, behind them, functions that do nothing.
pub fn config(which: usize, allocator: &str, gateway: u16, ground: &Ground) -> Config {
    let (db_url, folder) = (&ground.db_url, ground.folder.path());
    let with_flood = super::flood::exported();
    let mut config = Config::new(db_url).routes(include_str!("calls.cfg"));
    config.sipwarden = which == 1;
    config.workers = 2;
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
    if which == NAMES.len() {
        let floor = project().join("target/bench/bench.so");
        config.modules.push_str(&format!("loadmodule \"{}\"\n", floor.display()));
    }
    let define = ["WITH_NOTHING", "WITH_SIPWARDEN", "WITH_STOCK", "WITH_EMPTY_FUNCTIONS"][which];
    config.arguments = vec![
        "-A".into(),
        define.into(),
        "-A".into(),
        format!("GATEWAY=\"sip:127.0.0.9:{gateway}\""),
        "-x".into(),
        allocator.into(),
        // tm keeps each transaction for seconds: more than the default 64 MB.
        "-m".into(),
        "256".into(),
    ];
    if with_flood {
        config.arguments.extend(["-A".into(), "WITH_FLOOD".into()]);
    }
    config
}

/// What the callers and the proxies of whole calls need.
pub struct Ground {
    folder: Folder,
    db_url: String,
}

impl Ground {
    /// Callers of one company whose range is one of many.
    pub fn new() -> Self {
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
        let callers = (1..=ADDRESSES).map(|n| format!("127.0.1.{n};{company}"));
        let callers = callers.collect::<Vec<String>>().join("\n");
        fs::write(folder.join("callers.csv"), format!("SEQUENTIAL\n{callers}\n")).unwrap();
        Ground { db_url: db.url(), folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// CPU time of a call, in us.
fn cpu_per_call(proxy: &Kamailio, calls: u32, ground: &Ground) -> f64 {
    let before = proxy.cpu_time();
    place_calls(proxy, calls, CALLS_PER_SECOND, ground);
    (proxy.cpu_time() - before) / f64::from(calls) / 1000.0
}

/// Places calls that must all succeed.
pub fn place_calls(proxy: &Kamailio, calls: u32, per_second: u32, ground: &Ground) {
    let port = free_port().to_string();
    let mut sipp = Command::new("sipp");
    // SAFETY: only a system call runs between fork and exec.
    unsafe {
        sipp.pre_exec(|| {
            pin(0, false);
            Ok(())
        });
    }
    let out = sipp
        .arg(proxy.address().to_string())
        .args(["-sf", "benches/kamailio/caller.xml", "-t", "ui", "-ip_field", "0", "-inf"])
        .arg(ground.path().join("callers.csv"))
        .args(["-i", "127.0.1.1", "-p", &port, "-key", "own_port", &port])
        .args(["-nostdin", "-max_socket", "1000", "-d", "50", "-timeout", "60"])
        .args(["-m", &calls.to_string(), "-r", &per_second.to_string()])
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
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Runs of each of the three, run by run.
type Runs = [Vec<f64>; 3];

fn measure(allocator: &str, runs: usize, calls: u32, ground: &Ground) -> Runs {
    let port = free_port();
    let _gateway = gateway(port);
    let mut proxies = [0, 1, 2].map(|which| {
        let kamailio = config(which, allocator, port, ground).start();
        for folder in kamailio.proc_folders() {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            pin(name.parse().unwrap(), true);
        }
        // Until its memory has been used as in a server that runs for long.
        cpu_per_call(&kamailio, calls, ground);
        Proxy { kamailio, runs: Vec::new() }
    });
    for run in 0..runs {
        for step in 0..proxies.len() {
            // Each is the first as often as the others.
            let n = (run + step) % proxies.len();
            let proxy = &mut proxies[n];
            proxy.runs.push(cpu_per_call(&proxy.kamailio, calls, ground));
        }
        println!("  allocator {allocator}, run {} of {runs}", run + 1);
    }
    proxies.map(|p| p.runs)
}

pub fn section() -> Section {
    let runs = if super::quick() { 2 } else { 12 };
    let calls = if super::quick() { 300 } else { 2_500 };
    let mut section = Section::new(
        "Whole calls",
        &format!(
            "CPU time of all processes of a Kamailio per call (INVITE, 200, ACK, BYE, 200; 50 ms up), \
             from the scheduler's own accounts: three Kamailios with 2 workers each, asked in turn, \
             {runs} runs of {calls} calls each at {CALLS_PER_SECOND} a second from {ADDRESSES} \
             addresses of one company. Kamailio has a core of its own. All three make a dialog. Stock modules: htable ban, pike, \
             permissions with {RANGES} ranges of which the callers' one is in the middle, one \
             SQLite query, two dialog profiles. sipwarden: {}roadwarrior_acquire (which asks for the \
             source) and cc_limit, with {RANGES} ranges of {COMPANIES} companies.\n\n\
             Kamailio's default allocator (`-x qm`) searches its free lists one by one, and what that \
             costs depends on how the pool happens to be cut up: up to half of all CPU time, and \
             tens of microseconds per call more or less with any change of the configuration. The \
             targets are therefore judged with `-x fm`, the other allocator that Kamailio ships; \
             the table has both.",
            if super::flood::exported() { "flood_check, " } else { "" }
        ),
    );
    let ground = Ground::new();
    let fm = measure("fm", runs, calls, &ground);
    let qm = measure("qm", runs.min(4), calls, &ground);
    table(&mut section, &[("fm", &fm), ("qm", &qm)]);
    figures(&mut section, &fm);
    section
}

/// Twice the standard error of the median, from the median deviation: what runs
/// like these would give lies within this much of it 19 times out of 20.
fn uncertainty(values: &[f64]) -> f64 {
    let middle = median(values);
    let deviation = median(&values.iter().map(|v| (v - middle).abs()).collect::<Vec<_>>());
    2.0 * 1.253 * 1.483 * deviation / (values.len() as f64).sqrt()
}

/// What a way adds to a call without checks, run by run, so that what changes
/// slowly on the machine changes both.
fn added(runs: &Runs, which: usize) -> Vec<f64> {
    runs[which].iter().zip(&runs[0]).map(|(with, without)| with - without).collect()
}

fn table(section: &mut Section, all: &[(&str, &Runs)]) {
    let mut rows = Vec::new();
    for (allocator, runs) in all {
        for (n, name) in NAMES.iter().enumerate() {
            let middle = median(&runs[n]);
            let low = runs[n].iter().copied().fold(f64::MAX, f64::min);
            let high = runs[n].iter().copied().fold(f64::MIN, f64::max);
            section.value(format!("CPU per whole call, -x {allocator}, {name}"), middle, "us");
            let extra = added(runs, n);
            let of_extra = |of: fn(&[f64]) -> f64| match n {
                0 => "-".into(),
                _ => number(of(&extra)),
            };
            rows.push(vec![
                (*name).into(),
                (*allocator).into(),
                number(middle),
                format!("{} to {}", number(low), number(high)),
                of_extra(median),
                of_extra(uncertainty),
            ]);
        }
    }
    section.table(
        &[
            "checks",
            "allocator",
            "µs of CPU per call",
            "all runs",
            "more than no checks, µs",
            "± (95 %)",
        ],
        rows,
    );
}

fn figures(section: &mut Section, runs: &Runs) {
    let (ours, theirs) = (added(runs, 1), added(runs, 2));
    let base = median(&runs[0]);
    let noise = uncertainty(&ours) / base * 100.0;
    section.figure(
        "CPU per whole call, sipwarden against no checks",
        Some(median(&ours) / base * 100.0),
        "% more",
        Bound::AtMost(noise.max(1.0)),
    );
    section.note(format!("noise of these runs: ± {} %", number(noise)));
    // What is lost in the noise is at least not overstated.
    let least = median(&ours).max(base / 1000.0);
    section.figure(
        "CPU per whole call: what stock modules add, against what sipwarden adds",
        Some(median(&theirs) / least),
        "times",
        Bound::AtLeast(20.0),
    );
    section.note(format!("{} µs against {} µs", number(median(&theirs)), number(median(&ours))));
}
