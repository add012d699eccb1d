//! Whole calls by instructions on a platform like IvozProvider: its two proxies as they are, and
//! with sipwarden's calls.

use std::fs;

use super::callgrind::{self, Count};
use super::report::{Section, number};
use super::support::Folder;
use super::support::proxies::{Kind, Proxy};
use super::support::world::{GRANTED, World};

const FIRST_CALLS: u32 = 20;

pub fn section() -> Section {
    let calls = if super::quick() { 10 } else { 100 };
    let mut section = Section::new(
        "Whole calls on a platform like IvozProvider",
        &format!(
            "Instructions as in the section before, of both proxies of the drop-in's tests: the routes of \
             the platform that sipwarden's calls go into, with a MariaDB, and all else left out. So there \
             is less around the checks than on the platform, whose own share is larger. {calls} calls one \
             after the other, after the first {FIRST_CALLS}. Users: a phone calls from a granted address \
             (INVITE, 407, INVITE, 200, ACK, BYE, 200). Trunks: an external call of a company. What is \
             more is mostly the script itself, which Kamailio interprets; what the platform does no longer \
             (pike, address groups, a profile) is saved. The last column is the module's own code."
        ),
    );
    if callgrind::is_missing(&mut section) {
        return section;
    }
    let [stock, ours] = [Kind::Stock, Kind::Sipwarden].map(|kind| {
        println!("  {kind:?}");
        let [few, many] = [FIRST_CALLS, FIRST_CALLS + calls].map(|calls| of_calls(kind, calls));
        [0, 1].map(|proxy| many[proxy].per_call(few[proxy], calls))
    });
    let rows =
        ["users", "trunks"].iter().zip(stock.iter().zip(&ours)).map(|(name, (stock, ours))| {
            for (count, what) in [(stock.all, "as it is"), (ours.all, "with sipwarden")] {
                let name = format!("instructions per whole call, platform's {name}, {what}");
                section.value(name, count, "instructions");
            }
            vec![
                (*name).into(),
                number(stock.all),
                number(ours.all),
                number((ours.all / stock.all - 1.0) * 100.0) + " %",
                number(ours.ours),
                number(ours.ours / ours.all * 100.0) + " %",
            ]
        });
    let rows = rows.collect();
    section.table(
        &["proxy", "as it is", "with sipwarden", "more", "in the module", "of the call"],
        rows,
    );
    section
}

/// Instructions of the workers of both proxies for so many calls.
fn of_calls(kind: Kind, calls: u32) -> [Count; 2] {
    let folder = Folder::new();
    let counts = folder.join("counts");
    fs::create_dir(&counts).unwrap();
    // The allocator of the section before, behind what the proxies are started with.
    let command = format!("exec {} \"$@\" -x fm", callgrind::wrapper(&counts).join(" "));
    let wrapper = ["sh", "-c", &command, "sh"].map(str::to_owned);
    let world = World::start_under(&wrapper, kind, &|_| Vec::new());
    let phone = world.phone(GRANTED, 7);
    for n in 0..calls {
        world.hang_up(world.answered(&phone), &world.server);
        let mut external = world.external(7, &format!("+34600{n:06}"));
        world.carrier_answers(&mut external);
        world.hang_up(external, &world.carrier);
    }
    let workers = [&world.proxies.users, &world.proxies.trunks].map(workers);
    drop(world);
    workers.map(|pids| Count::of(&counts, &pids))
}

/// Pids of those that receive SIP over UDP.
fn workers(proxy: &Proxy) -> Vec<u64> {
    let told = proxy.kamcmd(&["core.psx"]);
    let mut pid: Option<u64> = None;
    let mut workers = Vec::new();
    for line in told.lines().map(str::trim) {
        if let Some(id) = line.strip_prefix("PID: ") {
            pid = id.parse().ok();
        } else if line.starts_with("DSC: udp receiver") {
            workers.extend(pid);
        }
    }
    assert!(!workers.is_empty(), "{told}");
    workers
}
