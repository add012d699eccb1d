//! How long workers wait while the server is away.

use std::thread::sleep;
use std::time::Duration;

use super::{Ground, singly, wait_until_exact};
use crate::host::{Host, Order, Sample};
use crate::report::{Section, number};
use crate::support::redis::Redis;

const PROCESSES: u32 = 4;
/// us from one call of a process to its next.
const PAUSE: u32 = 1_000;
const BEFORE: Duration = Duration::from_secs(1);
const AWAY: Duration = Duration::from_secs(8);

/// Calls from a second before the server goes until it has been away for some time.
fn calls(host: &Host, order: &Order<'_>, go: impl FnOnce()) -> Sample {
    std::thread::scope(|scope| {
        let calls = scope.spawn(|| host.run(order));
        sleep(BEFORE);
        go();
        calls.join().unwrap()
    })
}

pub fn measure(section: &mut Section) {
    println!("  waits in an outage");
    let (ground, redis) = (Ground::new(1_000), Redis::start());
    let host = ground.node(&redis.url(), "outage", "proxy1");
    let picks = ground.all();
    let order = Order {
        pause: PAUSE,
        milliseconds: (BEFORE + AWAY).as_millis() as u32,
        ..singly(&picks).processes(PROCESSES)
    };
    let mut rows = vec![row(section, "none", &host.run(&order))];
    let frozen = calls(&host, &order, || redis.freeze());
    rows.push(row(section, "Redis frozen", &frozen));
    redis.resume();
    wait_until_exact(&host);
    let killed = calls(&host, &order, || redis.kill());
    rows.push(row(section, "Redis killed", &killed));
    section.table(
        &[
            "outage",
            "calls",
            "p50, µs",
            "above 1 ms",
            "above 5 ms",
            "above 15 ms",
            "above 25 ms",
            "longest, ms",
            "counted",
            "cluster_wait",
            "by the policy",
        ],
        rows,
    );
    section.text.push_str(&format!(
        "\n\nAn outage: {PROCESSES} processes call each millisecond, for one second with Redis and \
         {} s without. A worker may wait for `cluster_timeout`, 20 ms, until three questions in a row \
         had no answer; from then on nobody waits. Calls are told `cluster_wait` until `cluster_trust`, 3 s, \
         is over, then the policy judges.",
        AWAY.as_secs()
    ));
}

fn row(section: &mut Section, outage: &str, sample: &Sample) -> Vec<String> {
    let of = |code: i32| sample.codes.get(&code).copied().unwrap_or(0.0);
    section.value(
        format!("longest wait of a worker, outage: {outage}"),
        sample.call.most / 1e6,
        "ms",
    );
    let mut row = vec![outage.into(), number(sample.calls()), number(sample.call.p50 / 1000.0)];
    row.extend(sample.call.over.map(|(_, calls)| number(calls)));
    row.push(number(sample.call.most / 1e6));
    row.extend([of(1), of(-21), of(6) + of(-22)].map(number));
    row
}
