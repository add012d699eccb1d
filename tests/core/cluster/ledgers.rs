//! Real ledgers of two nodes, with the protocol and the reference of the server between them:
//! no limit is exceeded, all slots come back.

use std::collections::BTreeMap;

use sipwarden::cluster::{Answer, Ask, Books, Keys, Node, Outcome as Told, Phase, Setup};
use sipwarden::ledger::{
    Bound, Call, DialogId, Direction, Enforcement, Ledger, Limit, Outcome, Rate, ScopeKind, Taken,
    Waiting, Wanted,
};
use sipwarden::shm::Bell;

use super::rules::Rules;
use super::server::Server;
use super::world::TIMES;
use crate::random::next;

const COMPANY: &[u8] = b"c";
const RESERVED: &[u8] = b"r";
const DID: &[u8] = b"a long id that is cut in the records of scopes";

const RATED: &[u8] = b"n";
/// New calls of that company in a second.
pub const RATE: u32 = 2;

/// A call that somebody places.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    pub dialog: DialogId,
    pub reserved: bool,
    pub did: bool,
    pub emergency: bool,
    /// One of the company with a rate.
    pub rated: bool,
    /// When it came, in ms.
    pub came: u64,
}

impl Placed {
    pub fn new(dialog: u64, came: u64) -> Self {
        let dialog = DialogId(dialog);
        Placed { dialog, came, reserved: false, did: false, emergency: false, rated: false }
    }
}

impl Placed {
    fn call(&self, came: u64) -> Call<'static> {
        Call {
            dialog: self.dialog,
            call_id: b"call",
            direction: Direction::In,
            invite: 1,
            emergency: self.emergency,
            rings: true,
            began: 1,
            came,
        }
    }

    fn wanted(&self) -> Vec<Wanted<'static>> {
        let kind = ScopeKind::COMPANY;
        if self.rated {
            let limit = Limit { rate: Rate::new(RATE, 1, 0).unwrap(), ..Limit::calls(3) };
            return vec![Wanted { limit, ..Wanted::new(kind, RATED, 0) }];
        }
        let mut wanted = vec![match self.reserved {
            false => Wanted::new(kind, COMPANY, 4),
            true => {
                let limit = Limit { reserved: 2, ..Limit::calls(5) };
                Wanted { limit, ..Wanted::new(kind, RESERVED, 0) }
            }
        }];
        if self.did {
            let did = Wanted::new(ScopeKind::own(0).unwrap(), DID, 0);
            let (direction, directed) = (Direction::In, Limit::calls(2));
            wanted.push(Wanted { direction, directed, ..did });
        }
        wanted
    }

    fn enforcement(&self) -> Enforcement {
        if self.emergency { Enforcement::Reserved } else { Enforcement::Full }
    }
}

/// What became of a call of the company with a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    Counted,
    RefusedByRate,
}

pub struct Proxy {
    pub ledger: Ledger,
    pub node: Node,
    setup: Setup,
    pub live: Vec<Placed>,
    pub waiting: BTreeMap<u64, (Placed, Waiting)>,
    /// Of calls of the company with a rate, when they came.
    pub judged: Vec<(u64, Judged)>,
    now: u64,
    /// Rates are judged by the time at which a call came.
    pub by_arrival: bool,
}

impl Proxy {
    pub fn new(number: u128) -> Self {
        let mut ledger = Ledger::new(64, [number as u64, 7]).unwrap();
        let bell = Box::leak(Box::new(Bell::new().unwrap()));
        let lasts = |ledger: &Ledger| ledger.lasting_key(ScopeKind::COMPANY, b"c").is_some();
        assert!(lasts(&ledger));
        ledger.share(Keys::new(b"secret"), bell).unwrap();
        assert!(!lasts(&ledger));
        ledger.name_kind(ScopeKind::own(0).unwrap(), b"did");
        let setup =
            Setup { instance: number, name: format!("n{number}"), fingerprint: 1, times: TIMES };
        Proxy {
            ledger,
            node: Node::default(),
            setup,
            live: Vec::new(),
            waiting: BTreeMap::new(),
            judged: Vec::new(),
            now: 0,
            by_arrival: true,
        }
    }

