//! Blocks, bans and grants of nodes that come and go, told over the script on a real Redis: in
//! the end all nodes have the same, and what was lifted stays lifted.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use sipwarden::cluster::Value;
use sipwarden::notices::{
    Book, Found, Heard, Looks, Notice, SCRIPT, Seal, ServerClock, Set, Span, arguments, heard,
};

use super::redis::Redis;

const SEAL: Seal = Seal([1, 2]);
const NODES: usize = 3;
/// Longer than a case takes, in ms: what ends by its time ends on each node by itself.
const LONG: u64 = 900_000;
const KEYS: [&str; 4] = ["sw:{test}:v", "sw:{test}:vs", "sw:{test}:ve", "sw:{test}:vn"];

/// What may happen. Of a node, and a name where it says so.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Something begins.
    Begin(usize, usize),
    /// An operator lifts it.
    Lift(usize, usize),
    /// The node talks to the server.
    Exchange(usize),
    /// It does, and the answer is lost.
    LoseAnswer(usize),
    /// It hears what has come, and looks at its table.
    Turn(usize),
    Cut(usize),
    Back(usize),
    /// It starts anew, with nothing.
    Restart(usize),
    /// The server loses its memory.
    Flush,
    Pass(u64),
    /// Its clock is set forward, by hours.
    SetForward(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let (node, name) = (0..NODES, 0..3_usize);
    prop_oneof![
        4 => (node.clone(), name.clone()).prop_map(|(n, name)| Act::Begin(n, name)),
        3 => (node.clone(), name).prop_map(|(n, name)| Act::Lift(n, name)),
        8 => node.clone().prop_map(Act::Exchange),
        1 => node.clone().prop_map(Act::LoseAnswer),
        8 => node.clone().prop_map(Act::Turn),
        1 => node.clone().prop_map(Act::Cut),
        2 => node.clone().prop_map(Act::Back),
        1 => node.prop_map(Act::Restart),
        1 => Just(Act::Flush),
        1 => (1..200_u64).prop_map(Act::Pass),
        1 => (1..20_u64).prop_map(Act::SetForward),
    ]
}

const HOUR: u64 = 3_600_000;

/// What the broker's threads do, over a table of the test's.
#[derive(Default)]
struct Node {
    book: Book,
    table: BTreeMap<String, Span>,
    looks: Looks,
    out: Vec<Notice>,
    heard: Vec<(String, String)>,
    memory: String,
    read: u64,
    /// The server's clock, as it last said, and the nodes' then.
    told: Option<(u64, u64)>,
    /// By how much it was ahead at the last turn.
    ahead: u64,
    clock: ServerClock,
    stepped: bool,
    is_cut: bool,
    dropped: bool,
    anew: bool,
    caught_up: bool,
}

impl Node {
    fn exchange(&mut self, server: &mut Server, is_answered: bool) {
        if self.is_cut {
            return;
        }
        let told = std::mem::take(&mut self.out);
        let answer = server.run(self.read, &told);
        if !is_answered {
            self.dropped = true;
            return;
        }
        self.told = Some((answer.now, server.time));
        self.anew |= std::mem::take(&mut self.dropped);
        if answer.id != self.memory || answer.change < self.read {
            (self.memory, self.read) = (answer.id, 0);
            (self.anew, self.caught_up) = (true, false);
            return;
        }
        self.read = answer.reached;
        self.caught_up |= !answer.has_more();
        self.heard.extend(answer.told);
    }

    fn turn(&mut self, time: u64) {
        self.table.retain(|_, (_, until)| *until > time);
        let Some((server, then)) = self.told else { return };
        self.ahead = server - then;
        let now = time + self.ahead;
        if let Some(set) = self.clock.see(server, then) {
            self.stepped = true;
            let Set::Forward(ms) = set else { panic!("it is never set back") };
            self.out.extend(self.book.set_forward(ms));
        }
        for (name, text) in std::mem::take(&mut self.heard) {
            let notice = Notice::read(&name, &text, SEAL).expect("all are sealed");
            if self.book.hear(&notice) {
                self.apply(time, &notice);
            }
        }
        if std::mem::take(&mut self.anew) {
            self.out.extend(self.book.all().cloned());
        }
        if self.caught_up {
            let all = self.table.iter();
            let all = all.map(|(name, term)| Found {
                name: name.clone(),
                term: *term,
                line: "x".to_owned(),
            });
            let (ahead, stepped) = (self.ahead, std::mem::take(&mut self.stepped));
            let told = self.looks.look(&mut self.book, all, |own| own + ahead, stepped);
            self.out.extend(told);
        }
        self.book.forget(now);
    }

