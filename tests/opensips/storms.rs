//! Limits are exact under storms of INVITEs from SIPp, in 16 workers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::json;

use crate::host::OpenSips;
use crate::proxy::{assert_nothing_left, config};
use crate::support::callee::AutoCallee;
use crate::support::sipp::Sipp;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, Going};

const WORKERS: u32 = 16;
const INVITES: usize = 5000;

/// A proxy with 16 workers, and a callee that answers everything.
struct Stage {
    opensips: OpenSips,
    callee: AutoCallee,
    folder: Folder,
}

impl Stage {
    fn new(tenants: &str) -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(tenants);
        let callee = AutoCallee::start("127.0.0.1");
        let mut config = config(&db.url(), callee.address);
        config.workers = WORKERS;
        // However long the storm takes here, no call is over by then.
        config.settings.push_str("modparam(\"dialog\", \"default_timeout\", 3600)\n");
        config.routes = config.routes.replace(
            "if (is_present_hf(\"X-Roadwarrior\"))",
            "if ($hdr(X-Aor) != NULL && $hdr(X-Aor) != \"-\" && !roadwarrior_acquire(\"$hdr(X-Aor)\", \"$fd\")) {
                sl_send_reply(403, \"Refused: $swd(reason)\");
                exit;
            }
            if (is_present_hf(\"X-Roadwarrior\"))",
        );
        Stage { opensips: config.start(), callee, folder }
    }

    /// Runs one storm while the counters are sampled; what SIPp saw admitted, per domain.
    fn storm(&self, rows: &[&str], limits: &[(&str, &str, u64)]) -> HashMap<String, usize> {
        let storm = Going::begin();
        let samples = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let sampler = scope.spawn(|| {
                while storm.is_on() {
                    for &(company, counter, limit) in limits {
                        let shown = self.opensips.rpc("sipwarden_company", json!([company]));
                        let count = shown[counter].as_u64().unwrap();
                        assert!(count <= limit, "{company}: {counter} {count} above {limit}");
                        samples.fetch_add(1, SeqCst);
                    }
                }
            });
            let end = storm.while_held();
            let proxy = self.opensips.address();
            let sipp = Sipp::start(&self.folder, "storm", proxy, rows, INVITES);
            sipp.wait_for_judged(INVITES);
            self.callee.hang_up();
            let seen = sipp.finish();
            drop(end);
            sampler.join().unwrap();
            assert!(samples.load(SeqCst) > 20, "{} samples", samples.load(SeqCst));
            assert_eq!(seen.refused + seen.admitted.values().sum::<usize>(), INVITES);
            seen.admitted
        })
    }
}

#[test]
fn limit_ten_admits_ten() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 10);",
    );
    let admitted = stage.storm(&["c;-"], &[("c", "calls", 10)]);
    assert_eq!(admitted["c"], 10);
    assert_eq!(stage.opensips.counter("cc_call_counted"), 10);
    assert!(stage.opensips.counter("cc_company_limit") >= INVITES as u64 - 10);
    assert_nothing_left(&stage.opensips);
}

#[test]
fn brands_and_roadwarriors_have_just_their_limits() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_brand VALUES ('b', 10), ('free', 0);
         INSERT INTO sipwarden_company VALUES ('x', 'b', 0, 6), ('y', 'b', 0, 6), ('z', 'b', 0, 6),
            ('r', 'free', 1, 0);
         INSERT INTO sipwarden_user VALUES ('u@r', 'r', 3);",
    );
    let limits = [("x", "brand_calls", 10), ("x", "calls", 6), ("r", "calls", 3)];
    let admitted = stage.storm(&["x;-", "y;-", "z;-", "r;u@r"], &limits);
    let of_brand: usize =
        ["x", "y", "z"].iter().map(|c| admitted.get(*c).copied().unwrap_or(0)).sum();
    assert_eq!((of_brand, admitted["r"]), (10, 3), "{admitted:?}");
    assert_nothing_left(&stage.opensips);
}
