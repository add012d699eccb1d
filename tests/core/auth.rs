//! The table of failed authentications against an exact model, and at its bounds.

use std::sync::OnceLock;

use crate::tried::{ALICE, DEFAULT, SEED, Tried, bans, rules, rules_of, source};
use proptest::prelude::*;
use sipwarden::auth::{
    Aor, AuthOutcome, AuthSettings, AuthTable, Ban, ClassValues, ParsedClass, Rules, SharedRules,
};
use sipwarden::limiter::{ClassId, Reason, SLICES};

#[test]
fn the_100th_failure_starts_the_ban_and_then_it_counts_from_80() {
    let (table, rules) = (AuthTable::new(64, SEED).unwrap(), rules());
    let alice = Tried::new(&table, &rules, ALICE, "192.0.2.7");
    for n in 1..=99 {
        let checked = alice.fails(1000 + u64::from(n) * 1000);
        assert_eq!((checked.outcome, checked.failures), (AuthOutcome::Counted, n));
        assert_eq!(alice.check(1000 + u64::from(n) * 1000).0.outcome, AuthOutcome::Clear);
    }
    let (checked, changes) = alice.fails_with(None, 200_000);
    let until = 200_000 + 43_200_000;
    assert_eq!((checked.outcome, checked.until), (AuthOutcome::Started, until));
    let ban = changes.started.unwrap();
    assert_eq!((ban.aor.bytes(), ban.source), (ALICE, source("192.0.2.7")));
    assert_eq!((ban.since, ban.until, ban.reason), (200_000, until, Reason::Failures));
    for (aor, from, outcome) in [
        (ALICE, "192.0.2.7", AuthOutcome::Banned),
        (&b"Alice@EXAMPLE.com"[..], "192.0.2.7", AuthOutcome::Banned),
        (ALICE, "192.0.2.8", AuthOutcome::Clear),
        (b"bob@example.com", "192.0.2.7", AuthOutcome::Clear),
    ] {
        let tried = Tried::new(&table, &rules, aor, from);
        assert_eq!(tried.check(until - 1).0.outcome, outcome, "{from}");
    }
    // Neither more failures nor a success change the ban.
    assert_eq!(alice.fails(until - 1).outcome, AuthOutcome::Banned);
    assert_eq!(alice.succeeds(until - 1).outcome, AuthOutcome::Banned);
    assert_eq!(bans(&table, until - 1)[0].seen, 5);

    let (checked, changes) = alice.check(until);
    assert_eq!((checked.outcome, checked.failures), (AuthOutcome::Clear, 80));
    assert_eq!(changes.ended.map(|ban| ban.seen), Some(5));
    for n in 81..=99 {
        assert_eq!(alice.fails(until + 1000).failures, n);
    }
    assert_eq!(alice.fails(until + 1000).outcome, AuthOutcome::Started);
    // The 80 leave the window like any others.
    let again = until + 1000 + 43_200_000;
    let (checked, _) = alice.check(again + 1_800_000);
    assert_eq!((checked.outcome, checked.failures), (AuthOutcome::Clear, 0));
}

#[test]
fn the_count_begins_when_the_ban_ended_not_when_it_was_noticed() {
    let rules = rules_of(AuthSettings::new(10, 60, 100, 8));
    for looks_later in [0, 30_000, 61_000] {
        let table = AuthTable::new(8, SEED).unwrap();
        let alice = Tried::new(&table, &rules, ALICE, "192.0.2.7");
        alice.fails_times(10, 0);
        let (checked, changes) = alice.check(100_000 + looks_later);
        let expected = if looks_later < 60_000 { 8 } else { 0 };
        assert_eq!((checked.outcome, checked.failures), (AuthOutcome::Clear, expected));
        assert!(changes.ended.is_some());
    }
    // The sweep comes to the same.
    let table = AuthTable::new(8, SEED).unwrap();
    let alice = Tried::new(&table, &rules, ALICE, "192.0.2.7");
    alice.fails_times(10, 0);
    let mut ended = Vec::new();
    table.sweep(&rules, || 99_999, |ban| ended.push(ban));
    assert_eq!((ended.len(), table.usage().blocked), (0, 1));
    table.sweep(&rules, || 100_100, |ban| ended.push(ban));
    assert_eq!((ended.len(), table.usage().blocked), (1, 0));
    assert_eq!(alice.check(100_100).0.failures, 8);
}

