//! Lines with a lock each: sources that flood, and failed authentications. All are in one bucket,
//! so that all locks are taken again and again.

use sipwarden::address::{Address, Prefix};
use sipwarden::auth::{
    Aor, AuthOutcome, AuthSettings, AuthTable, Ban, BanChanges, Rules as AuthRules,
};
use sipwarden::flood::{Block, FloodOutcome, FloodSettings, FloodTable, Rules};
use sipwarden::limiter::{ClassId, Reason, TableUsage, WAYS};
use sipwarden::shm::takeovers;
use sipwarden::source::Ways;

use super::{SIZES, kill_some, lock_taken_over};
use crate::deaths::killed_anywhere;
use crate::fork::amount;
use crate::host::alone::alone;
use crate::random::next;
use crate::{flood, tried};

/// More than fit.
const HOSTS: u32 = 12;
const NOW: u64 = 50_000;
/// Seconds.
const TERM: u32 = 300;
const UNTIL: u64 = NOW + TERM as u64 * 1000;
/// Of requests, and of failures.
const LIMIT: u32 = 5;
const CLASS: Option<ClassId> = Some(ClassId::DEFAULT);

fn source(host: u32) -> Address {
    Address::V4(0x0a00_0000 | host)
}

fn prefix(host: u32) -> Prefix {
    source(host).prefix(32)
}

/// When the term of a host began that an operator has set, and when it ends.
fn term_by_hand(host: u32) -> (u64, u64) {
    (NOW - 1000 * u64::from(host), UNTIL + 1000 * u64::from(host))
}

fn is_of_host(prefix_of: Prefix, is: impl Fn(u32) -> bool) -> bool {
    (0..HOSTS).any(|host| prefix_of == prefix(host) && is(host))
}

fn block_by_hand(host: u32) -> Block {
    let ((since, until), times) = (term_by_hand(host), host as u8 + 1);
    let (reason, ways) = (Reason::Manual, Ways::NONE);
    Block { prefix: prefix(host), class: CLASS, since, until, seen: 0, times, reason, ways }
}

/// What is listed belongs together.
fn is_whole_block(block: &Block) -> bool {
    is_of_host(block.prefix, |host| {
        let (terms, by_hand) = ((block.since, block.until), block_by_hand(host));
        block.class == CLASS
            && match block.reason {
                Reason::Manual => terms == term_by_hand(host) && block.times == by_hand.times,
                Reason::Flood => terms == (NOW, UNTIL) && block.times > 0,
                _ => false,
            }
    })
}

fn request(table: &FloodTable, host: u32, rules: &Rules) -> bool {
    let by_hand = term_by_hand(host).1;
    match flood::check(table, source(host), rules, NOW).outcome {
        FloodOutcome::Started { until, .. } => until == UNTIL,
        FloodOutcome::Blocked { until } => until == UNTIL || until == by_hand,
        FloodOutcome::Under | FloodOutcome::Untracked => true,
        _ => false,
    }
}

fn flood_round(table: &FloodTable, rules: &Rules, place: usize, random: &mut u64) -> bool {
    let drawn = next(random);
    let host = (drawn >> 40) as u32 % HOSTS;
    match (place % 4, drawn % 4) {
        (0, 0) => table.block(&block_by_hand(host), rules, NOW).map_or(true, |_| true),
        (0, 1) => {
            table.lift(prefix(host));
            true
        }
        (0, _) => {
            table.forget(Some(prefix(host)), |_| {});
            table.sweep(|| NOW, |_| {});
            true
        }
        (1, _) => {
            let mut whole = true;
            table.blocks(|| NOW, |block| whole &= is_whole_block(&block));
            let block = table.look(source(host), rules, || NOW).0;
            whole && block.is_none_or(|block| is_whole_block(&block))
        }
        _ => request(table, host, rules),
    }
}

/// No number of a table is off by more than the dead may have left.
fn is_near(number: u32, right: u32, killed: u64) -> bool {
    u64::from((number as i32).abs_diff(right as i32)) <= killed
}

fn check_usage(usage: &TableUsage, used: usize, blocked: usize, killed: u64) {
    let near = is_near(usage.used, used as u32, killed);
    assert!(near && is_near(usage.blocked, blocked as u32, killed), "{usage:?}, {killed} killed");
}

#[test]
fn sources_are_judged_on_and_every_line_can_be_used_again() {
    alone(|| {
        let rules = flood::rules_of(FloodSettings::new(LIMIT, 2000, TERM, 0));
        for processes in SIZES {
            takeovers();
            let table = FloodTable::new(WAYS, flood::SEED).unwrap();
            let round = |place, random: &mut u64| flood_round(&table, &rules, place, random);
            let killed = kill_some(processes, 20_000, round, lock_taken_over());

            check_sources(&table, &rules, killed);
        }
    });
}