    fn take(&mut self, placed: &Placed, waiting: &mut Waiting) -> Taken {
        let enforcement = placed.enforcement();
        let came = if self.by_arrival { placed.came } else { self.now.max(placed.came) };
        let taken =
            self.ledger.take_shared(&placed.call(came), &placed.wanted(), enforcement, waiting);
        let refused = taken.outcome == Outcome::Refused
            && taken.exceeded.is_some_and(|exceeded| exceeded.bound == Bound::Rate);
        let judged = match taken.outcome {
            Outcome::Counted => Some(Judged::Counted),
            _ => refused.then_some(Judged::RefusedByRate),
        };
        self.judged.extend(judged.filter(|_| placed.rated).map(|judged| (placed.came, judged)));
        taken
    }

    /// Counts a call that needs no slot of all nodes.
    pub fn count_at_once(&self, placed: &Placed) -> bool {
        let mut wanted = placed.wanted();
        wanted.iter_mut().for_each(|want| want.limit.calls = 0);
        let taken = self.ledger.take(&placed.call(placed.came), &wanted, placed.enforcement());
        taken.outcome == Outcome::Counted
    }

    pub fn place(&mut self, placed: Placed, id: u64) {
        let mut waiting = Waiting::new(self.node.session().is_member());
        let taken = self.take(&placed, &mut waiting);
        match taken.outcome {
            Outcome::Counted => self.live.push(placed),
            Outcome::Ask if self.node.session().is_member() => {
                self.node.ask(Ask::new(id, waiting.wants()));
                self.waiting.insert(id, (placed, waiting));
            }
            Outcome::Ask | Outcome::Refused => {}
            other => panic!("{other:?}"),
        }
    }

    fn told(&mut self, answers: Vec<(u64, Answer)>, next_id: &mut u64) {
        for (id, answer) in answers {
            let Some((placed, mut waiting)) = self.waiting.remove(&id) else { continue };
            let looks = matches!(answer, Answer::Look | Answer::Full { .. });
            let taken = looks.then(|| self.take(&placed, &mut waiting));
            match (taken.map(|taken| taken.outcome), answer) {
                (Some(Outcome::Counted), _) => {
                    self.live.push(placed);
                    self.ledger.stop_waiting(&waiting);
                }
                (Some(Outcome::Ask), Answer::Look) => {
                    *next_id += 1;
                    self.node.ask(Ask::new(*next_id, waiting.wants()));
                    self.waiting.insert(*next_id, (placed, waiting));
                }
                (_, Answer::Full { key, total }) => {
                    let exceeded = waiting.exceeded(&placed.wanted(), key, total).unwrap();
                    assert!(exceeded.calls >= exceeded.limit, "{exceeded:?}");
                    self.ledger.stop_waiting(&waiting);
                }
                _ => self.ledger.stop_waiting(&waiting),
            }
        }
    }

    pub fn exchange(&mut self, server: &mut Server, now: u64, next_id: &mut u64) -> bool {
        self.now = now;
        let Proxy { ledger, node, .. } = self;
        if node.session().phase() == Phase::Down {
            let request = node.join(&self.setup, "one", now, now);
            let reply = server.run(&request, now, &TIMES, &Rules::ALL);
            node.joined(reply, true, now, &mut &*ledger);
            return true;
        }
        let (request, answers) = node.next(&mut &*ledger);
        let asked = request.is_some();
        let outcome = request.map_or_else(Told::default, |request| {
            let reply = server.run(&request, now, &TIMES, &Rules::ALL);
            node.reply(reply, &mut &*ledger)
        });
        assert_eq!(outcome.events, []);
        if let Some(beat) = node.beat() {
            let reply = server.run(&beat, now, &TIMES, &Rules::ALL);
            node.beaten(reply, true, now);
        }
        self.told(answers, next_id);
        self.told(outcome.answers, next_id);
        asked
    }

    fn count(&self, of: impl Fn(&Placed) -> bool) -> usize {
        self.live.iter().filter(|placed| of(placed)).count()
    }
}