    fn apply(&mut self, time: u64, notice: &Notice) {
        if notice.line.is_none() {
            self.table.remove(&notice.name);
            self.looks.was_told(&notice.name, None);
        } else if notice.until > time + self.ahead {
            let term = (time, notice.until - self.ahead);
            self.table.insert(notice.name.clone(), term);
            self.looks.was_told(&notice.name, Some(term));
        }
    }

    /// What has begun since the last look.
    fn untold(&self) -> impl Iterator<Item = &String> {
        let is_new = |(name, term): &(&String, &Span)| self.looks.had(name) != Some(**term);
        self.table.iter().filter(is_new).map(|(name, _)| name)
    }

    fn lift(&mut self, time: u64, name: &str) -> Option<u64> {
        self.table.remove(name);
        let now = time + self.ahead;
        let lifted = self.book.lift(now * 1000, |known| known == name);
        let version = lifted.first().map(|notice| notice.version);
        self.out.extend(lifted);
        version
    }
}

struct Server<'a> {
    redis: &'a mut Redis,
    script: &'a str,
    memories: u64,
    /// The clock of the nodes, and by how much its own one is ahead.
    time: u64,
    ahead: u64,
}

impl Server<'_> {
    fn run(&mut self, from: u64, told: &[Notice]) -> Heard {
        self.memories += 1;
        let mut command = vec!["EVALSHA".to_owned(), self.script.to_owned(), "4".to_owned()];
        command.extend(KEYS.map(str::to_owned));
        command.extend(arguments(&SEAL.memory(self.memories), from, told, SEAL));
        command.push((self.time + self.ahead).to_string());
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let Ok(Value::List(answer)) = self.redis.call(&command) else { panic!("no answer") };
        let (head, told) = answer.split_at(5);
        let head: Vec<String> = head.iter().map(text).collect();
        let Value::List(told) = &told[0] else { panic!("no list") };
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        heard(head.try_into().unwrap(), told.iter().map(text).collect()).unwrap()
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => String::from_utf8(text.clone()).unwrap(),
        Value::Number(number) => number.to_string(),
        Value::List(_) => panic!("no text"),
    }
}

/// What has last happened to a name, as far as it says how it must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// It began where all was known that was lifted before.
    Begun,
    Lifted,
    Unknown,
}

fn play(server: &mut Server, acts: &[Act]) {
    let mut nodes: Vec<Node> = (0..NODES).map(|_| Node::default()).collect();
    let mut last = BTreeMap::new();
    let mut lifted: BTreeMap<String, u64> = BTreeMap::new();
    let of = |name: usize| format!("block 192.0.2.{name}");
    for act in acts {
        server.time += 1;
        let time = server.time;
        match *act {
            Act::Begin(at, name) => {
                let (node, name) = (&mut nodes[at], of(name));
                node.table.insert(name.clone(), (time, time + LONG));
                let known = node.book.get(&name).map_or(0, |notice| notice.version);
                let knows = node.caught_up && known >= lifted.get(&name).copied().unwrap_or(0);
                last.insert(name, if knows { Last::Begun } else { Last::Unknown });
            }
            Act::Lift(at, name) => {
                let name = of(name);
                // One that has not heard that the clock was set takes another time for now.
                let knows_time = nodes[at].ahead == server.ahead;
                if let Some(version) = nodes[at].lift(time, &name) {
                    let newest = lifted.entry(name.clone()).or_default();
                    *newest = version.max(*newest);
                    last.insert(name, if knows_time { Last::Lifted } else { Last::Unknown });
                } else {
                    last.insert(name, Last::Unknown);
                }
            }
            Act::Exchange(at) => nodes[at].exchange(server, true),
            Act::LoseAnswer(at) => nodes[at].exchange(server, false),
            Act::Turn(at) => nodes[at].turn(time),
            Act::Cut(at) => {
                let node = &mut nodes[at];
                (node.is_cut, node.dropped) = (true, true);
                node.out.clear();
            }
            Act::Back(at) => nodes[at].is_cut = false,
            Act::Restart(at) => {
                nodes[at] = Node::default();
                // What it alone knew has gone with it.
                last.values_mut().for_each(|event| *event = Last::Unknown);
            }
            Act::Flush => drop(server.redis.call(&["FLUSHALL"])),
            Act::Pass(ms) => server.time += ms,
            Act::SetForward(hours) => {
                server.ahead += hours * HOUR;
                // What a node has not told yet, it tells with a time of the new clock.
                for name in nodes.iter().flat_map(Node::untold) {
                    last.insert(name.clone(), Last::Unknown);
                }
            }
        }
    }
    // One that comes late has all.
    for late in [false, true] {
        if late {
            nodes.push(Node::default());
        }
        settle(server, &mut nodes);
        let first = &nodes[0];
        let held = |node: &Node| -> BTreeMap<String, u64> {
            node.table.iter().map(|(name, (_, until))| (name.clone(), *until)).collect()
        };
        for node in &nodes {
            assert_eq!(held(node), held(first), "tables differ");
        }
        for (name, event) in &last {
            let is_there = first.table.contains_key(name);
            match *event {
                Last::Begun => assert!(is_there, "{name} has begun"),
                Last::Lifted => assert!(!is_there, "{name} was lifted"),
                _ => {}
            }
        }
    }
}