/// After so many deaths all that is listed is whole, and every line can be used.
fn check_sources(table: &FloodTable, rules: &Rules, killed: u64) {
    assert!((0..HOSTS).all(|host| request(table, host, rules)));
    let blocks = flood::blocks(table, NOW);
    assert!(blocks.iter().all(is_whole_block), "{blocks:?}");
    table.forget(None, |_| {});
    // Those that are not listed: the process has died before.
    (0..HOSTS).for_each(|host| table.lift(prefix(host)));
    assert_eq!(flood::blocks(table, NOW), []);
    check_usage(&table.usage(), 0, 0, killed);
    for host in 0..HOSTS {
        let told = table.block(&block_by_hand(host), rules, NOW);
        assert_eq!(told.is_ok(), (host as usize) < WAYS, "{host}: {told:?}");
    }
    check_usage(&table.usage(), WAYS, WAYS, killed);
    for host in 0..HOSTS {
        let blocked = table.look(source(host), rules, || NOW).0.is_some();
        assert_eq!(blocked, (host as usize) < WAYS, "{host}");
    }
}

/// A source comes in place of another one, is blocked by its requests, by hand, and forgotten.
#[test]
fn a_source_of_a_process_that_is_killed_is_blocked_whole_or_not() {
    let rules = flood::rules_of(FloodSettings::new(1, 2000, TERM, 0));
    let make = || {
        let table = FloodTable::new(WAYS, flood::SEED).unwrap();
        assert!((1..=WAYS as u32).all(|host| request(&table, host, &rules)));
        table
    };
    let act = |table: &FloodTable| {
        let judged = [0, 0].map(|host| request(table, host, &rules));
        let blocked = table.block(&block_by_hand(0), &rules, NOW).is_ok();
        table.forget(Some(prefix(0)), |_| {});
        i32::from(judged != [true; 2] || !blocked)
    };
    let look = |table: &FloodTable, _: usize| check_sources(table, &rules, 1);
    let writes = killed_anywhere(amount(1, 3), make, act, look);
    assert!(writes > 50, "{writes}");
}

/// The name of a host, by which it logs in.
fn aor(host: u32) -> [u8; 6] {
    let mut name = *b"user-a";
    name[5] += host as u8;
    name
}

fn ban_by_hand(table: &AuthTable, host: u32) -> Ban {
    let (name, (since, until)) = (aor(host), term_by_hand(host));
    let (aor, source) = (Aor::new(&name, false, table.aor_hash(&name)), prefix(host));
    Ban { aor, source, class: CLASS, since, until, seen: 0, reason: Reason::Manual }
}

/// What is listed belongs together.
fn is_whole_ban(table: &AuthTable, ban: &Ban) -> bool {
    is_of_host(ban.source, |host| {
        let (terms, by_hand) = ((ban.since, ban.until), ban_by_hand(table, host));
        (ban.aor, ban.class) == (by_hand.aor, CLASS)
            && match ban.reason {
                Reason::Manual => terms == term_by_hand(host),
                Reason::Failures => terms == (NOW, UNTIL),
                _ => false,
            }
    })
}

fn failure(table: &AuthTable, host: u32, rules: &AuthRules, print: u32) -> bool {
    let (name, mut changes) = (aor(host), BanChanges::default());
    let (login, print) = (table.login(&name, prefix(host)), Some([print, !print]));
    let told = table.failed(&login, print, CLASS, rules, || NOW, &mut changes);
    let by_hand = term_by_hand(host).1;
    let whole = changes.started.is_none_or(|ban| is_whole_ban(table, &ban));
    let right = match told.outcome {
        AuthOutcome::Counted => told.failures < LIMIT,
        AuthOutcome::Started => told.until == UNTIL,
        AuthOutcome::Banned => told.until == UNTIL || told.until == by_hand,
        AuthOutcome::Untracked => true,
        _ => false,
    };
    whole && right
}

fn auth_round(table: &AuthTable, rules: &AuthRules, place: usize, random: &mut u64) -> bool {
    let drawn = next(random);
    let host = (drawn >> 40) as u32 % HOSTS;
    let (name, mut changes) = (aor(host), BanChanges::default());
    match (place % 4, drawn % 4) {
        (0, 0) => table.ban(&ban_by_hand(table, host), rules, NOW).map_or(true, |_| true),
        (0, 1) => {
            let login = table.login(&name, prefix(host));
            table.succeeded(&login, CLASS, rules, || NOW, &mut changes);
            true
        }
        (0, _) => {
            table.forget(Some(table.aor_hash(&name)), None, |_| {});
            table.sweep(rules, || NOW, |_| {});
            true
        }
        (1, _) => {
            let mut whole = true;
            table.bans(|| NOW, |ban| whole &= is_whole_ban(table, &ban));
            let login = table.login(&name, prefix(host));
            let (ban, failures) = table.look(&login, CLASS, rules, || NOW);
            whole && failures < LIMIT && ban.is_none_or(|ban| is_whole_ban(table, &ban))
        }
        _ => failure(table, host, rules, drawn as u32),
    }
}

#[test]
fn users_are_judged_on_and_every_line_can_be_used_again() {
    alone(|| {
        let rules = tried::rules_of(AuthSettings::new(LIMIT, 2000, TERM, 0));
        for processes in SIZES {
            takeovers();
            let table = AuthTable::new(WAYS, tried::SEED).unwrap();
            let round = |place, random: &mut u64| auth_round(&table, &rules, place, random);
            let killed = kill_some(processes, 20_000, round, lock_taken_over());

            check_users(&table, &rules, killed);
        }
    });
}

