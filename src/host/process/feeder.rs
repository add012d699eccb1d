//! Feeds the sets of the firewall with blocked sources, in the warden. Where that fails, all
//! else goes on.

use std::time::{Duration, Instant};
use std::{fmt, io};

use super::child::{Child, Done, reap};
use crate::address::Prefix;
use crate::firewall::{
    Changes, Element, Elements, Listing, MOST, Mode, Offenders, Sets, changes, disjoint,
    parse_listing, reconcile,
};
use crate::flood::{Block, Rules};
use crate::host::contract::abi::host_name;
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::settings::at;
use crate::host::state::rules::with_rules;
use crate::host::state::{State, listed, with_snapshot};
use crate::limiter::Reason;
use crate::memory;
use crate::printable::Printable;
use crate::source::Learnt;
use crate::{clock, policy};

/// Ms between two looks at the blocks.
const LOOK: u64 = 300;
/// Ms between two listings of the sets: an operator may have loaded the rules anew.
const RECONCILE: u64 = 15_000;
/// Ms between two attempts after a failure.
const PATIENCE: u64 = 10_000;
/// How long nft may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much later than a block its element may end, in ms.
const LINGER: u64 = 2000;
/// Most bytes for a block, while the sets and the input of nft are made of all.
const BLOCK_BYTES: usize = 1024;

/// What nft is doing.
enum Job {
    ListV4,
    /// With the elements of the first set.
    ListV6(Vec<Element>),
    /// With the elements of both sets afterwards.
    Change(Elements),
}

struct Running {
    child: Child,
    job: Job,
    started: Instant,
}

/// Makes the sets follow the blocks; in one process, the warden.
#[derive(Default)]
pub struct Feeder {
    running: Option<Running>,
    /// The elements of both sets.
    current: Elements,
    offenders: Offenders,
    looked: u64,
    /// When the sets were listed; None: not since the last failure.
    listed: Option<u64>,
    /// Not before then.
    retry: u64,
    /// The sets are not as they should be: write them anew.
    rewrite: bool,
    /// The elements from before the start were read.
    resumed: bool,
    said_full: bool,
}

impl Feeder {
    /// Does what is due and never waits. `now` is in ms.
    pub fn feed(&mut self, state: &State, sets: &Sets, now: u64) {
        reap();
        if state.firewall.mode() == Mode::Off {
            state.firewall.set(Mode::Starting, "");
        }
        if let Some(mut running) = self.running.take() {
            match running.child.poll() {
                Ok(None) if running.started.elapsed() < TIMEOUT => self.running = Some(running),
                Ok(None) => self.fail(state, sets, &NftFailure::Hangs, now),
                Ok(Some(done)) => self.finish(state, sets, running.job, &done, now),
                Err(e) => self.fail(state, sets, &NftFailure::Output(e), now),
            }
        }
        if self.running.is_some() || now < self.retry {
            return;
        }
        let is_due = now.saturating_sub(self.looked) >= LOOK;
        let blocks = state.flood.usage().blocked as usize + self.current.len();
        if let (true, Err(why)) = (is_due, memory::ask_for(BLOCK_BYTES * blocks)) {
            let why = io::Error::other(why);
            return self.fail(state, sets, &NftFailure::NotStarted(why), now);
        }
        if self.listed.is_none_or(|at| now.saturating_sub(at) >= RECONCILE) {
            self.start(state, sets, Job::ListV4, "", now);
        } else if now.saturating_sub(self.looked) >= LOOK {
            self.looked = now;
            self.change(state, sets, now);
        }
    }

    fn start(&mut self, state: &State, sets: &Sets, job: Job, input: &str, now: u64) {
        let list = |set| ["-j", "list", "set", sets.table(), set].to_vec();
        let arguments = match job {
            Job::ListV4 => list("blocked4"),
            Job::ListV6(_) => list("blocked6"),
            Job::Change(_) => vec!["-f", "-"],
        };
        match Child::start(&state.settings.firewall_nft, &arguments, input) {
            Ok(child) => self.running = Some(Running { child, job, started: Instant::now() }),
            Err(e) => self.fail(state, sets, &NftFailure::NotStarted(e), now),
        }
    }

