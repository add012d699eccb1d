//! check_company_ip against `allow_source_address` of permissions.

use super::host::{Host, Order, Sample};
use super::platform::{Family, Platform, write_picks};
use super::report::{Bound, Chart, Line, Section, number};
use super::support::Folder;
use super::support::kamailio::Config;

/// More than any cache holds the paths to.
const PICKS: u64 = 1 << 18;

/// Companies, ranges, family.
const PLATFORMS: [(u32, u32, Family); 11] = [
    (1, 1_000, Family::V4),
    (1, 10_000, Family::V4),
    (1, 100_000, Family::V4),
    (1, 1_000_000, Family::V4),
    (100, 1_000, Family::V4),
    (1_000, 10_000, Family::V4),
    (10_000, 100_000, Family::V4),
    (100_000, 1_000_000, Family::V4),
    (1, 1_000, Family::V6),
    (1, 1_000_000, Family::V6),
    (100_000, 1_000_000, Family::V6),
];

/// ns per call of one platform.
struct Measured {
    companies: u32,
    ranges: u32,
    family: Family,
    hot_hit: Sample,
    hot_miss: Sample,
    hit: Sample,
    miss: Sample,
    /// A function that evaluates the company and does nothing: one source, and random ones.
    floors: [Sample; 2],
    /// Random hits in 1, 2 and 4 processes.
    together: Vec<Sample>,
    /// permissions with the same ranges: random hits and misses.
    stock: Option<(Sample, Sample)>,
    bytes: f64,
}

fn measure(companies: u32, ranges: u32, family: Family) -> Measured {
    println!("  {companies} companies, {ranges} ranges, {family:?}");
    let folder = Folder::new();
    let platform = Platform::new(companies, ranges, family);
    let db = platform.database(folder.join("tables.sqlite"));
    let file = |name: &str| folder.join(name);
    write_picks(&file("hit"), platform.hits(PICKS));
    write_picks(&file("miss"), platform.misses(PICKS));
    write_picks(&file("hot-hit"), platform.hits(1));
    write_picks(&file("hot-miss"), platform.misses(1));
    let mut config = Config::new(&db.url());
    let with_stock = companies == 1 && ranges <= 100_000;
    if with_stock {
        platform.address_file(&file("addresses"));
        config.modules.push_str("loadmodule \"permissions.so\"\n");
        config = config.settings(&format!(
            "modparam(\"permissions\", \"address_file\", \"{}\")\n\
             modparam(\"permissions\", \"max_subnets\", {})\n",
            file("addresses").display(),
            ranges + 1
        ));
    }
    let host = Host::start(config, 512);
    let run =
        |target, picks: &str, code| host.run(&Order::new(target).picks(&file(picks))).all(code);
    let stats = host.kamailio.rpc("sipwarden.stats", serde_json::json!([]));
    let many = companies == 100_000 || ranges == 1_000;
    Measured {
        companies,
        ranges,
        family,
        hot_hit: run("check_company_ip", "hot-hit", 1),
        hot_miss: run("check_company_ip", "hot-miss", -1),
        hit: run("check_company_ip", "hit", 1),
        miss: run("check_company_ip", "miss", -1),
        floors: ["hot-hit", "hit"].map(|picks| run("check_floor", picks, 1)),
        together: [1, 2, 4]
            .into_iter()
            .filter(|_| many)
            .map(|n| {
                let hits = file("hit");
                host.run(&Order::new("check_company_ip").picks(&hits).processes(n)).all(1)
            })
            .collect(),
        stock: with_stock.then(|| {
            let hit = run("allow_source_address", "hit", 1);
            (hit, run("allow_source_address", "miss", -1))
        }),
        bytes: stats["snapshot_bytes"].as_f64().unwrap(),
    }
}

fn name(m: &Measured) -> String {
    let family = if m.family == Family::V4 { "IPv4" } else { "IPv6" };
    let companies = match m.companies {
        1 => "1 company".into(),
        n => format!("{} companies", number(f64::from(n))),
    };
    format!("{companies}, {} {family} ranges", number(f64::from(m.ranges)))
}

fn pair(sample: &Sample) -> String {
    format!("{} / {}", number(sample.call.p50), number(sample.call.p999))
}

/// Runs the section.
pub fn section() -> Section {
    let mut section = Section::new(
        "Authorized ranges",
        "Median / p99.9 of batches of about 20 µs, ns per call. \"Hot\" is one source over and over, \
         \"random\" 262,144 sources in turn. permissions has the same ranges (IPv4 of /24 to /32, \
         in random order) in one group.",
    );
    let all: Vec<Measured> = super::chosen(&PLATFORMS).map(|&(c, r, f)| measure(c, r, f)).collect();
    let mut rows = Vec::new();
    for m in &all {
        let stock = |of: fn(&(Sample, Sample)) -> &Sample| {
            m.stock.as_ref().map_or("-".into(), |s| pair(of(s)))
        };
        let ratio = m.stock.as_ref().map_or("-".into(), |(_, miss)| {
            format!("{} x", number(miss.call.p50 / m.miss.call.p50))
        });
        rows.push(vec![
            name(m),
            pair(&m.hot_hit),
            pair(&m.hot_miss),
            pair(&m.hit),
            pair(&m.miss),
            stock(|s| &s.0),
            stock(|s| &s.1),
            ratio,
        ]);
        for (what, sample) in [("hot hit", &m.hot_hit), ("hit", &m.hit), ("miss", &m.miss)] {
            section.value(format!("check_company_ip, {}, {what}", name(m)), sample.call.p50, "ns");
        }
        if let Some((_, miss)) = &m.stock {
            section.value(format!("permissions, {}, miss", name(m)), miss.call.p50, "ns");
        }
    }
    section.table(
        &[
            "platform",
            "hot hit",
            "hot miss",
            "random hit",
            "random miss",
            "permissions hit",
            "permissions miss",
            "cheaper, miss",
        ],
        rows,
    );
    floors(&mut section, &all);
    workers(&mut section, &all);
    charts(&mut section, &all);
    figures(&mut section, &all);
    section
}

