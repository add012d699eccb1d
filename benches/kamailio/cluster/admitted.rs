//! How many calls three proxies admit of one limit: with sipwarden, and with what Kamailio
//! ships for it.

use serde_json::json;

use super::{settings, wait_until_exact_of};
use crate::report::{Bound, Section, number};
use crate::support::callee::AutoCallee;
use crate::support::kamailio::{Config, Kamailio, free_port};
use crate::support::redis::Redis;
use crate::support::sipp::Sipp;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_up_to};

const PROXIES: usize = 3;
const LIMITS: [usize; 3] = [1, 10, 30];
/// Name, the first letter of its companies, INVITEs a second at each proxy, how many.
const STORMS: [(&str, &str, u32, usize); 2] =
    [("as fast as they go", "a", 4_000, 600), ("10 a second at each proxy", "b", 10, 105)];

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Profiles,
    Dmq,
    Sipwarden,
}

impl Way {
    const ALL: [Way; 3] = [Way::Profiles, Way::Dmq, Way::Sipwarden];

    fn name(self) -> &'static str {
        match self {
            Way::Profiles => "dialog profiles, each proxy its own",
            Way::Dmq => "dialog profiles over DMQ",
            Way::Sipwarden => "sipwarden",
        }
    }
}

/// Three proxies, and all that they need.
struct Stage {
    proxies: Vec<Kamailio>,
    callee: AutoCallee,
    folder: Folder,
    _redis: Redis,
}

impl Stage {
    fn new(way: Way) -> Self {
        let (folder, callee, redis) =
            (Folder::new(), AutoCallee::start("127.0.0.1"), Redis::start());
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run("INSERT INTO sipwarden_brand VALUES ('1', 0);");
        for (_, letter, ..) in STORMS {
            for limit in LIMITS {
                db.run(&format!(
                    "INSERT INTO sipwarden_company VALUES ('{letter}{limit}', '1', 0, {limit});"
                ));
            }
        }
        let ports: Vec<u16> = (0..PROXIES).map(|_| free_port()).collect();
        let start = |n: usize| {
            let mut config = Config::new(&db.url()).routes(include_str!("storm.cfg"));
            config.port = Some(ports[n]);
            config.sipwarden = way == Way::Sipwarden;
            config.arguments = vec!["-A".into(), format!("GATEWAY=\"sip:{}\"", callee.address)];
            let mut define = |name: &str| config.arguments.extend(["-A".into(), name.into()]);
            match way {
                Way::Profiles => {}
                Way::Dmq => define("WITH_DMQ"),
                Way::Sipwarden => define("WITH_SIPWARDEN"),
            }
            if way == Way::Dmq {
                config.modules.push_str("loadmodule \"dmq.so\"\n");
            }
            config.modules.push_str("loadmodule \"dialog.so\"\n");
            config = config.settings("modparam(\"dialog\", \"dlg_match_mode\", 1)\n");
            config = config.settings(&match way {
                Way::Profiles => PROFILES.into(),
                Way::Dmq => PROFILES.to_owned() + &dmq(&ports, n),
                Way::Sipwarden => settings(&redis.url(), "storm", &format!("proxy{n}")),
            });
            config.start()
        };
        let proxies: Vec<_> = (0..PROXIES).map(start).collect();
        match way {
            Way::Profiles => {}
            Way::Dmq => proxies.iter().for_each(wait_for_peers),
            Way::Sipwarden => proxies.iter().for_each(wait_until_exact_of),
        }
        Stage { proxies, callee, folder, _redis: redis }
    }

    /// Calls that stay, at all proxies at once; how many each limit has admitted.
    fn storm(&self, letter: &str, per_second: u32, invites: usize) -> [usize; LIMITS.len()] {
        let rows = LIMITS.map(|limit| format!("{letter}{limit};-"));
        let rows = rows.each_ref().map(String::as_str);
        let callers: Vec<_> = (self.proxies.iter().enumerate())
            .map(|(n, proxy)| {
                let name = format!("{letter}{n}");
                Sipp::start_at(per_second, &self.folder, &name, proxy.address(), &rows, invites)
            })
            .collect();
        callers.iter().for_each(|sipp| sipp.wait_for_judged(invites));
        // The callee counts for itself.
        let seen = self.callee.observed();
        LIMITS.map(|limit| seen.ever.get(&format!("{letter}{limit}")).copied().unwrap_or(0))
    }
}

const PROFILES: &str = "modparam(\"dialog\", \"profiles_with_value\", \"company\")\n";

/// Each proxy tells all others of its dialogs and their profiles.
fn dmq(ports: &[u16], n: usize) -> String {
    let other = ports[usize::from(n == 0)];
    format!(
        "modparam(\"dmq\", \"server_address\", \"sip:127.0.0.1:{}\")\n\
         modparam(\"dmq\", \"notification_address\", \"sip:127.0.0.1:{other}\")\n\
         modparam(\"dmq\", \"num_workers\", 4)\n\
         modparam(\"dialog\", \"enable_dmq\", 1)\n\
         modparam(\"dialog\", \"h_id_start\", {})\n\
         modparam(\"dialog\", \"h_id_step\", {PROXIES})\n",
        ports[n],
        n + 1,
    )
}

fn wait_for_peers(proxy: &Kamailio) {
    wait_up_to(super::PATIENCE, "all proxies to know each other over DMQ", || {
        let nodes = proxy.rpc("dmq.list_nodes", json!([]));
        let is_active = |node: &&serde_json::Value| node["status"] == "active";
        (nodes.as_array()?.iter().filter(is_active).count() >= PROXIES).then_some(())
    });
}

pub fn measure(section: &mut Section) {
    println!("  calls that three proxies admit of one limit");
    let mut rows = Vec::new();
    let mut exact = None;
    for way in Way::ALL {
        let stage = Stage::new(way);
        for (storm, letter, per_second, invites) in STORMS {
            let admitted = stage.storm(letter, per_second, invites);
            let mut row = vec![way.name().into(), storm.into()];
            for (limit, calls) in LIMITS.into_iter().zip(admitted) {
                let name = format!("admitted of a limit of {limit}, {}, {storm}", way.name());
                section.value(name, calls as f64, "calls");
                row.push(number(calls as f64));
            }
            rows.push(row);
            if way == Way::Sipwarden {
                let off = admitted.iter().zip(LIMITS).map(|(calls, limit)| calls.abs_diff(limit));
                exact = Some(exact.unwrap_or(0) + off.sum::<usize>());
            }
        }
    }
    section.table(&["three proxies", "INVITEs", "of a limit of 1", "of 10", "of 30"], rows);
    section.figure(
        "shared limits, storms on three proxies: calls above or below the limits",
        exact.map(|calls| calls as f64),
        "calls",
        Bound::AtMost(0.0),
    );
    section.text.push_str(&format!(
        "\n\nThe last table: callers at {PROXIES} proxies at once, and calls that stay; the callee that all of them reach \
         counts. {} INVITEs at each proxy as fast as SIPp sends them, then {} at a moderate rate, a \
         third of them for each limit. With profiles the script asks for `get_profile_size` and sets \
         the profile if there is room, as it is usually done. Over DMQ (`enable_dmq` of the dialog module, all defaults, \
         4 DMQ workers) each proxy tells the others of its dialogs, on one machine without a network between.",
        STORMS[0].3,
        STORMS[1].3,
    ));
}
