//! The README followed to the letter, in Debian's own configuration.

use crate::support::account::Account;
use crate::support::call::{Caller, Endpoint, Message};
use crate::support::sip::Phone;
use crate::support::stock::{CONFIG, Stock, get, post};
use crate::support::wait_for;

const DOMAIN: &str = "acme.example";
const GRANTED: &str = "192.0.2.7";
const ELSEWHERE: &str = "198.51.100.7";
const CARRIER: &str = "203.0.113.5";

/// The README's installation, with what a running platform has besides: the domain
/// of the company, a carrier, and a company without a filter.
fn installed() -> Stock {
    let mut stock = Stock::new();
    stock.install();
    stock.serve(&[DOMAIN, "open.example"]);
    stock.machine.ok(&format!(
        "sqlite3 /var/lib/kamailio/sipwarden.sqlite \"
            INSERT INTO sipwarden_company VALUES ('open.example', 'main', 0, 0);
            INSERT INTO sipwarden_trusted VALUES ('{CARRIER}', NULL, 'carrier')\""
    ));
    stock.start();
    stock
}

/// The README's installation with `limit_table`, and these rows.
fn with_limits(rows: &str) -> Stock {
    let mut stock = Stock::new();
    stock.install();
    stock.serve(&[DOMAIN]);
    stock.machine.ok(&format!(
        "sed -i '1i #!define LIMIT_TABLE \"sipwarden_limit\"' /etc/kamailio/sipwarden.cfg
        sqlite3 /var/lib/kamailio/sipwarden.sqlite \"{rows}\""
    ));
    stock.start();
    stock
}

/// A phone whose INVITE reaches bob, both of one call.
struct Call<'a> {
    caller: Caller<'a>,
    invite: (Message, std::net::SocketAddr),
    ack: (Message, std::net::SocketAddr),
}

/// Calls bob, each INVITE three times as a bad network would, and talks.
fn call<'a>(stock: &Stock, phone: &'a Endpoint, domain: &str, bob: &Endpoint) -> Call<'a> {
    let mut caller = Caller::new(phone, stock.address(), domain, "");
    caller.dial_at("bob", DOMAIN);
    (0..3).for_each(|_| caller.invite());
    let invite = bob.request("INVITE");
    bob.reply(&invite, 200, "t");
    assert_eq!(caller.final_reply().status(), Some(200));
    caller.ack();
    let ack = bob.request("ACK");
    Call { caller, invite, ack }
}

fn refused(stock: &Stock, phone: &Endpoint, domain: &str) -> String {
    let mut caller = Caller::new(phone, stock.address(), domain, "");
    caller.dial_at("bob", DOMAIN);
    caller.invite();
    caller.final_reply().line
}

#[test]
fn the_lines_of_the_readme_admit_and_refuse_and_calls_end_from_either_side() {
    let stock = installed();
    let (alice, bob) = (Endpoint::new(GRANTED), Endpoint::new("192.0.2.8"));
    let stranger = Endpoint::new(ELSEWHERE);

    // What is nobody's call is served as before.
    let monitor = Phone::new(ELSEWHERE, stock.address());
    assert_eq!(monitor.options_to_the_server().unwrap().status, 200);
    assert_eq!(stock.register(&bob, "bob", DOMAIN), 200);
    assert_eq!(stock.register(&stranger, "bob", DOMAIN), 403);

    // Within a call either side may send what it likes, and end it.
    let mut first = call(&stock, &alice, DOMAIN, &bob);
    stock.calls_are(1);
    first.caller.within("INVITE");
    let again = bob.request("INVITE");
    bob.reply(&again, 200, "t");
    assert_eq!(first.caller.final_reply().status(), Some(200));
    first.caller.ack();
    bob.request("ACK");
    bob.within(&first.ack, "UPDATE", 1);
    let update = alice.request("UPDATE");
    alice.reply(&update, 200, "");
    first.caller.within("BYE");
    let bye = bob.request("BYE");
    bob.reply(&bye, 200, "t");
    stock.calls_are(0);
    let second = call(&stock, &alice, DOMAIN, &bob);
    bob.within(&second.ack, "BYE", 1);
    let bye = alice.request("BYE");
    alice.reply(&bye, 200, "");
    stock.calls_are(0);

    // Another address; the limit of two.
    assert_eq!(refused(&stock, &stranger, DOMAIN), "SIP/2.0 403 Forbidden");
    // An emergency is not refused: here Kamailio just knows no such user.
    let mut emergency = Caller::new(&stranger, stock.address(), DOMAIN, "");
    emergency.dial_at("112", DOMAIN);
    emergency.invite();
    assert_eq!(emergency.final_reply().status(), Some(404));
    emergency.ack();
    let up = [call(&stock, &alice, DOMAIN, &bob), call(&stock, &alice, DOMAIN, &bob)];
    assert_eq!(refused(&stock, &alice, DOMAIN), "SIP/2.0 403 Too many calls");
    for call in &up {
        bob.within(&call.ack, "BYE", 1);
        let bye = alice.request("BYE");
        alice.reply(&bye, 200, "");
    }
    stock.calls_are(0);
    let third = call(&stock, &alice, DOMAIN, &bob);
    bob.within(&third.ack, "BYE", 1);
    stock.calls_are(0);
    let log = stock.log();
    assert!(
        log.contains("refused: denied_source company=acme.example source=198.51.100.7"),
        "{log}"
    );
    assert!(
        log.contains("refused: company_limit: company=acme.example (any) has 2 of 2 call-id="),
        "{log}"
    );
    assert!(third.invite.0.header("Record-Route").is_some());
}

