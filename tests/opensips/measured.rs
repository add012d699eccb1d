//! Beside OpenSIPS's own modules, in one run: `make bench HOST=opensips` writes it into
//! docs/opensips.md.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::host::{Config, OpenSips, source};
use crate::support::callee::AutoCallee;
use crate::support::proxy::unhurried;
use crate::support::sip::Phone;
use crate::support::sipp::Sipp;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project};

const PAGE: &str = "docs/opensips.md";
const BEGIN: &str = "<!-- begin measured -->\n";
const END: &str = "<!-- end measured -->";

const INVITES: usize = 5000;
const LIMIT: usize = 10;
/// Calls of a function by one request, and requests of which the fastest counts.
const CALLS: u32 = 20_000;
const REQUESTS: u32 = 15;
/// Addresses that are allowed.
const RANGES: u32 = 1000;

/// Storms of each kind; INVITEs of those that are all admitted.
const STORMS: usize = 5;
const CALLS_UP: usize = 500;

/// What came of a storm.
struct Storm {
    admitted: usize,
    /// CPU time of all workers for each INVITE, with what else its call takes, in us.
    cpu: f64,
}

/// A storm in 16 workers, with this check.
fn storm(name: &str, check: &str, limit: usize, invites: usize) -> Storm {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(&format!(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, {limit});"
    ));
    let callee = AutoCallee::start("127.0.0.1");
    let mut config: Config = unhurried(&db.url(), callee.address).settings(PROFILES);
    config.workers = 16;
    let begin = config.routes.find("route[COUNT]").unwrap();
    config.routes.truncate(begin);
    config.routes.push_str(&check.replace("LIMIT", &limit.to_string()));
    let opensips = config.start();
    let before = opensips.cpu_time();
    let sipp = Sipp::start(&folder, name, opensips.address(), &["c;-"], invites);
    sipp.wait_for_judged(invites);
    callee.hang_up();
    let admitted = sipp.finish().admitted.get("c").copied().unwrap_or(0);
    let cpu = (opensips.cpu_time() - before) / invites as f64 / 1000.0;
    Storm { admitted, cpu }
}

const BY_SIPWARDEN: &str = r#"
route[COUNT] {
    if (!cc_limit("$fd")) {
        send_reply(403, "Refused");
        exit;
    }
}
"#;

/// As OpenSIPS's documentation shows it: asked first, counted then.
const BY_PROFILE: &str = r#"
route[COUNT] {
    get_profile_size("company", "$fd", $var(calls));
    if ($var(calls) >= LIMIT) {
        send_reply(403, "Refused");
        exit;
    }
    set_dlg_profile("company", "$fd");
}
"#;

const BY_NOBODY: &str = "route[COUNT] {\n    return(1);\n}\n";

const PROFILES: &str = "modparam(\"dialog\", \"profiles_with_value\", \"company\")\n";

/// What each check is written as; the first one is the loop alone. Those of floods are about the
/// request's own source.
const CHECKS: [(&str, &str); 6] = [
    ("", "$var(x) = 1;"),
    ("check_company_ip", "check_company_ip(\"c\", \"10.0.200.7\");"),
    ("permissions: check_address", "check_address(1, \"10.0.200.7\", 5060, \"udp\");"),
    ("flood_check", "flood_check();"),
    ("ratelimit: rl_check", "rl_check(\"$si\", 2000000000, \"TAILDROP\");"),
    ("dialog: get_profile_size", "get_profile_size(\"company\", \"c\", $var(x));"),
];

fn checks() -> (Folder, OpenSips) {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0);",
    );
    let rows = |row: &dyn Fn(u32) -> String| (0..RANGES).map(row).collect::<Vec<_>>().join(",");
    let address = |n: u32| format!("10.0.{}.{}", n / 4, n % 4 * 64);
    db.run(&format!(
        "INSERT INTO sipwarden_company_address VALUES {};",
        rows(&|n| format!("('c', '{}', 26)", address(n)))
    ));
    db.run(&source("scripts/sqlite/permissions-create.sql"));
    db.run(&format!(
        "INSERT INTO address (grp, ip, mask) VALUES {};",
        rows(&|n| format!("(1, '{}', 26)", address(n)))
    ));
    let mut routes = String::from("route {\n    $var(i) = 0;\n    switch ($rU) {\n");
    for (n, (_, check)) in CHECKS.iter().enumerate() {
        writeln!(
            routes,
            "    case \"m{n}\": while ($var(i) < {CALLS}) {{ {check} $var(i) = $var(i) + 1; }} break;"
        )
        .unwrap();
    }
    routes.push_str("    }\n    sl_send_reply(200, \"OK\");\n}\n");
    let mut config = Config::new(&db.url()).routes(&routes).settings(PROFILES).settings(&format!(
        "modparam(\"permissions\", \"db_url\", \"{}\")\n\
         modparam(\"sipwarden\", \"flood_limit\", 65535)\n",
        db.url()
    ));
    config.workers = 1;
    config.core = format!("max_while_loops={}\n", CALLS + 1);
    config.modules.push_str(
        "loadmodule \"dialog.so\"\nloadmodule \"permissions.so\"\nloadmodule \"ratelimit.so\"\n",
    );
    (folder, config.start())
}