/// As [`check_sources`].
fn check_users(table: &AuthTable, rules: &AuthRules, killed: u64) {
    assert!((0..HOSTS).all(|host| failure(table, host, rules, 7)));
    let bans = tried::bans(table, NOW);
    assert!(bans.iter().all(|ban| is_whole_ban(table, ban)), "{bans:?}");
    table.forget(None, None, |_| {});
    assert_eq!(tried::bans(table, NOW), []);
    check_usage(&table.usage(), 0, 0, killed);
    for host in 0..HOSTS {
        let told = table.ban(&ban_by_hand(table, host), rules, NOW);
        assert_eq!(told.is_ok(), (host as usize) < WAYS, "{host}: {told:?}");
    }
    check_usage(&table.usage(), WAYS, WAYS, killed);
    assert_eq!(tried::bans(table, NOW).len(), WAYS);
}

/// A user comes in place of another one, is banned for failures, by hand, and forgotten.
#[test]
fn a_user_of_a_process_that_is_killed_is_banned_whole_or_not() {
    let rules = tried::rules_of(AuthSettings::new(2, 2000, TERM, 0));
    let make = || {
        let table = AuthTable::new(WAYS, tried::SEED).unwrap();
        assert!((1..=WAYS as u32).all(|host| failure(&table, host, &rules, host)));
        table
    };
    let act = |table: &AuthTable| {
        let judged = [0, 1].map(|print| failure(table, 0, &rules, print));
        let banned = table.ban(&ban_by_hand(table, 0), &rules, NOW).is_ok();
        table.forget(Some(table.aor_hash(&aor(0))), None, |_| {});
        i32::from(judged != [true; 2] || !banned)
    };
    let look = |table: &AuthTable, _: usize| check_users(table, &rules, 1);
    let writes = killed_anywhere(amount(1, 3), make, act, look);
    assert!(writes > 50, "{writes}");
}

/// Far above what the tests below count.
const HIGH: u32 = 1000;

/// A term that is half begun or half gone would else be read as requests. Who is refused is listed.
#[test]
fn a_block_by_hand_that_is_cut_short_leaves_no_requests() {
    let rules = flood::rules_of(FloodSettings::new(HIGH, 2000, TERM, 0));
    let make = || {
        let table = FloodTable::new(WAYS, flood::SEED).unwrap();
        assert!(request(&table, 1, &rules));
        table
    };
    let act = |table: &FloodTable| {
        let begun = table.block(&block_by_hand(1), &rules, NOW).is_ok();
        table.lift(prefix(1));
        i32::from(!begun)
    };
    let look = |table: &FloodTable, steps: usize| {
        let outcome = flood::check(table, source(1), &rules, NOW).outcome;
        let mut blocks = flood::blocks(table, NOW);
        blocks.iter_mut().for_each(|block| (block.seen, block.ways) = (0, Ways::NONE));
        let blocked = FloodOutcome::Blocked { until: term_by_hand(1).1 };
        let expected = if blocks.is_empty() { FloodOutcome::Under } else { blocked };
        assert_eq!(outcome, expected, "{steps} instructions: {blocks:?}");
        assert!(blocks.is_empty() || blocks == [block_by_hand(1)], "{steps}: {blocks:?}");
    };
    let writes = killed_anywhere(1, make, act, look);
    assert!(writes > 10, "{writes}");
}

/// As above, of failures.
#[test]
fn a_ban_by_hand_that_is_cut_short_leaves_no_failures() {
    let rules = tried::rules_of(AuthSettings::new(HIGH, 2000, TERM, 0));
    let make = || {
        let table = AuthTable::new(WAYS, tried::SEED).unwrap();
        assert!(failure(&table, 1, &rules, 7));
        table
    };
    let act = |table: &AuthTable| {
        let begun = table.ban(&ban_by_hand(table, 1), &rules, NOW).is_ok();
        table.forget(Some(table.aor_hash(&aor(1))), None, |_| {});
        i32::from(!begun)
    };
    let look = |table: &AuthTable, steps: usize| {
        let (name, mut changes) = (aor(1), BanChanges::default());
        let login = table.login(&name, prefix(1));
        let checked = table.check(&login, CLASS, &rules, || NOW, &mut changes);
        let mut bans = tried::bans(table, NOW);
        bans.iter_mut().for_each(|ban| ban.seen = 0);
        let expected = if bans.is_empty() { AuthOutcome::Clear } else { AuthOutcome::Banned };
        assert_eq!(checked.outcome, expected, "{steps} instructions: {bans:?}");
        assert!(bans.is_empty() || bans == [ban_by_hand(table, 1)], "{steps}: {bans:?}");
        assert!(checked.failures <= 1, "{steps} instructions: {checked:?}");
    };
    let writes = killed_anywhere(1, make, act, look);
    assert!(writes > 10, "{writes}");
}