    fn finish(&mut self, state: &State, sets: &Sets, job: Job, done: &Done, now: u64) {
        if !done.success {
            // The sets may have been changed from outside: list them, then write them anew.
            if matches!(job, Job::Change(_)) && !self.rewrite {
                counters::count_own(Own::FirewallFailures);
                (self.rewrite, self.listed) = (true, None);
                return;
            }
            return self.fail(state, sets, &NftFailure::Exited(done.errors.clone()), now);
        }
        match job {
            Job::ListV4 => match self.parse(done, now) {
                Ok(first) => self.start(state, sets, Job::ListV6(first), "", now),
                Err(why) => self.fail(state, sets, &NftFailure::Listing(why), now),
            },
            Job::ListV6(mut listed) => match self.parse(done, now) {
                Ok(second) => {
                    listed.extend(second);
                    self.set_listed(state, sets, &listed, now);
                }
                Err(why) => self.fail(state, sets, &NftFailure::Listing(why), now),
            },
            Job::Change(current) => {
                self.rewrite = false;
                self.set_current(state, current);
                self.succeed(state, sets);
            }
        }
    }

    /// Reads a listing. The sets are sipwarden's own: foreign elements go.
    fn parse(&mut self, done: &Done, now: u64) -> Result<Vec<Element>, String> {
        let Listing { elements, foreign } = parse_listing(&done.output, now)?;
        if let Some(foreign) = foreign {
            log::warning(format_args!(
                "the firewall's sets are written anew: {foreign} in them is not a block"
            ));
            self.rewrite = true;
        }
        Ok(elements)
    }

    fn set_listed(&mut self, state: &State, sets: &Sets, listed: &[Element], now: u64) {
        self.listed = Some(now);
        if !self.resumed {
            self.resumed = true;
            listed.iter().for_each(|element| self.offenders.resume(element.prefix, now));
        }
        let wanted = self.wanted(state, now);
        self.set_current(state, reconcile(listed, &wanted));
        if !self.rewrite {
            self.succeed(state, sets);
        }
        self.looked = now;
        self.change(state, sets, now);
    }

    /// Runs nft if the blocks have changed.
    fn change(&mut self, state: &State, sets: &Sets, now: u64) {
        self.current.retain(|_, until| until.saturating_add(LINGER) > now);
        let live = self.current.values().filter(|until| **until > now).count();
        state.firewall.set_elements(live);
        let wanted = self.wanted(state, now);
        let changes = changes(&self.current, &wanted, now);
        let rewrite = self.rewrite || changes.overlaps;
        let text = match rewrite {
            true => sets.rewrite(&wanted, clock::monotonic()),
            false if changes.is_empty() => return,
            false => sets.apply(&changes, clock::monotonic()),
        };
        let current = match rewrite {
            true => wanted.iter().map(|element| (element.prefix, element.until)).collect(),
            false => self.after(&changes),
        };
        self.start(state, sets, Job::Change(current), &text, now);
    }

    /// The elements after changes that do not overlap.
    fn after(&self, changes: &Changes) -> Elements {
        let mut current = self.current.clone();
        for prefix in &changes.remove {
            current.remove(prefix);
        }
        current.extend(changes.add.iter().map(|element| (element.prefix, element.until)));
        current
    }

    /// Notes the elements of the sets, and of each block whether it is offloaded.
    fn set_current(&mut self, state: &State, current: Elements) {
        for prefix in self.current.keys().filter(|prefix| !current.contains_key(*prefix)) {
            set_offloaded(state, *prefix, false);
        }
        // All of them: a block that was replaced has lost its note.
        current.keys().for_each(|prefix| set_offloaded(state, *prefix, true));
        state.firewall.set_elements(current.len());
        self.current = current;
    }

    /// The blocks to drop, disjoint.
    fn wanted(&mut self, state: &State, now: u64) -> Vec<Element> {
        let mut wanted = Vec::new();
        let after = u32::try_from(state.values.int(at::FIREWALL_AFTER)).unwrap_or(0);
        with_rules(state, |rules| {
            let mut going_on = Vec::new();
            state.flood.blocks(clock::monotonic, |block| {
                if self.offenders.is_persistent(&block, after, now) {
                    going_on.push(block);
                }
            });
            if let Some(feeds) = &state.feeds {
                feeds.senders.blocks(clock::monotonic, |block| {
                    if self.offenders.is_persistent(&block, after, now) {
                        going_on.push(block);
                    }
                });
            }
            self.offenders.end_round();
            if rules.monitor == 0 {
                wanted.extend(
                    going_on
                        .iter()
                        .filter(|block| is_seen(block) && refuses_all(state, rules, block))
                        .map(|block| Element { prefix: block.prefix, until: block.until }),
                );
            }
        });
        let left_out = disjoint(&mut wanted, MOST);
        state.firewall.set_left_out(left_out);
        if left_out > 0 && !self.said_full {
            log::warning(format_args!(
                "{left_out} blocked sources are not in the firewall's sets: there is room for {MOST}"
            ));
        }
        self.said_full = left_out > 0;
        wanted
    }

