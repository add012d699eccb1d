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
    /// So low that a second request is too many for sipwarden; pike's default.
    Low,
}

impl Limits {
    fn settings(self) -> &'static str {
        match self {
            Limits::High => {
                "modparam(\"sipwarden\", \"flood_limit\", 65000)\n\
                 modparam(\"pike\", \"reqs_density_per_unit\", 65535)\n"
            }
            Limits::Low => "modparam(\"sipwarden\", \"flood_limit\", 1)\n",
        }
    }
}

struct Measured {
    sources: u64,
    spread: Spread,
    limits: Limits,
    flood: Option<Sample>,
    /// A function without arguments that does nothing.
    floor: Sample,
    pike: Sample,
    /// A source that is not in the hash table, and one that is.
    absent: Sample,
    present: Option<Sample>,
    /// Bytes per source that there is room for, all of it in use.
    bytes: Option<f64>,
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

/// Where sources come from.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Spread {
    /// All over the Internet: a permutation of the counter, by an odd factor.
    Anywhere,
    /// One network, 10.0.0.0 and on, in random order.
    Network,
}

fn sources(count: u64, spread: Spread) -> impl Iterator<Item = Pick> {
    // Coprime to all counts used: each number once.
    let shuffled = move |n: u64| (n * 7_919_999 % count) as u32;
    (0..count).map(move |n| {
        let address = match spread {
            Spread::Anywhere => (n as u32).wrapping_mul(0x9e37_79b1) ^ mix(1) as u32,
            Spread::Network => 10 << 24 | shuffled(n),
        };
        Pick { family: Family::V4, company: 0, address: u128::from(address) << 96 }
    })
}

/// The order for so many sources.
fn order<'a>(target: &'a str, sources: u64, file: &'a std::path::Path) -> Order<'a> {
    let repeat = if sources == 1 { HOT } else { 1 };
    Order { repeat, ..Order::new(target).picks(file) }
}

fn measure(sources_: u64, spread: Spread, limits: Limits) -> Measured {
    println!(
        "  {sources_} sources ({spread:?}), {}",
        if limits == Limits::High { "nobody reaches the limit" } else { "low limits" }
    );
    let (folder, host) = host(limits);
    let file = folder.join("sources");
    write_picks(&file, sources(if sources_ == 1 { HOT_SOURCES } else { sources_ }, spread));
    let run = |target| host.run(&order(target, sources_, &file));
    let before = host.touched();
    let flood = exported().then(|| {
        if sources_ > 1 {
            host.warm("flood_check", &file, sources_ * 2, 1);
        }
        run("flood_check")
    });
    let bytes = (exported() && sources_ == 1_000_000).then(|| {
        let stats = host.kamailio.rpc("sipwarden.stats", serde_json::json!([]));
        (host.touched() - before) / stats["sources_room"].as_f64().unwrap()
    });
    // A request deepens pike's tree by one level at most, and only below a node
    // that has been asked often: as in service, where sources call repeatedly.
    if sources_ > 1 {
        for _ in 0..if sources_ > 100_000 { 2 } else { 16 } {
            host.warm("pike_check_req", &file, sources_, 1);
        }
    }
    let pike = run("pike_check_req");
    let floor = run("flood_floor").all(1);
    let absent = run("htable");
    let present = (sources_ <= 100_000).then(|| {
        let filled = if sources_ == 1 { HOT_SOURCES } else { sources_ };
        host.warm("htable_set", &file, filled, 1);
        run("htable").all(1)
    });
    Measured { sources: sources_, spread, limits, flood, floor, pike, absent, present, bytes }
}

/// Calls per second of 1, 2 and 4 processes with different sources: hot ones,
/// then 100,000.
fn together(target: &str) -> Option<(Vec<[Sample; 3]>, f64)> {
    if target == "flood_check" && !exported() {
        return None;
    }
    let (folder, host) = host(Limits::High);
    let file = folder.join("sources");
    let rows = [1, 100_000].into_iter().map(|count| {
        write_picks(&file, sources(if count == 1 { HOT_SOURCES } else { count }, Spread::Anywhere));
        if count > 1 {
            host.warm(target, &file, count, 1);
        }
        [1, 2, 4].map(|n| host.run(&order(target, count, &file).processes(n)))
    });
    let rows = rows.collect();
    Some((rows, host.free_cores()))
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
         that it stays below a high limit. High limits are 65,000 requests for flood_check and \
         65,535 for pike; low ones 1 for flood_check, so that all sources get blocked that fit into its \
         table of the default size (262,144 sources), and pike's default of 30. pike needs its \
         default to build its tree as it does in service. The hash table has 256 slots and its key is \
         `$si`, as in Kamailio's own example configuration.",
    );
    let mut all = Vec::new();
    for limits in [Limits::High, Limits::Low] {
        all.extend(super::chosen(&SOURCES).map(|&n| measure(n, Spread::Anywhere, limits)));
    }
    all.push(measure(100_000, Spread::Network, Limits::Low));
    let rows = all.iter().map(|m| {
        let flood = m.flood.as_ref();
        let ratio = flood.map_or("-".into(), |f| number(m.pike.call.p50 / f.call.p50) + " x");
        let above = |sample: &Sample| number(sample.above(&m.floor));
        vec![
            number(m.sources as f64)
                + if m.spread == Spread::Network { ", one network" } else { "" },
            if m.limits == Limits::High { "high" } else { "low" }.into(),
            flood.map_or("-".into(), pair),
            flood.map_or("-".into(), |f| share(f, &[-1, -2, -11])),
            flood.map_or("-".into(), |f| share(f, &[3])),
            pair(&m.pike),
            share(&m.pike, &[-1, -2]),
            pair(&m.absent),
            m.present.as_ref().map_or("-".into(), pair),
            ratio,
            number(m.floor.call.p50),
            flood.map_or("-".into(), above),
            above(&m.pike),
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
            "floor",
            "flood_check above it",
            "pike above it",
        ],
        rows,
    );
    for m in &all {
        let limits = if m.limits == Limits::High { "high" } else { "low" };
        let name = format!("{} sources ({:?}), {limits} limits", m.sources, m.spread);
        if let Some(flood) = &m.flood {
            section.value(format!("flood_check, {name}"), flood.call.p50, "ns");
        }
        section.value(format!("pike_check_req, {name}"), m.pike.call.p50, "ns");
        section.value(format!("floor, {name}"), m.floor.call.p50, "ns");
        section.value(format!("htable, absent, {name}"), m.absent.call.p50, "ns");
    }
    charts(&mut section, &all);
    figures(&mut section, &all);
    section
}

