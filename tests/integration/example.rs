//! The example configuration under attack.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::example::Example;
use crate::support::kamailio::free_port;
use crate::support::server::{program, search_path};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project, sanitizer, wait_for};

fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('c.example', 'b', 0, 0), ('127.0.0.1', 'b', 0, 0);
        INSERT INTO sipwarden_trusted VALUES ('127.0.0.99', NULL, 'exempt');",
    );
    db
}

/// With `flood_unproven` `block`: floods over UDP block, as the shipped default does not.
fn blocking(
    db: &Sqlite,
    gateway: SocketAddr,
    defines: &[(&str, String)],
    edits: &[(&str, &str)],
) -> Example {
    let block = ("FLOOD_UNPROVEN", "\"block\"".to_owned());
    let defines: Vec<_> = defines.iter().cloned().chain([block]).collect();
    Example::start_with(db, gateway, &defines, edits)
}

/// What `kamcmd sipwarden.blocks` says, if this source is among it.
fn block_of(example: &Example, source: &str) -> Option<String> {
    let listed = example.kamcmd(&["sipwarden.blocks"]);
    listed.contains(&format!("source: {source}\n")).then_some(listed)
}

/// Sends requests until the source is blocked.
fn flood(example: &Example, source: &str) {
    let phone = Phone::new(source, example.address());
    for _ in 0..150 {
        phone.send("OPTIONS", "x", "");
    }
    wait_for("the block", || block_of(example, source));
}

#[test]
fn a_block_drops_neither_the_bye_of_a_live_call_nor_the_cancel_of_one_that_rings() {
    let folder = Folder::new();
    let gateway = Endpoint::new("127.0.0.99");
    let example = blocking(&tenants(&folder), gateway.address(), &[], &[]);
    // A live call proves the phone; this is about one that is blocked all the same.
    example.kamcmd(&["sipwarden.set", "flood_proven_keep", "0"]);
    let phone = Endpoint::new("127.40.0.1");

    let mut up = Caller::new(&phone, example.address(), "c.example", "");
    up.invite();
    let invite = gateway.request("INVITE");
    gateway.reply(&invite, 200, "t");
    assert_eq!(up.final_reply().status(), Some(200));
    up.ack();
    let ack = gateway.request("ACK");
    let mut ringing = Caller::new(&phone, example.address(), "c.example", "");
    ringing.invite();
    let second = gateway.request("INVITE");
    gateway.reply(&second, 180, "t");

    flood(&example, "127.40.0.1");
    // Nothing new gets through, nor does a request of a call that is none.
    let asker = Phone::new("127.40.0.1", example.address());
    asker.send("OPTIONS", "x", "");
    let mut stranger = Caller::new(&phone, example.address(), "c.example", "");
    stranger.within("BYE");

    // The calls that are up go on to their end.
    ringing.cancel();
    let cancel = gateway.request("CANCEL");
    gateway.reply(&cancel, 200, "t");
    gateway.reply(&second, 487, "t");
    assert_eq!(ringing.final_reply().status(), Some(487));
    up.within("INVITE");
    let again = gateway.request("INVITE");
    gateway.reply(&again, 200, "t");
    up.ack();
    up.within("BYE");
    let bye = gateway.request("BYE");
    assert_eq!(bye.0.header("Call-ID"), ack.0.header("Call-ID"));
    gateway.reply(&bye, 200, "t");
    wait_for("the calls to end", || {
        example.kamcmd(&["sipwarden.calls"]).contains("total: 0").then_some(())
    });
    assert!(asker.heard_nothing());
    assert!(block_of(&example, "127.40.0.1").is_some());

    // An emergency passes.
    let mut emergency = Caller::new(&phone, example.address(), "c.example", "");
    emergency.dial("112");
    emergency.invite();
    let invite = gateway.request("INVITE");
    gateway.reply(&invite, 486, "t");
    assert_eq!(emergency.final_reply().status(), Some(486));
}

#[test]
fn with_dialogs_in_a_database_an_invite_within_no_call_is_refused() {
    let folder = Folder::new();
    let gateway = Endpoint::new("127.0.0.99");
    let define = [("DIALOG_DB_URL", format!("\"{}\"", Sqlite::dialogs(&folder).url()))];
    let example = Example::start_with(&tenants(&folder), gateway.address(), &define, &[]);
    let phone = Endpoint::new("127.45.0.1");

    let mut forged = Caller::new(&phone, example.address(), "c.example", "");
    forged.pretend_to_be_up(&gateway);
    forged.within("INVITE");
    assert_eq!(forged.final_reply().status(), Some(481));

    // A call that was checked and counted goes on.
    let mut live = Caller::new(&phone, example.address(), "c.example", "");
    live.invite();
    let invite = gateway.request("INVITE");
    assert_eq!(invite.0.header("Call-ID"), Some(live.call_id.as_str()));
    gateway.reply(&invite, 200, "t");
    assert_eq!(live.final_reply().status(), Some(200));
    live.ack();
    let ack = gateway.request("ACK");
    assert_eq!(ack.0.header("Call-ID"), Some(live.call_id.as_str()));
    live.within("INVITE");
    gateway.reply(&gateway.request("INVITE"), 200, "t");
    assert_eq!(live.final_reply().status(), Some(200));
    live.ack();
    gateway.within(&ack, "INVITE", 1);
    let of_callee = phone.request("INVITE");
    assert_eq!(of_callee.0.header("Call-ID"), Some(live.call_id.as_str()));
    phone.reply(&of_callee, 200, "");
    gateway.hang_up(&ack);
    phone.reply(&phone.request("BYE"), 200, "");
}

