//! What a hostile server of shared limits answers: bytes of its protocol, answers of the right
//! form with any numbers, and notices.

use std::collections::{BTreeMap, BTreeSet};

use sipwarden::cluster::{Ask, Books, Counts, Key, Node, Phase, Setup, Times, Value, Want, decode};
use sipwarden::host::plain_answer;
use sipwarden::notices::{Book, Notice, Seal, heard};

use super::bytes::Bytes;

pub fn run(data: &[u8]) {
    let mut input = Bytes(data);
    match input.below(4) {
        0 => protocol(input.rest()),
        1 => notices(input),
        _ => session(input),
    }
}

/// As the connection reads it.
fn protocol(bytes: &[u8]) {
    if let Ok(value) = redis::parse_redis_value(bytes) {
        let _ = plain_answer(value).as_ref().and_then(decode);
    }
}

fn notices(mut input: Bytes<'_>) {
    let head: [String; 5] = std::array::from_fn(|_| input.text());
    let told: Vec<String> = (0..input.below(6)).map(|_| input.text()).collect();
    let (seal, pairs) = (Seal([1, 2]), told.len() / 2);
    let Some(heard) = heard(head.each_ref().map(String::as_str), told) else { return };
    assert_eq!(heard.told.len(), pairs);
    let mut book = Book::default();
    for (name, text) in &heard.told {
        // Nobody guesses a seal.
        assert!(Notice::read(name, text, seal).is_none());
        let version = u64::from_le_bytes(input.array());
        let until = u64::from_le_bytes(input.array());
        let line = Some(text.clone()).filter(|_| input.one_in(2));
        let notice = Notice { name: name.clone(), version, until, line };
        assert_eq!(Notice::read(name, &notice.write(seal), seal), Some(notice.clone()));
        let _ = book.hear(&notice);
    }
    let lifted = book.lift(heard.now, |_| true);
    assert!(lifted.iter().all(|notice| notice.line.is_none()));
    book.forget(heard.now);
}

/// The slots of all scopes, in the same order each time.
#[derive(Default)]
pub struct Slots(pub BTreeMap<Key, Counts>);

impl Books for Slots {
    fn with<R>(&mut self, key: Key, change: impl FnOnce(&mut Counts) -> R) -> R {
        change(self.0.entry(key).or_default())
    }

    fn marked(&mut self, _: &mut BTreeSet<Key>) -> bool {
        false
    }

    fn all(&self) -> Vec<Key> {
        self.0.keys().copied().collect()
    }
}

fn number(input: &mut Bytes<'_>) -> Value {
    match input.byte() {
        byte @ 0..=239 => Value::Number((byte % 4).into()),
        240..=247 => Value::Number(i64::from_le_bytes(input.array())),
        _ => Value::Text(input.some().to_vec()),
    }
}

fn numbers(input: &mut Bytes<'_>) -> Value {
    Value::List((0..input.below(5)).map(|_| number(input)).collect())
}

/// What the script says in a phase, mostly.
fn answer(input: &mut Bytes<'_>, phase: Phase) -> Value {
    let expected = match phase {
        Phase::Down | Phase::Joining => "joined",
        Phase::Publishing => input.of(&["set", "member", "unknown"]),
        Phase::Member => input.of(&["batch", "beaten"]),
    };
    let others = ["taken", "differs", "rejoin", "fenced", "left", "set", "member", "joined", "x"];
    let kind = if input.one_in(16) { input.of(&others) } else { expected };
    let mut items = vec![Value::Text(kind.into())];
    let (before, lists) = match kind {
        "joined" => (5, 1),
        "beaten" => (2, 1),
        "member" | "unknown" => (2, 0),
        "batch" => (2, 2),
        _ => (usize::from(input.one_in(8)), 0),
    };
    items.extend((0..before).map(|_| number(input)));
    items.extend((0..lists).map(|_| numbers(input)));
    Value::List(items)
}

/// A node that asks for slots and gets any answers: it goes on, and forgets no ask.
fn session(mut input: Bytes<'_>) {
    let setup = Setup { instance: 1, name: "a".into(), fingerprint: 7, times: Times::default() };
    let (mut node, mut slots, mut asked) = (Node::default(), Slots::default(), 0);
    let mut open = BTreeSet::new();
    for now in 0..200 {
        if input.is_empty() {
            break;
        }
        if node.session().phase() == Phase::Down {
            node.join(&setup, "server", now | 1, now);
        }
        let mut told = Vec::new();
        for _ in 0..input.below(3) {
            asked += 1;
            let wants = (0..1 + input.below(2))
                .map(|_| Want { key: Key::new(u128::from(input.byte() % 5) << 64, 0), limit: 2 });
            let wants: Vec<_> = wants.collect();
            wants.iter().for_each(|want| slots.with(want.key, Counts::wait));
            node.ask(Ask { id: asked, ..Ask::new(asked, wants) });
            open.insert(asked);
        }
        let (_, answers) = node.next(&mut slots);
        told.extend(answers);
        let phase = node.session().phase();
        if let Some(reply) = decode(&answer(&mut input, phase)) {
            let proven = !input.one_in(32);
            let outcome = match phase {
                Phase::Down | Phase::Joining => node.joined(reply, proven, now, &mut slots),
                _ if input.one_in(4) => node.beaten(reply, proven, now),
                _ => node.reply(reply, &mut slots),
            };
            told.extend(outcome.answers);
        }
        for (id, _) in told {
            assert!(open.remove(&id), "an answer to nobody");
        }
        for key in slots.all() {
            let change = input.byte();
            slots.with(key, |counts| match change % 8 {
                0 => counts.admit_waiting(),
                1 => counts.end(),
                2 => counts.count_anyway(),
                3 => counts.leave(),
                _ => {}
            });
        }
    }
    let left: BTreeSet<u64> = node.asks().iter().map(|ask| ask.id).collect();
    assert_eq!(left, open);
    let ended: BTreeSet<u64> = node.end().answers.iter().map(|(id, _)| *id).collect();
    assert_eq!(ended, open);
    assert!(node.asks().is_empty());
}