#[test]
fn a_success_forgets_and_a_lifted_ban_begins_anew() {
    let (table, rules) = (AuthTable::new(64, SEED).unwrap(), rules());
    let alice = Tried::new(&table, &rules, ALICE, "192.0.2.7");
    alice.fails_times(99, 0);
    assert_eq!(alice.succeeds(0).outcome, AuthOutcome::Clear);
    assert_eq!((table.usage().used, alice.fails(0).failures), (0, 1));
    alice.fails_times(99, 0);
    let elsewhere = Tried::new(&table, &rules, ALICE, "198.51.100.7");
    elsewhere.fails_times(100, 0);
    let bob = Tried::new(&table, &rules, b"bob@example.com", "192.0.2.7");
    bob.fails_times(100, 0);
    assert_eq!(table.usage().blocked, 3);

    let mut lifted = Vec::new();
    let hash = table.aor_hash(b"ALICE@example.com");
    table.forget(Some(hash), Some(source("198.51.100.7")), |ban| lifted.push(ban.source));
    assert_eq!(lifted, [source("198.51.100.7")]);
    assert_eq!(elsewhere.fails(0).failures, 1);
    table.forget(Some(hash), None, |ban| lifted.push(ban.source));
    assert_eq!((lifted.len(), alice.check(0).0.failures), (2, 0));
    assert_eq!(bob.check(0).0.outcome, AuthOutcome::Banned);
    table.forget(None, None, |_| {});
    assert_eq!((table.usage().used, table.usage().blocked), (0, 0));
}

#[test]
fn the_same_credentials_count_once_in_their_time() {
    let (table, rules) = (AuthTable::new(64, SEED).unwrap(), rules());
    let alice = Tried::new(&table, &rules, ALICE, "192.0.2.7");
    let print = |text: &[u8]| Some(table.fingerprint([text].into_iter()));
    let tell = |text: &[u8], now| {
        let checked = alice.fails_with(print(text), now).0;
        (checked.outcome, checked.failures)
    };
    assert_eq!(tell(b"old password", 5000), (AuthOutcome::Counted, 1));
    for n in 0..10_000 {
        assert_eq!(tell(b"old password", 5000 + n * 60), (AuthOutcome::Repeat, 1));
    }
    // The time runs from the one that was counted.
    assert_eq!(tell(b"old password", 605_200), (AuthOutcome::Counted, 2));
    // Other ones count, from another source too, and do not push out a few.
    for n in 0..5u32 {
        assert_eq!(tell(&n.to_be_bytes(), 605_200), (AuthOutcome::Counted, 3 + n));
    }
    assert_eq!(tell(b"old password", 605_200), (AuthOutcome::Repeat, 7));
    let elsewhere = Tried::new(&table, &rules, ALICE, "192.0.2.8");
    let (checked, _) = elsewhere.fails_with(print(b"old password"), 605_200);
    assert_eq!(checked.outcome, AuthOutcome::Counted);
    // Many push it out: it counts again, never less.
    for n in 10..16u32 {
        tell(&n.to_be_bytes(), 605_200);
    }
    assert_eq!(tell(b"old password", 605_200).0, AuthOutcome::Counted);
    // Without a fingerprint each counts; with auth_same 0 each, too.
    assert_eq!(alice.fails(605_200).outcome, AuthOutcome::Counted);
    assert_eq!(alice.fails(605_200).outcome, AuthOutcome::Counted);
    let each = rules_of(AuthSettings::new(100, 1800, 60, 0));
    let bob = Tried::new(&table, &each, b"bob@x", "192.0.2.7");
    for n in 1..50 {
        assert_eq!(bob.fails_with(print(b"x"), 0).0.failures, n);
    }
}

/// What happens to one AoR.
#[derive(Debug, Clone)]
enum Step {
    /// Failures, each after so many ms, with one of a few credentials or none.
    Failures(u16, u32, Option<u8>),
    /// A pause in ms.
    Pause(u32),
    /// The clock is set back or forward by ms.
    Clock(i64),
    Success,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![0u32..50, 0u32..3000];
    let step = prop_oneof![
        8 => (1u16..40, gap, prop::option::weighted(0.3, 0u8..4))
            .prop_map(|(n, gap, print)| Step::Failures(n, gap, print)),
        3 => prop_oneof![0u32..30_000, 8900u32..9100].prop_map(Step::Pause),
        1 => prop_oneof![-5000i64..5000, -7_200_000i64..=86_400_000].prop_map(Step::Clock),
        1 => Just(Step::Success),
    ];
    prop::collection::vec(step, 1..100)
}

