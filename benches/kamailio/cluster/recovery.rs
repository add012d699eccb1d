//! How long it takes until an empty server knows all claims again, and what they weigh.

use std::time::{Duration, Instant};

use super::{Ground, settings, singly, wait_until_exact};
use crate::calls;
use crate::host::{Host, Order};
use crate::report::{Section, number};
use crate::support::redis::Redis;
use crate::support::wait_up_to;
use crate::whole::median;

/// Calls, each of another company.
const CLAIMS: [u32; 2] = [10_000, 100_000];
const PORTION: u32 = 2_000;
/// Times that the server is killed.
const RUNS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes calls that stay, of all companies in turn.
fn make_calls(ground: &Ground, host: &Host) {
    for first in (0..ground.companies).step_by(PORTION as usize) {
        let picks = ground.picks("some", first, PORTION);
        let order = Order { hold: true, count: PORTION.into(), ..singly(&picks) };
        host.run(&order);
    }
}

/// Bytes that a process has written itself, and shares with none.
fn written(pid: u32) -> f64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    1024.0 * line.unwrap().trim().trim_end_matches(" kB").parse::<f64>().unwrap()
}

/// Claims that the server knows.
fn claims(redis: &Redis) -> f64 {
    redis.cli(&["DBSIZE"]).parse().unwrap_or(0.0)
}

/// From the start of an empty server until it knows all claims, and until a call of this
/// Kamailio gets a slot, in ms.
fn recover(ground: &Ground, host: &Host, redis: &Redis) -> [f64; 2] {
    let before = claims(redis);
    redis.kill();
    let began = Instant::now();
    redis.restart();
    let since = || began.elapsed().as_secs_f64() * 1000.0;
    let mut told = None;
    let picks = ground.all();
    let probe = Order { count: 1, ..singly(&picks) };
    let grants = wait_up_to(PATIENCE, "grants", || {
        if told.is_none() && claims(redis) >= before - 1.0 {
            told = Some(since());
        }
        host.run(&probe).codes.keys().eq([&1]).then(since)
    });
    [told.unwrap_or(grants), grants]
}

pub fn measure(section: &mut Section) {
    println!("  recovery of a server that lost all");
    let mut rows = Vec::new();
    for count in if crate::quick() { &CLAIMS[..1] } else { &CLAIMS[..] } {
        rows.push(row(section, *count));
    }
    section.table(
        &[
            "calls, each of another company",
            "all claims told, ms",
            "grants go on, ms",
            "Redis' memory, MiB",
            "bytes of Redis per claim",
            "bytes of the broker per claim",
            "shared memory per claim, bytes more than without `cluster_url`",
        ],
        rows,
    );
    section.text.push_str(&format!(
        "\n\nRecovery: Redis is killed and started empty at once, {RUNS} times; the medians, from that \
         start. One proxy has all claims. Up to two seconds of it are the pause until the proxy tries to join again. \
         The bytes of Redis contain the hash table that a server of this size has.",
    ));
}

fn row(section: &mut Section, count: u32) -> Vec<String> {
    let (ground, redis) = (Ground::new(count), Redis::start());
    let alone = calls::host(ground.config());
    let before = alone.touched();
    make_calls(&ground, &alone);
    let alone = alone.touched() - before;
    let patient = "modparam(\"sipwarden\", \"cluster_timeout\", 500)\n";
    let config = ground.config().settings(&settings(&redis.url(), "recovery", "proxy1"));
    let host = calls::host(config.settings(patient));
    wait_until_exact(&host);
    let broker = host.kamailio.process("sipwarden broker");
    let used = |redis: &Redis| redis.number("memory", "used_memory");
    let before = [host.touched(), written(broker), used(&redis), claims(&redis)];
    make_calls(&ground, &host);
    let after = [host.touched(), written(broker), used(&redis), claims(&redis)];
    let [shared, own, server, made] = [0, 1, 2, 3].map(|n| after[n] - before[n]);
    let runs: Vec<_> = (0..RUNS).map(|_| recover(&ground, &host, &redis)).collect();
    let middle = |which: usize| median(&runs.iter().map(|run| run[which]).collect::<Vec<_>>());
    let (told, grants) = (middle(0), middle(1));
    for (what, value, unit) in [
        ("all claims told again", told, "ms"),
        ("grants go on", grants, "ms"),
        ("Redis per claim", server / made, "bytes"),
        ("broker per claim", own / made, "bytes"),
        ("shared memory per claim", (shared - alone) / made, "bytes"),
    ] {
        section.value(format!("{count} calls, {what}"), value, unit);
    }
    vec![
        number(made),
        number(told),
        number(grants),
        number(after[2] / f64::from(1 << 20)),
        number(server / made),
        number(own / made),
        number((shared - alone) / made),
    ]
}