#[test]
fn a_rate_of_limit_table_is_refused_like_the_other_limits() {
    let stock = with_limits(&format!(
        "INSERT INTO sipwarden_limit (kind, id, max_new, window_seconds)
                VALUES ('company', '{DOMAIN}', 1, 3600), ('did', '*', 9, 1);
            INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES ('user', '*', 9)"
    ));
    let (alice, bob) = (Endpoint::new(GRANTED), Endpoint::new("192.0.2.8"));
    assert_eq!(stock.register(&bob, "bob", DOMAIN), 200);
    let only = call(&stock, &alice, DOMAIN, &bob);
    let counted = format!("user=alice@{DOMAIN} (out)");
    let listed = stock.kamcmd(&["sipwarden.calls", DOMAIN]);
    assert!(listed.contains(&counted), "{listed}");
    assert_eq!(refused(&stock, &alice, DOMAIN), "SIP/2.0 403 Too many calls");
    bob.within(&only.ack, "BYE", 1);
    stock.calls_are(0);
    let log = stock.log();
    assert!(log.contains("refused: rate: company=acme.example (any) has 1 of 1 call-id="), "{log}");
}

#[test]
fn a_carriers_call_counts_for_its_address_and_the_number_that_is_called() {
    let stock = with_limits(&format!(
        "INSERT INTO sipwarden_trusted VALUES ('{CARRIER}', NULL, 'carrier');
            INSERT INTO sipwarden_limit (kind, id, direction, max_calls) VALUES
                ('carrier', '{CARRIER}', 'any', 9), ('did', '*', 'in', 1)"
    ));
    let (carrier, bob) = (Endpoint::new(CARRIER), Endpoint::new("192.0.2.8"));
    assert_eq!(stock.register(&bob, "bob", DOMAIN), 200);
    let only = call(&stock, &carrier, "carrier.example", &bob);
    let listed = stock.kamcmd(&["sipwarden.calls", DOMAIN]);
    for scope in [format!("carrier={CARRIER} (in)"), "did=bob (in)".into()] {
        assert!(listed.contains(&scope), "{scope}: {listed}");
    }
    assert_eq!(refused(&stock, &carrier, "carrier.example"), "SIP/2.0 403 Too many calls");
    bob.within(&only.ack, "BYE", 1);
    stock.calls_are(0);
    let log = stock.log();
    assert!(log.contains("refused: limit: did=bob (in) has 1 of 1 call-id="), "{log}");
}

