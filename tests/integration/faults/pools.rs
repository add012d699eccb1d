//! Kamailio's own pools of memory, shared and private, used up.

use super::*;

/// What became of many calls at once.
#[derive(Default, Debug)]
struct Storm {
    up: usize,
    refused: usize,
    unanswered: usize,
}

/// Places calls that stay until the pool is used up, and more; then ends all.
#[test]
fn without_shared_memory_calls_are_refused_and_every_slot_comes_back() {
    let mut site = Site::new();
    site.config.arguments = ["-m", "12"].map(str::to_owned).to_vec();
    let mut kamailio = site.config.start();
    let endpoint = Endpoint::new("127.0.0.1");
    let (mut storm, mut up) = (Storm::default(), Vec::new());
    while storm.refused + storm.unanswered < 100 && up.len() < 20_000 {
        let mut call = Caller::new(&endpoint, kamailio.address(), "d", "");
        match judged(&mut call) {
            Some(200) => {
                call.ack();
                storm.up += 1;
                up.push(call);
            }
            Some(_) => storm.refused += 1,
            None => storm.unanswered += 1,
        }
    }
    assert!(storm.refused + storm.unanswered >= 100, "{storm:?}");
    assert!(kamailio.runs(), "{}", kamailio.log());
    // Each of those that were answered counts; of the others, those whose dialog has not gone yet.
    // Over the socket of kamcmd, which needs no shared memory.
    let told = kamailio.kamcmd(&["sipwarden.stats"]);
    let mut lines = told.lines().filter_map(|line| line.trim().strip_prefix("calls: "));
    let counted: usize = lines.next().unwrap_or_else(|| panic!("{told}")).parse().unwrap();
    assert!(
        (storm.up..=storm.up + storm.refused + storm.unanswered).contains(&counted),
        "{counted} of {storm:?}"
    );
    for call in &mut up {
        end(call);
    }
    let stats = wait_for_no_calls(&kamailio);
    assert_eq!(stats["call_scopes"], 0, "{stats}");
    let found = kamailio.rpc("sipwarden.reconcile", json!([]));
    assert_eq!(found["without_dialog"], 0, "{found}");
    under_calls(&kamailio, || ());
    assert!(kamailio.runs());
    let log = kamailio.log();
    assert!(!log.contains("BUG: "), "{:?}", log.lines().find(|line| line.contains("BUG: ")));
}

/// Asked again while there is no memory for the connection.
fn stats(kamailio: &Kamailio) -> serde_json::Value {
    wait_for("an answer", || kamailio.try_rpc("sipwarden.stats", json!([])).ok())
}

fn wait_for_no_calls(kamailio: &Kamailio) -> serde_json::Value {
    // Dialogs whose BYE found no memory either end by their lifetime.
    let limit = std::time::Duration::from_secs(120);
    crate::support::wait_up_to(limit, "all calls to go", || {
        Some(stats(kamailio)).filter(|stats| stats["calls"] == 0)
    })
}

/// The status of the final reply, None if there is none however often it is asked.
fn judged(call: &mut Caller<'_>) -> Option<u16> {
    for _ in 0..3 {
        call.invite();
        if let Some(reply) = call.final_reply_within(std::time::Duration::from_millis(500)) {
            return reply.status();
        }
    }
    None
}

/// A BYE, again until it is answered: once calls have ended, by their lifetime at the latest, there
/// is memory for it.
fn end(call: &mut Caller<'_>) {
    let what = format!("an answer to the BYE of {}", call.call_id);
    crate::support::wait_up_to(std::time::Duration::from_secs(120), &what, || {
        call.within("BYE");
        let answered = call.answer_within("BYE", std::time::Duration::from_millis(500));
        answered.filter(|reply| reply.status() < Some(500)).map(drop)
    });
}

/// From what the modules need to start, up.
#[test]
fn without_private_memory_jobs_fail_and_calls_go_on() {
    let site = Site::new();
    site.db.run(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
        INSERT INTO sipwarden_company SELECT printf('company-%0.50d', i), 'b', 0, 0 FROM n;",
    );
    let mut started = 0;
    for mib in 1..=8 {
        let mut config = proxy::config(&site.db.url(), site.callee.address);
        config.settings = site.config.settings.clone();
        config.arguments = ["-M".to_owned(), mib.to_string()].to_vec();
        let Some(mut kamailio) = config.try_start() else { continue };
        started += 1;
        under_calls(&kamailio, || {
            for _ in 0..3 {
                let answer = kamailio.kamcmd(&["sipwarden.reload"]);
                assert!(answer.contains("generation: ") || answer.contains("error: "), "{answer}");
                kamailio.kamcmd(&["sipwarden.lint"]);
                kamailio.kamcmd(&["sipwarden.settings"]);
            }
        });
        assert!(kamailio.runs());
        proxy::assert_nothing_left(&kamailio);
        assert_ends(&mut kamailio);
        if started >= 2 && !is_long() {
            break;
        }
    }
    assert!(started >= 2, "{started}");
}
