//! Why a target is missed, as far as profiles and counts of cache lines have shown.

use super::report::{Figure, Section, number};

/// Beginning of a figure's name, and what stands in the way.
const REASONS: [(&str, &str); 11] = [
    (
        "check_company_ip, 10,000 ranges, miss",
        "A look-up costs a few cache lines, but the call itself has a floor: Kamailio evaluates the \
         company's id, the id is hashed, the generation is pinned, the verdict is kept for `$swd` and \
         counted, and a refusal is folded into the events. The stock module's walk of 10,000 subnets \
         would have to be a thousand times that floor.",
    ),
    (
        "check_company_ip, 1 million ranges of 100,000",
        "Three loads depend on each other and miss the caches: slot of the id, record of the company, \
         its ranges. With few companies all three are in the cache. The record could hold the first \
         ranges itself, which would take one miss away and cost memory for companies without ranges.",
    ),
    (
        "flood_check, one hot source",
        "The work on the table is about half of the time: one hash, one lock, one sum of 14 slices. \
         The rest is the call: reading the clock (pike counts in ticks of its timer), the copy of the \
         rules' version, the verdict kept for `$swd` and counted. pike does none of that.",
    ),
    (
        "flood_check, 100,000 sources",
        "One cache line per source, 64 bytes, cannot be in the caches for 100,000 sources: the time is \
         that of a dependent load of such a working set (see below), with a lock. The target was set \
         from figures for pike of another machine; here pike is several times faster than they say.",
    ),
    (
        "flood_check, 2 processes",
        "Nothing is shared by two sources but read-only lines. What an empty loop reaches in two \
         processes on this machine is in the note: two virtual cores are not always two.",
    ),
    (
        "memory per source",
        "64 bytes a source, a bit that says whether it is blocked, and the lines of sources that were \
         forgotten meanwhile.",
    ),
    (
        "memory per live call",
        "128 bytes a lease, and its share of the hash tables, which are touched page by page.",
    ),
    (
        "CPU per whole call, sipwarden",
        "Whole calls vary from run to run by more than all checks together cost; the spread is shown.",
    ),
    (
        "CPU per whole call: what stock",
        "A quotient of two differences that lie in the noise of whole calls: the functions measured \
         one by one, above, say more.",
    ),
    (
        "p99.9 of checks during a reload",
        "The reload shares two cores with the checks: its own computing, in another process, takes \
         turns and cache from them. No check waits for it.",
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
