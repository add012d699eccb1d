//! What strangers and other tenants try where sipwarden.cfg is in Debian's own configuration.

use crate::support::account::Account;
use crate::support::call::{Caller, Endpoint};
use crate::support::stock::{CONFIG, Stock, block_with};
use crate::support::wait_for;

const DOMAIN: &str = "acme.example";
const PHONE: &str = "192.0.2.7";

#[test]
fn an_emergency_is_served_whatever_the_phone_calls_itself() {
    let mut stock = Stock::new();
    stock.install();
    stock.serve(&[DOMAIN]);
    stock.insert_behind("#!KAMAILIO\n", "#!define TOOL_TABLE \"sipwarden_tool\"\n");
    stock.start();
    let phone = Endpoint::new(PHONE);
    let dial = |number: &str| {
        // One that Debian's own file does not drop.
        let header = "User-Agent: smap 0.6.0\r\n";
        let mut caller = Caller::new(&phone, stock.address(), DOMAIN, header);
        caller.dial_at(number, DOMAIN);
        caller.invite();
        caller
    };
    // Another call of it gets no answer.
    dial("bob");
    wait_for("a scanner", || {
        stock.kamcmd(&["sipwarden.stats"]).contains("scanner_check_scanner: 1\n").then_some(())
    });
    // Kamailio just knows no such user.
    let mut emergency = dial("112");
    assert_eq!(emergency.final_reply().status(), Some(404));
    emergency.ack();
}

#[test]
fn with_dialogs_in_a_database_an_invite_within_no_call_is_refused() {
    let mut stock = Stock::new();
    stock.install();
    stock.serve(&[DOMAIN]);
    let url = "sqlite:////var/lib/kamailio/kamailio.sqlite";
    stock.insert_behind("#!KAMAILIO\n", &format!("#!define DIALOG_DB_URL \"{url}\"\n"));
    stock.create_tables("dialog");
    stock.start();
    let [stranger, gateway] = ["198.51.100.7", "203.0.113.9"].map(Endpoint::new);
    let mut forged = Caller::new(&stranger, stock.address(), DOMAIN, "");
    forged.pretend_to_be_up(&gateway);
    forged.within("INVITE");
    assert_eq!(forged.final_reply().status(), Some(481));

    // One that is known goes on.
    let [alice, bob] = [PHONE, "192.0.2.8"].map(Endpoint::new);
    assert_eq!(stock.register(&bob, "bob", DOMAIN), 200);
    let mut live = Caller::new(&alice, stock.address(), DOMAIN, "");
    live.dial_at("bob", DOMAIN);
    live.invite();
    bob.reply(&bob.request("INVITE"), 200, "t");
    assert_eq!(live.final_reply().status(), Some(200));
    live.ack();
    bob.request("ACK");
    live.within("INVITE");
    bob.reply(&bob.request("INVITE"), 200, "t");
    assert_eq!(live.final_reply().status(), Some(200));
    live.ack();
    live.within("BYE");
    bob.reply(&bob.request("BYE"), 200, "t");
    stock.calls_are(0);
}

#[test]
fn with_the_lines_of_the_guide_a_password_is_good_for_its_own_domain_alone() {
    let mut stock = Stock::new();
    stock.install();
    let defines = block_with("docs/whose-call.md", "WITH_MULTIDOMAIN");
    let database = "#!define DBURL \"sqlite:////var/lib/kamailio/kamailio.sqlite\"\n";
    stock.insert_behind("#!KAMAILIO\n", &(defines + database));
    stock.replace(CONFIG, "modparam(\"auth_db\", \"load_credentials\", \"\")\n", "");
    stock.create_tables("auth_db domain");
    let other = "globex.example";
    stock.machine.ok(&format!(
        "sqlite3 /var/lib/kamailio/kamailio.sqlite \"
            INSERT INTO domain (domain) VALUES ('{DOMAIN}'), ('{other}');
            INSERT INTO subscriber (username, domain, password) VALUES ('bob', '{other}', 'secret')\"
        sqlite3 /var/lib/kamailio/sipwarden.sqlite \"
            INSERT INTO sipwarden_company VALUES ('{other}', 'main', 0, 0)\""
    ));
    stock.start();
    let register = |domain: &str| Account::new(PHONE, stock.address(), "bob", domain).register();
    assert_eq!(register(other).status(), Some(200));
    assert_eq!(register(DOMAIN).status(), Some(401));
}