/// Nanoseconds of each check: the fastest of some requests, without the loop.
fn times() -> Vec<f64> {
    let (_folder, opensips) = checks();
    let mut fastest = [Duration::MAX; CHECKS.len()];
    for request in 1..=REQUESTS {
        // No source comes to the limit: another answer would be measured.
        let phone = Phone::new(&format!("127.0.1.{request}"), opensips.address());
        for (n, fastest) in fastest.iter_mut().enumerate() {
            let begun = Instant::now();
            assert!(phone.request("OPTIONS", &format!("m{n}"), "").is_some());
            *fastest = (*fastest).min(begun.elapsed());
        }
    }
    assert_eq!(opensips.counter("flood_under_limit"), u64::from(REQUESTS * CALLS));
    let of = |time: Duration| time.as_nanos() as f64 / f64::from(CALLS);
    fastest.iter().map(|time| of(*time) - of(fastest[0])).collect()
}

#[test]
#[ignore = "make bench HOST=opensips"]
fn beside_its_own_modules() {
    let most = |name, check| {
        let admitted = (0..STORMS).map(|_| storm(name, check, LIMIT, INVITES).admitted);
        admitted.max().unwrap()
    };
    let (ours, theirs) = (most("ours", BY_SIPWARDEN), most("theirs", BY_PROFILE));
    assert_eq!(ours, LIMIT);
    let mut cpu = [f64::INFINITY; 3];
    for _ in 0..STORMS {
        let ways = [("ours", BY_SIPWARDEN), ("theirs", BY_PROFILE), ("neither", BY_NOBODY)];
        for (cpu, (name, check)) in cpu.iter_mut().zip(ways) {
            let storm = storm(name, check, CALLS_UP, CALLS_UP);
            assert_eq!(storm.admitted, CALLS_UP);
            *cpu = cpu.min(storm.cpu);
        }
    }
    let times = times();
    let version = std::process::Command::new("date").arg("+%F").output().unwrap();
    let date = String::from_utf8(version.stdout).unwrap();
    let mut text = format!(
        "\nOf {INVITES} INVITEs at once in 16 workers at a limit of {LIMIT} `cc_limit` admits {ours}; \
         `get_profile_size` and then\n`set_dlg_profile` admit at most {theirs} in one of {STORMS} storms. A whole \
         call that is admitted takes {:.0} µs of CPU time with\n`cc_limit`, {:.0} µs with those two, {:.0} µs with neither \
         (the least of {STORMS} storms of {CALLS_UP} calls each).\n\n\
         Measured on {}, in one run with the times below: one worker, the loop of the script subtracted,\n{RANGES} ranges.\n\n\
         | check | ns | beside |\n|---|---|---|\n",
        cpu[0],
        cpu[1],
        cpu[2],
        date.trim()
    );
    let name = |n: usize| CHECKS[n].0.rsplit(' ').next().unwrap();
    for (n, of) in [(1, Some(2)), (2, Some(1)), (3, Some(4)), (4, Some(3)), (5, None)] {
        let beside =
            of.map_or(String::new(), |of| format!("{:.1} of `{}`", times[n] / times[of], name(of)));
        writeln!(text, "| `{}` | {:.0} | {beside} |", name(n), times[n]).unwrap();
    }
    text.push('\n');
    println!("{text}");
    let page = project().join(PAGE);
    let old = std::fs::read_to_string(&page).unwrap();
    let from = old.find(BEGIN).expect("the page has a place for it") + BEGIN.len();
    let to = from + old[from..].find(END).expect("the place has an end");
    std::fs::write(page, format!("{}{text}{}", &old[..from], &old[to..])).unwrap();
}
