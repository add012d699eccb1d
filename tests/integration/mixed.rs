//! Ten thousand calls with endings drawn at random end with nothing counted.

use std::time::Duration;

use crate::support::kamailio::Config;
use crate::support::mixture::{Mixture, Next};
use crate::support::proxy::{assert_nothing_left, config};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for, wait_up_to};
use serde_json::json;

const CALLS: usize = 10_000;

#[test]
fn ten_thousand_random_endings_leave_nothing() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
            INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0), ('d', 'b', 1, 0);
            INSERT INTO sipwarden_user VALUES ('alice@c', 'c', 3);
            INSERT INTO sipwarden_limit (kind, id, direction, max_calls, max_new, window_seconds)
                VALUES ('carrier', '*', 'any', 1000, 60000, 1), ('did', '*', 'in', 1000, 60000, 2),
                ('user', '*', 'out', 1000, NULL, NULL), ('company', '*', 'in', 1000, NULL, NULL);",
    );
    let mut mixture = Mixture::new();
    let mut config: Config = config(&db.url(), mixture.callee())
        .settings("modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n");
    config.workers = 8;
    // Two companies, a carrier, a user, and a called number on the way in.
    let asked = "cc_limit(\"$fd\", \"$var(flags)\")";
    assert_eq!(config.routes.matches(asked).count(), 1);
    let asks = "cc_limit(\"$fd\", \"o\", \"carrier=$hdr(X-Carrier);user=$fU@$fd\") \
                || !cc_limit(\"d\", \"i\", \"did=$hdr(X-Did)\")";
    config.routes = config.routes.replace(asked, asks);
    let kamailio = config.start();
    mixture.run(kamailio.address(), |begun| if begun < CALLS { Next::Begin } else { Next::End });
    println!("{:?}", mixture.begun);
    let counted = kamailio.counter("cc_call_counted");
    assert!(counted as usize > CALLS * 99 / 100, "{counted} of {CALLS} calls were counted");
    // Lifetimes of 2 s and the transactions' own timers are still to pass.
    wait_up_to(Duration::from_secs(100), "all calls to go", || {
        (kamailio.rpc("sipwarden.company", json!(["c"]))["calls"] == 0).then_some(())
    });
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
