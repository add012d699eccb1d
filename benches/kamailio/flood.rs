//! flood_check against `pike_check_req`, and against the look-up in a hash table
//! that scripts put in front of it.

use std::sync::OnceLock;

use super::host::{Host, Order, Sample};
use super::platform::{Family, Pick, Platform, mix, write_picks};
use super::report::{Bound, Chart, Line, Section, number};
use super::support::Folder;
use super::support::kamailio::Config;

const SOURCES: [u64; 4] = [1, 1_000, 100_000, 1_000_000];

/// Calls in a row of what is called one hot source: a source is changed before
/// it reaches a limit, so that it stays an honest one.
const HOT: u32 = 16_384;
const HOT_SOURCES: u64 = 8_192;

/// The limits of a Kamailio.
#[derive(Clone, Copy, PartialEq)]
enum Limits {
    /// So high that nobody reaches them.
    High,
    /// The defaults of both modules: most sources are blocked at these rates.
    Default,
}

impl Limits {
    fn settings(self) -> &'static str {
        match self {
            Limits::High => {
                "modparam(\"sipwarden\", \"flood_limit\", 65000)\n\
                 modparam(\"pike\", \"reqs_density_per_unit\", 65535)\n"
            }
            Limits::Default => "",
        }
    }
}

struct Measured {
    sources: u64,
    limits: Limits,
    flood: Option<Sample>,
    pike: Sample,
    /// A source that is not in the hash table, and one that is.
    absent: Sample,
    present: Option<Sample>,
}

fn host(limits: Limits) -> (Folder, Host) {
    let folder = Folder::new();
    let db = Platform::new(1, 10, Family::V4).database(folder.join("tables.sqlite"));
    let mut config = Config::new(&db.url());
    config.modules.push_str("loadmodule \"pike.so\"\nloadmodule \"htable.so\"\n");
    // As in Kamailio's own example configuration.
    config =
        config.settings("modparam(\"htable\", \"htable\", \"ipban=>size=8;autoexpire=300;\")\n");
    let known = |line: &&str| exported() || !line.contains("sipwarden");
    let lines: Vec<&str> = limits.settings().lines().filter(known).collect();
    (folder, Host::start(config.settings(&format!("{}\n", lines.join("\n"))), 2048))
}

/// Whether the module has flood_check: asked once of its library.
pub fn exported() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let library = std::fs::read(super::support::kamailio::module()).unwrap();
        let name = b"\0flood_check\0";
        let found = library.windows(name.len()).any(|w| w == name);
        if !found {
            println!("  flood_check is not exported: skipped");
        }
        found
    })
}

fn sources(count: u64) -> impl Iterator<Item = Pick> {
    // Distinct: a permutation of the counter, by an odd factor.
    (0..count).map(|n| Pick {
        family: Family::V4,
        company: 0,
        address: u128::from((n as u32).wrapping_mul(0x9e37_79b1) ^ mix(1) as u32) << 96,
    })
}

/// The order for so many sources.
fn order<'a>(target: &'a str, sources: u64, file: &'a std::path::Path) -> Order<'a> {
    let repeat = if sources == 1 { HOT } else { 1 };
    Order { repeat, ..Order::new(target).picks(file) }
}

fn measure(sources_: u64, limits: Limits) -> Measured {
    println!(
        "  {sources_} sources, {}",
        if limits == Limits::High { "nobody reaches the limit" } else { "default limits" }
    );
    let (folder, host) = host(limits);
    let file = folder.join("sources");
    write_picks(&file, sources(if sources_ == 1 { HOT_SOURCES } else { sources_ }));
    let run = |target| host.run(&order(target, sources_, &file));
    let flood = exported().then(|| {
        if sources_ > 1 {
            host.warm("flood_check", &file, sources_ * 2, 1);
        }
        run("flood_check")
    });
    // A request deepens pike's tree by one level at most.
    if sources_ > 1 {
        for _ in 0..if sources_ > 100_000 { 2 } else { 4 } {
            host.warm("pike_check_req", &file, sources_, 1);
        }
    }
    let pike = run("pike_check_req");
    let absent = run("htable");
    let present = (sources_ <= 100_000).then(|| {
        let filled = if sources_ == 1 { HOT_SOURCES } else { sources_ };
        host.warm("htable_set", &file, filled, 1);
        run("htable").all(1)
    });
    Measured { sources: sources_, limits, flood, pike, absent, present }
}

/// Calls per second of 1, 2 and 4 processes with different sources: hot ones,
/// then 100,000.
fn together(target: &str) -> Option<Vec<[Sample; 3]>> {
    if target == "flood_check" && !exported() {
        return None;
    }
    let (folder, host) = host(Limits::High);
    let file = folder.join("sources");
    let rows = [1, 100_000].into_iter().map(|count| {
        write_picks(&file, sources(if count == 1 { HOT_SOURCES } else { count }));
        if count > 1 {
            host.warm(target, &file, count, 1);
        }
        [1, 2, 4].map(|n| host.run(&order(target, count, &file).processes(n)))
    });
    Some(rows.collect())
}

fn pair(sample: &Sample) -> String {
    format!("{} / {}", number(sample.call.p50), number(sample.call.p999))
}

fn share(sample: &Sample, codes: &[i32]) -> String {
    format!("{:.0} %", sample.share(codes) * 100.0)
}

