//! A server of shared limits that answers whatever it likes.

use sipwarden::cluster::{
    Ask, Books, Counts, Key, Node, Phase, Reply, Seen, Setup, Stamp, Take, Times, Value, Want,
    decode,
};

use crate::fuzzed::targets::redis::Slots;
use crate::random::next;

/// The script's answers, with the number of their parts.
const KINDS: [(&str, u64); 12] = [
    ("joined", 6),
    ("set", 0),
    ("member", 2),
    ("unknown", 2),
    ("beaten", 3),
    ("batch", 4),
    ("taken", 0),
    ("rejoin", 0),
    ("fenced", 0),
    ("left", 0),
    ("differs", 7),
    ("x", 1),
];

fn number(state: &mut u64) -> Value {
    let any = next(state) as i64;
    match next(state) % 9 {
        0 if any % 8 == 2 => Value::Number(any),
        1 if any % 8 == 0 => Value::Text(u64::MAX.to_string().into_bytes()),
        1 if any % 8 == 1 => Value::Text(b"12x".to_vec()),
        _ => Value::Number(any.rem_euclid(4)),
    }
}

fn part(state: &mut u64, depth: u32) -> Value {
    match next(state) % 3 {
        0 if depth > 0 => {
            Value::List((0..next(state) % 4).map(|_| part(state, depth - 1)).collect())
        }
        _ => number(state),
    }
}

/// Mostly of the right form and in its place: else nothing is reached.
fn answer(state: &mut u64, phase: Phase) -> Value {
    let expected = match phase {
        Phase::Joining | Phase::Down => 0,
        Phase::Publishing => 1 + next(state) as usize % 3,
        Phase::Member => 5,
    };
    let any = next(state) as usize % KINDS.len();
    let (kind, parts) = KINDS[if next(state) % 20 == 0 { any } else { expected }];
    let mut items = vec![Value::Text(kind.into())];
    for at in 0..parts {
        let is_list = matches!((kind, at), ("joined", 5) | ("beaten", 2) | ("batch", 2 | 3));
        items.push(match is_list {
            true => Value::List((0..next(state) % 5).map(|_| number(state)).collect()),
            _ if next(state) % 50 == 0 => part(state, 3),
            _ => number(state),
        });
    }
    Value::List(items)
}

/// What such a server grants is not bounded by any limit; but the node goes on, and each call
/// that waits gets an answer when the session ends.
#[test]
fn whatever_the_server_answers_the_node_goes_on() {
    let times = Times::default();
    let setup = Setup { instance: 1, name: "a".into(), fingerprint: 7, times };
    let (mut state, mut node, mut slots) = (0x5eed_u64, Node::default(), Slots::default());
    let (mut members, mut batches, mut asked) = (0, 0, 0u64);
    for now in 0..200_000u64 {
        if node.session().phase() == Phase::Down {
            node.join(&setup, "server", now | 1, now);
        }
        if next(&mut state) % 3 == 0 {
            asked += 1;
            let key = Key::new(u128::from(next(&mut state) % 5) << 64, 0);
            slots.with(key, Counts::wait);
            node.ask(Ask::new(asked, [Want { key, limit: 2 }]));
        }
        let waiting = node.is_waiting();
        node.next(&mut slots);
        members += u32::from(node.session().is_member());
        batches += u32::from(!waiting && node.is_waiting() && node.session().is_member());
        let Some(reply) = decode(&answer(&mut state, node.session().phase())) else { continue };
        match node.session().phase() {
            Phase::Joining => drop(node.joined(reply, true, now, &mut slots)),
            _ if next(&mut state) % 4 == 0 => drop(node.beaten(reply, true, now)),
            _ => drop(node.reply(reply, &mut slots)),
        }
        for key in slots.all() {
            slots.with(key, |counts| counts.waiting = counts.waiting.min(5));
        }
    }
    assert!(members > 1000 && batches > 100, "{members} {batches}");
    let open: Vec<u64> = node.asks().iter().map(|ask| ask.id).collect();
    let told: Vec<u64> = node.end().answers.iter().map(|(id, _)| *id).collect();
    assert_eq!(told, open);
    assert!(node.asks().is_empty());
    assert_eq!(decode(&Value::Number(7)), None);
}

/// One answer of a batch is right and the next one is not: both calls get one.
#[test]
fn a_batch_that_is_wrong_half_way_is_answered_to_all() {
    let setup = Setup { instance: 1, name: "a".into(), fingerprint: 7, times: Times::default() };
    for wrong in
        [Take::Full { place: 1, total: 9 }, Take::Granted(vec![]), Take::Granted(vec![1; 2])]
    {
        let (mut node, mut slots) = (Node::default(), Slots::default());
        node.join(&setup, "server", 1, 0);
        let seen = Seen { barrier: false, newest: 1 };
        let stamp = Stamp { number: 1, session: 1, incarnation: 1, knows: 1 };
        node.joined(Reply::Joined { stamp, seen, members: vec![1] }, true, 0, &mut slots);
        node.next(&mut slots);
        node.reply(Reply::Member(seen), &mut slots);
        assert!(node.session().is_member());
        for (id, scope) in [(1, 1u128), (2, 2)] {
            let key = Key::new(scope << 64, 0);
            slots.with(key, Counts::wait);
            node.ask(Ask::new(id, [Want { key, limit: 2 }]));
        }
        assert!(node.next(&mut slots).0.is_some());
        let takes = vec![Take::Granted(vec![1]), wrong];
        let outcome = node.reply(Reply::Batch { seen, claims: Vec::new(), takes }, &mut slots);
        let told: Vec<u64> = outcome.answers.iter().map(|(id, _)| *id).collect();
        assert_eq!((told, node.session().phase()), (vec![1, 2], Phase::Down));
    }
}