/// What is above the call of a function that does nothing.
fn floors(section: &mut Section, all: &[Measured]) {
    let rows = all.iter().map(|m| {
        let [hot, random] = &m.floors;
        let above = |sample: &Sample, floor| number(sample.above(floor));
        vec![
            name(m),
            number(hot.call.p50),
            above(&m.hot_hit, hot),
            above(&m.hot_miss, hot),
            number(random.call.p50),
            above(&m.hit, random),
            above(&m.miss, random),
        ]
    });
    let rows = rows.collect();
    section.table(
        &[
            "platform",
            "floor, hot, ns",
            "hot hit above it",
            "hot miss above it",
            "floor, random, ns",
            "random hit above it",
            "random miss above it",
        ],
        rows,
    );
    for m in all {
        section.value(format!("floor, {}, random", name(m)), m.floors[1].call.p50, "ns");
    }
}

fn workers(section: &mut Section, all: &[Measured]) {
    let rows = all.iter().filter(|m| !m.together.is_empty()).map(|m| {
        let mut row = vec![name(m)];
        row.extend(m.together.iter().map(|s| format!("{:.1}", s.per_second / 1e6)));
        row.extend(m.together.iter().map(pair));
        row
    });
    let rows = rows.collect();
    section.table(
        &[
            "random hits",
            "1 process, M/s",
            "2 processes, M/s",
            "4 processes, M/s",
            "1, ns",
            "2, ns",
            "4, ns",
        ],
        rows,
    );
}

fn charts(section: &mut Section, all: &[Measured]) {
    let line = |name: &str, of: &dyn Fn(&Measured) -> Option<f64>| {
        let ipv4 = all.iter().filter(|m| m.family == Family::V4);
        let points = ipv4.filter_map(|m| Some((f64::from(m.ranges), of(m)?))).collect();
        Line { name: name.into(), points }
    };
    let one = |m: &Measured| m.companies == 1;
    let several = |m: &Measured| m.companies > 1;
    section.charts.push(Chart {
        file: "benchmark-ranges",
        title: "Cost of a check against ranges (IPv4, median)".into(),
        x: "ranges",
        y: "ns per call",
        lines: vec![
            line("permissions, miss", &|m| m.stock.as_ref().map(|s| s.1.call.p50)),
            line("one company, random hit", &|m| one(m).then_some(m.hit.call.p50)),
            line("one company, random miss", &|m| one(m).then_some(m.miss.call.p50)),
            line("one company, hot hit", &|m| one(m).then_some(m.hot_hit.call.p50)),
            line("10 ranges each, random hit", &|m| several(m).then_some(m.hit.call.p50)),
        ],
    });
}

fn figures(section: &mut Section, all: &[Measured]) {
    let find = |companies, ranges, family| {
        all.iter().find(|m| (m.companies, m.ranges, m.family) == (companies, ranges, family))
    };
    let many = find(1, 10_000, Family::V4);
    let cheaper = many.and_then(|m| {
        let [_, floor] = &m.floors;
        Some(m.stock.as_ref()?.1.above(floor) / m.miss.above(floor))
    });
    section.figure(
        "check_company_ip, 10,000 ranges, miss, against permissions, above the floor",
        cheaper,
        "times cheaper",
        Bound::AtLeast(1000.0),
    );
    section.note("the target is below the floor: what is above it, of both");
    let growth = |small: (u32, u32), large: (u32, u32)| {
        let (small, large) =
            (find(small.0, small.1, Family::V4)?, find(large.0, large.1, Family::V4)?);
        Some(large.hit.call.p50 / small.hit.call.p50)
    };
    section.figure(
        "check_company_ip, 1 million ranges of one company, random, against 1,000",
        growth((1, 1_000), (1, 1_000_000)),
        "times",
        Bound::AtMost(4.0),
    );
    section.figure(
        "check_company_ip, 1 million ranges of 100,000 companies, random, against 1,000 of 100",
        growth((100, 1_000), (100_000, 1_000_000)),
        "times",
        Bound::AtMost(4.0),
    );
    if let (Some(small), Some(large)) = (find(1, 1_000, Family::V4), find(1, 1_000_000, Family::V4))
    {
        let bytes = (large.bytes - small.bytes) / 999_000.0;
        section.figure("memory per IPv4 range", Some(bytes), "bytes", Bound::AtMost(16.0));
    }
    if let (Some(small), Some(large)) = (find(1, 1_000, Family::V6), find(1, 1_000_000, Family::V6))
    {
        section.value("memory per IPv6 range", (large.bytes - small.bytes) / 999_000.0, "bytes");
    }
}
