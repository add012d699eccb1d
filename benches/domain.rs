//! What the domain code costs by itself, in one process: `cargo bench`.
//! Medians of batches, in ns per operation.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant;

use sipwarden::address::Address;
use sipwarden::auth::{self, AuthSettings, AuthTable, BanChanges};
use sipwarden::flood::{FloodSettings, FloodTable, Rules, SharedRules};
use sipwarden::ledger::{Call, DialogId, Direction, Enforcement, Ledger, Rate, ScopeKind, Wanted};
use sipwarden::limiter::ClassId;
use sipwarden::policy::check_company_ip;
use sipwarden::shm::SnapshotStore;
use sipwarden::snapshot::{self, View};
use sipwarden::tables::{BadRows, Loader, Table};

#[path = "../tests/core/random.rs"]
mod random;

use random::next;

const BATCHES: usize = 101;
const BATCH: usize = 20_000;

/// Median over batches of the time of one operation.
fn measure(mut operation: impl FnMut(usize)) -> f64 {
    let mut times: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let begun = Instant::now();
            (0..BATCH).for_each(&mut operation);
            begun.elapsed().as_nanos() as f64 / BATCH as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[BATCHES / 2]
}

/// A snapshot of companies with /32 to /24 ranges, published in shared memory.
fn platform(companies: usize, ranges: usize) -> SnapshotStore {
    let mut loader = Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail);
    loader.row(Table::Brand, &[Some(b"b"), None]);
    for n in 0..companies {
        let id = n.to_string();
        loader.row(Table::Company, &[Some(id.as_bytes()), Some(b"b"), Some(b"1"), None]);
    }
    let mut state = 7;
    for n in 0..ranges {
        let bits = next(&mut state);
        let len = 24 + bits % 9;
        let mask = u32::MAX << (32 - len);
        let ip = format!("{}/{len}", Ipv4Addr::from((bits >> 32) as u32 & mask));
        let company = (n % companies).to_string();
        loader.row(Table::CompanyAddress, &[Some(company.as_bytes()), Some(ip.as_bytes()), None]);
    }
    let Ok((config, _)) = loader.finish() else { panic!("invalid rows") };
    let store = SnapshotStore::new(256 << 20).unwrap();
    let blob = snapshot::compile(config, [1, 2], 0).unwrap();
    println!("  {:.1} bytes per range in all", blob.bytes().len() as f64 / ranges as f64);
    store.writer(std::time::Duration::ZERO).unwrap().publish(blob.bytes(), 0, |_, _| {}).unwrap();
    store
}

fn checks(companies: usize, ranges: usize) {
    println!("check_company_ip: {companies} companies, {ranges} ranges");
    let store = platform(companies, ranges);
    // SAFETY: the only reader of this process in this store.
    let reader = unsafe { store.publication().claim() }.unwrap();
    let ids: Vec<String> = (0..companies).map(|n| n.to_string()).collect();
    let mut state = 99;
    let picks: Vec<(usize, u32)> = (0..BATCH)
        .map(|_| (next(&mut state) as usize % companies, next(&mut state) as u32))
        .collect();
    let check = |company: usize, address: u32| {
        let pinned = store.pin(reader).unwrap();
        let view = View::new(pinned.bytes()).unwrap();
        check_company_ip(&view, ids[company].as_bytes(), Address::V4(address)).verdict
    };
    let hot = measure(|_| {
        black_box(check(black_box(0), black_box(1)));
    });
    let spread = measure(|n| {
        let (company, address) = picks[n];
        black_box(check(company, address));
    });
    println!("  one company: {hot:.0} ns; random company and address: {spread:.0} ns");
}

fn wanted<'a>(brand: &'a [u8], company: &'a [u8]) -> [Wanted<'a>; 2] {
    [Wanted::new(ScopeKind::BRAND, brand, 0), Wanted::new(ScopeKind::COMPANY, company, 0)]
}

