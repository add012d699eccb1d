//! Feeds the sets of the firewall with blocked sources, from the warden. Without a
//! firewall, or without the right to change it, all else goes on.

use std::time::{Duration, Instant};

use super::child::{Child, Done, bury};
use crate::firewall::{
    Changes, Element, Elements, Listing, Mode, Pursuit, Sets, changes, disjoint, parse_listing,
    settle,
};
use crate::flood::{Block, Reason, Rules};
use crate::host::contract::abi::host_name;
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::settings::at;
use crate::host::state::rules::with_rules;
use crate::host::state::{State, with_snapshot};
use crate::printable::Printable;
use crate::source::Learnt;
use crate::{clock, policy};

/// Ms between two looks at the blocks.
const LOOK: u64 = 300;
/// Ms between two looks at what the sets hold: somebody may have loaded the rules anew.
const RECONCILE: u64 = 15_000;
/// Ms between two attempts after a failure.
const PATIENCE: u64 = 10_000;
/// How long nft may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How much later than a block its element may end, in ms.
const LINGER: u64 = 2000;
/// Most elements in the sets.
const MOST: usize = 65_536;

/// What nft is doing.
enum Job {
    ListV4,
    /// With the elements of the first set.
    ListV6(Vec<Element>),
    /// What the sets hold when it has succeeded.
    Change(Elements),
}

struct Running {
    child: Child,
    job: Job,
    started: Instant,
}

/// Keeps the sets as the blocks are; one process, the warden.
#[derive(Default)]
pub struct Feeder {
    running: Option<Running>,
    /// What the sets hold.
    told: Elements,
    pursuit: Pursuit,
    looked: u64,
    /// When they were listed; None: not since something went wrong.
    listed: Option<u64>,
    /// Not before then.
    retry: u64,
    /// They have not become what they should be: write them anew.
    rewrite: bool,
    /// Elements from before the start are known.
    resumed: bool,
    said_full: bool,
}

impl Feeder {
    /// Does what there is to do, and waits for nothing. `now` is in ms.
    pub fn feed(&mut self, state: &State, sets: &Sets, now: u64) {
        bury();
        if state.firewall.mode() == Mode::Off {
            state.firewall.set(Mode::Starting, "");
        }
        if let Some(mut running) = self.running.take() {
            match running.child.poll() {
                Ok(None) if running.started.elapsed() < TIMEOUT => self.running = Some(running),
                Ok(None) => self.fail(state, sets, "it does not answer", now),
                Ok(Some(done)) => self.finish(state, sets, running.job, &done, now),
                Err(e) => self.fail(state, sets, &e.to_string(), now),
            }
        }
        if self.running.is_some() || now < self.retry {
            return;
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
            Err(e) => self.fail(state, sets, &format!("it cannot be run: {e}"), now),
        }
    }

    fn finish(&mut self, state: &State, sets: &Sets, job: Job, done: &Done, now: u64) {
        if !done.success {
            // Somebody else may have changed the sets: look, then write them anew.
            if matches!(job, Job::Change(_)) && !self.rewrite {
                counters::count_own(Own::FirewallFailures);
                (self.rewrite, self.listed) = (true, None);
                return;
            }
            return self.fail(state, sets, &done.errors, now);
        }
        match job {
            Job::ListV4 => match self.read(done, now) {
                Ok(first) => self.start(state, sets, Job::ListV6(first), "", now),
                Err(why) => self.fail(state, sets, &why, now),
            },
            Job::ListV6(mut listed) => match self.read(done, now) {
                Ok(second) => {
                    listed.extend(second);
                    self.heard(state, sets, &listed, now);
                }
                Err(why) => self.fail(state, sets, &why, now),
            },
            Job::Change(told) => {
                self.rewrite = false;
                self.hold(state, told);
                self.succeed(state, sets);
            }
        }
    }

    /// Reads a listing. The sets are sipwarden's own: what somebody else has put there
    /// goes.
    fn read(&mut self, done: &Done, now: u64) -> Result<Vec<Element>, String> {
        let Listing { elements, foreign } = parse_listing(&done.output, now)?;
        if let Some(foreign) = foreign {
            log::warning(format_args!(
                "firewall: {foreign} is not a block; the sets are written anew"
            ));
            self.rewrite = true;
        }
        Ok(elements)
    }

    /// Both sets were listed.
    fn heard(&mut self, state: &State, sets: &Sets, listed: &[Element], now: u64) {
        self.listed = Some(now);
        if !self.resumed {
            self.resumed = true;
            listed.iter().for_each(|element| self.pursuit.resume(element.prefix, now));
        }
        let wanted = self.wanted(state, now);
        self.hold(state, settle(listed, &wanted));
        if !self.rewrite {
            self.succeed(state, sets);
        }
        self.looked = now;
        self.change(state, sets, now);
    }

