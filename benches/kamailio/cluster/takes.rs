//! How many calls one core of Redis serves, and the memory that their claims take.

use std::time::{Duration, Instant};

use sipwarden::cluster::{
    Claim, Group, Join, Key, Reply, Request, SCRIPT, Stamp, Take, Times, Value, decode, encode,
    scope_name,
};

use super::{Ground, cpu_of, milliseconds, singly};
use crate::host::{Host, Order};
use crate::report::{Bound, Section, number};
use crate::support::redis::Redis;
use crate::whole::pin;

const MEMBERS: &str = "sw:{bench}:m";
const NODES: u64 = 3;
/// As many as Kamailio has SIP workers by default: no more can wait at a time.
const WORKERS: usize = 8;
/// Calls in one request.
const BATCHES: [usize; 3] = [1, WORKERS, 40];
const COMPANIES: u128 = 10_000;
/// Calls of a brand at each node: more than come and go with one request.
const BRAND: u32 = 1_000;

/// A node that says what a broker would say, without a Kamailio.
struct Node {
    connection: redis::Connection,
    script: String,
    stamp: Stamp,
}

fn plain(value: redis::Value) -> Value {
    match value {
        redis::Value::Int(number) => Value::Number(number),
        redis::Value::BulkString(text) => Value::Text(text),
        redis::Value::SimpleString(text) => Value::Text(text.into_bytes()),
        redis::Value::Array(items) => Value::List(items.into_iter().map(plain).collect()),
        other => panic!("no answer of the script: {other:?}"),
    }
}

impl Node {
    fn run(&mut self, request: &Request) -> Reply {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.script).arg(encode(request, &Times::default(), MEMBERS));
        decode(&plain(command.query(&mut self.connection).unwrap())).unwrap()
    }

    fn join(redis: &Redis, n: u64) -> Self {
        let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
        let load = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).to_owned();
        let script = load.query(&mut connection).unwrap();
        let mut node = Node { connection, script, stamp: Stamp::default() };
        // None of them is fresh, so the server waits for nobody else.
        let join = Join {
            number: None,
            incarnation: 0,
            next_incarnation: 7,
            instance: n.into(),
            name: format!("node{n}"),
            fingerprint: 1,
            server: "bench".into(),
            known: Vec::new(),
            fresh: false,
        };
        let Reply::Joined { stamp, .. } = node.run(&Request::Join(join)) else { panic!("no JOIN") };
        node.stamp = stamp;
        node
    }

    /// Nodes that are members.
    fn all(redis: &Redis, count: u64) -> Vec<Self> {
        let mut nodes: Vec<_> = (1..=count).map(|n| Node::join(redis, n)).collect();
        let newest = nodes.iter().map(|node| node.stamp.knows).max().unwrap_or(0);
        for node in &mut nodes {
            node.stamp.knows = newest;
            node.run(&Request::Beat(node.stamp));
        }
        for node in &mut nodes {
            let brand = Claim { key: brand(), slots: BRAND };
            node.run(&Request::Publish(node.stamp, vec![brand]));
            let Reply::Member(_) = node.run(&Request::Published(node.stamp)) else {
                panic!("not a member")
            };
        }
        nodes
    }

    /// Calls that come and go, until the time is over; how many.
    fn load(&mut self, scopes: usize, batch: usize, until: Instant) -> u64 {
        let (mut company, mut calls) = (self.stamp.number as u128 * 1_000, 0);
        let mut ended: Vec<Group> = Vec::new();
        while Instant::now() < until {
            let takes: Vec<Group> = (0..batch)
                .map(|_| {
                    company += 1;
                    group(company, scopes)
                })
                .collect();
            let request = Request::Batch {
                stamp: self.stamp,
                lowers: lowers(&ended),
                forces: Vec::new(),
                takes: takes.clone(),
            };
            let Reply::Batch { takes: told, .. } = self.run(&request) else { panic!("no batch") };
            assert!(told.iter().all(|take| matches!(take, Take::Granted(_))), "{told:?}");
            calls += told.len() as u64;
            ended = takes;
        }
        calls
    }
}

