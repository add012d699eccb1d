//! Workers that are forked and ended at run time, in storms: limits stay exact, and nothing of
//! an ended worker is left.

use std::time::Duration;

use serde_json::json;

use crate::host::{Config, OpenSips};
use crate::support::callee::AutoCallee;
use crate::support::proxy::{assert_nothing_left, unhurried};
use crate::support::sipp::Sipp;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for, wait_up_to};

const MOST: usize = 8;
const LEAST: usize = 2;
const INVITES: usize = 1500;

/// Each request takes a worker so long that all of them are busy in a storm.
fn scaled(db: &Sqlite, callee: &AutoCallee) -> Config {
    let mut config = unhurried(&db.url(), callee.address);
    config.workers = LEAST as u32;
    config.core = format!(
        "auto_scaling_profile = STORM\n    scale up to {MOST} on 20% for 1 cycles\n    \
         scale down to {LEAST} on 10% for 1 cycles\nudp_workers={LEAST} \
         use_auto_scaling_profile STORM\n"
    );
    config.routes = config.routes.replacen("route {\n", "route {\n    usleep(4000);\n", 1);
    config
}

fn workers(opensips: &OpenSips) -> usize {
    opensips.processes("SIP receiver ").len()
}

#[test]
fn limits_are_exact_while_workers_come_and_go() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 10);",
    );
    let callee = AutoCallee::start("127.0.0.1");
    let mut opensips = scaled(&db, &callee).start();
    // A process has its name when it has begun.
    wait_for("the first workers", || (workers(&opensips) == LEAST).then_some(()));
    for storm in 1..=2 {
        callee.pick_up();
        let sipp =
            Sipp::start(&folder, &format!("storm{storm}"), opensips.address(), &["c;-"], INVITES);
        sipp.wait_for_judged(INVITES);
        assert!(workers(&opensips) > LEAST, "more of them were needed");
        assert_eq!(opensips.ask("company", json!(["c"]))["calls"], 10);
        callee.hang_up();
        let seen = sipp.finish();
        assert_eq!(seen.admitted["c"], 10);
        assert_eq!(opensips.counter("cc_call_counted"), 10 * storm);
        assert_nothing_left(&opensips);
        wait_up_to(Duration::from_secs(150), "the workers to end", || {
            (workers(&opensips) == LEAST).then_some(())
        });
        // What the ended ones have read is free: tables are published as ever.
        opensips.ask("reload", json!([]));
    }
    let log = opensips.log();
    assert!(log.matches("forking new proc").count() > 2, "{log}");
    assert!(log.matches("ripping proc").count() > 2, "{log}");
    assert_eq!(opensips.counter("panics"), 0);
    assert!(opensips.runs());
}