fn call(dialog: u64) -> Call<'static> {
    Call {
        dialog: DialogId(dialog),
        call_id: b"1f2e3d4c-5b6a-7988@phone.example",
        direction: Direction::Out,
        invite: 0,
        emergency: false,
        rings: true,
        began: 1,
        came: 0,
    }
}

fn calls(live: u64, companies: u64) -> f64 {
    let ledger = Ledger::new(65_536, [1, 2]).unwrap();
    let ids: Vec<String> = (0..companies).map(|n| format!("company-{n}")).collect();
    for n in 0..live {
        let company = ids[(n % companies) as usize].as_bytes();
        ledger.take(&call(n << 8), &wanted(b"brand", company), Enforcement::Full);
    }
    let mut dialog = 1 << 40;
    measure(|n| {
        dialog += 1;
        let company = ids[n % ids.len()].as_bytes();
        black_box(ledger.take(&call(dialog), &wanted(b"brand", company), Enforcement::Full));
        ledger.forget(DialogId(dialog));
    })
}

/// Brand, company and four words of the operator's own, one with a rate.
fn calls_of_six_scopes() -> f64 {
    let ledger = Ledger::new(65_536, [1, 2]).unwrap();
    let own = |n: usize, id: &'static [u8]| Wanted {
        direction: Direction::Out,
        ..Wanted::new(ScopeKind::own(n).unwrap(), id, 60_000)
    };
    let mut carrier = own(0, b"carrier-7");
    carrier.limit.rate = Rate::new(Rate::MAX_CALLS, 1, 4).unwrap();
    let [brand, company] = wanted(b"brand", b"company-7");
    let (did, group) = (own(1, b"+34600000000"), own(2, b"sales"));
    let all = [brand, company, carrier, did, group, own(3, b"alice@company.example")];
    let mut dialog = 1 << 40;
    measure(|n| {
        dialog += 1;
        let call = Call { came: n as u64, ..call(dialog) };
        black_box(ledger.take(&call, &all, Enforcement::Full));
        ledger.forget(DialogId(dialog));
    })
}

fn random_sources(count: usize) -> Vec<Address> {
    let mut state = 5;
    (0..count).map(|_| Address::V4(next(&mut state) as u32)).collect()
}

fn flood_rules(limit: u32) -> Rules {
    let mut rules = Rules::NONE;
    SharedRules::new(FloodSettings::new(limit, 1000, 300, 0)).unwrap().refresh(&mut rules);
    rules
}

/// One check per request, sources in turn; the clock moves on with each round.
fn floods(sources: usize, limit: u32) -> f64 {
    let table = FloodTable::new(262_144.max(sources * 2), [1, 2]).unwrap();
    let (rules, sources) = (flood_rules(limit), random_sources(sources));
    let now = std::cell::Cell::new(1_000_000u64);
    let mut next = 0;
    let mut check = || {
        next = if next + 1 == sources.len() { 0 } else { next + 1 };
        now.set(now.get() + u64::from(next == 0));
        let class = || Some(ClassId::DEFAULT);
        black_box(table.check(sources[next], &rules, 1, || now.get(), class, &mut None));
    };
    (0..sources.len()).for_each(|_| check());
    measure(|_| check())
}

/// Checks per second of so many processes at once, each with sources of its own.
fn parallel(processes: u32) -> f64 {
    const CHECKS: usize = 5_000_000;
    let (table, rules) = (FloodTable::new(262_144, [1, 2]).unwrap(), flood_rules(65_535));
    let begun = Instant::now();
    let children: Vec<_> = (0..processes)
        // SAFETY: the child neither allocates nor returns.
        .map(|n| match unsafe { libc::fork() } {
            0 => {
                for at in 0..CHECKS {
                    let source = Address::V4(n << 24 | (at as u32 % 50_000));
                    let now = at as u64 / 1000;
                    let class = || Some(ClassId::DEFAULT);
                    black_box(table.check(source, &rules, 1, || now, class, &mut None));
                }
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(0) }
            }
            pid => pid,
        })
        .collect();
    for pid in children {
        // SAFETY: waits for a child of this process.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    }
    f64::from(processes) * CHECKS as f64 / begun.elapsed().as_secs_f64()
}