fn brand() -> Key {
    Key(1 << 64)
}

/// What a call lacks: its company, its brand, its user.
fn group(company: u128, scopes: usize) -> Group {
    let company = company % COMPANIES;
    let keys = [Key(2 << 64 | company << 3), brand(), Key(3 << 64 | company << 3)];
    let lacks = keys.into_iter().take(scopes).map(|key| Claim { key, slots: 1_000_000 });
    Group { lacks: lacks.collect() }
}

/// The ends of calls.
fn lowers(ended: &[Group]) -> Vec<Claim> {
    let keys = ended.iter().flat_map(|group| &group.lacks).map(|claim| claim.key);
    let own = keys.filter(|key| *key != brand()).map(|key| Claim { key, slots: 0 });
    let has_brand = ended.iter().any(|group| group.lacks.len() > 1);
    own.chain(has_brand.then_some(Claim { key: brand(), slots: BRAND })).collect()
}

/// What was measured.
struct Rate {
    takes: f64,
    requests: f64,
    /// The share of a core that Redis had.
    core: f64,
    /// us of Redis' CPU time for each take.
    cpu: f64,
    /// us that a request took in the script, as Redis says.
    script: f64,
}

/// What Redis says of EVALSHA: requests, and us in all.
fn scripts(redis: &Redis) -> (f64, f64) {
    let info = redis.cli(&["INFO", "commandstats"]);
    let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:"));
    let of = |name: &str| {
        let field = line?.split(',').find_map(|field| field.strip_prefix(name))?;
        field.trim_start_matches('=').parse::<f64>().ok()
    };
    (of("calls=").unwrap_or(0.0), of("usec=").unwrap_or(0.0))
}

/// Redis' CPU time as it says itself, in us.
fn used(redis: &Redis) -> f64 {
    1e6 * (redis.number("cpu", "used_cpu_user") + redis.number("cpu", "used_cpu_sys"))
}

