//! SIP messages of all shapes against the example configurations. In `make test` a few thousand;
//! `NOISE=300000 NOISE_SEED=7` as many of another seed, `make noise` the long form.

mod generator;
mod throw;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::support::call::{Caller, Endpoint};
use crate::support::example::Example;
use crate::support::kamailio::free_port;
use crate::support::netns::Namespace;
use crate::support::proxies::Kind;
use crate::support::sanitizer;
use crate::support::sqlite::Sqlite;
use crate::support::stock::Stock;
use crate::support::world::{GRANTED, World};
use crate::support::{Folder, Going, wait_up_to};
use throw::{Target, answer_all, count, memory, number, processes, sum, throw, values};

const SHORT: usize = 3000;
/// What all processes of a Kamailio may have more after all messages than after the first tenth of
/// them, in bytes.
const GROWTH: u64 = 8 << 20;
/// And of that in use of Kamailio's pools of private memory: what a message was given goes with it.
const POOLS_GROWTH: u64 = 256 << 10;

/// What lifetimes of dialogs become for these tests.
const SHORT_EARLY: &str = "\"early_timeout\", 60";
const SHORT_LIFE: &str = "\"default_timeout\", 60";

/// A Kamailio that is asked from outside.
struct Proxy<'a> {
    main: u32,
    kamcmd: &'a dyn Fn(&[&str]) -> String,
    log: &'a dyn Fn() -> String,
}

impl Proxy<'_> {
    fn calls(&self) -> u64 {
        number(&(self.kamcmd)(&["sipwarden.calls"]), "total")
    }

    /// Bytes: what its processes have of their own; of it in use in Kamailio's pools; shared memory
    /// in use.
    fn memory(&self, processes: &BTreeSet<u32>) -> [u64; 3] {
        [
            memory(processes),
            sum(&(self.kamcmd)(&["pkg.stats"]), "real_used"),
            number(&(self.kamcmd)(&["core.shmmem"]), "real_used"),
        ]
    }

    /// Throws the messages; afterwards all processes are there, have not grown, nothing has
    /// panicked, and no call counts.
    fn bears(&self, target: &Target<'_>, count: usize) {
        let before = processes(self.main);
        throw(target, count / 10, || {});
        self.is_quiet();
        let first = self.memory(&before);
        throw(target, count - count / 10, || assert_eq!(processes(self.main), before));
        self.is_quiet();
        assert_eq!(processes(self.main), before, "{}", (self.log)());
        let log = (self.log)();
        for word in ["BUG", "panicked", "CRITICAL: sipwarden", "core was generated"] {
            assert!(!log.contains(word), "{word}: {log}");
        }
        let after = self.memory(&before);
        println!(
            "{count} messages; own memory, pools in use, shared: {first:?}, then {after:?} bytes"
        );
        for (n, bound) in [GROWTH, POOLS_GROWTH, GROWTH].into_iter().enumerate() {
            let asked = n > 0 || !sanitizer::is_there();
            assert!(!asked || after[n] < first[n] + bound, "{n}: {first:?}, then {after:?}");
        }
    }

    /// Waits until Kamailio keeps no transaction, and no call counts. Calls whose ends have not
    /// understood each other are ended as an operator would. Those that Kamailio cannot end (the
    /// dialog has no answer and no transaction any more, or no end that a BYE can be sent to) end
    /// with their dialogs, which have short lives here; the dialog module looks for early ones
    /// every 90 s.
    fn is_quiet(&self) {
        let transactions = || number(&(self.kamcmd)(&["tm.stats"]), "current");
        let wait = Duration::from_secs(200);
        wait_up_to(wait, "all transactions to end", || (transactions() == 0).then_some(()));
        let mut ended = BTreeSet::new();
        wait_up_to(wait, "all calls to end", || {
            self.end_calls(&mut ended);
            (self.calls() == 0 && transactions() == 0).then_some(())
        });
    }

    /// Ends each dialog once; messages may still be waiting for a worker, and make more.
    fn end_calls(&self, ended: &mut BTreeSet<(String, String)>) {
        let list = (self.kamcmd)(&["dlg.list"]);
        let names = values(&list, "h_entry").zip(values(&list, "h_id"));
        for ((entry, id), _) in names.zip(values(&list, "state")).filter(|(_, state)| *state != "5")
        {
            if ended.insert((entry.to_owned(), id.to_owned())) {
                (self.kamcmd)(&["dlg.end_dlg", entry, id]);
            }
        }
    }
}

/// What answers behind a proxy, while `work` is done.
fn answered<R>(gateway: Endpoint, work: impl FnOnce() -> R) -> (Endpoint, R) {
    let going = Arc::new(Going::begin());
    let shared = Arc::clone(&going);
    let thread = thread::spawn(move || {
        answer_all(&gateway, &shared);
        gateway
    });
    let result = {
        let _while_held = going.while_held();
        work()
    };
    (thread.join().unwrap(), result)
}

fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('c.example', 'b', 0, 20), ('127.0.0.1', 'b', 0, 0);
        INSERT INTO sipwarden_trusted VALUES ('127.0.0.99', NULL, 'exempt');",
    );
    db
}

/// The traffic stays in a network of its own, wherever a message tells the proxy to send it.
fn alone() -> Namespace {
    let network = Namespace::new();
    network.enter();
    network
}

#[test]
fn the_example_bears_messages_of_all_shapes() {
    let _network = alone();
    let folder = Folder::new();
    let gateway = Endpoint::new("127.0.0.99");
    let tcp: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let listen = format!("listen=SIP_LISTEN\nlisten=tcp:{tcp}\ntcp_children=2\n");
    let timers = "modparam(\"tm\", \"fr_timer\", 1500)\nmodparam(\"tm\", \"fr_inv_timer\", 2500)\n\
                  modparam(\"rr\"";
    let edits = [
        ("listen=SIP_LISTEN\n", &*listen),
        ("modparam(\"rr\"", timers),
        ("\"early_timeout\", 300", SHORT_EARLY),
        ("\"default_timeout\", 43200", SHORT_LIFE),
    ];
    let example = Example::start_with(&tenants(&folder), gateway.address(), &[], &edits);
    // Else nearly all of it is a flood, and refused as one.
    example.kamcmd(&["sipwarden.set", "flood_limit", "65535"]);
    let proxy =
        Proxy { main: example.pid(), kamcmd: &|args| example.kamcmd(args), log: &|| example.log() };
    let target = Target { udp: example.address(), tcp: Some(tcp), domain: "c.example" };
    let (gateway, ()) = answered(gateway, || {
        proxy.bears(&target, count(SHORT));
        // With the shipped limit too.
        example.kamcmd(&["sipwarden.set", "flood_limit", "100"]);
        proxy.bears(&target, count(SHORT) / 4);
    });

    let phone = Endpoint::new("127.40.0.1");
    let mut caller = Caller::new(&phone, example.address(), "c.example", "");
    caller.invite();
    // What is still on its way to the gateway is passed over.
    let invite = loop {
        let invite = gateway.request("INVITE");
        if invite.0.header("Call-ID") == Some(&caller.call_id) {
            break invite;
        }
    };
    gateway.reply(&invite, 200, "t");
    assert_eq!(caller.final_reply().status(), Some(200));
    caller.ack();
    gateway.request("ACK");
    assert_eq!(proxy.calls(), 1);
    caller.within("BYE");
    gateway.reply(&gateway.request("BYE"), 200, "t");
    wait_up_to(Duration::from_secs(20), "the call to end", || (proxy.calls() == 0).then_some(()));
}

#[test]
fn debians_configuration_with_ours_bears_them_too() {
    let mut stock = Stock::new();
    stock.install();
    stock.serve(&["acme.example"]);
    let ours = "/etc/kamailio/sipwarden.cfg";
    stock.replace(ours, "\"early_timeout\", 300", SHORT_EARLY);
    stock.replace(ours, "\"default_timeout\", 10800", SHORT_LIFE);
    stock.start();
    stock.kamcmd(&["sipwarden.set", "flood_limit", "65535"]);
    let main = stock.pid();
    let proxy = Proxy { main, kamcmd: &|args| stock.kamcmd(args), log: &|| stock.log() };
    let at = stock.address();
    proxy.bears(&Target { udp: at, tcp: Some(at), domain: "acme.example" }, count(SHORT));

    let (alice, bob) = (Endpoint::new("192.0.2.7"), Endpoint::new("192.0.2.8"));
    assert_eq!(stock.register(&bob, "bob", "acme.example"), 200);
    let mut caller = Caller::new(&alice, at, "acme.example", "");
    caller.dial_at("bob", "acme.example");
    caller.invite();
    let invite = bob.request("INVITE");
    bob.reply(&invite, 200, "t");
    assert_eq!(caller.final_reply().status(), Some(200));
    caller.ack();
    let ack = bob.request("ACK");
    stock.calls_are(1);
    bob.hang_up(&ack);
    alice.reply(&alice.request("BYE"), 200, "");
    stock.calls_are(0);
}

#[test]
fn both_proxies_of_ivozprovider_bear_them() {
    let world = World::start(Kind::Sipwarden, &[]);
    for proxy in [&world.proxies.users, &world.proxies.trunks] {
        proxy.kamcmd(&["sipwarden.set", "flood_limit", "65535"]);
        let of =
            Proxy { main: proxy.pid(), kamcmd: &|args| proxy.kamcmd(args), log: &|| proxy.log() };
        let target = Target { udp: proxy.address(), tcp: None, domain: "c7.example" };
        of.bears(&target, count(SHORT));
    }
    let phone = world.phone(GRANTED, 7);
    assert_eq!(phone.register().status(), Some(200));
    let caller = world.answered(&phone);
    world.hang_up(caller, &world.server);
}
