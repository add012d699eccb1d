//! cc_limit and roadwarrior_acquire against profiles of the dialog module.

use super::host::{Host, Order, Sample};
use super::platform::{Family, Platform, write_picks};
use super::report::{Bound, Chart, Line, Section, number};
use super::support::Folder;
use super::support::kamailio::Config;

/// Live calls, companies.
const POINTS: [(u64, u32); 6] =
    [(0, 1), (1_000, 1), (50_000, 1), (0, 10_000), (1_000, 10_000), (50_000, 10_000)];

/// One way to count calls at one point, ns.
struct Way {
    /// The functions.
    call: f64,
    p999: f64,
    /// What the end of the dialog costs more than that of one that is not counted.
    release: f64,
    /// Making and ending a dialog that is not counted.
    dialog: f64,
}

impl Way {
    fn new(sample: &Sample) -> Self {
        Way {
            call: sample.call.p50,
            p999: sample.call.p999,
            release: (sample.end.p50 - sample.bare_end.p50).max(0.0),
            dialog: sample.made.p50 + sample.bare_end.p50,
        }
    }

    fn cost(&self) -> f64 {
        self.call + self.release
    }
}

struct Measured {
    live: u64,
    companies: u32,
    limit: Way,
    roadwarrior: Way,
    profiles: Way,
    /// cc_limit with six scopes, one of them, which is one of 16 carriers, with a rate.
    six_scopes: Way,
    /// A function that evaluates the same argument and does nothing, ns.
    floor: f64,
    /// The same of six scopes.
    six_floor: f64,
    /// cc_limit in 1, 2 and 4 processes at once.
    together: [Sample; 3],
    bytes: Option<f64>,
}

impl Measured {
    /// What company and brand cost above the floor, by cc_limit and by profiles; and six scopes and
    /// a rate above theirs, since Kamailio makes the text that names them.
    fn above(&self) -> [f64; 3] {
        let ways = [&self.limit, &self.profiles, &self.six_scopes];
        let floors = [self.floor, self.floor, self.six_floor];
        [0, 1, 2].map(|way| (ways[way].cost() - floors[way]).max(0.0))
    }

    fn six_times(&self) -> f64 {
        let [limit, _, six] = self.above();
        six / limit
    }
}

const DIALOGS: &str = "modparam(\"dialog\", \"profiles_with_value\", \"brand;company\")\n\
     modparam(\"dialog\", \"early_timeout\", 86400)\n";

/// Limits that no call comes to.
const LIMITS: &str = "INSERT INTO sipwarden_limit (kind, id, direction, max_calls) VALUES
    ('did', '*', 'out', 1000000), ('group', '*', 'any', 1000000), ('user', '*', 'out', 1000000);
INSERT INTO sipwarden_limit (kind, id, max_calls, max_new, window_seconds) VALUES
    ('carrier', '*', 1000000, 65535, 1);";

/// One that counts calls.
pub fn host(config: Config) -> Host {
    let mut config = config.settings(DIALOGS);
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    // See whole calls: the default one would make profiles dearer by microseconds.
    config.arguments.extend(["-x".into(), "fm".into()]);
    Host::start(config, 2048)
}

fn hold(host: &Host, target: &str, order: &Order<'_>, live: u64) {
    if live > 0 {
        host.run(&Order { target, count: live, hold: true, ..order.clone() });
    }
}

fn measure(live: u64, companies: u32) -> Measured {
    println!("  {live} live calls, {companies} companies");
    let folder = Folder::new();
    let platform = Platform::new(companies, companies.max(1_000), Family::V4);
    let db = platform.database(folder.join("tables.sqlite"));
    let file = folder.join("picks");
    // From elsewhere, so that roadwarriors need a slot.
    write_picks(&file, platform.misses(if companies == 1 { 16 } else { 1 << 16 }));
    let order = |target| Order::new(target).picks(&file);

    let sipwarden = host(Config::new(&db.url()));
    // What the first call touches is there for all of them.
    hold(&sipwarden, "cc_limit", &order("cc_limit"), 1);
    let before = sipwarden.touched();
    hold(&sipwarden, "cc_limit", &order("cc_limit"), live);
    let bytes = (live > 1_000).then(|| (sipwarden.touched() - before) / live as f64);
    let mut config = Config::new("");
    config.sipwarden = false;
    let stock = host(config);
    hold(&stock, "set_profiles", &order("set_profiles"), live);
    db.run(LIMITS);
    let table = "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n";
    let with_six = self::host(Config::new(&db.url()).settings(table));
    hold(&with_six, "six_scopes", &order("six_scopes"), live);

    let orders = [
        (&sipwarden, order("cc_limit"), Some(1)),
        (&sipwarden, order("roadwarrior_acquire"), Some(4)),
        (&sipwarden, order("floor"), Some(1)),
        (&stock, order("profiles"), None),
        (&with_six, order("six_scopes"), Some(1)),
        (&with_six, order("six_floor"), Some(1)),
    ];
    let samples = in_turns(&orders);
    let way = |n: usize| Way::new(&samples[n]);
    let together = [1, 2, 4].map(|n| sipwarden.run(&order("cc_limit").processes(n)).all(1));
    Measured {
        live,
        companies,
        limit: way(0),
        roadwarrior: way(1),
        floor: samples[2].call.p50,
        profiles: way(3),
        six_scopes: way(4),
        six_floor: samples[5].call.p50,
        together,
        bytes,
    }
}

