//! The script on a real Redis, request by request beside the reference.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sipwarden::cluster::{
    Claim, Group, Join, Key, Reply, Request, SCRIPT, Stamp, Times, Value, decode, encode,
    read_scope,
};

use super::rules::Rules;
use super::server::{Member, Scope, Server};
use super::world::TIMES;
use crate::random::next;

/// A server of its own, without a port, which ends with the test.
pub struct Redis {
    child: Child,
    folder: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Redis {
    pub fn start(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sipwarden-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("socket");
        // For Valkey as well.
        let program = std::env::var("SIPWARDEN_REDIS_SERVER");
        let child = Command::new(program.as_deref().unwrap_or("redis-server"))
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(&folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed: make unit installs it");
        let stream = BufReader::new(connect(&socket));
        Redis { child, folder, stream }
    }

    pub fn call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Result<Value, String> {
        let mut text = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments.iter().map(AsRef::as_ref) {
            text.extend(format!("${}\r\n", argument.len()).bytes());
            text.extend(argument);
            text.extend(b"\r\n");
        }
        self.stream.get_mut().write_all(&text).unwrap();
        self.answer()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn answer(&mut self) -> Result<Value, String> {
        let line = self.line();
        let (kind, rest) = line.split_at(1);
        match kind {
            "+" => Ok(Value::Text(rest.as_bytes().to_vec())),
            "-" => Err(rest.to_owned()),
            ":" => Ok(Value::Number(rest.parse().unwrap())),
            "$" => {
                let mut text = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut text).unwrap();
                text.truncate(text.len() - 2);
                Ok(Value::Text(text))
            }
            "*" => (0..rest.parse().unwrap())
                .map(|_| self.answer())
                .collect::<Result<_, _>>()
                .map(Value::List),
            other => panic!("no answer of Redis: {other}{rest}"),
        }
    }

    fn texts(&mut self, arguments: &[&str]) -> Vec<String> {
        let Ok(Value::List(items)) = self.call(arguments) else { panic!("no list") };
        let text = |item| match item {
            Value::Text(text) => String::from_utf8(text).unwrap(),
            other => panic!("no text: {other:?}"),
        };
        items.into_iter().map(text).collect()
    }

    fn hash(&mut self, key: &str) -> BTreeMap<String, String> {
        let texts = self.texts(&["HGETALL", key]);
        texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }

    /// Loads a script; what names it.
    pub fn load(&mut self, script: &str) -> String {
        match self.call(&["SCRIPT", "LOAD", script]) {
            Ok(Value::Text(name)) => String::from_utf8(name).unwrap(),
            other => panic!("the script was not loaded: {other:?}"),
        }
    }

    fn run(&mut self, script: &str, request: &Request, times: &Times, now: Option<u64>) -> Reply {
        let mut arguments = vec![b"EVALSHA".to_vec(), script.as_bytes().to_vec()];
        arguments.extend(encode(request, times, MEMBERS));
        arguments.extend(now.map(|now| now.to_string().into_bytes()));
        let value = self.call(&arguments).unwrap_or_else(|error| panic!("{request:?}: {error}"));
        decode(&value).unwrap_or_else(|| panic!("{request:?}: {value:?}"))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn connect(socket: &Path) -> UnixStream {
    let began = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return stream,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

const MEMBERS: &str = "sw:{test}:m";

/// What Redis knows, as the reference would.
fn dump(redis: &mut Redis) -> Server {
    let fields = redis.hash(MEMBERS);
    let number = |name: &str| fields.get(name).map_or(0, |text| text.parse().unwrap());
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let numbers = |kind: &str| -> BTreeSet<u64> {
        fields.keys().filter_map(|field| field.strip_prefix(kind)?.parse().ok()).collect()
    };
    let member = |n: u64| Member {
        instance: u128::from_str_radix(&text(&format!("i:{n}")), 16).unwrap(),
        name: text(&format!("n:{n}")),
        session: number(&format!("s:{n}")),
        since: number(&format!("a:{n}")),
        heartbeat: number(&format!("b:{n}")),
        knows: number(&format!("k:{n}")),
        published: fields.contains_key(&format!("p:{n}")),
    };
    let mut server = Server {
        incarnation: number("inc"),
        server: text("server"),
        fingerprint: u128::from_str_radix(&text("fp"), 16).unwrap_or(0),
        dead: number("dead"),
        barrier: fields.contains_key("barrier"),
        whole: fields.contains_key("whole"),
        begun: number("begun"),
        last: number("last"),
        hold: number("spare"),
        searched: number("searched"),
        next: number("next"),
        expected: numbers("e:"),
        members: numbers("s:").into_iter().map(|n| (n, member(n))).collect(),
        scopes: BTreeMap::new(),
    };
    for name in redis.texts(&["KEYS", "sw:{test}:s:*"]) {
        let key = Key(u128::from_str_radix(name.rsplit(':').next().unwrap(), 16).unwrap());
        let Ok(Value::Text(text)) = redis.call(&["GET", &name]) else { panic!("no text") };
        let (incarnation, claims) = read_scope(std::str::from_utf8(&text).unwrap()).unwrap();
        // One of another incarnation is as good as none.
        if incarnation == server.incarnation {
            let claims = claims.into_iter().collect();
            server.scopes.insert(key, Scope { incarnation, claims });
        }
    }
    server
}

/// Nodes that send whatever they like.
struct Storm {
    random: u64,
    stamps: Vec<Stamp>,
    known: Vec<Vec<u64>>,
    servers: u64,
    /// What most nodes have: a secret, and how long they may be silent.
    print: u128,
    /// Requests for which only nodes of another fingerprint come.
    strangers: u32,
}

impl Storm {
    fn below(&mut self, most: u64) -> u64 {
        next(&mut self.random) % most
    }

    fn claims(&mut self, most: u64) -> Vec<Claim> {
        let count = self.below(most + 1);
        (0..count)
            .map(|_| Claim {
                key: Key(u128::from(self.below(4)) << 100),
                slots: self.below(5) as u32,
            })
            .collect()
    }

    /// Those of a fingerprint.
    fn times(&self, request: &Request) -> Times {
        let print = if let Request::Join(join) = request { join.fingerprint } else { self.print };
        Times { dead: if print == 2 { 7_000 } else { TIMES.dead }, ..TIMES }
    }

    fn request(&mut self, node: usize) -> Request {
        let mut stamp = self.stamps[node];
        if self.strangers > 0 {
            self.strangers -= 1;
            return self.join(node, stamp, 3 - self.print);
        }
        if self.below(30) == 0 {
            stamp.session ^= 1;
        }
        if self.below(40) == 0 {
            stamp.knows = 0;
        }
        match self.below(20) {
            0 | 1 => {
                let print = if self.below(30) == 0 { 3 - self.print } else { self.print };
                self.join(node, stamp, print)
            }
            2..=4 => Request::Publish(stamp, self.claims(4)),
            5..=7 => Request::Published(stamp),
            8..=10 => Request::Beat(stamp),
            11 if self.below(4) == 0 => Request::Leave(stamp),
            _ => {
                let (lowers, forces) = (self.claims(2), self.claims(1));
                let takes = (0..self.below(4))
                    .map(|_| {
                        let mut lacks = self.claims(2);
                        lacks.dedup_by_key(|claim| claim.key);
                        Group { lacks }
                    })
                    .collect();
                Request::Batch { stamp, lowers, forces, takes }
            }
        }
    }

    fn join(&mut self, node: usize, stamp: Stamp, fingerprint: u128) -> Request {
        Request::Join(Join {
            number: Some(stamp.number).filter(|number| *number != 0),
            incarnation: stamp.incarnation,
            next_incarnation: next(&mut self.random),
            instance: u128::from(self.below(2) * 10) + node as u128,
            name: ["edge-a", "edge-b", "edge-c"][(node + self.below(8) as usize / 7) % 3]
                .to_owned(),
            fingerprint,
            server: format!("run {}", self.servers),
            known: self.known[node].clone(),
            fresh: self.below(2) == 0,
        })
    }

    fn learn(&mut self, node: usize, reply: &Reply) {
        match reply {
            Reply::Joined { stamp, members, .. } => {
                self.stamps[node] = *stamp;
                self.known[node].clone_from(members);
            }
            Reply::Beaten { seen, members } => {
                self.stamps[node].knows = seen.newest;
                self.known[node].clone_from(members);
            }
            _ => {}
        }
    }
}

/// The script with a clock of the test's own.
fn with_clock(script: &str) -> String {
    let clock = "redis.call('TIME')";
    assert_eq!(script.matches(clock).count(), 1);
    let own = "{math.floor(ARGV[#ARGV] / 1000), ARGV[#ARGV] % 1000 * 1000}";
    let script = script.replace(clock, own);
    // The last argument is the time.
    assert_eq!(script.matches("for i = 14, #ARGV do").count(), 1);
    script.replace("for i = 14, #ARGV do", "for i = 14, #ARGV - 1 do")
}

fn storm(redis: &mut Redis, script: &str, seed: u64, requests: usize) -> BTreeMap<String, u32> {
    redis.call(&["FLUSHALL"]).unwrap();
    let mut server = Server::default();
    let mut storm = Storm {
        random: seed,
        stamps: vec![Stamp::default(); 4],
        known: vec![Vec::new(); 4],
        servers: 1,
        print: 1,
        strangers: 0,
    };
    let mut now = 1_700_000_000_000;
    let mut seen = BTreeMap::new();
    for at in 0..requests {
        now = match storm.below(60) {
            _ if storm.strangers > 0 => now + 2_600,
            0 => now + 11_000,
            1..=3 => now + 2_600,
            4 => now - 700,
            _ => now + storm.below(400),
        };
        match storm.below(150) {
            0 => {
                redis.call(&["FLUSHALL"]).unwrap();
                server = Server::default();
                redis.load(script);
            }
            1 => storm.servers += 1,
            2 => storm.strangers = 8,
            _ => {}
        }
        let node = storm.below(4) as usize;
        let request = storm.request(node);
        let name = redis.load(script);
        let times = storm.times(&request);
        let reply = redis.run(&name, &request, &times, Some(now));
        let before = server.fingerprint;
        let expected = server.run(&request, now, &times, &Rules::ALL);
        assert_eq!(reply, expected, "seed {seed}, request {at} at {now}: {request:?}\n{server:#?}");
        let dumped = dump(redis);
        assert_eq!(dumped, server, "seed {seed}, request {at} at {now}: {request:?}");
        storm.learn(node, &reply);
        if server.fingerprint != before && before != 0 {
            storm.print = server.fingerprint;
            *seen.entry("Replaced".to_owned()).or_default() += 1;
            assert_eq!(
                redis.texts(&["KEYS", "sw:{test}:s:*"]),
                [""; 0],
                "scopes that nobody names"
            );
        }
        let words = format!("{reply:?}");
        let kind = words.split([' ', '(']).next().unwrap().to_owned();
        *seen.entry(kind).or_default() += 1;
        for take in ["Granted", "Full", "Busy"] {
            *seen.entry(take.to_owned()).or_default() += words.matches(take).count() as u32;
        }
    }
    seen
}

#[test]
fn the_script_does_what_the_reference_does() {
    let mut redis = Redis::start("script");
    let script = with_clock(SCRIPT);
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 1..=20 {
        for (kind, times) in storm(&mut redis, &script, seed * 7_919, 400) {
            *seen.entry(kind).or_default() += times;
        }
    }
    println!("{seen:?}");
    let kinds = [
        "Joined",
        "NameTaken",
        "Differs",
        "Rejoin",
        "Fenced",
        "Set",
        "Member",
        "Unknown",
        "Beaten",
        "Batch",
        "Left",
        "Granted",
        "Full",
        "Busy",
        "Replaced",
    ];
    for kind in kinds {
        assert!(seen.get(kind).copied().unwrap_or(0) > 20, "{kind} is hardly tried: {seen:?}");
    }
}

/// Who sends no beats is silent, whatever else it sends, and may be given up at any moment.
#[test]
fn only_joins_and_beats_show_that_a_node_lives() {
    let mut redis = Redis::start("heartbeats");
    let name = redis.load(&with_clock(SCRIPT));
    let began = 1_700_000_000_000;
    let stamps = ["a", "b"].map(|of| {
        let join = Join {
            number: None,
            incarnation: 0,
            next_incarnation: 7,
            instance: u128::from(of.as_bytes()[0]),
            name: of.to_owned(),
            fingerprint: 1,
            server: "one".to_owned(),
            known: Vec::new(),
            fresh: true,
        };
        match redis.run(&name, &Request::Join(join), &TIMES, Some(began)) {
            Reply::Joined { stamp, .. } => stamp,
            other => panic!("{other:?}"),
        }
    });
    let [silent, other] = stamps;
    let slot = Claim { key: Key(1 << 100), slots: 1 };
    let batch = |lowers, forces, takes| Request::Batch { stamp: silent, lowers, forces, takes };
    let requests = [
        Request::Publish(silent, vec![slot]),
        Request::Published(silent),
        batch(vec![slot], vec![], vec![]),
        batch(vec![], vec![slot], vec![]),
        batch(vec![], vec![], vec![Group { lacks: vec![slot] }]),
    ];
    let mut fenced = None;
    for n in 1..40 {
        let now = began + n * 400;
        let beat = redis.run(&name, &Request::Beat(other), &TIMES, Some(now));
        assert!(matches!(beat, Reply::Beaten { .. }), "{beat:?}");
        let request = &requests[n as usize % requests.len()];
        let reply = redis.run(&name, request, &TIMES, Some(now));
        let heartbeats: Vec<u64> = dump(&mut redis).members.values().map(|m| m.heartbeat).collect();
        if reply == Reply::Fenced {
            fenced = fenced.or(Some(now - began));
            assert_eq!(heartbeats, [now]);
        } else {
            assert_eq!((fenced, heartbeats), (None, vec![began, now]), "{request:?}: {reply:?}");
        }
    }
    let fenced = fenced.expect("it is given up");
    assert!((TIMES.dead..TIMES.dead + 2 * TIMES.beat).contains(&fenced), "{fenced}");
}

/// The clock is Redis' own, and giving back works when its memory is full.
#[test]
fn the_script_as_it_is_shipped() {
    let mut redis = Redis::start("shipped");
    let name = redis.load(SCRIPT);
    let join = Request::Join(Join {
        number: None,
        incarnation: 0,
        next_incarnation: u64::MAX,
        instance: u128::MAX,
        name: "a".to_owned(),
        fingerprint: 1,
        server: "one".to_owned(),
        known: Vec::new(),
        fresh: false,
    });
    let Reply::Joined { stamp, members, .. } = redis.run(&name, &join, &TIMES, None) else {
        panic!("not joined")
    };
    let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
    assert!(since_1970 - stamp.session < 60_000_000, "{stamp:?}");
    assert_eq!((stamp.incarnation, members), (u64::MAX, vec![stamp.number]));
    let claims = vec![Claim { key: Key(u128::MAX), slots: 2 }];
    assert_eq!(redis.run(&name, &Request::Publish(stamp, claims), &TIMES, None), Reply::Set);
    let published = redis.run(&name, &Request::Published(stamp), &TIMES, None);
    assert!(matches!(published, Reply::Member(seen) if !seen.barrier), "{published:?}");
    redis.call(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    assert!(redis.call(&["SET", "a", "b"]).is_err_and(|error| error.starts_with("OOM")));
    let lowers = vec![Claim { key: Key(u128::MAX), slots: 1 }];
    let batch = Request::Batch { stamp, lowers, forces: Vec::new(), takes: Vec::new() };
    let reply = redis.run(&name, &batch, &TIMES, None);
    assert!(matches!(&reply, Reply::Batch { claims, .. } if claims == &[1]), "{reply:?}");
}
