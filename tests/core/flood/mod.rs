//! The flood table against an exact model, at its bounds, and over forked processes.

mod blocks;
mod limits;
mod processes;
mod room;
mod throttling;

use sipwarden::address::{Address, Prefix};
use sipwarden::flood::{Block, Ended, FloodCheck, FloodSettings, FloodTable, Rules, SharedRules};
use sipwarden::limiter::{ClassId, Reason};
use sipwarden::source::Ways;

pub const SEED: [u64; 2] = [21, 22];
pub const GENERATION: u32 = 1;

pub fn rules_of(settings: FloodSettings) -> Rules {
    let mut rules = Rules::NONE;
    SharedRules::new(settings).unwrap().refresh(&mut rules);
    rules
}

/// The defaults: 100 in 2 s, blocked for 300 s.
pub fn rules() -> Rules {
    rules_of(FloodSettings::new(100, 2000, 300, 0))
}

pub fn source(text: &str) -> Address {
    Address::parse(text.as_bytes()).unwrap()
}

/// What a check says, and what ended with it.
pub fn check_as(
    table: &FloodTable,
    source: Address,
    rules: &Rules,
    (generation, class): (u32, Option<ClassId>),
    now: u64,
) -> (FloodCheck, Option<Ended>) {
    let mut ended = None;
    let checked = table.check(source, rules, generation, || now, || class, &mut ended);
    (checked, ended)
}

pub fn check(table: &FloodTable, source: Address, rules: &Rules, now: u64) -> FloodCheck {
    check_as(table, source, rules, (GENERATION, Some(ClassId::DEFAULT)), now).0
}

/// The block that holds for an address.
pub fn block_of(table: &FloodTable, source: Address, rules: &Rules, now: u64) -> Block {
    table.look(source, rules, || now).0.expect("a block")
}

pub fn prefix(text: &str) -> Prefix {
    Prefix::parse(text, None).unwrap()
}

pub fn manual(text: &str, since: u64, until: u64) -> Block {
    Block {
        prefix: prefix(text),
        class: Some(ClassId::DEFAULT),
        since,
        until,
        seen: 0,
        times: 1,
        reason: Reason::Manual,
        ways: Ways::NONE,
    }
}

pub fn blocks(table: &FloodTable, now: u64) -> Vec<Block> {
    let mut found = Vec::new();
    table.blocks(|| now, |block| found.push(block));
    found
}