/// What counts, counts for the whole test.
fn long_window(example: &Example) {
    example.kamcmd(&["cfg.set_now_string", "sipwarden", "flood_window", "600s"]);
    wait_for("the long window", || {
        example.kamcmd(&["sipwarden.settings"]).contains("window_ms: 600000").then_some(())
    });
}

#[test]
fn as_shipped_packets_that_may_be_forged_block_nobody() {
    let folder = Folder::new();
    let gateway = Endpoint::new("127.0.0.99");
    let example = Example::start(&tenants(&folder), gateway.address());
    long_window(&example);
    let flooder = Phone::new("127.44.0.1", example.address());
    let answered = (0..150).take_while(|_| flooder.options_to_the_server().is_some()).count();
    assert_eq!(answered, 100);
    assert!(block_of(&example, "127.44.0.1").is_none());
    let told = example.kamcmd(&["sipwarden.source", "127.44.0.1"]);
    assert!(told.contains("flood_unproven"), "{told}");
}

#[test]
fn where_failures_count_what_succeeds_is_free() {
    let folder = Folder::new();
    let gateway = Endpoint::new("127.0.0.99");
    let define = [("COUNT_FAILURES", "1".to_owned())];
    let known = [("$avp(company) = $(fd{s.tolower});", "$avp(company) = \"c.example\";")];
    let example = blocking(&tenants(&folder), gateway.address(), &define, &known);
    long_window(&example);
    let phone = Phone::new("127.42.0.1", example.address());
    for _ in 0..150 {
        assert_eq!(phone.request("OPTIONS", "x", "").unwrap().status, 200);
    }
    let answered = (0..150).take_while(|_| phone.request("SUBSCRIBE", "x", "").is_some()).count();
    assert_eq!(answered, 100);
    assert!(block_of(&example, "127.42.0.1").is_some());
    phone.send("OPTIONS", "x", "");
    assert!(phone.heard_nothing());
    // And as shipped: everything.
    let folder = Folder::new();
    let example = Example::start_with(&tenants(&folder), gateway.address(), &[], &known);
    long_window(&example);
    let phone = Phone::new("127.42.0.1", example.address());
    let answered = (0..150).take_while(|_| phone.request("OPTIONS", "x", "").is_some()).count();
    assert_eq!(answered, 100);
}

/// A monitoring host is of no company; its keepalives must not be a way around the limit.
#[test]
fn a_monitoring_host_is_answered_and_a_flood_of_keepalives_is_not() {
    let gateway = Endpoint::new("127.0.0.99");
    for define in [vec![], vec![("COUNT_FAILURES", "1".to_owned())]] {
        let folder = Folder::new();
        let example = blocking(&tenants(&folder), gateway.address(), &define, &[]);
        long_window(&example);
        let monitor = Phone::new("127.43.0.1", example.address());
        let reply = monitor.options_to_the_server().unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text);
        // It asks for no user. One that it does not know of is refused as before.
        assert_eq!(monitor.request("OPTIONS", "x", "").unwrap().status, 403);
        let flooder = Phone::new("127.43.0.2", example.address());
        let answered = (0..150).take_while(|_| flooder.options_to_the_server().is_some()).count();
        assert_eq!(answered, 100);
        assert!(block_of(&example, "127.43.0.2").is_some());
    }
}

#[test]
fn a_phone_that_calls_again_with_its_old_call_id_hears_what_is_wrong() {
    let folder = Folder::new();
    let db = tenants(&folder);
    db.run(
        "INSERT INTO sipwarden_company VALUES ('r.example', 'b', 1, 0);
        INSERT INTO sipwarden_user VALUES ('alice@r.example', 'r.example', 2);",
    );
    let gateway = Endpoint::new("127.0.0.99");
    let example = Example::start(&db, gateway.address());
    let phone = Endpoint::new("127.42.0.1");
    // Found by cc_limit, and by roadwarrior_acquire.
    for company in ["c.example", "r.example"] {
        let mut call = Caller::new(&phone, example.address(), company, "");
        call.invite();
        let invite = gateway.request("INVITE");
        gateway.reply(&invite, 180, "t");
        call.invite_again();
        let refused = call.final_reply();
        assert_eq!(refused.status(), Some(482), "{company}: {}", refused.line);
        gateway.reply(&invite, 486, "t");
    }
}

