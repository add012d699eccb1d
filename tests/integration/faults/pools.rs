//! Kamailio's own pools of memory, shared and private, used up.

use super::*;

/// Calls that stay, until there is no memory for another one.
struct Storm<'a> {
    kamailio: &'a Kamailio,
    endpoint: &'a Endpoint,
    up: Vec<Caller<'a>>,
    refused: usize,
    /// Those for which there was a dialog, and no memory for the rest: Kamailio itself answers with
    /// 500, or not at all.
    lost: usize,
}

impl Storm<'_> {
    /// Whether one more call is refused by the script, which is so for one reason only.
    fn is_refused(&mut self) -> bool {
        let mut call = Caller::new(self.endpoint, self.kamailio.address(), "d", "");
        let line = judged(&mut call);
        let Some(line) = line.filter(|line| !line.starts_with("SIP/2.0 500 ")) else {
            self.lost += 1;
            return false;
        };
        if line.starts_with("SIP/2.0 200 ") {
            call.ack();
            self.up.push(call);
            return false;
        }
        assert!(line.starts_with("SIP/2.0 403 Refused: internal_error "), "{line}");
        self.refused += 1;
        true
    }
}

/// Places calls that stay until the pool is used up, and more; then ends all. A reload in between
/// needs none of it.
#[test]
fn without_shared_memory_calls_are_refused_and_every_slot_comes_back() {
    let mut site = Site::new();
    site.config.arguments = ["-m", "12"].map(str::to_owned).to_vec();
    let mut kamailio = site.config.start();
    let endpoint = Endpoint::new("127.0.0.1");
    let mut storm =
        Storm { kamailio: &kamailio, endpoint: &endpoint, up: Vec::new(), refused: 0, lost: 0 };
    while storm.refused < 100 {
        storm.is_refused();
        assert!(storm.up.len() < 20_000 && storm.lost < 200, "{}", kamailio.log());
    }
    site.db.run("INSERT INTO sipwarden_company VALUES ('new', 'b', 1, 0);");
    // Memory of calls that were judged comes back: a refusal before and after says that there was none.
    wait_for("a reload between two refusals", || {
        let before = storm.is_refused();
        let answer = kamailio.kamcmd(&["sipwarden.reload"]);
        assert!(answer.contains("generation: "), "{answer}");
        (storm.is_refused() && before).then_some(())
    });
    let told = kamailio.kamcmd(&["sipwarden.check", "new", "127.0.0.1"]);
    assert!(told.contains("denied_no_ranges"), "{told}");
    let Storm { mut up, refused, lost, .. } = storm;
    let answered = up.len();
    // Each of those that were answered counts; of the others, those whose dialog has not gone yet.
    // Over the socket of kamcmd, which needs no shared memory.
    let told = kamailio.kamcmd(&["sipwarden.stats"]);
    let mut lines = told.lines().filter_map(|line| line.trim().strip_prefix("calls: "));
    let counted: usize = lines.next().unwrap_or_else(|| panic!("{told}")).parse().unwrap();
    assert!(
        (answered..=answered + refused + lost).contains(&counted),
        "{counted} of {answered}, {refused}, {lost}"
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
    assert!(!log.contains("BUG"), "{log}");
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

/// The line of the final reply, None if there is none however often it is asked.
fn judged(call: &mut Caller<'_>) -> Option<String> {
    for _ in 0..3 {
        call.invite();
        if let Some(reply) = call.final_reply_within(std::time::Duration::from_millis(500)) {
            return Some(reply.line);
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

/// Tables of another module take what there is, as near to all of it as can be; then less and less.
/// It starts and serves, or does not start and says why.
#[test]
fn with_hardly_any_shared_memory_it_does_not_start_or_serves() {
    let site = Site::new();
    let config = |taken: u32| {
        let mut config = proxy::config(&site.db.url(), site.callee.address);
        config.settings = site.config.settings.clone();
        config.routes = site.config.routes.clone();
        config.arguments = ["-m", "4"].map(str::to_owned).to_vec();
        config.modules.push_str("loadmodule \"htable.so\"\n");
        for bit in (0..u32::BITS).rev().filter(|bit| taken >> bit & 1 == 1) {
            let table = format!("t{bit}=>size={};", bit + 5);
            config.modules.push_str(&format!("modparam(\"htable\", \"htable\", \"{table}\")\n"));
        }
        config
    };
    let ends = |taken: u32| {
        let mut kamailio = config(taken).begin();
        let log = wait_for("a start or an end", || {
            let log = kamailio.log();
            (!kamailio.runs() || log.contains("generation 1 loaded")).then_some(log)
        });
        log.contains("no more shared memory for [t")
    };
    // As much as that module can have.
    let (mut most, mut too_much) = (0, 1 << 14);
    assert!(ends(too_much));
    while too_much - most > 1 {
        let between = most.midpoint(too_much);
        *(if ends(between) { &mut too_much } else { &mut most }) = between;
    }
    let (mut stopped, mut served) = (0, 0);
    for less in [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] {
        let Some(mut kamailio) = config(most.saturating_sub(less)).try_start() else {
            stopped += 1;
            continue;
        };
        served += 1;
        let told = kamailio.kamcmd(&["sipwarden.reload"]);
        assert!(told.contains("generation: 2"), "{told}");
        assert!(kamailio.runs());
    }
    assert!(stopped > 0 && served > 0, "{stopped} {served}");
    let log = config(most).fail_to_start();
    assert!(log.contains("no shared memory for ") && log.contains("module sipwarden"), "{log}");
}

/// A script takes more and more of a small pool, until what a reload needs is not there any more.
#[test]
fn without_private_memory_reloads_fail_and_calls_go_on() {
    let site = Site::new();
    let (mut lines, mut step) = (40, 40);
    loop {
        let mut config = proxy::config(&site.db.url(), site.callee.address);
        config.settings = site.config.settings.clone();
        let fill = "    $var(x) = \"0123456789\";\n".repeat(lines);
        config.routes = format!("{}\nroute[FILL] {{\n{fill}}}\n", site.config.routes);
        config.arguments = ["-M", "2"].map(str::to_owned).to_vec();
        let Some(kamailio) = config.try_start() else {
            // Too much for a start: not so far.
            (lines, step) = (lines - step / 2, step / 2);
            assert!(step > 0, "each start had enough for a reload");
            continue;
        };
        if reload_fails(&site, kamailio) {
            break;
        }
        lines += step;
    }
}

/// Whether a reload of many rows has no memory, which the log says then. With few rows it succeeds.
fn reload_fails(site: &Site, mut kamailio: Kamailio) -> bool {
    site.db.run(
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
        INSERT INTO sipwarden_company SELECT printf('company-%0.50d', i), 'b', 0, 0 FROM n;",
    );
    let answer = under_calls(&kamailio, || {
        let answer = kamailio.kamcmd(&["sipwarden.reload"]);
        kamailio.kamcmd(&["sipwarden.lint"]);
        kamailio.kamcmd(&["sipwarden.settings"]);
        answer
    });
    let failed = answer.contains("error: 500 ");
    assert!(failed != answer.contains("generation: "), "{answer}");
    if failed {
        assert!(kamailio.log().contains("private memory"), "{}", kamailio.log());
    }
    let first = format!("company-{:050}", 0);
    let told = kamailio.kamcmd(&["sipwarden.company", &first]);
    assert_eq!(failed, told.contains("error: 404"), "{told}");
    site.db.run("DELETE FROM sipwarden_company WHERE id LIKE 'company-%';");
    let answer = kamailio.kamcmd(&["sipwarden.reload"]);
    assert!(answer.contains("generation: "), "{answer}");
    // Over the socket of kamcmd: HTTP may have no memory for a long answer.
    wait_for("the calls to go", || {
        kamailio.kamcmd(&["sipwarden.company", "d"]).contains("\tcalls: 0\n").then_some(())
    });
    assert_ends(&mut kamailio);
    failed
}
