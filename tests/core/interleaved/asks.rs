//! Questions of workers to the broker, and its answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shuttle::sync::atomic::{AtomicU32, Ordering::SeqCst};
use shuttle::thread;
use sipwarden::cluster::{Answer, Ask, Key, Want};
use sipwarden::desk::Slots;

use super::{check, spawn};

/// Of a question: its key and its limits are alike.
fn wants(number: u32) -> [Want; 2] {
    [0, 1].map(|n| Want { key: Key(u128::from(2 * number + n) << 64), limit: number })
}

/// What the broker says of a question that is whole.
fn answer_to(ask: &Ask) -> Answer {
    let number = ask.wants[0].limit;
    assert_eq!(ask.wants, wants(number));
    Answer::Full { key: ask.wants[0].key, total: number }
}

fn ask(slots: &Slots, number: u32, patience: Duration) -> Option<Answer> {
    let question = slots.put(wants(number).into_iter()).expect("a slot for each worker");
    slots.wait(question, Instant::now() + patience)
}

/// One worker waits as long as it takes, another leaves before the answer, both of them twice:
/// nobody gets the answer to another question, and no slot is lost.
#[test]
fn each_question_gets_its_own_answer_or_none() {
    check(|| {
        let slots = Arc::new(Slots::new().unwrap());
        let begun = Arc::new(AtomicU32::new(0));
        let workers: Vec<_> = [Duration::from_secs(3600), Duration::ZERO]
            .into_iter()
            .zip([1, 11])
            .map(|(patience, first)| {
                let begun = Arc::clone(&begun);
                spawn(&slots, move |slots| {
                    for number in first..first + 2 {
                        let answer = ask(slots, number, patience);
                        let own = Answer::Full { key: wants(number)[0].key, total: number };
                        assert!(answer == Some(own) || answer.is_none() && patience.is_zero());
                    }
                    begun.fetch_add(1, SeqCst);
                })
            })
            .collect();
        let mut late = Vec::new();
        while begun.load(SeqCst) < 2 {
            let mut asked = Vec::new();
            slots.take(|ask| asked.push(ask));
            for ask in &asked {
                slots.answer(ask.id, answer_to(ask));
            }
            late.extend(asked);
            thread::yield_now();
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        // Answers that come twice, or too late, are for nobody.
        for ask in late {
            assert!(!slots.is_waited_for(ask.id));
            slots.answer(ask.id, Answer::Down);
        }
        let last: Vec<_> = (0..2).map(|n| slots.put(wants(n).into_iter()).unwrap()).collect();
        assert!(slots.put(wants(3).into_iter()).is_none());
        let mut asked = 0;
        slots.take(|ask| {
            slots.answer(ask.id, answer_to(&ask));
            asked += 1;
        });
        assert_eq!(asked, 2);
        for (number, question) in (0..).zip(last) {
            let Answer::Full { total, .. } = slots.wait(question, Instant::now()).unwrap() else {
                panic!("another answer");
            };
            assert_eq!(total, number);
        }
    });
}
