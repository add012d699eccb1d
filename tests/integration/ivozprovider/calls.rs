//! A platform as it is and with sipwarden's calls: the same requests get the same answers.

use crate::support::account::Account;
use crate::support::call::{Caller, Endpoint};
use crate::support::mmdb::Mmdb;
use crate::support::proxies::{Kind, Proxy};
use crate::support::world::{ELSEWHERE, GRANTED, World};
use crate::support::{Folder, PATIENCE};

/// The application server tells alice of messages that wait.
fn notify(world: &World, domain: &str) {
    let me = world.server.address();
    let text = format!(
        "NOTIFY sip:alice@{domain} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKnotify\r\n\
         From: <sip:as@{domain}>;tag=n\r\nTo: <sip:alice@{domain}>\r\nCall-ID: notify@{me}\r\n\
         CSeq: 1 NOTIFY\r\nContact: <sip:as@{me}>\r\nMax-Forwards: 70\r\n\
         Event: message-summary\r\nContent-Length: 0\r\n\r\n"
    );
    world.server.send(&text, world.proxies.users.address());
}

const BOTH: [Kind; 2] = [Kind::Stock, Kind::Sipwarden];

#[test]
fn phones_register_subscribe_and_call_from_where_they_may() {
    for kind in BOTH {
        let world = World::start(kind, &[]);
        let users = world.proxies.users.address();
        let granted = world.phone(GRANTED, 7);
        // OPTIONS first of all, from anywhere and without a password.
        let anybody = world.phone("127.61.0.9", 8);
        assert_eq!(anybody.ask("OPTIONS", 1, "").unwrap().status(), Some(200));
        assert_eq!(granted.register().status(), Some(200), "{kind:?}");

        // Elsewhere: company 8's user has no call of its own, 7's has three. Neither may
        // use the portal, which is nothing to the proxies.
        let stranger = world.phone(ELSEWHERE, 8);
        let refused = stranger.register();
        assert_eq!(refused.line, "SIP/2.0 403 Forbidden (invalid IP)");
        let roadwarrior = world.phone(ELSEWHERE, 7);
        assert_eq!(roadwarrior.register().status(), Some(200));

        // The announcement: vpbx and residential, by way of the application server, which
        // knows the endpoint by its header; retail is told.
        for (company, brand) in [(8, 9), (10, 11)] {
            let phone = world.phone(ELSEWHERE, company);
            let mut caller = phone.call("+34600000000", &phone.domain, "");
            let invite = world.server.request("INVITE");
            assert!(invite.0.line.starts_with("INVITE sip:ipnotallowed@"), "{}", invite.0.line);
            let endpoint = format!("b{brand}c{company}_alice");
            assert_eq!(invite.0.header("X-Info-Endpoint"), Some(endpoint.as_str()));
            world.server.reply(&invite, 480, "a");
            assert_eq!(caller.final_reply().status(), Some(480));
        }
        let retail = world.phone(ELSEWHERE, 9);
        let mut caller = retail.call("+34600000000", &retail.domain, "");
        assert_eq!(caller.final_reply().line, "SIP/2.0 403 Forbidden (invalid IP)");

        // A wrong password is challenged again; capitals are the same user.
        let mut thief = world.phone(GRANTED, 7);
        thief.password = "guess".into();
        assert_eq!(thief.register().status(), Some(401));
        let capitals = Account::new(ELSEWHERE, users, "ALICE", "c7.example");
        assert_eq!(capitals.register().status(), Some(200));
        // Two sets of credentials: that for this domain counts.
        let elsewhere = "Authorization: Digest username=\"alice\", realm=\"other.example\", \
            nonce=\"aNGYsGjRl4QzmJYOoNg1yFFKBMPRVSSq\", uri=\"sip:other.example\", \
            response=\"00000000000000000000000000000000\"\r\n";
        for first in [true, false] {
            let challenge = granted.ask("REGISTER", 1, "").unwrap();
            let mut headers = granted.credentials("REGISTER", &challenge);
            if first {
                headers.insert_str(0, elsewhere);
            } else {
                headers.push_str(elsewhere);
            }
            assert_eq!(granted.ask("REGISTER", 2, &headers).unwrap().status(), Some(200));
        }

        // Presence: to the application servers after the filter, from them to phones.
        for (method, status) in [("SUBSCRIBE", 202), ("PUBLISH", 200)] {
            assert_eq!(stranger.request(method).line, "SIP/2.0 403 Forbidden (invalid IP)");
            for allowed in [&granted, &roadwarrior] {
                let asked = allowed.send_authorized(method);
                let request = world.server.request(method);
                assert_eq!(request.0.header("X-Info-Endpoint"), Some("b8c7_alice"));
                world.server.reply(&request, status, "a");
                assert_eq!(allowed.answer(&asked).status(), Some(status), "{kind:?} {method}");
            }
        }
        notify(&world, "c7.example");
        let came = granted.endpoint.request("NOTIFY");
        granted.endpoint.reply(&came, 200, "p");
        let answer = world.server.receive_within(PATIENCE).unwrap().0;
        assert_eq!(answer.status(), Some(200));

        // Wholesale: known by the address, without filter and password; nothing but calls.
        let no_call = Account::new("127.80.0.1", users, "alice", "c11.example");
        for method in ["REGISTER", "SUBSCRIBE", "PUBLISH"] {
            assert_eq!(
                no_call.ask(method, 1, "").unwrap().status(),
                Some(501),
                "{kind:?} {method}"
            );
        }
        let wholesale = Endpoint::new("127.80.0.1");
        let mut caller = Caller::new(&wholesale, users, "any.example", "X-Info-CompanyId: 7\r\n");
        caller.dial("+34600000000");
        caller.invite();
        let invite = world.carrier.request("INVITE");
        world.carrier.reply(&invite, 486, "c");
        assert_eq!(caller.final_reply().status(), Some(486));

        // Without a password: known by the address, else refused.
        world.platform.run(&format!(
            "INSERT INTO Friends (companyId, name, domainId, ip, password) VALUES (7, 'pbx', 7, '{GRANTED}', NULL);"
        ));
        let friend = Account::new(GRANTED, users, "pbx", "c7.example");
        assert_eq!(friend.ask("REGISTER", 1, "").unwrap().status(), Some(200));
        let other = Account::new("127.50.7.9", users, "pbx", "c7.example");
        assert_eq!(other.ask("REGISTER", 1, "").unwrap().line, "SIP/2.0 403 Forbidden [FS]");
        // A filter that is off, or NULL.
        for off in ["0", "NULL"] {
            world.platform.run(&format!("UPDATE Companies SET ipFilter = {off} WHERE id = 8;"));
            assert_eq!(stranger.register().status(), Some(200), "{kind:?} {off}");
        }
    }
}

