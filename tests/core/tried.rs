//! An AoR that is tried from one source, in a table of failed authentications.

use sipwarden::address::{Address, Prefix};
use sipwarden::auth::{AuthCheck, AuthSettings, AuthTable, Ban, BanChanges, Rules, SharedRules};
use sipwarden::limiter::ClassId;

pub const SEED: [u64; 2] = [21, 22];
pub const DEFAULT: Option<ClassId> = Some(ClassId::DEFAULT);
pub const ALICE: &[u8] = b"alice@example.com";

pub fn rules_of(settings: AuthSettings) -> Rules {
    let mut rules = Rules::NONE;
    SharedRules::new(settings).unwrap().refresh(&mut rules);
    rules
}

/// The defaults: the 100th in 1800 s, banned for 12 h, then from 80 on.
pub fn rules() -> Rules {
    let mut settings = AuthSettings::new(100, 1800, 43_200, 80);
    settings.common.same = 600;
    rules_of(settings)
}

pub fn source(text: &str) -> Prefix {
    Address::parse(text.as_bytes()).unwrap().prefix(64)
}

/// An AoR that is tried from one source.
pub struct Tried<'a> {
    pub table: &'a AuthTable,
    pub rules: &'a Rules,
    pub aor: &'a [u8],
    pub source: Prefix,
    pub class: Option<ClassId>,
}

impl<'a> Tried<'a> {
    pub fn new(table: &'a AuthTable, rules: &'a Rules, aor: &'a [u8], from: &str) -> Self {
        Tried { table, rules, aor, source: source(from), class: DEFAULT }
    }

    pub fn fails_with(&self, print: Option<[u32; 2]>, now: u64) -> (AuthCheck, BanChanges) {
        let (login, mut changes) = (self.table.login(self.aor, self.source), BanChanges::default());
        let checked =
            self.table.failed(&login, print, self.class, self.rules, || now, &mut changes);
        (checked, changes)
    }

    pub fn fails(&self, now: u64) -> AuthCheck {
        self.fails_with(None, now).0
    }

    pub fn fails_times(&self, times: u32, now: u64) {
        (0..times).for_each(|_| {
            self.fails(now);
        });
    }

    pub fn check(&self, now: u64) -> (AuthCheck, BanChanges) {
        let (login, mut changes) = (self.table.login(self.aor, self.source), BanChanges::default());
        (self.table.check(&login, self.class, self.rules, || now, &mut changes), changes)
    }

    pub fn succeeds(&self, now: u64) -> AuthCheck {
        let (login, mut changes) = (self.table.login(self.aor, self.source), BanChanges::default());
        self.table.succeeded(&login, self.class, self.rules, || now, &mut changes)
    }
}

pub fn bans(table: &AuthTable, now: u64) -> Vec<Ban> {
    let mut found = Vec::new();
    table.bans(|| now, |ban| found.push(ban));
    found
}
