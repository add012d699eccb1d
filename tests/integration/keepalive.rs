//! Calls whose ends vanish, and calls that only look so: the shipped configuration, with
//! all of them at a time.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::Folder;
use crate::support::call::{Caller, Endpoint, answer};
use crate::support::example::Example;
use crate::support::kamailio::free_port;
use crate::support::party::{Party, Side};
use crate::support::sqlite::Sqlite;
use crate::support::wait_up_to;

/// Seconds between two keepalives: Kamailio takes no less.
const INTERVAL: u32 = 30;

fn always<const STATUS: u16>(_: usize) -> Option<u16> {
    Some(STATUS)
}

fn silent(_: usize) -> Option<u16> {
    None
}

fn loses_the_first(n: usize) -> Option<u16> {
    (n > 1).then_some(200)
}

/// As a phone that loses its network for a while.
fn loses_two_of_three(n: usize) -> Option<u16> {
    (n % 3 == 0).then_some(200)
}

fn knows_nothing_once(n: usize) -> Option<u16> {
    Some(if n == 2 { 404 } else { 200 })
}

/// One failure follows the other, and a phone that answers twice has failed once.
fn knows_nothing_then_loses_one(n: usize) -> Option<u16> {
    match n {
        2 => Some(404),
        3 => None,
        _ => Some(200),
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// It lives.
    Lives,
    /// It ends, and both ends get a BYE; the log says so.
    Ends(&'static str),
    /// Its caller is dead; the callee gets a BYE.
    CallerDead(&'static str),
}
use End::{CallerDead, Ends, Lives};

/// Name; whether the caller speaks TCP; whether the callee does; both ends; what becomes
/// of the call.
type Case = (&'static str, bool, bool, Side, Side, End);

const CALLER_SILENT: &str = "the caller does not answer the keepalive";
const CALLEE_SILENT: &str = "the callee does not answer the keepalive";
const CALLER_GONE: &str = "the caller answers the keepalive that the call is gone";
const CALLEE_GONE: &str = "the callee answers the keepalive that the call is gone";
/// Private, and a port of this host at which nobody is.
const PRIVATE: &str = "sip:alice@10.9.9.9:5062";
const DEAD: &str = "sip:alice@127.0.0.1:9";

fn cases() -> Vec<Case> {
    let good = || Side::new(always::<200>);
    let quiet = || Side::new(silent);
    let twice = || Side::new(knows_nothing_then_loses_one).repeating();
    vec![
        ("caller-private", false, false, good().with_contact(PRIVATE), good(), Lives),
        ("callee-private", false, false, good(), good().with_contact(PRIVATE), Lives),
        ("caller-dead-contact", false, false, good().with_contact(DEAD), good(), Lives),
        ("callee-dead-contact", false, false, good(), good().with_contact(DEAD), Lives),
        ("caller-private-tcp", true, false, good().with_contact(PRIVATE), good(), Lives),
        ("callee-private-tcp", false, true, good(), good().with_contact(PRIVATE), Lives),
        ("both-tcp", true, true, good(), good(), Lives),
        ("caller-loses-one", false, false, Side::new(loses_the_first), good(), Lives),
        ("callee-loses-one", false, false, good(), Side::new(loses_the_first), Lives),
        ("caller-loses-two", false, false, Side::new(loses_two_of_three), good(), Lives),
        ("callee-loses-two-tcp", false, true, good(), Side::new(loses_two_of_three), Lives),
        ("caller-405", false, false, Side::new(always::<405>), good(), Lives),
        ("callee-405-tcp", false, true, good(), Side::new(always::<405>), Lives),
        ("caller-500", false, false, Side::new(always::<500>), good(), Lives),
        ("callee-501", false, false, good(), Side::new(always::<501>), Lives),
        ("caller-403", false, false, Side::new(always::<403>), good(), Lives),
        ("callee-486", false, false, good(), Side::new(always::<486>), Lives),
        ("caller-489", false, false, Side::new(always::<489>), good(), Lives),
        ("callee-503", false, false, good(), Side::new(always::<503>), Lives),
        ("caller-603", false, false, Side::new(always::<603>), good(), Lives),
        ("caller-404-once", false, false, Side::new(knows_nothing_once), good(), Lives),
        ("caller-404-twice", false, false, twice(), good(), Lives),
        ("caller-silent", false, false, quiet(), good(), Ends(CALLER_SILENT)),
        ("callee-silent", false, false, good(), quiet(), Ends(CALLEE_SILENT)),
        ("caller-silent-tcp", true, false, quiet(), good(), Ends(CALLER_SILENT)),
        ("callee-silent-tcp", false, true, good(), quiet(), Ends(CALLEE_SILENT)),
        ("caller-404", false, false, Side::new(always::<404>), good(), Ends(CALLER_GONE)),
        ("callee-404", false, false, good(), Side::new(always::<404>), Ends(CALLEE_GONE)),
        ("caller-404-tcp", true, false, Side::new(always::<404>), good(), Ends(CALLER_GONE)),
        ("callee-480", false, false, good(), Side::new(always::<480>), Ends(CALLEE_GONE)),
        ("caller-410", false, false, Side::new(always::<410>), good(), Ends(CALLER_GONE)),
        ("callee-416", false, false, good(), Side::new(always::<416>), Ends(CALLEE_GONE)),
        ("caller-482", false, false, Side::new(always::<482>), good(), Ends(CALLER_GONE)),
        ("callee-483", false, false, good(), Side::new(always::<483>), Ends(CALLEE_GONE)),
        ("caller-484", false, false, Side::new(always::<484>), good(), Ends(CALLER_GONE)),
        ("callee-485", false, false, good(), Side::new(always::<485>), Ends(CALLEE_GONE)),
        ("caller-502", false, false, Side::new(always::<502>), good(), Ends(CALLER_GONE)),
        ("callee-604", false, false, good(), Side::new(always::<604>), Ends(CALLEE_GONE)),
        ("caller-481", false, false, Side::new(always::<481>), good(), Ends(CALLER_GONE)),
        ("callee-481-tcp", false, true, good(), Side::new(always::<481>), Ends(CALLEE_GONE)),
        ("caller-vanishes", false, false, good(), good(), CallerDead(CALLER_SILENT)),
        ("caller-vanishes-tcp", true, false, good(), good(), CallerDead(CALLER_SILENT)),
    ]
}

struct Stage {
    example: Example,
    party: Party,
    tcp: SocketAddr,
    _folder: Folder,
}

impl Stage {
    fn start() -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(
            "INSERT INTO sipwarden_brand VALUES ('b', 0);
            INSERT INTO sipwarden_company VALUES ('c.example', 'b', 0, 0);
            INSERT INTO sipwarden_trusted VALUES ('127.0.0.1', NULL, 'exempt');",
        );
        let party = Party::new();
        let tcp: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let fork = format!(
            "$du = GATEWAY;\n\tif ($rU == \"tcp\") {{ $du = \"sip:{};transport=tcp\"; }}",
            party.gateway_tcp()
        );
        let edits = [
            // Only what makes it quick, and TCP on both sides.
            ("listen=SIP_LISTEN", format!("listen=SIP_LISTEN\nlisten=tcp:{tcp}")),
            ("$du = GATEWAY;", fork),
            ("\"ka_timer\", 10", "\"ka_timer\", 1".to_owned()),
            ("modparam(\"rr\"", "modparam(\"tm\", \"fr_timer\", 2000)\nmodparam(\"rr\"".to_owned()),
        ];
        let edits: Vec<_> = edits.iter().map(|(from, to)| (*from, to.as_str())).collect();
        let defines = [("KA_INTERVAL", INTERVAL.to_string())];
        let example = Example::start_with(&db, party.gateway(), &defines, &edits);
        Stage { example, party, tcp, _folder: folder }
    }

    /// Serves all ends until something holds.
    fn until(&mut self, seconds: u64, what: &str, mut ready: impl FnMut(&mut Party) -> bool) {
        wait_up_to(Duration::from_secs(seconds), what, || {
            self.party.serve();
            ready(&mut self.party).then_some(())
        });
    }

    fn counted(&self) -> u64 {
        let said = self.example.kamcmd(&["sipwarden.company", "c.example"]);
        let calls = said.lines().find_map(|line| line.trim().strip_prefix("calls: "));
        calls.unwrap_or_else(|| panic!("{said}")).parse().unwrap()
    }

    fn statistic(&self, name: &str) -> u64 {
        let said = self.example.kamcmd(&["stats.fetch", &format!("sipwarden.{name}")]);
        let value =
            said.lines().find_map(|line| line.trim().strip_prefix(&format!("sipwarden.{name}: ")));
        value.unwrap_or_else(|| panic!("{said}")).parse().unwrap()
    }
}

#[test]
fn the_shipped_keepalive_ends_dead_calls_on_both_sides_and_no_other() {
    let mut stage = Stage::start();
    let cases = cases();
    let ends: Vec<(&str, End)> = cases.iter().map(|(name, .., end)| (*name, *end)).collect();
    let all = ends.len();
    for (name, caller_tcp, callee_tcp, caller, callee, _) in cases {
        let user = if callee_tcp { "tcp" } else { "udp" };
        let (proxy, ip) = match caller_tcp {
            true => (stage.tcp, None),
            false => (stage.example.address(), Some("127.0.0.1")),
        };
        stage.party.call(name, user, proxy, ip, (caller, callee));
    }
    stage.until(20, "all calls", |party| party.calls().all(|call| call.up));
    assert_eq!(stage.counted(), all as u64);
    for (name, end) in &ends {
        if matches!(end, CallerDead(_)) {
            stage.party.kill(name);
        }
    }
    // Each end of a call that lives is asked once more than silence is suffered.
    let of = |name: &str| ends.iter().find(|(other, _)| *other == name).unwrap().1;
    stage.until(200, "the dead calls to end, the others to be asked", |party| {
        party.calls().all(|call| {
            let callee = &party.callees[&call.call_id];
            match of(call.name) {
                Lives => call.side.asked > 3 && callee.asked > 3,
                Ends(_) => call.side.byes > 0 && callee.byes > 0,
                CallerDead(_) => callee.byes > 0,
            }
        })
    });
    let log = stage.example.log();
    for call in stage.party.calls() {
        let callee = &stage.party.callees[&call.call_id];
        let line = format!("the call {} of company \"c.example\" counts no more: ", call.call_id);
        let told: Vec<_> = log.lines().filter(|text| text.contains(&line)).collect();
        match of(call.name) {
            Lives => {
                assert_eq!(told, [""; 0]);
                assert_eq!((call.side.byes, callee.byes), (0, 0), "{}", call.name);
            }
            Ends(why) | CallerDead(why) => {
                assert_eq!(told.len(), 1, "{}", call.name);
                let said = format!("{line}{why}; both ends get a BYE if they can be reached");
                assert!(told[0].contains(&said), "{}", told[0]);
            }
        }
    }
    let live: Vec<_> =
        ends.iter().filter(|(_, end)| *end == Lives).map(|(name, _)| *name).collect();
    assert_eq!(stage.counted(), live.len() as u64);
    assert_eq!(stage.statistic("calls_expired"), (all - live.len()) as u64);
    // And they can still be hung up, wherever their Contact leads.
    stage.party.answer_byes = true;
    for name in &live {
        stage.party.hang_up(name);
    }
    stage.until(20, "the BYEs", |party| {
        let lives = |name: &str| live.contains(&name);
        party
            .calls()
            .filter(|call| lives(call.name))
            .all(|call| party.callees[&call.call_id].byes > 0)
    });
    assert_eq!(stage.counted(), 0);
}

/// A host name in Record-Route does not keep a called phone behind NAT from being found. One
/// behind another proxy is reached through that one.
#[test]
fn an_alias_is_added_for_neighbours_whatever_record_route_says() {
    let advertised = [("listen=SIP_LISTEN", "listen=SIP_LISTEN advertise localhost:5060")];
    let ways: [(&str, &[(&str, &str)]); 2] = [("127.0.0.1", &[]), ("localhost", &advertised)];
    for (host, edits) in ways {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(
            "INSERT INTO sipwarden_brand VALUES ('b', 0);
            INSERT INTO sipwarden_company VALUES ('c.example', 'b', 0, 0);",
        );
        let (phone, gateway) = (Endpoint::new("127.44.0.1"), Endpoint::new("127.44.0.2"));
        let example = Example::start_with(&db, gateway.address(), &[], edits);
        for is_neighbour in [true, false] {
            let mut call = Caller::new(&phone, example.address(), "c.example", "");
            call.invite();
            let (mut invite, from) = gateway.request("INVITE");
            assert!(invite.header("Record-Route").unwrap().contains(host));
            if !is_neighbour {
                let behind = ("Record-Route".to_owned(), "<sip:edge.test;lr>".to_owned());
                invite.headers.insert(0, behind);
            }
            gateway.send(&answer(&invite, 200, "t", "<sip:bob@10.9.9.9:5062>"), from);
            let reply = call.final_reply();
            let contact = reply.header("Contact").unwrap();
            let alias = format!(";alias=127.44.0.2~{}~1", gateway.address().port());
            assert_eq!(contact.contains(&alias), is_neighbour, "{host}: {contact}");
            call.ack();
        }
    }
}