fn rate(scopes: usize, batch: usize) -> Rate {
    let redis = Redis::start();
    pin(redis.pid() as i32, true);
    let nodes = Node::all(&redis, NODES);
    let (cpu, before, began) = (used(&redis), scripts(&redis), Instant::now());
    let until = began + Duration::from_millis(milliseconds(3_000).into());
    let takes: u64 = std::thread::scope(|scope| {
        let load = |mut node: Node| {
            scope.spawn(move || {
                pin(0, false);
                node.load(scopes, batch, until)
            })
        };
        let threads: Vec<_> = nodes.into_iter().map(load).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let elapsed = began.elapsed().as_secs_f64();
    let (cpu, after) = (used(&redis) - cpu, scripts(&redis));
    let requests = after.0 - before.0;
    Rate {
        takes: takes as f64 / elapsed,
        requests: requests / elapsed,
        core: cpu / 1e6 / elapsed,
        cpu: cpu / takes as f64,
        script: (after.1 - before.1) / requests,
    }
}

/// The same with whole proxies, whose own work shares the machine with Redis: calls and
/// requests a second, and Redis' share of a core.
fn proxies() -> [f64; 3] {
    let (ground, redis) = (Ground::new(1_000), Redis::start());
    let url = redis.url();
    let hosts = [1, 2, 3].map(|n| ground.node(&url, "takes", &format!("proxy{n}")));
    let picks = ground.all();
    let order = Order { milliseconds: milliseconds(4_000), ..singly(&picks).processes(4) };
    let (cpu, before, began) = (cpu_of(&redis), scripts(&redis).0, Instant::now());
    let calls: f64 = std::thread::scope(|scope| {
        let order = &order;
        let run = |host: &Host| host.run(order).calls();
        let threads: Vec<_> = hosts.iter().map(|host| scope.spawn(move || run(host))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let elapsed = began.elapsed().as_secs_f64();
    let core = (cpu_of(&redis) - cpu) / 1e6 / elapsed;
    [calls / elapsed, (scripts(&redis).0 - before) / elapsed, core]
}

/// Bytes that Redis needs for a scope in which so many nodes have claims: of its memory,
/// and by MEMORY USAGE of the key alone.
fn memory(nodes: u64) -> (f64, f64) {
    let redis = Redis::start();
    let mut all = Node::all(&redis, nodes);
    let before = redis.number("memory", "used_memory");
    for node in &mut all {
        for first in (0..COMPANIES).step_by(50) {
            let claim = |n: u128| Claim { key: Key(2 << 64 | n << 3), slots: 3 };
            let claims = (first..first + 50).map(claim).collect();
            node.run(&Request::Publish(node.stamp, claims));
        }
    }
    let bytes = (redis.number("memory", "used_memory") - before) / COMPANIES as f64;
    let key = scope_name("sw:{bench}:", Key(2 << 64));
    (bytes, redis.cli(&["MEMORY", "USAGE", &key]).parse().unwrap())
}

pub fn measure(section: &mut Section) {
    println!("  takes a second");
    let mut rows = Vec::new();
    let mut judged = None;
    for scopes in [1, 2, 3] {
        for batch in BATCHES {
            let rate = rate(scopes, batch);
            let name = format!("{scopes} scopes, {batch} calls in a request");
            section.value(format!("takes of one Redis core, {name}"), rate.takes, "a second");
            section.value(format!("CPU of Redis per take, {name}"), rate.cpu, "us");
            rows.push(vec![
                number(scopes as f64),
                number(batch as f64),
                number(rate.takes),
                number(rate.requests),
                format!("{} %", number(100.0 * rate.core)),
                number(rate.cpu),
                number(rate.script),
            ]);
            if (scopes, batch) == (2, WORKERS) {
                judged = Some(rate);
            }
        }
    }
    let [calls, requests, core] = proxies();
    section.value("takes of three proxies with 4 processes each", calls, "a second");
    rows.push(vec![
        "2, whole proxies".into(),
        number(calls / requests),
        number(calls),
        number(requests),
        format!("{} %", number(100.0 * core)),
        number(1e6 * core / calls),
        "-".into(),
    ]);
    section.table(
        &[
            "scopes of a call",
            "calls in a request",
            "takes/s",
            "requests/s",
            "of Redis' core",
            "Redis' CPU per take, µs",
            "in the script per request, µs",
        ],
        rows,
    );
    let rows = [1, 2, 3].map(|nodes| {
        let (all, key) = memory(nodes);
        section.value(format!("memory of Redis per scope with {nodes} claims"), all, "bytes");
        vec![number(nodes as f64), number(all), number(key)]
    });
    section.table(
        &["proxies with slots in a scope", "bytes of Redis' memory", "MEMORY USAGE"],
        rows.into(),
    );
    section.figure(
        "shared limits: two-scope takes of one Redis core",
        judged.as_ref().map(|rate| rate.takes),
        "a second",
        Bound::AtLeast(40_000.0),
    );
    if let Some(rate) = judged {
        section.note(format!(
            "{WORKERS} calls in a request; Redis had {} % of its core",
            number(100.0 * rate.core)
        ));
    }
    section.text.push_str(&format!(
        "\n\nTakes: {NODES} connections of the benchmark's own ask as brokers do, each for the next \
         calls when it has its answer; Redis has a core of its own. Each request also ends the calls of the one \
         before, so a take is a call with its end. While a broker waits for an answer its workers \
         queue, and all of them are in its next request: so with many calls {WORKERS} workers, which \
         are Kamailio's default, make requests of up to {WORKERS} calls. The last row is three Kamailios \
         with 4 processes each, whose own work shares both cores with Redis.",
    ));
}
