//! Module parameters: one table of names, types, defaults and bounds.

use std::ffi::CStr;

use super::at;
use super::cluster_params::CLUSTER;
use super::kind::Kind;
use super::param::{Param, fixed, int, runtime};
use crate::auth::{LONGEST_BAN, LONGEST_SAME, LONGEST_WINDOW, MOST_AORS};
use crate::flood::{LONGEST_BLOCK, MOST_BUDGET};
use crate::grants::LONGEST_GRANT;

const fn table(name: &'static CStr, default: &'static CStr, meaning: &'static CStr) -> Param {
    runtime(name, Kind::Name { default }, meaning)
}

/// A window of spraying.
const WINDOW: Kind = int(3600, 2, LONGEST_WINDOW as i32);

/// All parameters, in the order of [`at`].
#[allow(clippy::indexing_slicing)] // in a constant, so the compiler would tell
pub const PARAMS: [Param; at::COUNT] = {
    let mut all = [OWN[0]; at::COUNT];
    let mut n = 0;
    while n < at::COUNT {
        all[n] = if n < OWN.len() { OWN[n] } else { CLUSTER[n - OWN.len()] };
        n += 1;
    }
    assert!(OWN.len() + CLUSTER.len() == at::COUNT);
    all
};

const OWN: [Param; at::CLUSTER_URL] = [
    runtime(
        c"db_url",
        Kind::Database,
        c"Database with the tables, as the host's database drivers write it.",
    ),
    table(c"brand_table", c"sipwarden_brand", c"Table or view of the brands."),
    table(c"company_table", c"sipwarden_company", c"Table or view of the companies."),
    table(
        c"company_address_table",
        c"sipwarden_company_address",
        c"Table or view of the companies' address ranges.",
    ),
    table(
        c"company_country_table",
        c"sipwarden_company_country",
        c"Table or view of the companies' countries.",
    ),
    table(c"user_table", c"sipwarden_user", c"Table or view of the users."),
    table(
        c"trusted_table",
        c"sipwarden_trusted",
        c"Table or view of the platform's and its peers' addresses.",
    ),
    table(
        c"limit_table",
        c"",
        c"Table or view of limits: of companies and brands by direction, of users, and of kinds of your own such as carriers. Empty: none.",
    ),
    table(
        c"tool_table",
        c"",
        c"Table or view of what scanners call themselves, for `scanner_check`. Empty: none.",
    ),
    runtime(
        c"reload_bad_rows",
        Kind::Choice { default: c"fail", words: &["fail", "skip"] },
        c"What a bad row does. `fail`: the whole load fails. `skip`: the row is left out and reported.",
    ),
    runtime(
        c"geoip_db",
        Kind::Text { default: c"", min: 0, max: 1024 },
        c"File with the countries of networks (MaxMind DB). It is read with the tables, so a change takes effect with the next reload. Empty: countries grant nothing.",
    ),
    runtime(
        c"tables_file",
        Kind::Text { default: c"", min: 0, max: 1024 },
        c"File that keeps the last tables, for a start without the database. Empty: no file.",
    ),
    fixed(
        c"snapshot_memory",
        int(256, 2, 8192),
        c"Address space for two generations of the tables, in MiB. Only what is used takes memory.",
    ),
    fixed(
        c"max_calls",
        int(65_536, 16, 2_097_151),
        c"Calls that can be counted at a time. Further ones are refused with `ledger_full`.",
    ),
    runtime(
        c"reaper_interval",
        int(60, 0, 86_400),
        c"Seconds between two comparisons of the counted calls with the dialogs. 0: no comparison.",
    ),
    runtime(
        c"near_percent",
        int(80, 0, 100),
        c"Percent of a limit of calls, less its reserved slots, from which on the calls are near to it, for limits that do not say it in `limit_table`. 0: never. A change takes effect with the next reload.",
    ),
    runtime(
        c"flood_limit",
        int(100, 1, 65_535),
        c"Requests that a source may send in a window.",
    ),
    runtime(
        c"flood_window",
        Kind::Duration { default: c"2" },
        c"Length of the window: a number of seconds up to 60, or a text like `1500ms` or `300s`.",
    ),
    runtime(
        c"flood_block",
        int(300, 0, LONGEST_BLOCK as i32),
        c"Seconds that a source is blocked. 0: no blocks, only what is above the limit is refused.",
    ),
    runtime(
        c"flood_block_max",
        int(0, 0, LONGEST_BLOCK as i32),
        c"Each repeated block is twice as long as the one before, up to this many seconds. 0: all blocks are equally long.",
    ),
    runtime(
        c"flood_class",
        Kind::Classes,
        c"A class of sources with values of its own: `name=limit:N;window:N;block:N;block_max:N;budget:N`. Up to 14 classes. A value that is not given is that of `default`. At run time the values of a class can be changed; those that are not given stay.",
    ),
    runtime(
        c"flood_company_sources",
        Kind::Class { default: c"exempt" },
        c"Class of the sources in a company's ranges, if the company's filter is on: `exempt`, or a class.",
    ),
    runtime(
        c"flood_unproven",
        Kind::Choice { default: c"throttle", words: &["throttle", "block"] },
        c"What happens to a source above its limit that has never proven that it receives what is sent to it, so that its address may be forged. `throttle`: what is above the limit is refused (`flood_unproven`). `block`: it is blocked, and the firewall can drop it. Proven sources are throttled in both cases, unless they send over a connection.",
    ),
    runtime(
        c"flood_proven_class",
        Kind::Class { default: c"default" },
        c"Class of sources that are proven, by more than a nonce that they answered with a wrong password, and that neither `sipwarden_trusted` nor a company's range lists: a class, not `exempt`.",
    ),
    runtime(
        c"flood_proven_keep",
        int(86_400, 0, LONGEST_BLOCK as i32),
        c"Seconds for which a source is proven after its last proof. 0: no source is ever proven.",
    ),
    runtime(
        c"flood_budget",
        int(0, 0, MOST_BUDGET as i32),
        c"Requests that all unknown sources of a class may send together in its window. Above it they get `flood_budget`, later `flood_budget_silent`. Proven and listed sources do not count. 0: any number.",
    ),
    runtime(
        c"flood_exempt_prefix",
        int(16, 0, 32),
        c"A company's IPv4 range that is broader than this exempts nobody. A change takes effect with the next reload.",
    ),
    runtime(
        c"flood_exempt_ipv6_prefix",
        int(32, 0, 128),
        c"A company's IPv6 range that is broader than this exempts nobody. A change takes effect with the next reload.",
    ),
    runtime(
        c"flood_ipv6_prefix",
        int(64, 16, 128),
        c"Bits of an IPv6 address that make a source. Addresses that share them count as one source.",
    ),
    runtime(
        c"flood_monitor",
        int(0, 0, 1),
        c"1: sources are counted, blocked and logged, but nothing is refused.",
    ),
    fixed(
        c"flood_sources",
        int(262_144, 1024, 16_777_216),
        c"Sources that can be known at a time, rounded up to a power of two. Each takes 64 bytes, and 16 more where it is proven.",
    ),
    runtime(
        c"flood_persist",
        Kind::Text { default: c"", min: 0, max: 1024 },
        c"File that keeps blocks, bans and grants over a restart. Empty: a restart forgets them.",
    ),
    runtime(
        c"monitor",
        int(0, 0, 1),
        c"1: all functions judge, count and report, but allow what they would refuse (`monitored`).",
    ),
    runtime(
        c"event_callback",
        Kind::Text { default: c"", min: 0, max: 128 },
        c"KEMI function for events that have no event route. It is called with the name of the event.",
    ),
    runtime(
        c"audit_url",
        Kind::Text { default: c"", min: 0, max: 1024 },
        c"Database in which refusals, blocks and reloads are recorded. Empty: nothing is recorded.",
    ),
    table(c"audit_table", c"sipwarden_audit", c"Table for these records."),
    runtime(
        c"auth_limit",
        int(100, 1, 65_535),
        c"Failures of an AoR from one source within a window. The last of them starts the ban.",
    ),
    runtime(c"auth_window", int(1800, 1, LONGEST_WINDOW as i32), c"Length of the window in seconds."),
    runtime(c"auth_block", int(43_200, 1, LONGEST_BAN as i32), c"Length of a ban in seconds."),
    runtime(
        c"auth_restart",
        int(80, 0, 65_535),
        c"Failures that count again when a ban ends. At most `auth_limit` - 1.",
    ),
    runtime(
        c"auth_same",
        int(600, 0, LONGEST_SAME as i32),
        c"The same wrong credentials of an AoR and source count once within this many seconds. 0: they count each time.",
    ),
    runtime(
        c"auth_class",
        Kind::AuthClasses,
        c"A class of sources with values of its own: `name=limit:N;window:N;block:N;restart:N`, and for spraying `aors`, `aors_window`, `unknown`, `unknown_window`, `passwords`, `passwords_window`, `spray_block`. A value that is not given is that of `default`. `flood_class` and `auth_class` share their names, 14 in all; where only one of them names a class, the other one treats it as `default`. At run time the values of a class can be changed; those that are not given stay.",
    ),
    runtime(
        c"auth_company_sources",
        Kind::Class { default: c"default" },
        c"The same for brute force protection: class of the sources in a company's ranges, if the company's filter is on.",
    ),
    runtime(
        c"auth_monitor",
        int(0, 0, 1),
        c"1: failures are counted, AoRs are banned, bans are logged, but nobody is refused.",
    ),
    fixed(
        c"auth_sources",
        int(65_536, 1024, 4_194_304),
        c"Pairs of AoR and source that can be known at a time, rounded up to a power of two. Each takes 260 bytes. For each four of them there is room for one source whose failures count for spraying: 256 bytes.",
    ),
    runtime(
        c"spray_aors",
        int(30, 0, MOST_AORS as i32),
        c"Different AoRs at which one source may fail within `spray_aors_window`. The failure that passes it blocks the source (`spraying`). The number is an estimate. 0: no limit.",
    ),
    runtime(c"spray_aors_window", WINDOW, c"Length of this window in seconds."),
    runtime(
        c"spray_unknown",
        int(20, 0, MOST_AORS as i32),
        c"The same for AoRs that do not exist, where the script tells them apart (`auth_failed` with a code). 0: no limit.",
    ),
    runtime(c"spray_unknown_window", WINDOW, c"Length of this window in seconds."),
    runtime(
        c"spray_passwords",
        int(2000, 0, 65_535),
        c"The same for failures of one source over all AoRs. 0: no limit.",
    ),
    runtime(c"spray_passwords_window", WINDOW, c"Length of this window in seconds."),
    runtime(
        c"spray_block",
        int(3600, 1, LONGEST_BAN as i32),
        c"Seconds that a source is blocked for spraying.",
    ),
    fixed(
        c"blocklist_file",
        Kind::Feeds,
        c"A feed: a file with addresses and prefixes whose requests `flood_check` refuses (`listed`), and a name for it: `name=/path`. Up to 16 feeds. Trusted, authorized and granted sources are served all the same, and those that are proven by a login or a call.",
    ),
    runtime(
        c"blocklist_interval",
        int(5, 0, 86_400),
        c"Seconds between two looks at these files. A file that has changed is read when two looks find it the same. 0: only a reload reads them.",
    ),
    fixed(
        c"blocklist_memory",
        int(128, 2, 8192),
        c"Address space for two generations of all feeds, in MiB. Only what is used takes memory.",
    ),
    fixed(
        c"grants",
        int(1024, 0, 65_536),
        c"Grants that there may be at a time: sources that companies may use until a time. Each takes 264 bytes. 0: none.",
    ),
    runtime(
        c"grant_longest",
        int(86_400, 1, LONGEST_GRANT as i32),
        c"Longest grant in seconds. The RPC `allow` refuses a longer one, `grant()` shortens it.",
    ),
    runtime(
        c"grant_prefix",
        int(24, 8, 32),
        c"A grant for an IPv4 range that is broader than this is refused.",
    ),
    runtime(
        c"grant_ipv6_prefix",
        int(56, 16, 128),
        c"A grant for an IPv6 range that is broader than this is refused.",
    ),
    fixed(
        c"host_names",
        int(0, 0, 4096),
        c"Host names that may stand in the place of addresses of companies and trusted sources. A process of the module's own resolves them. 0: none, a host name is a bad row.",
    ),
    runtime(
        c"host_name_min_ttl",
        int(60, 1, 86_400),
        c"Shortest time in seconds until a host name is resolved again, whatever its TTL.",
    ),
    runtime(
        c"host_name_max_ttl",
        int(3600, 1, 604_800),
        c"Longest time in seconds until a host name is resolved again, whatever its TTL.",
    ),
    runtime(
        c"host_name_keep",
        int(86_400, 0, 2_592_000),
        c"Seconds for which the last answer for a host name is good after its TTL, while the resolver does not answer.",
    ),
    fixed(
        c"firewall",
        Kind::Text { default: c"", min: 0, max: 128 },
        c"Table of nftables, such as `inet sipwarden`. Blocked sources are put into its sets `blocked4` and `blocked6`. Empty: no firewall.",
    ),
    runtime(
        c"firewall_after",
        int(0, 0, 1_000_000),
        c"A blocked source is put into these sets if it sends this many more requests within ten seconds. The kernel then drops its packets. 0: every block is put there at once.",
    ),
    fixed(
        c"firewall_nft",
        Kind::Text { default: c"/usr/sbin/nft", min: 1, max: 1024 },
        c"Path of the program `nft`, which changes these sets.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(index: usize, text: Option<&[u8]>, number: i32) -> String {
        PARAMS[index].check(text, number).unwrap_err()
    }

    #[test]
    fn refused_values_are_named() {
        assert_eq!(
            refusal(at::SNAPSHOT_MEMORY, None, 1),
            "parameter snapshot_memory: 1 is not from 2 to 8192"
        );
        assert_eq!(
            refusal(at::FIRST_TABLE, Some(b"a; drop"), 0),
            "parameter brand_table: \"a; drop\" is not a table name (1 to 128 letters, digits, '_' and '.')"
        );
        assert_eq!(
            refusal(at::RELOAD_BAD_ROWS, Some(b"keep"), 0),
            "parameter reload_bad_rows: \"keep\" is not one of fail, skip"
        );
        assert_eq!(
            refusal(at::FLOOD_WINDOW, Some(b"2 s"), 0),
            "parameter flood_window: \"2 s\" is not 100ms to 3600s, or a number of seconds up to 60"
        );
        assert_eq!(
            refusal(at::FLOOD_CLASS, Some(b"carrier=limit:0"), 0),
            "parameter flood_class: class carrier: limit \"0\" is not from 1 to 65535"
        );
        assert_eq!(
            refusal(at::DB_URL, Some(b""), 0),
            "parameter db_url: 0 bytes are not from 1 to 1024"
        );
    }

    #[test]
    fn defaults_are_valid() {
        for param in &PARAMS {
            let ok = match param.kind {
                Kind::Int { default, .. } => param.check(None, default),
                Kind::Text { default, .. }
                | Kind::Name { default }
                | Kind::Choice { default, .. }
                | Kind::Duration { default }
                | Kind::Class { default } => param.check(Some(default.to_bytes()), 0),
                Kind::Database => param.check(Some(b"sqlite:///x"), 0),
                Kind::Classes => param.check(Some(b"carrier=limit:2000;window:2;block:0"), 0),
                Kind::AuthClasses => param.check(Some(b"office=limit:500;block:600"), 0),
                Kind::Feeds => param.check(Some(b"drop=/var/lib/sipwarden/drop.txt"), 0),
            };
            assert!(ok.is_ok(), "{ok:?}");
        }
    }
}