fn check(proxies: &[Proxy; 2]) {
    let sum = |of: &dyn Fn(&Placed) -> bool| proxies.iter().map(|p| p.count(of)).sum::<usize>();
    assert!(sum(&|p| !p.reserved && !p.emergency) <= 4);
    assert!(sum(&|p| p.reserved) <= 5);
    assert!(sum(&|p| p.reserved && !p.emergency) <= 3);
    assert!(sum(&|p| p.did && !p.emergency) <= 2);
}

#[test]
fn two_ledgers_admit_one_limit_and_give_all_back() {
    let mut reached = [0; 3];
    for seed in 1..40u64 {
        let mut random = seed * 0x9e37_79b9_7f4a_7c15;
        let mut dice = |sides: u64| next(&mut random) % sides;
        let (mut server, mut now, mut id) = (Server::default(), 1_000_000, 0);
        let mut proxies = [Proxy::new(1), Proxy::new(2)];
        // A server that is new grants nothing at first.
        for _ in 0..300 {
            now += 100;
            for proxy in &mut proxies {
                proxy.exchange(&mut server, now, &mut id);
            }
        }
        assert!(!server.barrier && proxies.iter().all(|p| p.node.session().is_member()));
        for step in 0..600u64 {
            now += 20;
            let at = dice(2) as usize;
            let proxy = &mut proxies[at];
            match dice(10) {
                0..=3 => {
                    id += 1;
                    let placed = Placed {
                        reserved: dice(2) == 0,
                        did: dice(3) == 0,
                        emergency: dice(6) == 0,
                        ..Placed::new(step + 1, now)
                    };
                    proxy.place(placed, id);
                }
                4 | 5 if !proxy.live.is_empty() => {
                    let ended = proxy.live.swap_remove(dice(proxy.live.len() as u64) as usize);
                    // It ends, turns out to live, and ends for good.
                    assert!(proxy.ledger.release(ended.dialog));
                    if dice(3) == 0 {
                        assert!(proxy.ledger.resume(ended.dialog));
                    }
                    assert!(proxy.ledger.forget(ended.dialog));
                }
                6 => {
                    if let Some((id, (_, waiting))) = proxy.waiting.pop_first() {
                        proxy.node.withdraw(id);
                        proxy.ledger.stop_waiting(&waiting);
                    }
                }
                7 if dice(12) == 0 => {
                    let answers = proxy.node.end().answers;
                    proxy.told(answers, &mut id);
                }
                _ => drop(proxy.exchange(&mut server, now, &mut id)),
            }
            check(&proxies);
            let ordinary = |of: &dyn Fn(&Placed) -> bool| {
                proxies.iter().map(|p| p.count(|p| of(p) && !p.emergency)).sum::<usize>()
            };
            reached[0] += u32::from(ordinary(&|p| !p.reserved) == 4);
            reached[1] += u32::from(ordinary(&|p| p.reserved) == 3);
            reached[2] += u32::from(ordinary(&|p| p.did) == 2);
        }
        for proxy in &mut proxies {
            for placed in std::mem::take(&mut proxy.live) {
                assert!(proxy.ledger.forget(placed.dialog));
            }
        }
        for _ in 0..200 {
            now += 100;
            for proxy in &mut proxies {
                proxy.exchange(&mut server, now, &mut id);
                for placed in std::mem::take(&mut proxy.live) {
                    assert!(proxy.ledger.forget(placed.dialog));
                }
            }
        }
        for proxy in &proxies {
            assert!(proxy.waiting.is_empty(), "seed {seed}: {:?}", proxy.waiting.keys());
            assert_eq!((&proxy.ledger).all(), [], "seed {seed}");
            let claimed: Vec<_> = proxy.node.mirror().keys().collect();
            assert_eq!(claimed, [], "seed {seed}, {:?}", proxy.node.session().phase());
            let memory = proxy.ledger.memory();
            assert_eq!((memory.leases, memory.scopes, proxy.ledger.miscounted()), (0, 0, 0));
        }
    }
    assert!(reached.iter().all(|reached| *reached > 100), "{reached:?}");
}