#[test]
fn a_roadwarrior_has_so_many_calls_and_no_more_and_gets_calls_without_counting() {
    for kind in BOTH {
        let world = World::start(kind, &[]);
        world.platform.run("UPDATE Users SET externalIpCalls = '2' WHERE companyId = 7;");
        world.proxies.reload();
        let phone = world.phone(ELSEWHERE, 7);
        assert_eq!(phone.register().status(), Some(200));
        let (first, second) = (world.answered(&phone), world.answered(&phone));
        let refused = |number: &str| {
            let mut third = phone.call(number, &phone.domain, "");
            let invite = world.server.request("INVITE");
            assert!(invite.0.line.starts_with("INVITE sip:ipnotallowed@"), "{}", invite.0.line);
            world.server.reply(&invite, 480, "a");
            assert_eq!(third.final_reply().status(), Some(480));
        };
        refused("+34600000000");

        // A call that it gets is none of its own.
        let (mut incoming, ringing) = world.call_phone(&phone);
        phone.endpoint.reply(&ringing, 200, "p");
        assert_eq!(incoming.final_reply().status(), Some(200));
        incoming.ack();
        phone.endpoint.request("ACK");
        if kind == Kind::Sipwarden {
            let check = world.proxies.users.kamcmd(&[
                "sipwarden.check",
                "7",
                ELSEWHERE,
                "alice@c7.example",
            ]);
            assert!(check.contains("user_calls: 2"), "{check}");
        }
        incoming.within("BYE");
        let bye = phone.endpoint.request("BYE");
        phone.endpoint.reply(&bye, 200, "p");

        // From a granted address it needs none.
        let office = world.phone(GRANTED, 7);
        let granted = world.answered(&office);
        // One ends, and another one may be placed.
        world.hang_up(first, &world.server);
        if kind == Kind::Sipwarden {
            world.proxies.users.wait_until(&["sipwarden.calls"], "total: 1");
        }
        let fourth = world.answered(&phone);
        refused("+34600000001");
        // An emergency passes, and it alone: where today it is refused like others.
        if kind == Kind::Sipwarden {
            let mut emergency = phone.call("112", &phone.domain, "");
            let invite = world.server.request("INVITE");
            assert!(invite.0.line.starts_with("INVITE sip:112@"), "{}", invite.0.line);
            world.server.reply(&invite, 486, "a");
            assert_eq!(emergency.final_reply().status(), Some(486));
        } else {
            refused("112");
        }
        for caller in [second, granted, fourth] {
            world.hang_up(caller, &world.server);
        }
        if kind == Kind::Sipwarden {
            world.proxies.users.wait_until(&["sipwarden.calls"], "total: 0");
        }
    }
}