    fn succeed(&mut self, state: &State, sets: &Sets) {
        if state.firewall.mode() != Mode::On {
            log::info(format_args!(
                "the firewall drops blocked sources that go on sending: table {}, {} at present",
                sets.table(),
                self.current.len()
            ));
            state.firewall.set(Mode::On, "");
        }
    }

    /// Logs once why the sets cannot be fed, and tries again later.
    fn fail(&mut self, state: &State, sets: &Sets, failure: &NftFailure, now: u64) {
        counters::count_own(Own::FirewallFailures);
        (self.listed, self.retry) = (None, now + PATIENCE);
        self.set_current(state, Elements::new());
        let nft = state.settings.firewall_nft.display();
        let why = failure.to_string();
        let why = why.lines().next().unwrap_or_default();
        let problem = format!("{nft}: {}", Printable::full(why.as_bytes()));
        if !state.firewall.has_failed(&problem) {
            log::error(format_args!(
                "the firewall drops no blocked sources: {problem}; they are refused as before; {} \
                 (tried again, said once)",
                failure.advice(sets)
            ));
            state.firewall.set(Mode::Failed, &problem);
        }
    }
}

/// Notes of a block, and of a listed source, whether the firewall drops its packets.
fn set_offloaded(state: &State, prefix: Prefix, offloaded: bool) {
    state.flood.set_offloaded(prefix, offloaded);
    if let Some(feeds) = &state.feeds {
        feeds.senders.set_offloaded(prefix, offloaded);
    }
}

/// Why the sets cannot be fed.
enum NftFailure {
    NotStarted(io::Error),
    /// It runs for longer than [`TIMEOUT`].
    Hangs,
    /// Its output cannot be read.
    Output(io::Error),
    /// It has failed, with these errors.
    Exited(String),
    /// Its listing is not as expected.
    Listing(String),
}

impl fmt::Display for NftFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NftFailure::NotStarted(error) => write!(f, "it cannot be run: {error}"),
            NftFailure::Hangs => f.write_str("it does not answer"),
            NftFailure::Output(error) => error.fmt(f),
            NftFailure::Exited(why) | NftFailure::Listing(why) => f.write_str(why),
        }
    }
}

impl NftFailure {
    /// nft has one exit code for all errors: only its text tells them apart.
    fn advice(&self, sets: &Sets) -> String {
        match self {
            NftFailure::NotStarted(_) => {
                "is nftables installed? parameter firewall_nft names the program".into()
            }
            NftFailure::Exited(why) if why.contains("Operation not permitted") => {
                format!("{}'s user needs CAP_NET_ADMIN: see docs/firewall.md", host_name())
            }
            NftFailure::Exited(why) if why.contains("No such file or directory") => {
                format!("load the rules with the sets of table {}", sets.table())
            }
            _ => "see docs/firewall.md".into(),
        }
    }
}

/// Whether the kernel sees packets from the source itself. If it is known only by the PROXY
/// protocol or the script, all its packets come from a balancer.
fn is_seen(block: &Block) -> bool {
    block.reason == Reason::Manual || block.ways.have(Learnt::Packet)
}

/// Whether every request from a block's prefix is refused: the kernel makes no
/// exceptions.
fn refuses_all(state: &State, rules: &Rules, block: &Block) -> bool {
    match block.reason {
        Reason::Manual => return true,
        Reason::Listed => return listed::refuses_all(state, rules, block.prefix),
        _ => {}
    }
    with_snapshot(|view, _| {
        let (class, _) = policy::source_class(view, block.prefix.first(), rules.company_sources());
        class.is_some() && rules.class(class).block > 0 && !view.divides(block.prefix)
    })
    .unwrap_or(false)
}