/// An exact account of one AoR: what it cannot decide, since the table works with
/// slices and tenths of a second, it leaves open.
#[derive(Default)]
struct Model {
    /// Times of failures since the clock was seen to run backwards.
    all: Vec<u64>,
    /// Those since it was last set.
    since_set: Vec<u64>,
    /// What a clock that was set back loses between two failures it cannot show.
    lost: u64,
    /// Times by the table's clock at which credentials were counted.
    marks: [Option<u64>; 4],
    /// Those that a clock which was set back may have lost.
    unsure: [bool; 4],
    banned_until: Option<u64>,
}

impl Model {
    fn within(times: &[u64], now: u64, span: u64) -> u32 {
        times.iter().rev().take_while(|t| now.saturating_sub(**t) < span).count() as u32
    }

    /// Whether credentials are the same as lately; None if it is too near to tell.
    fn is_same(&self, print: u8, now: u64, same: u64) -> Option<bool> {
        if self.unsure[print as usize] {
            return None;
        }
        let Some(at) = self.marks[print as usize] else { return Some(false) };
        let age = now.abs_diff(at);
        match now >= at {
            _ if age.abs_diff(same) <= 100 || (now < at && age <= 100) => None,
            true => Some(age < same),
            false => Some(false),
        }
    }
}

