//! Why a target is missed, as far as profiles and counts of cache lines have shown.

use super::report::{Figure, Section, number};

/// Beginning of a figure's name, and what stands in the way.
const REASONS: [(&str, &str); 17] = [
    (
        "check_company_ip, 10,000 ranges, miss",
        "A thousandth of permissions' miss is less than the call of a function that evaluates the \
         company and does nothing (the floor). Above it a look-up costs a few cache lines: the id is \
         hashed, the generation is pinned, the verdict is kept for `$swd` and counted, and a refusal is \
         folded into the events.",
    ),
    (
        "check_company_ip, 1 million ranges of 100,000",
        "Two loads depend on each other and miss the caches: slot of the id, and the company's record \
         with its ranges beside it. With few companies both are in the cache. Pages are small: the \
         kernel's huge pages for shared memory are off by default.",
    ),
    (
        "flood_check, one hot source",
        "About a quarter of the time is the clock (the kernel's coarse one, where pike counts in ticks \
         of its timer), an eighth is what the host is asked and told: whether debug lines are wanted, \
         and the statistic. The rest is the function itself: one hash, one lock, one sum of 14 slices, \
         the version of the rules and of the tables, the verdict kept for `$swd`. pike keeps neither \
         verdict nor statistic.",
    ),
    (
        "flood_check, 100,000 sources",
        "One cache line per source, 64 bytes, cannot be in the caches for 100,000 sources: the time is \
         that of a load of such a working set (see below), with a lock. The next source is not known \
         before its request is there, so nothing can be fetched ahead. The target was set from figures \
         for pike of another machine; here pike is several times faster than they say.",
    ),
    (
        "flood_check, 2 processes",
        "Nothing is shared by two sources but read-only lines. What an empty loop reaches in two \
         processes on this machine is in the note: two virtual cores are not always two.",
    ),
    (
        "memory per source",
        "64 bytes a source: the entry with its lock is one cache line, and the table is full. The rest \
         is not of the sources: what a process touches with its first check (its place among the \
         readers of snapshots is looked for in 128 KiB), and a bit per line that says whether it is \
         blocked. An entry below 64 bytes would share its line with another one's lock.",
    ),
    (
        "memory per live call",
        "152 bytes a lease, as it names up to 12 scopes, and its share of the hash tables, which are \
         touched page by page.",
    ),
    (
        "instructions per whole call",
        "Of what is above the floor, cc_limit and the end of \
         its call are some 4,500, of which the ledger has 2,200; the rest are the other two checks, \
         and callbacks for each dialog. What is counted is user space only: the kernel, which has the \
         larger part of a call's CPU time (see the section before), is not in it, so that of this \
         time the checks are less.",
    ),
    (
        "CPU per whole call, sipwarden",
        "Whole calls vary from run to run by more than all checks together cost; the spread is shown.",
    ),
    (
        "CPU per whole call: what stock",
        "A quotient of two differences that are within the noise of whole calls: the functions measured \
         one by one, above, say more.",
    ),
    (
        "p99.9 of checks during a reload",
        "The reload shares two cores with the checks: its own computing, in another process, takes \
         turns and cache from them. No check waits for it.",
    ),
    (
        "cc_limit and release, no live calls, against profiles",
        "By instructions (callgrind) both are near: about 3,900, and 600 for the release, against \
         3,800 and 500. A profile adds a link to one list that is short when no call is live, in \
         memory that `dlg_manage()` has just used. cc_limit locks three buckets, takes three records, \
         and writes a lease: code and data that the making of \
         the dialog has pushed out of the first caches (simulated misses: 280 of code and 100 of \
         data, against 100 and 20), and some ten atomic exchanges. With live calls the list grows; \
         the work of cc_limit does not.",
    ),
    (
        "six scopes and a rate",
        "Each scope is found by its hash (four ids are hashed here, those of company and brand were \
         before), locked, compared and counted by itself, and most of them in two directions; the \
         rate sums its slices. With more calls or companies the cache misses of company and brand \
         weigh more, and the ratio is lower.",
    ),
    (
        "shared limits, loopback: added",
        "The question goes from the worker to the broker, to Redis and back: four times a process \
         is woken. Here all of them share two cores with the caller, and a core that sleeps takes some \
         ten microseconds to wake. The script itself is in the table of takes.",
    ),
    (
        "shared limits, loopback: cc_limit, p99.9",
        "One in a thousand waits while the kernel gives the core of the broker or of Redis to somebody \
         else: a second of beats, timers of Kamailio, and the benchmark itself share two cores.",
    ),
    (
        "shared limits: two-scope takes",
        "Whatever is in a request, Lua is called, and asks for the time, the members' hash and its clock; \
         then each call with its end is some thousand steps of Lua.",
    ),
    ("cc_limit", "Cache lines of leases and scopes that other calls have pushed out."),
];

fn reason(figure: &Figure) -> &'static str {
    let known = REASONS.iter().find(|(name, _)| figure.name.starts_with(name));
    known.map_or("Not looked into yet.", |(_, reason)| reason)
}

/// One line for each figure that is missed.
pub fn section(sections: &[Section]) -> String {
    let figures = sections.iter().flat_map(|s| &s.figures);
    let missed = figures.filter(|figure| figure.met() == Some(false)).map(|figure| {
        let value = figure.value.map_or_else(String::new, number);
        let (name, unit, target) = (&figure.name, figure.unit, figure.target());
        format!("- **{name}**: {value} {unit}, target {target}. {}\n", reason(figure))
    });
    missed.collect()
}