fn charts(section: &mut Section, all: &[Measured]) {
    let line = |name: &str, limits: Limits, of: &dyn Fn(&Measured) -> Option<f64>| Line {
        name: name.into(),
        points: (all.iter())
            .filter(|m| m.limits == limits && m.spread == Spread::Anywhere)
            .filter_map(|m| Some((m.sources as f64, of(m)?)))
            .collect(),
    };
    let lines = [
        line("flood_check", Limits::High, &|m| m.flood.as_ref().map(|f| f.call.p50)),
        line("flood_check, blocked", Limits::Low, &|m| m.flood.as_ref().map(|f| f.call.p50)),
        line("pike", Limits::Low, &|m| Some(m.pike.call.p50)),
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
    let of = |sources, limits, spread| {
        all.iter().find(|m| (m.sources, m.limits, m.spread) == (sources, limits, spread))
    };
    let at = |sources, limits| of(sources, limits, Spread::Anywhere);
    let hot = at(1, Limits::High);
    section.figure(
        "flood_check, one hot source, against pike",
        hot.and_then(|m| Some(m.flood.as_ref()?.call.p50 / m.pike.call.p50)),
        "times pike",
        Bound::AtMost(1.0),
    );
    let many = |spread| at(100_000, Limits::High).zip(of(100_000, Limits::Low, spread));
    section.figure(
        "flood_check, 100,000 sources of one network, against pike, above the floor",
        many(Spread::Network)
            .and_then(|(f, p)| Some(p.pike.above(&p.floor) / f.flood.as_ref()?.above(&f.floor))),
        "times cheaper",
        Bound::AtLeast(130.0),
    );
    section.note("the target is below the floor: what is above it, of both");
    section.figure(
        "flood_check, 100,000 sources from anywhere, against pike",
        many(Spread::Anywhere)
            .and_then(|(f, p)| Some(p.pike.call.p50 / f.flood.as_ref()?.call.p50)),
        "times cheaper",
        Bound::AtLeast(130.0),
    );
    section.figure(
        "memory per source of flood control",
        at(1_000_000, Limits::High).and_then(|m| m.bytes),
        "bytes",
        Bound::AtMost(64.0),
    );
    section.note("pages touched by a million sources, per source that there is room for");
    let flood = together("flood_check");
    let pike = together("pike_check_req");
    let scaling = flood.as_ref().map(|(rows, _)| rows[0][1].per_second / rows[0][0].per_second);
    section.figure(
        "flood_check, 2 processes against 1, different sources",
        scaling,
        "times the throughput",
        Bound::AtLeast(1.8),
    );
    if let Some((rows, free)) = &flood {
        let other = rows[1][1].per_second / rows[1][0].per_second;
        section.note(format!("hot sources; {other:.2} with 100,000; an empty loop: {free:.2}"));
    }
    let named = [("flood_check", flood), ("pike_check_req", pike)];
    let lines = named.iter().flat_map(|(name, rows)| {
        let what = ["hot sources", "100,000 sources"];
        rows.iter().flat_map(|(rows, _)| rows).zip(what).map(move |(samples, what)| Line {
            name: format!("{}, {what}", name.split('_').next().unwrap_or_default()),
            points: [1.0, 2.0, 4.0].into_iter().zip(samples.iter().map(|s| s.per_second)).collect(),
        })
    });
    section.charts.push(Chart {
        file: "benchmark-workers",
        title: "Throughput against processes, different sources".into(),
        x: "processes",
        y: "calls per second, all together",
        lines: lines.collect(),
    });
    let rows = named.iter().flat_map(|(name, rows)| {
        let what = ["hot sources", "100,000 sources"];
        rows.iter().flat_map(|(rows, _)| rows).zip(what).map(move |(samples, what)| {
            let mut row = vec![format!("{name}, {what}")];
            row.extend(samples.iter().map(|s| format!("{:.2}", s.per_second / 1e6)));
            row
        })
    });
    let rows = rows.collect();
    section.table(&["different sources", "1 process, M/s", "2, M/s", "4, M/s"], rows);
}