proptest! {
    /// The error is one-sided and bounded; bans hold for their time and end in the
    /// right count.
    #[test]
    fn no_aor_below_the_limit_is_banned_and_none_fails_much_more(
        steps in steps(),
        limit in 1u32..60,
        window in 2u32..12,
        block in 1u32..20,
        restart in 0u32..60,
        same in prop_oneof![Just(0u32), 1u32..20],
        tick in 1u32..=10,
    ) {
        // Mappings are never given back: all cases share one.
        static TABLE: OnceLock<(AuthTable, SharedRules)> = OnceLock::new();
        let (table, shared) = TABLE.get_or_init(|| {
            let shared = SharedRules::new(AuthSettings::new(1, 1, 1, 0)).unwrap();
            (AuthTable::new(8, SEED).unwrap(), shared)
        });
        table.forget(None, None, |_| {});
        shared.change(|s| {
            *s.default_mut() = ClassValues::of_bans(limit, window, block, restart);
            (s.common.same, s.tick) = (same, tick);
        });
        let mut rules = Rules::NONE;
        shared.refresh(&mut rules);
        let alice = Tried::new(table, &rules, ALICE, "192.0.2.7");
        let mut model = Model::default();
        let (mut real, mut offset, mut told, mut last) = (1_000_000_000u64, 0i64, 0i64, 0u64);
        let window = u64::from(window) * 1000;
        let shorter = (window - u64::from(tick)) * (SLICES as u64 - 1) / SLICES as u64;
        let shorter = shorter.saturating_sub(u64::from(tick));
        for step in steps {
            let (count, gap, print) = match step {
                Step::Failures(count, gap, print) => (count, u64::from(gap), print),
                Step::Pause(ms) => {
                    real += u64::from(ms);
                    continue;
                }
                Step::Clock(by) => {
                    offset += by;
                    continue;
                }
                Step::Success => {
                    let now = real.wrapping_add_signed(offset) / u64::from(tick) * u64::from(tick);
                    let banned = alice.succeeds(now).outcome == AuthOutcome::Banned;
                    match banned {
                        true if offset < told => model.banned_until = None,
                        true => {}
                        false => model = Model::default(),
                    }
                    continue;
                }
            };
            for _ in 0..count {
                real += gap;
                // The clock shows its last tick.
                let now = real.wrapping_add_signed(offset) / u64::from(tick) * u64::from(tick);
                // Within one slice the table does not see that time runs backwards.
                if last > now + window / SLICES as u64 {
                    model.all.clear();
                    model.lost = 0;
                } else if offset < told {
                    model.lost += told.abs_diff(offset);
                }
                if offset != told {
                    model.since_set.clear();
                }
                if offset < told {
                    // How a ban follows a clock that is set back is another test's.
                    model.banned_until = None;
                    for (unsure, mark) in model.unsure.iter_mut().zip(model.marks) {
                        *unsure |= mark.is_some_and(|at| at + 100 > now);
                    }
                }
                (last, told) = (now, offset);
                let fingerprint = print.map(|n| table.fingerprint([&[n][..]].into_iter()));
                let (checked, changes) = alice.fails_with(fingerprint, now);
                if let Some(until) = model.banned_until {
                    prop_assert_eq!(checked.outcome == AuthOutcome::Banned, now < until);
                }
                if let Some(ended) = changes.ended {
                    // As if these had failed when the ban ended.
                    let ago = now.saturating_sub(ended.until);
                    let restart = restart.min(limit - 1) as usize;
                    model.all = vec![real.saturating_sub(ago); restart];
                    (model.since_set, model.lost) = (model.all.clone(), 100);
                    model.banned_until = None;
                }
                let same_before = print.and_then(|n| model.is_same(n, now, u64::from(same) * 1000));
                match checked.outcome {
                    AuthOutcome::Banned => continue,
                    AuthOutcome::Repeat => {
                        prop_assert!(print.is_some() && same > 0);
                        prop_assert_ne!(same_before, Some(false));
                        continue;
                    }
                    AuthOutcome::Counted => {
                        let recent = Model::within(&model.since_set, real, shorter);
                        prop_assert!(recent + 1 < limit, "{recent} in 13/14 of a window");
                    }
                    AuthOutcome::Started => {
                        let before = Model::within(&model.all, real, window + model.lost);
                        prop_assert!(before + 1 >= limit, "banned after {before} of {limit}");
                        let until = (now + u64::from(block) * 1000).div_ceil(100) * 100;
                        prop_assert_eq!(checked.until, until);
                        model.banned_until = Some(until);
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
                if same > 0 {
                    prop_assert_ne!(same_before, Some(true), "counted twice in its time");
                }
                if let Some(n) = print {
                    (model.marks[n as usize], model.unsure[n as usize]) = (Some(now), false);
                }
                model.all.push(real);
                model.since_set.push(real);
            }
        }
    }
}

#[test]
fn a_clock_that_is_set_back_makes_no_ban_longer() {
    let (table, rules) = (AuthTable::new(8, SEED).unwrap(), rules());
    let alice = Tried::new(&table, &rules, ALICE, "192.0.2.7");
    alice.fails_times(100, 90_000_000);
    assert_eq!(alice.check(10_000_000).0.outcome, AuthOutcome::Banned);
    assert_eq!(alice.check(10_000_000 + 43_200_000).0.outcome, AuthOutcome::Clear);
}

#[test]
fn who_fails_just_below_the_limit_for_days_is_never_banned() {
    let (table, rules) = (AuthTable::new(8, SEED).unwrap(), rules());
    let phone = Tried::new(&table, &rules, ALICE, "192.0.2.7");
    // A phone with an old password that tries every 20 s, each time with a new nonce.
    for n in 0..50_000u64 {
        assert_eq!(phone.fails(77 + n * 20_000).outcome, AuthOutcome::Counted, "{n}");
    }
    let faster = Tried::new(&table, &rules, b"bob@x", "192.0.2.7");
    let banned = (0..200u64).position(|n| faster.fails(n * 16_000).outcome == AuthOutcome::Started);
    assert_eq!(banned, Some(99));
}

#[test]
fn classes_have_limits_of_their_own_and_exempt_sources_are_banned_by_operators_only() {
    let mut settings = AuthSettings::new(5, 60, 60, 0);
    assert!(settings.set_class(1, &ParsedClass::parse("office=limit:20;restart:90").unwrap()));
    let (table, rules) = (AuthTable::new(64, SEED).unwrap(), rules_of(settings));
    let mut tried = Tried::new(&table, &rules, ALICE, "192.0.2.7");
    let started = |tried: &Tried| (1..100).find(|_| tried.fails(0).outcome == AuthOutcome::Started);
    tried.class = Some(ClassId(1));
    assert_eq!(started(&tried), Some(20));
    // At most one below the limit.
    assert_eq!(tried.check(60_000).0.failures, 19);
    table.forget(None, None, |_| {});
    tried.class = DEFAULT;
    assert_eq!(started(&tried), Some(5));
    // The source is entered as another one: nothing of the old class stays.
    tried.class = None;
    let (checked, changes) = tried.check(0);
    assert_eq!((checked.outcome, changes.ended.is_some()), (AuthOutcome::Exempt, true));
    assert!((0..100).all(|_| tried.fails(0).outcome == AuthOutcome::Exempt));
    assert_eq!((tried.succeeds(0).outcome, table.usage().used), (AuthOutcome::Exempt, 0));

    let manual = Ban {
        aor: Aor::new(ALICE, false, table.aor_hash(ALICE)),
        source: source("192.0.2.7"),
        class: None,
        since: 0,
        until: 5000,
        seen: 0,
        reason: Reason::Manual,
    };
    assert_eq!(table.ban(&manual, &rules, 0), Ok(None));
    for class in [None, DEFAULT, Some(ClassId(1))] {
        tried.class = class;
        assert_eq!(tried.check(4999).0.outcome, AuthOutcome::Banned);
        assert_eq!(tried.fails(4999).outcome, AuthOutcome::Banned);
    }
    let shown = table.look(&table.login(ALICE, source("192.0.2.7")), None, &rules, || 0).0;
    assert_eq!(shown.unwrap().seen, 6);
    assert_eq!(table.ban(&manual, &rules, 0).unwrap().unwrap().seen, 6);
    assert_eq!(table.usage().blocked, 1);
}

#[test]
fn long_aors_are_told_apart_and_shown_shortened() {
    let (table, rules) = (AuthTable::new(64, SEED).unwrap(), rules());
    let [a, b] = [b'a', b'b'].map(|end| [&[b'x'; 300][..], &[end]].concat());
    let first = Tried::new(&table, &rules, &a, "192.0.2.7");
    first.fails_times(100, 0);
    assert_eq!(Tried::new(&table, &rules, &b, "192.0.2.7").check(0).0.outcome, AuthOutcome::Clear);
    let ban = bans(&table, 0)[0];
    assert_eq!((ban.aor.bytes(), ban.aor.is_cut()), (&a[..100], true));
    // It comes back from what a listing knows.
    table.forget(None, None, |_| {});
    table.ban(&ban, &rules, 0).unwrap();
    assert_eq!(first.check(0).0.outcome, AuthOutcome::Banned);
    assert!(bans(&table, 0)[0].aor.is_cut());
}

#[test]
fn bans_are_kept_where_the_table_is_full_and_what_has_no_room_passes() {
    let (table, rules) =
        (AuthTable::new(8, SEED).unwrap(), rules_of(AuthSettings::new(3, 60, 60, 0)));
    let aors: Vec<Vec<u8>> = (0..9).map(|n| format!("user{n}@x").into_bytes()).collect();
    let tried: Vec<_> = aors.iter().map(|a| Tried::new(&table, &rules, a, "192.0.2.7")).collect();
    // Seven bans and one that fails twice.
    for tried in &tried[..7] {
        tried.fails_times(3, 0);
    }
    tried[7].fails_times(2, 0);
    assert_eq!((table.usage().blocked, table.usage().used), (7, 8));
    // Another one takes its place, for want of a better; then it comes back.
    let (checked, _) = tried[8].fails_with(None, 0);
    assert_eq!(
        (checked.outcome, checked.failures, checked.evicted),
        (AuthOutcome::Counted, 1, true)
    );
    assert_eq!(tried[7].fails(0).failures, 1);
    tried[7].fails_times(2, 0);
    assert_eq!(table.usage().blocked, 8);
    for _ in 0..100 {
        assert_eq!(tried[8].fails(0).outcome, AuthOutcome::Untracked);
    }
    assert_eq!(tried[8].check(0).0.outcome, AuthOutcome::Clear);
    assert!(tried[..8].iter().all(|tried| tried.check(0).0.outcome == AuthOutcome::Banned));
    assert_eq!(bans(&table, 0).len(), 8);
    // Where one ends there is room.
    assert_eq!(tried[0].check(60_000).0.outcome, AuthOutcome::Clear);
    assert_eq!(tried[8].fails(60_000).outcome, AuthOutcome::Counted);
    assert_eq!(table.usage().used, 8);
}

#[test]
fn a_flood_of_other_aors_pushes_out_none_that_fails_often() {
    let (table, rules) = (AuthTable::new(1024, SEED).unwrap(), rules());
    let victim = Tried::new(&table, &rules, ALICE, "192.0.2.7");
    let mut banned = None;
    for n in 0..200_000u32 {
        let aor = n.to_string().into_bytes();
        Tried::new(&table, &rules, &aor, "192.0.2.7").fails(0);
        if n % 2000 == 0 && victim.fails(0).outcome == AuthOutcome::Started {
            banned = Some(n / 2000 + 1);
        }
    }
    assert_eq!(banned, Some(100));
    let usage = table.usage();
    assert_eq!((usage.used, usage.capacity), (1024, 1024));
    // An entry, its tag, and its bit among the bans.
    assert!(usage.bytes <= 260 * 1024 + 1024 / 8, "{usage:?}");
}