#[test]
fn limits_of_company_and_brand_hold_for_calls_out_in_and_bounced() {
    for kind in BOTH {
        let world = World::start(kind, &[]);
        let trunks = &world.proxies.trunks;
        let ours = kind == Kind::Sipwarden;
        let calls_are = |company: &str, calls: u32| {
            if ours {
                world.calls_of_company_are(company, calls);
            }
        };
        // The size of the profile by which the platform ends calls.
        let profile = |company: &str| {
            trunks
                .kamcmd(&["dlg.profile_get_size", "activeCallsCompany", company])
                .trim()
                .to_owned()
        };
        let limit = |company: u32, brand: u32| {
            world.platform.run(&format!(
                "UPDATE Companies SET maxCalls = {company} WHERE id = 7; UPDATE Brands SET maxCalls = {brand} WHERE id = 8;"
            ));
            world.proxies.reload();
        };
        limit(2, 0);
        let mut first = world.external(7, "+34600000000");
        world.carrier_answers(&mut first);
        calls_are("7", 1);
        assert_eq!(profile("7"), "1", "{kind:?}");
        let mut second = world.external(7, "+34600000000");
        world.carrier_answers(&mut second);
        let mut third = world.external(7, "+34600000000");
        assert_eq!(third.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
        let mut inbound = world.carrier_call(&world.carrier);
        inbound.invite();
        assert_eq!(inbound.final_reply().line, "SIP/2.0 486 Busy");
        // Another company calls 7: the call comes back to trunks, and is the inside's.
        let mut bounced = world.external(8, "+34911111111");
        assert_eq!(bounced.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
        // An emergency is counted and passes; today it is refused.
        let mut emergency = world.external(7, "+34112");
        if ours {
            world.carrier_answers(&mut emergency);
            calls_are("7", 3);
            world.hang_up(emergency, &world.carrier);
            calls_are("7", 2);
        } else {
            assert_eq!(emergency.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
        }

        // A call ends: the carrier gets through, from no range of the company.
        world.hang_up(first, &world.carrier);
        calls_are("7", 1);
        let answer = |caller: &mut Caller<'_>| {
            let ringing = world.server.request("INVITE");
            world.server.reply(&ringing, 200, "a");
            assert_eq!(caller.final_reply().status(), Some(200));
            caller.ack();
            world.server.request("ACK");
        };
        inbound = world.carrier_call(&world.carrier);
        inbound.invite();
        answer(&mut inbound);
        calls_are("7", 2);
        assert_eq!(profile("7"), "2", "{kind:?}");
        inbound.within("BYE");
        let bye = world.server.request("BYE");
        world.server.reply(&bye, 200, "a");
        calls_are("7", 1);

        // A number without a company: to the default servers, counted for nobody.
        let mut nobody = Caller::new(&world.carrier, trunks.address(), "carrier.example", "");
        nobody.dial("+34922222222");
        nobody.invite();
        let invite = world.server.request("INVITE");
        assert!(invite.0.line.starts_with("INVITE sip:noclient@"), "{}", invite.0.line);
        world.server.reply(&invite, 404, "a");
        assert_eq!(nobody.final_reply().status(), Some(404));

        // The brand's limit is its own.
        limit(0, 1);
        let mut over = world.external(7, "+34600000000");
        assert_eq!(over.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
        world.hang_up(second, &world.carrier);
        calls_are("7", 0);
        let mut again = world.external(7, "+34600000000");
        world.carrier_answers(&mut again);
        // Maintenance and the daily limit end calls by this profile.
        assert_eq!(profile("7"), "1", "{kind:?}");
        world.hang_up(again, &world.carrier);
        calls_are("7", 0);

        // Who is no carrier places no calls.
        let outsider = Endpoint::new(ELSEWHERE);
        let header = "X-Info-CompanyId: 7\r\n";
        let mut caller = Caller::new(&outsider, trunks.address(), "x.example", header);
        caller.invite();
        assert_eq!(caller.final_reply().status(), Some(403));
    }
}

#[test]
fn limits_of_the_operators_own_hold_on_trunks() {
    let world = World::start(Kind::Sipwarden, &[("SIPWARDEN_LIMITS", "")]);
    world.platform.run(
        "INSERT INTO sipwarden.sipwarden_operator_limit (kind, id, direction, max_calls) VALUES
            ('did', '+34911111111', 'in', 1), ('company', '7', 'out', 1);",
    );
    world.proxies.reload();
    let trunks = &world.proxies.trunks;
    let mut inbound = world.carrier_call(&world.carrier);
    inbound.invite();
    let ringing = world.server.request("INVITE");
    world.server.reply(&ringing, 200, "a");
    assert_eq!(inbound.final_reply().status(), Some(200));
    inbound.ack();
    world.server.request("ACK");
    // The number is taken: busy for the carrier, refused for the inside.
    let mut second = world.carrier_call(&world.carrier);
    second.invite();
    assert_eq!(second.final_reply().line, "SIP/2.0 486 Busy");
    let mut bounced = world.external(8, "+34911111111");
    assert_eq!(bounced.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
    let said = "refused: did +34911111111 (in) has 1 of 1";
    assert!(trunks.log().contains(said), "{}", trunks.log());
    trunks.wait_until(&["sipwarden.calls", "did=+34911111111"], "total: 1");
    // Calls out have a limit of their own.
    let mut out = world.external(7, "+34600000000");
    world.carrier_answers(&mut out);
    let mut more = world.external(7, "+34600000000");
    assert_eq!(more.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
    world.hang_up(out, &world.carrier);
    inbound.within("BYE");
    let bye = world.server.request("BYE");
    world.server.reply(&bye, 200, "a");
    world.calls_of_company_are("7", 0);
}

#[test]
fn of_many_calls_at_once_exactly_so_many_get_through_as_the_limit_says() {
    let world = World::start(Kind::Sipwarden, &[]);
    world.platform.run("UPDATE Companies SET maxCalls = 5 WHERE id = 11;");
    world.proxies.reload();
    let proxy = world.proxies.users.address();
    let wholesale: Vec<_> = (0..20).map(|_| Endpoint::new("127.80.0.1")).collect();
    let mut callers: Vec<_> =
        wholesale.iter().map(|phone| Caller::new(phone, proxy, "any.example", "")).collect();
    for caller in &mut callers {
        caller.dial("+34600000000");
        caller.invite();
    }
    for _ in 0..5 {
        let invite = world.carrier.request("INVITE");
        world.carrier.reply(&invite, 200, "c");
    }
    let replies: Vec<_> = callers.iter_mut().map(|caller| caller.final_reply().line).collect();
    let answered = replies.iter().filter(|line| *line == "SIP/2.0 200 Test").count();
    let refused = replies.iter().filter(|line| *line == "SIP/2.0 403 Maxcalls exceeded").count();
    assert_eq!((refused, answered), (15, 5), "{replies:?}");
    world.calls_of_company_are("11", 5);
    // Every slot comes back.
    let up = callers.into_iter().filter(|caller| caller.is_up());
    for caller in up {
        caller.ack();
        world.hang_up(caller, &world.carrier);
    }
    world.calls_of_company_are("11", 0);
}

#[test]
fn a_companys_countries_grant_where_its_ranges_do_not() {
    let folder = Folder::new();
    let file = folder.join("countries.mmdb");
    let networks = [("127.60.0.0/24", "ES"), ("127.61.0.0/24", "FR")];
    std::fs::write(&file, Mmdb::new(6, 28).with(&networks).bytes()).unwrap();
    let setting = ("SIPWARDEN_GEOIP_DB", format!("\"{}\"", file.display()));
    let world = World::start(Kind::Sipwarden, &[(setting.0, &setting.1)]);
    let (spain, france) = (world.phone("127.60.0.1", 8), world.phone("127.61.0.1", 8));
    assert_eq!(spain.register().status(), Some(403));
    world.platform.run(
        "INSERT INTO Countries VALUES (68, 'ES'), (75, 'FR');
         INSERT INTO CompaniesRelGeoIPCountries (companyId, countryId) VALUES (8, 68), (9, 75);",
    );
    world.proxies.reload();
    assert_eq!(spain.register().status(), Some(200));
    assert_eq!(france.register().status(), Some(403));
}

#[test]
fn a_refused_call_goes_to_the_servers_of_its_company() {
    for kind in BOTH {
        let world = World::start(kind, &[]);
        let second = Endpoint::new("127.90.0.1");
        world.platform.run(&format!(
            "INSERT INTO ApplicationServerSets VALUES (1, 'second', 'hash');
             INSERT INTO ApplicationServers VALUES (2, '127.90.0.1', 'second');
             INSERT INTO kam_dispatcher (setid, destination) VALUES (1, 'sip:{}');
             UPDATE Companies SET applicationServerSetId = 1 WHERE id = 8;",
            second.address()
        ));
        world.proxies.users.kamcmd(&["dispatcher.reload"]);
        let phone = world.phone(ELSEWHERE, 8);
        let mut caller = phone.call("+34600000000", &phone.domain, "");
        let invite = second.request("INVITE");
        assert!(invite.0.line.starts_with("INVITE sip:ipnotallowed@"), "{}", invite.0.line);
        second.reply(&invite, 480, "a");
        assert_eq!(caller.final_reply().status(), Some(480));
    }
}

/// The platform sets `detect_spirals` 0: each INVITE has a dialog of its own.
#[test]
fn an_invite_with_the_call_id_of_a_live_call_is_a_call_of_its_own_and_counts() {
    for kind in BOTH {
        let world = World::start(kind, &[]);
        world.platform.run(
            "UPDATE Companies SET maxCalls = 2 WHERE id = 7;
             UPDATE Users SET externalIpCalls = '2' WHERE companyId = 7;",
        );
        world.proxies.reload();
        let (users, trunks) = (&world.proxies.users, &world.proxies.trunks);
        let count = |proxy: &Proxy, calls: u32| {
            if kind == Kind::Sipwarden {
                proxy.wait_until(&["sipwarden.calls"], &format!("total: {calls}"));
            }
        };
        // To the application server twice, then to the announcement.
        let phone = world.phone(ELSEWHERE, 7);
        let mut call = phone.call("+34600000000", &phone.domain, "");
        let mut ringing = Vec::new();
        for n in 1..=3 {
            let invite = world.server.request("INVITE");
            let dialled = ["+34600000000", "ipnotallowed"][usize::from(n > 2)];
            assert!(invite.0.line.starts_with(&format!("INVITE sip:{dialled}@")), "{kind:?} {n}");
            count(users, n.min(2));
            ringing.push(invite);
            if n < 3 {
                call.invite_again();
            }
        }
        for invite in &ringing {
            world.server.reply(invite, 486, "a");
            assert_eq!(call.final_reply().status(), Some(486));
        }
        count(users, 0);

        // The same on trunks, with what is answered there at the limit.
        let mut inbound = world.carrier_call(&world.carrier);
        inbound.invite();
        let first = world.server.request("INVITE");
        inbound.invite_again();
        let second = world.server.request("INVITE");
        count(trunks, 2);
        inbound.invite_again();
        assert_eq!(inbound.final_reply().line, "SIP/2.0 486 Busy", "{kind:?}");
        for invite in [&first, &second] {
            world.server.reply(invite, 480, "a");
            assert_eq!(inbound.final_reply().status(), Some(480));
        }
        count(trunks, 0);
    }
}

/// Where the operator has set it to 1, the second one cannot be told from the first.
#[test]
fn with_detect_spirals_an_invite_with_the_call_id_of_a_live_call_gets_482() {
    let spirals = "modparam(\"dialog\", \"detect_spirals\", 1)";
    let world = World::start(Kind::Sipwarden, &[(spirals, "")]);
    let phone = world.phone(ELSEWHERE, 7);
    let mut call = phone.call("+34600000000", &phone.domain, "");
    let invite = world.server.request("INVITE");
    let mut inbound = world.carrier_call(&world.carrier);
    inbound.invite();
    let incoming = world.server.request("INVITE");
    for (call, invite, proxy) in [
        (&mut call, &invite, &world.proxies.users),
        (&mut inbound, &incoming, &world.proxies.trunks),
    ] {
        call.invite_again();
        assert_eq!(call.final_reply().line, "SIP/2.0 482 Merged Request");
        proxy.wait_until(&["sipwarden.calls"], "total: 1");
        world.server.reply(invite, 486, "a");
        assert_eq!(call.final_reply().status(), Some(486));
        proxy.wait_until(&["sipwarden.calls"], "total: 0");
    }
}