#[test]
fn a_scanner_ends_blocked_and_an_honest_phone_does_not_notice() {
    let folder = Folder::new();
    let gateway = Endpoint::new("127.0.0.99");
    let example = blocking(&tenants(&folder), gateway.address(), &[], &[]);
    // On a busy machine the scanner is slow.
    long_window(&example);
    let honest = Phone::new("127.41.0.1", example.address());
    let port = example.address().port().to_string();
    // svwar asks for one extension after the other, from 127.0.0.1.
    let mut scanner = Command::new("svwar")
        .args(["-e", "1000-9999", "-m", "OPTIONS", "-p", &port, "-P"])
        .args([&free_port().to_string(), "--force", "127.0.0.1"])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sipvicious is installed by make test");
    let mut looks = 0;
    let listed = wait_for("the scanner to be blocked", || {
        looks += 1;
        // Five requests a second: below the limit for as long as this waits.
        if looks % 10 == 0 {
            let reply = honest.request("OPTIONS", "x", "");
            assert!(reply.is_some(), "an honest phone gets no answer");
        }
        block_of(&example, "127.0.0.1")
    });
    assert!(honest.request("OPTIONS", "x", "").is_some(), "an honest phone gets no answer");
    let _ = scanner.kill();
    let _ = scanner.wait();
    assert!(listed.contains("total: 1"), "{listed}");
    assert!(
        example.log().contains("block of 127.0.0.1 starts: more than 100 requests in 600000 ms")
    );
}

#[test]
fn the_shipped_configurations_are_taken_with_their_own_settings() {
    let folder = Folder::new();
    let all = [
        ("kamailio.cfg", vec![]),
        ("kamailio.cfg", vec!["COUNT_FAILURES"]),
        ("kamailio.cfg", vec!["COUNT_FAILURES", "WITH_AUTH"]),
        ("ivozprovider/dry-run.cfg", vec![]),
        ("ivozprovider/dry-run.cfg", vec!["TRUNKS"]),
    ];
    for (file, defines) in all {
        let mut command = program("kamailio");
        sanitizer::watch(&mut command, folder.path());
        let checked = command
            .arg("-c")
            .arg("-f")
            .arg(project().join("kamailio-cfg").join(file))
            .args(["-L", &search_path(), "-Y"])
            .arg(folder.path())
            .args(defines.iter().flat_map(|name| ["-A", name]))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{file} {defines:?}: {said}");
    }
}

/// Which scopes the example names, and that what a caller writes names no other one.
#[test]
fn a_call_counts_for_its_carrier_its_number_and_its_user() {
    let folder = Folder::new();
    let db = tenants(&folder);
    db.run(
        "INSERT INTO sipwarden_limit (kind, id, direction, max_calls) VALUES
             ('carrier', 'gateway', 'any', 9), ('number', '*', 'any', 9), ('user', '*', 'out', 1);",
    );
    let gateway = AutoCallee::start("127.0.0.99");
    let table = ("LIMIT_TABLE", "\"sipwarden_limit\"".to_owned());
    let example = Example::start_with(&db, gateway.address, &[table], &[]);
    let phone = Endpoint::new("127.40.0.1");
    let of_domain = |domain: &str, user: &str| {
        let mut call = Caller::new(&phone, example.address(), domain, "");
        call.dial(user);
        call
    };
    let caller = |user: &str| of_domain("c.example", user);
    let admit = |mut call: Caller<'_>| {
        call.invite();
        let reply = call.final_reply();
        assert_eq!(reply.status(), Some(200), "{}", reply.line);
        call.ack();
    };
    admit(caller("7;carrier=other"));
    let listed = example.kamcmd(&["sipwarden.calls", "c.example"]);
    for scope in ["carrier=gateway", "number=7", "user=alice@c.example"] {
        assert!(listed.contains(&format!("{scope} (out)")), "{scope}: {listed}");
    }
    // However she writes her domain.
    for mut second in [caller("8"), of_domain("C.Example", "8")] {
        second.invite();
        assert_eq!(second.final_reply().status(), Some(403));
    }
    let why = "refused: limit: user=alice@c.example (out) has 1 of 1 call-id=";
    assert!(example.log().contains(why), "{}", example.log());
    // Those whose From has no user are nobody: they have no limit together.
    for number in ["8", "9"] {
        let mut nameless = caller(number);
        nameless.nameless("c.example");
        admit(nameless);
    }
    let listed = example.kamcmd(&["sipwarden.calls", "c.example"]);
    assert_eq!(listed.matches("carrier=gateway (out)").count(), 3, "{listed}");
    assert_eq!(listed.matches("user=").count(), 1, "{listed}");
}