#[test]
fn a_carriers_call_counts_for_the_company_that_is_called() {
    let stock = installed();
    let (carrier, bob) = (Endpoint::new(CARRIER), Endpoint::new("192.0.2.8"));
    assert_eq!(stock.register(&bob, "bob", DOMAIN), 200);
    let up = [
        call(&stock, &carrier, "carrier.example", &bob),
        call(&stock, &carrier, "carrier.example", &bob),
    ];
    let listed = stock.kamcmd(&["sipwarden.calls", DOMAIN]);
    assert_eq!(listed.matches("direction: in").count(), 2, "{listed}");
    assert_eq!(refused(&stock, &carrier, "carrier.example"), "SIP/2.0 403 Too many calls");
    for call in &up {
        bob.within(&call.ack, "BYE", 1);
    }
    stock.calls_are(0);
    // Somebody else who pretends to be one is nobody's user.
    let stranger = Endpoint::new(ELSEWHERE);
    assert_eq!(refused(&stock, &stranger, "carrier.example"), "SIP/2.0 403 Forbidden");
}

#[test]
fn a_blocked_source_can_end_its_live_call_and_cancel_one_that_rings() {
    let stock = installed();
    let (phone, bob) = (Endpoint::new(ELSEWHERE), Endpoint::new("192.0.2.8"));
    assert_eq!(stock.register(&bob, "bob", DOMAIN), 200);
    let mut live = call(&stock, &phone, "open.example", &bob);
    let mut ringing = Caller::new(&phone, stock.address(), "open.example", "");
    ringing.dial_at("bob", DOMAIN);
    ringing.invite();
    let invite = bob.request("INVITE");
    bob.reply(&invite, 180, "r");
    stock.calls_are(2);
    // No flood over UDP blocks a source with a live call; an operator does.
    stock.kamcmd(&["sipwarden.block", ELSEWHERE, "60"]);
    ringing.cancel();
    let cancel = bob.request("CANCEL");
    bob.reply(&cancel, 200, "r");
    bob.reply(&invite, 487, "r");
    live.caller.within("BYE");
    let bye = bob.request("BYE");
    bob.reply(&bye, 200, "t");
    stock.calls_are(0);
}

/// `sipwarden.check` answers what the README shows, line by line.
#[test]
fn the_first_answer_is_the_one_in_the_readme() {
    let stock = installed();
    let block = crate::support::stock::block_with("README.md", "$ kamcmd sipwarden.check");
    let mut lines = block.lines();
    let question = lines.next().unwrap().strip_prefix("$ kamcmd ").unwrap();
    let answer = stock.kamcmd(&question.split(' ').collect::<Vec<_>>());
    for line in lines.filter(|line| !line.trim().starts_with("...")) {
        assert!(answer.lines().any(|said| said.trim() == line.trim()), "{line}\nnot in\n{answer}");
    }
}

const BEHIND_THE_MODULE: &str =
    "include_file \"sipwarden.cfg\"        # behind loadmodule \"counters.so\"\n";

/// Debian's configuration with the page, included as it is; `above` stands above it.
fn with_the_page(above: &str) -> Stock {
    let stock = Stock::new();
    stock.install();
    stock.machine.ok("cp kamailio-cfg/http.cfg /etc/kamailio/");
    stock.insert_behind(BEHIND_THE_MODULE, &format!("{above}include_file \"http.cfg\"\n"));
    stock
}

const LISTENS: &str = "listen=udp:192.0.2.1:5060\n#!define SIP_LISTEN\n";

#[test]
fn http_cfg_in_the_stock_configuration_leaves_sip_on_the_air() {
    let mut stock = with_the_page(&format!("listen=tcp:127.0.0.1:5062\n{LISTENS}"));
    stock.start();
    let monitor = Phone::new(ELSEWHERE, stock.address());
    assert_eq!(monitor.options_to_the_server().unwrap().status, 200);
    let page = get(8060, "/");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("</html>"), "{page}");
    // Firewalls leave the ports for SIP open to all.
    let elsewhere = get(5062, "/");
    assert!(
        elsewhere.starts_with("HTTP/1.1 403") && elsewhere.contains("Not from here"),
        "{elsewhere}"
    );
    let metrics = get(8060, "/metrics");
    assert!(metrics.contains("kamailio_sipwarden_companies 1"), "{metrics}");
    // The page asks over HTTP, also where the stock file has loaded jsonrpcs.
    let version =
        "{\"jsonrpc\": \"2.0\", \"method\": \"sipwarden.version\", \"params\": [], \"id\": 1}";
    let answer = post(8060, "/RPC", version);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"result\""), "{answer}");
    // Kamailio's own way in for other programs is still there.
    assert!(stock.machine.path("/run/kamailio/kamailio_rpc.fifo").exists(), "{}", stock.log());
}