/// Turns of each order.
const TURNS: u32 = 5;

/// Runs orders in turns, so that what disturbs the machine disturbs all of them; the median
/// sample of each. With a code all calls must return it.
fn in_turns(orders: &[(&Host, Order<'_>, Option<i32>)]) -> Vec<Sample> {
    let mut samples = vec![Vec::new(); orders.len()];
    for _ in 0..TURNS {
        for ((host, order, code), samples) in orders.iter().zip(&mut samples) {
            let milliseconds = order.milliseconds / TURNS;
            let sample = host.run(&Order { milliseconds, ..order.clone() });
            samples.push(match code {
                Some(code) => sample.all(*code),
                None => sample,
            });
        }
    }
    let median = |mut samples: Vec<Sample>| {
        samples.sort_by(|a, b| a.call.p50.total_cmp(&b.call.p50));
        samples.swap_remove(samples.len() / 2)
    };
    samples.into_iter().map(median).collect()
}

pub fn section() -> Section {
    let mut section = Section::new(
        "Concurrent calls",
        "ns per call, medians; in brackets the release: what the end of a counted dialog takes more \
         than that of another dialog beside it. Each call is a new INVITE with a dialog that \
         `dlg_manage()` has made (not timed) and that ends after the call, as after a script that \
         creates no transaction. `dlg_manage()` has also parsed the headers, so no way pays for what \
         another one finds done: each looks up the dialog, counts brand and company, and has them \
         counted out at its end. The ways run in turns of both Kamailios. The live calls are in the dialog module's table too, of the \
         default 4,096 slots. profiles: `get_profile_size` and `set_dlg_profile` for brand and \
         company, in a Kamailio without sipwarden. The columns \"dialog\" tell what making and \
         ending a dialog that nobody counts costs in either Kamailio: sipwarden watches all \
         dialogs. One counter read is in each time. The \
         floor is a function of the benchmarks' own module that evaluates the company and does nothing: \
         no check can cost less. Kamailio's allocator is \
         `-x fm` here. roadwarrior_acquire takes a slot of a user who \
         is not granted.",
    );
    let all: Vec<Measured> = super::chosen(&POINTS).map(|&(l, c)| measure(l, c)).collect();
    let both = |way: &Way| {
        format!("{} (+{}), p99.9 {}", number(way.call), number(way.release), number(way.p999))
    };
    let rows = all.iter().map(|m| {
        let name = format!("{} live calls, {} companies", m.live, m.companies);
        for (what, way) in [
            ("cc_limit", &m.limit),
            ("roadwarrior_acquire", &m.roadwarrior),
            ("profiles", &m.profiles),
        ] {
            section.value(format!("{what} and release, {name}"), way.cost(), "ns");
        }
        vec![
            number(m.live as f64),
            number(f64::from(m.companies)),
            both(&m.limit),
            both(&m.roadwarrior),
            both(&m.profiles),
            number(m.profiles.cost() / m.limit.cost()) + " x",
            number(m.limit.dialog),
            number(m.profiles.dialog),
        ]
    });
    let rows = rows.collect();
    section.table(
        &[
            "live calls",
            "companies",
            "cc_limit",
            "roadwarrior_acquire",
            "profiles",
            "profiles / cc_limit",
            "dialog, sipwarden",
            "dialog, stock",
        ],
        rows,
    );
    let rows = all.iter().map(|m| {
        let mut row = vec![number(m.live as f64), number(f64::from(m.companies))];
        row.extend(m.together.iter().map(|s| number(s.call.p50)));
        row.extend(m.together.iter().map(|s| number(s.per_second)));
        row
    });
    let rows = rows.collect();
    section.table(
        &[
            "live calls",
            "companies",
            "cc_limit, 1 process, ns",
            "2, ns",
            "4, ns",
            "whole rounds/s, 1",
            "2",
            "4",
        ],
        rows,
    );
    floors(&mut section, &all);
    chart(&mut section, &all);
    figures(&mut section, &all);
    section
}

/// What is above the call of a function that does nothing.
fn floors(section: &mut Section, all: &[Measured]) {
    let rows = all.iter().map(|m| {
        let name = format!("{} live calls, {} companies", m.live, m.companies);
        section.value(format!("floor, {name}"), m.floor, "ns");
        section.value(format!("floor of six scopes, {name}"), m.six_floor, "ns");
        let [limit, profiles, six] = m.above().map(number);
        section.value(format!("six scopes and release, {name}"), m.six_scopes.cost(), "ns");
        vec![
            number(m.live as f64),
            number(f64::from(m.companies)),
            number(m.floor),
            limit,
            number(m.six_floor),
            six,
            number(m.six_times()) + " x",
            profiles,
        ]
    });
    let rows = rows.collect();
    section.table(
        &[
            "live calls",
            "companies",
            "floor, ns",
            "cc_limit above it",
            "floor of six scopes",
            "six scopes and a rate above it",
            "six scopes / cc_limit, above the floors",
            "profiles above it",
        ],
        rows,
    );
}

fn chart(section: &mut Section, all: &[Measured]) {
    let line = |name: &str, companies, of: &dyn Fn(&Measured) -> f64| Line {
        name: name.into(),
        points: (all.iter().filter(|m| m.companies == companies))
            .map(|m| (m.live as f64, of(m)))
            .collect(),
    };
    section.charts.push(Chart {
        file: "benchmark-calls",
        title: "Cost of a call's limit and release against live calls (median)".into(),
        x: "live calls",
        y: "ns per call",
        lines: vec![
            line("profiles, 1 company", 1, &|m| m.profiles.cost()),
            line("profiles, 10,000", 10_000, &|m| m.profiles.cost()),
            line("cc_limit, 1 company", 1, &|m| m.limit.cost()),
            line("cc_limit, 10,000", 10_000, &|m| m.limit.cost()),
            line("roadwarrior, 1 company", 1, &|m| m.roadwarrior.cost()),
        ],
    });
}

fn figures(section: &mut Section, all: &[Measured]) {
    let at = |live, companies| all.iter().find(|m| (m.live, m.companies) == (live, companies));
    let (none, many) = (at(0, 1), at(50_000, 1));
    section.figure(
        "cc_limit and release, 50,000 live calls, against none",
        none.zip(many).map(|(none, many)| many.limit.cost() / none.limit.cost()),
        "times",
        Bound::AtMost(1.5),
    );
    if let Some((none, many)) = at(0, 10_000).zip(at(50_000, 10_000)) {
        section
            .note(format!("one company; {:.2} with 10,000", many.limit.cost() / none.limit.cost()));
    }
    section.figure(
        "cc_limit and release, no live calls, against profiles",
        none.map(|none| none.limit.cost() / none.profiles.cost()),
        "times",
        Bound::AtMost(1.0),
    );
    if let Some(none) = none {
        let [limit, profiles, _] = none.above().map(number);
        let floor = number(none.floor);
        let mut note = format!("above the floor of {floor} ns: {limit} against {profiles} ns");
        if let Some(many) = at(0, 10_000) {
            let times = many.limit.cost() / many.profiles.cost();
            note += &format!("; with 10,000 companies {times:.2}");
        }
        section.note(note);
    }
    section.figure(
        "six scopes and a rate, against company and brand, above the floors",
        at(0, 1).map(Measured::six_times),
        "times",
        Bound::AtMost(2.5),
    );
    if let Some((one, many)) = none.zip(at(0, 10_000)) {
        let whole = one.six_scopes.cost() / one.limit.cost();
        section.note(format!(
            "no live calls, one company; {} with 10,000; with the floors {}",
            number(many.six_times()),
            number(whole)
        ));
    }
    section.figure(
        "cc_limit and release, 50,000 live calls, against profiles",
        many.map(|m| m.profiles.cost() / m.limit.cost()),
        "times cheaper",
        Bound::AtLeast(20.0),
    );
    if let Some(spread) = at(50_000, 10_000) {
        let ratio = spread.profiles.cost() / spread.limit.cost();
        section.note(format!("one company; {} with 10,000", number(ratio)));
    }
    section.figure(
        "memory per live call",
        many.and_then(|m| m.bytes),
        "bytes",
        Bound::AtMost(168.0),
    );
    section.note(
        "152 for the lease and 8 for its place in the hash table; pages touched by 50,000 calls of \
         one company",
    );
    if let Some(bytes) = at(50_000, 10_000).and_then(|m| m.bytes) {
        section.value("memory per live call, 50,000 of 10,000 companies", bytes, "bytes");
    }
}