/// All talk to the server until there is nothing new.
fn settle(server: &mut Server, nodes: &mut [Node]) {
    for _ in 0..8 {
        for node in &mut *nodes {
            server.time += 1;
            node.is_cut = false;
            node.exchange(server, true);
            node.turn(server.time);
        }
    }
    assert!(nodes.iter().all(|node| node.out.is_empty()), "nodes tell each other for ever");
    // What has ended meanwhile ends at once.
    let time = server.time;
    nodes.iter_mut().for_each(|node| node.turn(time));
}

/// The script with a clock of the test's own: its last argument.
fn with_clock() -> String {
    let clock = "redis.call('TIME')";
    assert_eq!(SCRIPT.matches(clock).count(), 1);
    let own = "{math.floor(ARGV[#ARGV] / 1000), ARGV[#ARGV] % 1000 * 1000}";
    SCRIPT.replace(clock, own)
}

/// Plays one case on an empty server.
fn play_anew(redis: &mut Redis, script: &str, acts: &[Act]) {
    redis.call(&["FLUSHALL"]).unwrap();
    let (time, ahead) = (1_700_000_000_000, 0);
    play(&mut Server { redis, script, memories: 0, time, ahead }, acts);
}

/// Plays cases drawn at random; the first one that ends wrongly.
fn played(name: &str, script: &str) -> Result<(), TestError<Vec<Act>>> {
    let mut redis = Redis::start(name);
    let loaded = redis.load(script);
    let redis = RefCell::new(redis);
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 1_000,
        ..ProptestConfig::with_cases(400)
    });
    runner.run(&prop::collection::vec(act(), 1..80), |acts| {
        play_anew(&mut redis.borrow_mut(), &loaded, &acts);
        Ok(())
    })
}

#[test]
fn in_the_end_all_have_the_same_and_what_was_lifted_stays_so() {
    played("notices", &with_clock()).unwrap();
}

/// Two nodes have blocked the same address, each until an end of its own, and tell both anew, as
/// new as each other, when the clock is set.
#[test]
fn two_that_tell_the_same_anew_agree_on_its_end() {
    use Act::*;
    let mut redis = Redis::start("twice-told");
    let script = redis.load(&with_clock());
    let exchanges = [Exchange(2), Exchange(2), Exchange(0), Exchange(0)];
    let told = [Turn(0), Turn(2), LoseAnswer(2), Exchange(0), SetForward(1)];
    let acts: Vec<_> =
        [Begin(0, 1), Begin(2, 1)].into_iter().chain(exchanges).chain(told).collect();
    play_anew(&mut redis, &script, &acts);
}

/// The play is worth something: a server that lets older ones win is found.
#[test]
fn a_server_that_lets_older_notices_win_is_found() {
    let rule = "elseif known and not is_newer(";
    let script = with_clock();
    assert_eq!(script.matches(rule).count(), 1);
    let spoilt = script.replace(rule, "elseif known and not known and not is_newer(");
    assert!(played("spoilt-notices", &spoilt).is_err());
}
