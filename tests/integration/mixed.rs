//! Ten thousand calls with endings drawn at random end with nothing counted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::kamailio::{Config, Kamailio};
use crate::support::mixture::{Mixture, Next};
use crate::support::proxy::{assert_nothing_left, config, count_by};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for, wait_up_to};
use serde_json::{Value, json};

const CALLS: usize = 10_000;

/// The scopes with calls: the kind of each, its calls and its limit (0: none).
fn scopes(kamailio: &Kamailio) -> Vec<(String, u64, u64)> {
    let top = kamailio.rpc("sipwarden.top", json!([50]));
    let rows = |list| top[list].as_array().unwrap().iter().map(move |row| (list, row));
    let all = ["companies", "brands", "scopes"].into_iter().flat_map(rows);
    let number = |of: &Value| of.as_u64().unwrap();
    all.map(|(list, row)| {
        let kind = row["kind"].as_str().unwrap_or(list);
        (kind.to_owned(), number(&row["calls"]), number(&row["max_calls"]))
    })
    .collect()
}

#[test]
fn ten_thousand_random_endings_leave_nothing() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
            INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0), ('d', 'b', 1, 0);
            INSERT INTO sipwarden_user VALUES ('alice@c', 'c', 3);
            INSERT INTO sipwarden_limit (kind, id, direction, max_calls, max_new, window_seconds)
                VALUES ('carrier', '*', 'any', 200, 60000, 1), ('did', '*', 'in', 50, 60000, 2),
                ('user', '*', 'out', 500, NULL, NULL), ('company', '*', 'in', 500, NULL, NULL);",
    );
    let mut mixture = Mixture::new();
    let mut config: Config = config(&db.url(), mixture.callee())
        .settings("modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n");
    config.workers = 8;
    // Two companies, a carrier, a user, and a called number on the way in.
    let asks = "cc_limit(\"$fd\", \"o\", \"carrier=$hdr(X-Carrier);user=$fU@$fd\") \
                || !cc_limit(\"d\", \"i\", \"did=$hdr(X-Did)\")";
    let kamailio = count_by(config, asks).start();
    // The most calls that a scope of each kind had.
    let mut most = BTreeMap::new();
    mixture.run(kamailio.address(), |begun| {
        if begun % 100 == 0 {
            for (kind, calls, limit) in scopes(&kamailio) {
                assert!(limit == 0 || calls <= limit, "{kind} has {calls} of {limit}");
                let most = most.entry(kind).or_insert(calls);
                *most = calls.max(*most);
            }
        }
        if begun < CALLS { Next::Begin } else { Next::End }
    });
    println!("{:?}, {most:?}", mixture.begun);
    let kinds = ["brands", "carrier", "companies", "company", "did", "user"];
    assert!(most.keys().eq(kinds), "{most:?}");
    let counted = kamailio.counter("cc_call_counted");
    assert!(counted as usize > CALLS * 99 / 100, "{counted} of {CALLS} calls were counted");
    // Lifetimes of 2 s and the transactions' own timers are still to pass.
    wait_up_to(Duration::from_secs(100), "all calls to go", || {
        (kamailio.rpc("sipwarden.company", json!(["c"]))["calls"] == 0).then_some(())
    });
    // With the last of them they have gone from all scopes, which are not forgotten yet.
    assert_eq!(scopes(&kamailio), []);
    wait_up_to(Duration::from_secs(100), "all leases to go", || {
        (kamailio.rpc("sipwarden.stats", json!([]))["calls"] == 0).then_some(())
    });
    assert_nothing_left(&kamailio);
    for company in ["c", "d"] {
        assert_eq!(kamailio.rpc("sipwarden.company", json!([company]))["calls"], 0);
    }
    // The records of carriers and numbers go when their rates have forgotten all calls.
    wait_for("all scopes to go", || {
        (kamailio.rpc("sipwarden.stats", json!([]))["call_scopes_idle"] == 0).then_some(())
    });
}