#[test]
fn http_cfg_stops_the_start_with_a_sentence_where_it_would_harm() {
    for (above, sentence) in [
        ("", "http.cfg would take SIP off the air: write listen=udp:<your address>:5060"),
        (
            "listen=udp:192.0.2.1:5060\n#!define SIP_LISTEN\n#!define WITH_JSONRPC\n",
            "http.cfg has an event_route[xhttp:request] as WITH_JSONRPC has",
        ),
    ] {
        let log = with_the_page(above).fail_to_start();
        assert!(log.contains(sentence), "{log}");
    }
    let stock = Stock::new();
    stock.install();
    stock.machine.ok("cp kamailio-cfg/http.cfg /etc/kamailio/");
    let first = format!("{LISTENS}include_file \"http.cfg\"\n");
    stock.insert_behind("\nloadmodule \"counters.so\"\n", &first);
    let log = stock.fail_to_start();
    assert!(
        log.contains("http.cfg must be included behind the line that loads sipwarden"),
        "{log}"
    );
}

#[test]
fn http_cfg_and_the_stock_route_for_json_rpc_work_together() {
    let mut stock = with_the_page(&format!("{LISTENS}#!define HTTP_IN_MY_ROUTE\n"));
    stock.insert_behind("#!KAMAILIO\n", "#!define WITH_JSONRPC\n");
    stock.insert_behind(
        "event_route[xhttp:request] {\n",
        "\tif ($Rp == HTTP_PORT) { route(HTTP); }\n",
    );
    stock.start();
    assert!(get(8060, "/").contains("</html>"));
    assert!(get(8060, "/nothing").starts_with("HTTP/1.1 404"));
}

/// Types the lines that begin with `$`; each line below them must be in the answer.
fn follow(stock: &Stock, block: &str) {
    for typed in block.split("\n$ ").skip(1) {
        let mut lines = typed.lines();
        let command = lines.next().unwrap();
        let expected: Vec<_> =
            lines.map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("...")).collect();
        let once = command.starts_with("sqlite3") || command.contains("sipwarden.reload");
        // A setting takes a moment until all processes know it.
        wait_for(command, || {
            let answer = crate::support::machine::said(&stock.machine.shell(command));
            let is_there = |line: &&str| answer.lines().any(|said| said.trim() == *line);
            let missing = expected.iter().find(|line| !is_there(line));
            assert!(missing.is_none() || !once, "{missing:?} not in\n{answer}");
            missing.is_none().then_some(())
        });
    }
}

#[test]
fn the_first_day_goes_as_the_guide_says() {
    let mut stock = Stock::new();
    stock.install();
    stock.serve(&[DOMAIN]);
    stock.start();
    let guide =
        std::fs::read_to_string(crate::support::project().join("docs/first-day.md")).unwrap();
    let start = crate::support::stock::block_with("docs/first-day.md", "generation 1 loaded");
    assert!(stock.log().contains(start.trim()), "{}", stock.log());
    let mut followed = 0;
    for block in guide.split("```").skip(1).step_by(2).filter(|block| block.contains("\n$ ")) {
        if block.contains("sipwarden.denied") {
            let stranger = Endpoint::new(ELSEWHERE);
            assert_eq!(refused(&stock, &stranger, DOMAIN), "SIP/2.0 403 Forbidden");
            wait_for("the refusal", || {
                stock.kamcmd(&["sipwarden.denied", DOMAIN]).contains(ELSEWHERE).then_some(())
            });
        }
        follow(&stock, block);
        followed += 1;
    }
    assert_eq!(followed, 7);
    assert!(
        stock.log().contains("refused: denied_source company=acme.example source=198.51.100.7")
    );
    // Watched only.
    let other = Endpoint::new("198.51.100.99");
    assert_eq!(refused(&stock, &other, DOMAIN), "SIP/2.0 404 Not Found");
    // The lines for a group of operators.
    stock.stop();
    stock.machine.ok("groupadd operators");
    let lines =
        crate::support::stock::block_with("docs/first-day.md", "modparam(\"ctl\", \"mode\"");
    stock.insert_behind("# ----- sanity params -----\n", &lines);
    stock.start();
    let socket = stock.machine.ok("stat -c '%G %a' /run/kamailio/kamailio_ctl");
    assert_eq!(socket, "operators 660\n");
}