/// AoRs in turn from one source, of which a share is known; what each call costs,
/// hashing of AoR and credentials included.
fn logins(aors: usize, known: usize, limit: u32) -> [f64; 3] {
    let table = AuthTable::new(65_536, [1, 2]).unwrap();
    let mut settings = AuthSettings::new(limit, 1800, 43_200, 0);
    settings.common.same = 600;
    let mut rules = auth::Rules::NONE;
    auth::SharedRules::new(settings).unwrap().refresh(&mut rules);
    let aors: Vec<String> = (0..aors).map(|n| format!("user{n}@company.example.com")).collect();
    let source = Address::V4(0xc000_0207).prefix(64);
    let (class, now) = (Some(ClassId::DEFAULT), || 1_000_000);
    let fail = |aor: &str, header: &[u8]| {
        let print = table.fingerprint([header].into_iter());
        let login = table.login(aor.as_bytes(), source);
        table.failed(&login, Some(print), class, &rules, now, &mut BanChanges::default())
    };
    for aor in &aors[..known] {
        fail(aor, b"first");
    }
    let aor = |n: usize| &aors[n % aors.len()];
    let check = measure(|n| {
        let login = table.login(aor(n).as_bytes(), source);
        black_box(table.check(&login, class, &rules, now, &mut BanChanges::default()));
    });
    let mut header = *b"Digest username=\"alice\", realm=\"company.example.com\", nonce=\"awaadWsGmUklewHfJ2uWdof/m23KAtmQ\", uri=\"sip:company.example.com\", response=\"00000000f1b2e3c4d5e6f708192a3b4c\"";
    let last = header.len() - 9;
    let failed = measure(|n| {
        header[last..last + 8].copy_from_slice(&n.to_be_bytes());
        black_box(fail(aor(n), &header));
    });
    let succeeded = measure(|n| {
        let login = table.login(aor(n).as_bytes(), source);
        black_box(table.succeeded(&login, class, &rules, now, &mut BanChanges::default()));
    });
    [check, failed, succeeded]
}

fn main() {
    println!("auth_check, auth_failed, auth_ok");
    for (what, aors, known, limit) in [
        ("1 AoR, not known", 1, 0, 60_000),
        ("20000 AoRs, not known", 20_000, 0, 60_000),
        ("1 AoR that has failed", 1, 1, 60_000),
        ("20000 AoRs that have failed", 20_000, 20_000, 60_000),
        ("1 AoR, banned", 1, 1, 1),
        ("20000 AoRs, banned", 20_000, 20_000, 1),
    ] {
        let [check, failed, succeeded] = logins(aors, known, limit);
        println!("  {what}: {check:.0} ns, {failed:.0} ns, {succeeded:.0} ns");
    }
    let memory = AuthTable::new(65_536, [1, 2]).unwrap().usage();
    println!("  {:.1} bytes a pair", memory.bytes as f64 / memory.capacity as f64);
    println!("flood_check");
    for (sources, limit) in
        [(1, 65_535), (1_000, 65_535), (100_000, 65_535), (1_000_000, 65_535), (1, 1), (100_000, 1)]
    {
        let what = if limit == 1 { "blocked" } else { "honest" };
        println!("  {sources} sources, {what}: {:.0} ns", floods(sources, limit));
    }
    let (one, two) = (parallel(1), parallel(2));
    println!("  2 processes, different sources: {:.2} times the throughput of 1", two / one);
    checks(10, 1_000);
    checks(1, 10_000);
    checks(1_000, 10_000);
    checks(1, 1_000_000);
    checks(100_000, 1_000_000);
    println!("cc_limit and release, brand and company");
    for (live, companies) in [(0, 1), (1_000, 1), (50_000, 1), (50_000, 10_000)] {
        println!("  {live} live calls, {companies} companies: {:.0} ns", calls(live, companies));
    }
    println!("  6 scopes, one with a rate: {:.0} ns", calls_of_six_scopes());
}