pub fn section() -> Section {
    let mut section = Section::new(
        "Anti-flooding",
        "Median / p99.9 of batches of about 20 µs, ns per call, and the share of calls that were \
         refused. \"1 source\" calls from one source 16,384 times in a row, then from the next, so \
         that it stays below a high limit. With default limits nearly every source is blocked at \
         these rates, except by pike where it is slow. The hash table has 256 slots and its key is \
         `$si`, as in Kamailio's own example configuration.",
    );
    let mut all = Vec::new();
    for limits in [Limits::High, Limits::Default] {
        all.extend(super::chosen(&SOURCES).map(|&n| measure(n, limits)));
    }
    let rows = all.iter().map(|m| {
        let flood = m.flood.as_ref();
        let ratio = flood.map_or("-".into(), |f| number(m.pike.call.p50 / f.call.p50) + " x");
        vec![
            number(m.sources as f64),
            if m.limits == Limits::High { "high" } else { "default" }.into(),
            flood.map_or("-".into(), pair),
            flood.map_or("-".into(), |f| share(f, &[-1, -2])),
            flood.map_or("-".into(), |f| share(f, &[3])),
            pair(&m.pike),
            share(&m.pike, &[-1, -2]),
            pair(&m.absent),
            m.present.as_ref().map_or("-".into(), pair),
            ratio,
        ]
    });
    let rows = rows.collect();
    section.table(
        &[
            "sources",
            "limits",
            "flood_check",
            "refused",
            "untracked",
            "pike_check_req",
            "refused",
            "htable, absent",
            "htable, present",
            "pike / flood_check",
        ],
        rows,
    );
    for m in &all {
        let limits = if m.limits == Limits::High { "high" } else { "default" };
        let name = format!("{} sources, {limits} limits", m.sources);
        if let Some(flood) = &m.flood {
            section.value(format!("flood_check, {name}"), flood.call.p50, "ns");
        }
        section.value(format!("pike_check_req, {name}"), m.pike.call.p50, "ns");
        section.value(format!("htable, absent, {name}"), m.absent.call.p50, "ns");
    }
    charts(&mut section, &all);
    figures(&mut section, &all);
    section
}

fn charts(section: &mut Section, all: &[Measured]) {
    let line = |name: &str, limits: Limits, of: &dyn Fn(&Measured) -> Option<f64>| Line {
        name: name.into(),
        points: (all.iter().filter(|m| m.limits == limits))
            .filter_map(|m| Some((m.sources as f64, of(m)?)))
            .collect(),
    };
    let lines = [
        line("flood_check", Limits::High, &|m| m.flood.as_ref().map(|f| f.call.p50)),
        line("flood_check, blocked", Limits::Default, &|m| m.flood.as_ref().map(|f| f.call.p50)),
        line("pike", Limits::Default, &|m| Some(m.pike.call.p50)),
        line("pike, high limit", Limits::High, &|m| Some(m.pike.call.p50)),
        line("htable, absent", Limits::High, &|m| Some(m.absent.call.p50)),
        line("htable, present", Limits::High, &|m| m.present.as_ref().map(|p| p.call.p50)),
    ];
    section.charts.push(Chart {
        file: "benchmark-sources",
        title: "Cost of a check against sources (median)".into(),
        x: "sources",
        y: "ns per call",
        lines: lines.into_iter().filter(|l| !l.points.is_empty()).collect(),
    });
}

fn figures(section: &mut Section, all: &[Measured]) {
    let at = |sources, limits| all.iter().find(|m| m.sources == sources && m.limits == limits);
    let hot = at(1, Limits::High);
    section.figure(
        "flood_check, one hot source, against pike",
        hot.and_then(|m| Some(m.flood.as_ref()?.call.p50 / m.pike.call.p50)),
        "times pike",
        Bound::AtMost(1.0),
    );
    let many = at(100_000, Limits::High).zip(at(100_000, Limits::Default));
    section.figure(
        "flood_check, 100,000 sources, against pike",
        many.and_then(|(f, p)| Some(p.pike.call.p50 / f.flood.as_ref()?.call.p50)),
        "times cheaper",
        Bound::AtLeast(130.0),
    );
    let flood = together("flood_check");
    let pike = together("pike_check_req");
    let scaling = flood.as_ref().map(|rows| rows[0][1].per_second / rows[0][0].per_second);
    section.figure(
        "flood_check, 2 processes against 1, different sources",
        scaling,
        "times the throughput",
        Bound::AtLeast(1.8),
    );
    if let Some(rows) = &flood {
        let other = rows[1][1].per_second / rows[1][0].per_second;
        section.note(format!("hot sources; {other:.2} with 100,000"));
    }
    let named = [("flood_check", flood), ("pike_check_req", pike)];
    let rows = named.iter().flat_map(|(name, rows)| {
        let what = ["hot sources", "100,000 sources"];
        rows.iter().flatten().zip(what).map(move |(samples, what)| {
            let mut row = vec![format!("{name}, {what}")];
            row.extend(samples.iter().map(|s| format!("{:.2}", s.per_second / 1e6)));
            row
        })
    });
    let rows = rows.collect();
    section.table(&["different sources", "1 process, M/s", "2, M/s", "4, M/s"], rows);
}