const SHIPPED: &str = "/etc/kamailio/sipwarden.cfg";

fn sqlite(stock: &Stock, database: &str, sql: &str) {
    stock.machine.write("/srv/statements.sql", sql);
    stock.machine.ok(&format!("sqlite3 -bail /var/lib/kamailio/{database} </srv/statements.sql"));
}

#[test]
fn the_guide_finds_the_company_of_a_trunk_and_of_a_number() {
    use crate::support::stock::block_with;
    let guide = "docs/whose-call.md";
    let mut stock = Stock::new();
    stock.install();
    stock.serve(&[DOMAIN]);
    sqlite(&stock, "sipwarden.sqlite", &block_with(guide, "CREATE TABLE did"));
    sqlite(&stock, "sipwarden.sqlite", &block_with(guide, "INSERT INTO sipwarden_trusted"));
    let module = "loadmodule \"sipwarden.so\"\n";
    let tables = block_with(guide, "htable.so");
    stock.replace(SHIPPED, module, &format!("{tables}{module}"));
    stock.replace(
        SHIPPED,
        "\t$avp(company) = $(fd{s.tolower});\n",
        &block_with(guide, "$sht(trunk=>$si)"),
    );
    stock.replace(
        SHIPPED,
        "\t\t$avp(company) = $(rd{s.tolower});\n",
        &block_with(guide, "$sht(did=>$rU)"),
    );
    stock.start();
    // A PBX whose From is its own, from its address.
    let [pbx, carrier, bob] = ["192.0.2.50", CARRIER, "192.0.2.8"].map(Endpoint::new);
    assert_eq!(stock.register(&bob, "bob", DOMAIN), 200);
    assert_eq!(stock.register(&bob, "+34911111111", DOMAIN), 200);
    let trunk = call(&stock, &pbx, "pbx.invalid", &bob);
    bob.within(&trunk.ack, "BYE", 1);
    stock.calls_are(0);
    // A call to a number of the company, and to nobody's.
    let mut inbound = Caller::new(&carrier, stock.address(), "carrier.example", "");
    inbound.dial("+34911111111");
    inbound.invite();
    let invite = bob.request("INVITE");
    bob.reply(&invite, 486, "b");
    assert_eq!(inbound.final_reply().status(), Some(486));
    let counted = stock.kamcmd(&["sipwarden.stats"]);
    assert!(counted.contains("calls_inbound: 1\n"), "{counted}");
    let mut wrong = Caller::new(&carrier, stock.address(), "carrier.example", "");
    wrong.dial("+34900000000");
    wrong.invite();
    assert_eq!(wrong.final_reply().line, "SIP/2.0 404 No such number");
}

#[test]
fn the_guide_finds_the_company_of_an_account() {
    let mut stock = Stock::new();
    stock.install();
    stock.serve(&["phones.example"]);
    stock.insert_behind(
        "#!KAMAILIO\n",
        "#!define WITH_AUTH\n#!define DBURL \"sqlite:////var/lib/kamailio/kamailio.sqlite\"\n",
    );
    let line = crate::support::stock::block_with("docs/whose-call.md", "load_credentials");
    stock.replace(CONFIG, "modparam(\"auth_db\", \"load_credentials\", \"\")\n", &line);
    stock.replace(SHIPPED, "\t$avp(company) = $(fd{s.tolower});\n", "");
    stock.create_tables("auth_db");
    sqlite(
        &stock,
        "kamailio.sqlite",
        "ALTER TABLE subscriber ADD COLUMN company_id VARCHAR(128);
        INSERT INTO subscriber (username, domain, password, company_id)
            VALUES ('alice', 'phones.example', 'secret', 'acme.example');",
    );
    stock.start();
    for (ip, status) in [(GRANTED, 200), (ELSEWHERE, 403)] {
        let phone = Account::new(ip, stock.address(), "alice", "phones.example");
        assert_eq!(phone.register().status(), Some(status), "{ip}");
    }
    let log = stock.log();
    assert!(log.contains("refused: denied_source company=acme.example"), "{log}");
}