    /// Tells nft what has changed.
    fn change(&mut self, state: &State, sets: &Sets, now: u64) {
        self.told.retain(|_, until| until.saturating_add(LINGER) > now);
        let live = self.told.values().filter(|until| **until > now).count();
        state.firewall.set_elements(live);
        let wanted = self.wanted(state, now);
        let changes = changes(&self.told, &wanted, now);
        // What it is counts from now on.
        let rewrite = self.rewrite || changes.overlaps;
        let text = match rewrite {
            true => sets.rewrite(&wanted, clock::monotonic()),
            false if changes.is_empty() => return,
            false => sets.apply(&changes, clock::monotonic()),
        };
        let told = match rewrite {
            true => wanted.iter().map(|element| (element.prefix, element.until)).collect(),
            false => self.after(&changes),
        };
        self.start(state, sets, Job::Change(told), &text, now);
    }

    /// What the sets hold after changes that do not overlap.
    fn after(&self, changes: &Changes) -> Elements {
        let mut told = self.told.clone();
        for prefix in &changes.remove {
            told.remove(prefix);
        }
        told.extend(changes.add.iter().map(|element| (element.prefix, element.until)));
        told
    }

    /// The sets hold this now.
    fn hold(&mut self, state: &State, told: Elements) {
        for prefix in self.told.keys().filter(|prefix| !told.contains_key(*prefix)) {
            state.flood.set_offloaded(*prefix, false);
        }
        // Of a block that was replaced the note is gone: all are noted.
        told.keys().for_each(|prefix| state.flood.set_offloaded(*prefix, true));
        state.firewall.set_elements(told.len());
        self.told = told;
    }

    /// The blocks whose sources are to be dropped, disjoint.
    fn wanted(&mut self, state: &State, now: u64) -> Vec<Element> {
        let mut wanted = Vec::new();
        let after = u32::try_from(state.values.int(at::FIREWALL_AFTER)).unwrap_or(0);
        with_rules(state, |rules| {
            let mut going_on = Vec::new();
            state.flood.blocks(clock::monotonic, |block| {
                if self.pursuit.goes_on(block, after, now) {
                    going_on.push(*block);
                }
            });
            self.pursuit.end_round();
            if rules.monitor == 0 {
                wanted.extend(
                    going_on
                        .iter()
                        .filter(|block| is_seen(block) && refuses_all(rules, block))
                        .map(|block| Element { prefix: block.prefix, until: block.until }),
                );
            }
        });
        let left_out = disjoint(&mut wanted, MOST);
        state.firewall.set_left_out(left_out);
        if left_out > 0 && !self.said_full {
            log::warning(format_args!(
                "firewall: {left_out} blocked sources are left out: more than {MOST}"
            ));
        }
        self.said_full = left_out > 0;
        wanted
    }

    fn succeed(&mut self, state: &State, sets: &Sets) {
        if state.firewall.mode() != Mode::On {
            log::info(format_args!(
                "firewall: on; table {} drops blocked sources that go on sending, {} at present",
                sets.table(),
                self.told.len()
            ));
            state.firewall.set(Mode::On, "");
        }
    }

    /// Says once why the sets cannot be fed, and tries again later.
    fn fail(&mut self, state: &State, sets: &Sets, why: &str, now: u64) {
        counters::count_own(Own::FirewallFailures);
        (self.listed, self.retry) = (None, now + PATIENCE);
        self.hold(state, Elements::new());
        let nft = state.settings.firewall_nft.display();
        let why = why.lines().next().unwrap_or_default();
        let problem = format!("{nft}: {}", Printable::full(why.as_bytes()));
        if !state.firewall.has_failed(&problem) {
            log::error(format_args!(
                "firewall: off; {problem}. {}. Blocked sources are refused as before. It is tried \
                 again, and not said again",
                advice(why, sets)
            ));
            state.firewall.set(Mode::Failed, &problem);
        }
    }
}

fn advice(why: &str, sets: &Sets) -> String {
    if why.contains("Operation not permitted") {
        format!("{}'s user needs CAP_NET_ADMIN: see docs/firewall.md", host_name())
    } else if why.starts_with("it cannot be run") {
        "Is nftables installed? Parameter firewall_nft names the program".into()
    } else if why.contains("No such file or directory") {
        format!("Load the rules with the sets of table {}", sets.table())
    } else {
        "See docs/firewall.md".into()
    }
}

/// Whether the kernel sees packets of the source itself. All those of a source that is
/// known by the PROXY protocol or by the script alone carry a balancer's address.
fn is_seen(block: &Block) -> bool {
    block.reason == Reason::Manual || block.ways.have(Learnt::Packet)
}

/// Whether each request from a block's prefix is refused: the kernel knows no
/// exceptions.
fn refuses_all(rules: &Rules, block: &Block) -> bool {
    if block.reason == Reason::Manual {
        return true;
    }
    with_snapshot(|view, _| {
        let (class, _) = policy::source_class(view, block.prefix.first(), rules.company_sources());
        class.is_some() && rules.class(class).block > 0 && !view.divides(block.prefix)
    })
    .unwrap_or(false)
}
