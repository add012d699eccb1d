//! What a round trip to the server adds to a call.

use std::time::{Duration, Instant};

use super::{Ground, cpu_of, cpu_time, milliseconds, singly};
use crate::calls;
use crate::host::{Host, Order, Sample};
use crate::report::{Bound, Section, number};
use crate::support::redis::Redis;
use crate::support::wire::Wire;
use crate::whole::median;

const COMPANIES: u32 = 1_000;
const TURNS: usize = 5;
/// Added to each direction of a round trip.
const DELAY: Duration = Duration::from_micros(150);
/// us from one call to the next.
const PAUSE: u32 = 1_000;

/// A Kamailio, and what each turn has measured.
struct Way {
    name: &'static str,
    host: Host,
    paced: Vec<Sample>,
    busy: Vec<Sample>,
    four: Vec<Sample>,
}

impl Way {
    fn new(name: &'static str, host: Host) -> Self {
        Way { name, host, paced: Vec::new(), busy: Vec::new(), four: Vec::new() }
    }
}

/// The middle of what the turns say, in us.
fn middle(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> f64 {
    median(&samples.iter().map(of).collect::<Vec<_>>()) / 1000.0
}

/// A round trip to the server at this address without anything to do there, in us.
fn round_trip(url: &str) -> f64 {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..2_000 {
        let began = Instant::now();
        let _: String = redis::cmd("PING").query(&mut connection).unwrap();
        times.push(began.elapsed().as_nanos() as f64 / 1000.0);
    }
    median(&times)
}

pub fn measure(section: &mut Section) {
    println!("  what is added to cc_limit");
    let ground = Ground::new(COMPANIES);
    let redis = Redis::start();
    let wire = Wire::to(redis.address());
    wire.delay_by(DELAY);
    let (near, far) = (redis.url(), format!("redis://{}/0", wire.address));
    let mut ways = [
        Way::new("without `cluster_url`", calls::host(ground.config())),
        Way::new("loopback", ground.node(&near, "near", "proxy1")),
        Way::new("0.3 ms away", ground.node(&far, "far", "proxy1")),
    ];
    let picks = ground.all();
    let order = singly(&picks);
    let turn = milliseconds(30_000) / TURNS as u32;
    let (mut server, mut broker, mut calls) = (0.0, 0.0, 0.0);
    let pid = ways[1].host.kamailio.process("sipwarden broker");
    for _ in 0..TURNS {
        for (n, way) in ways.iter_mut().enumerate() {
            let before = (cpu_of(&redis), cpu_time(pid));
            let paced = Order { pause: PAUSE, milliseconds: turn, ..order.clone() };
            way.paced.push(way.host.run(&paced));
            if n == 1 {
                server += cpu_of(&redis) - before.0;
                broker += cpu_time(pid) - before.1;
                calls += way.paced.last().map_or(0.0, Sample::calls);
            }
            let busy = Order { milliseconds: turn / 5, ..order.clone() };
            way.busy.push(way.host.run(&busy));
            way.four.push(way.host.run(&busy.clone().processes(4)));
        }
    }
    let trips = [0.0, round_trip(&near), round_trip(&far)];
    table(section, &ways, &trips);
    figures(section, &ways);
    let (server, broker) = (server / calls, broker / calls);
    section.value("CPU of Redis per call, a call each ms", server, "us");
    section.value("CPU of the broker per call, a call each ms", broker, "us");
    section.text.push_str(&format!(
        "\n\nWhat a call waits, in µs; in brackets how many of a thousand were not counted, as no \
         answer came within 20 ms. \"A call each ms\" is one process that makes a call, ends it and \
         sleeps for a millisecond; one with a load like that is {turns} times {turn} ms long, and the \
         ways take turns. Back to back a call asks while the end of the one before is still being told, \
         so it waits for two round trips. \"0.3 ms away\": a relay delays each packet by 0.15 ms \
         in each direction, as this kernel may have no netem; the relay itself is in the round \
         trip, which is that of a PING. A call with its end costs {} µs of Redis' \
         CPU time and {} µs of the broker's, at a call each ms, beats and all.",
        number(server),
        number(broker),
        turns = TURNS,
    ));
}

fn table(section: &mut Section, ways: &[Way], trips: &[f64]) {
    let both = |samples: &[Sample]| {
        let of = |which: fn(&Sample) -> f64| number(middle(samples, which));
        let lost =
            1000.0 * (1.0 - median(&samples.iter().map(|s| s.share(&[1])).collect::<Vec<_>>()));
        let lost = if lost > 0.0 { format!(" ({})", number(lost)) } else { String::new() };
        format!("{} / {} / {}{lost}", of(|s| s.call.p50), of(|s| s.call.p99), of(|s| s.call.p999))
    };
    let rows = ways.iter().zip(trips).map(|(way, trip)| {
        for (what, samples) in [("a call each ms", &way.paced), ("back to back", &way.busy)] {
            let name = format!("cc_limit, {}, {what}", way.name);
            section.value(format!("{name}, p50"), middle(samples, |s| s.call.p50), "us");
            section.value(format!("{name}, p99"), middle(samples, |s| s.call.p99), "us");
            section.value(format!("{name}, p99.9"), middle(samples, |s| s.call.p999), "us");
        }
        vec![
            way.name.into(),
            if *trip > 0.0 { number(*trip) } else { "-".into() },
            both(&way.paced),
            both(&way.busy),
            both(&way.four),
            number(1000.0 * middle(&way.four, |s| s.per_second)),
        ]
    });
    let rows = rows.collect();
    section.table(
        &[
            "cc_limit",
            "round trip",
            "a call each ms, p50 / p99 / p99.9",
            "back to back, 1 process",
            "back to back, 4 processes",
            "calls/s of the 4",
        ],
        rows,
    );
}

fn figures(section: &mut Section, ways: &[Way]) {
    let [alone, near, far] = ways else { return };
    let p50 = |way: &Way| middle(&way.paced, |s| s.call.p50);
    section.figure(
        "shared limits, loopback: added to cc_limit, median",
        Some((p50(near) - p50(alone)) / 1000.0),
        "ms",
        Bound::AtMost(0.12),
    );
    section.note(format!("0.3 ms away: {} ms", number((p50(far) - p50(alone)) / 1000.0)));
    section.figure(
        "shared limits, loopback: cc_limit, p99.9",
        Some(middle(&near.paced, |s| s.call.p999) / 1000.0),
        "ms",
        Bound::AtMost(5.0),
    );
    section
        .note(format!("0.3 ms away: {} ms", number(middle(&far.paced, |s| s.call.p999) / 1000.0)));
}
