//! Brute force protection by KEMI, by Kamailio's own framework of settings, and in the shipped
//! example. What is of each host is in tests/hosts.

use crate::support::digest::{challenge, credentials};
use crate::support::example::Example;
use crate::support::host::Host;
use crate::support::kamailio::{Config, OfKamailio};
use crate::support::login::{guess, is, reason, script, tenants, told};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, login, wait_for};
use serde_json::json;

fn config(db: &Sqlite) -> Config {
    login::config(db)
}

/// The recipe of the reference: who fails gets its challenge again.
#[test]
fn a_forgotten_phone_that_gets_its_nonce_again_counts_once() {
    let folder = Folder::new();
    let again = r#"route(CHALLENGE);"#;
    let routes = script::<OfKamailio>().replace(OfKamailio::CHALLENGE, again)
        + r#"
route[CHALLENGE] {
    if ($sht(challenge=>$si|$rU) == $null) {
        auth_get_www_authenticate("test.invalid", "0", "$var(challenge)");
        $sht(challenge=>$si|$rU) = $var(challenge);
    }
    append_to_reply("$sht(challenge=>$si|$rU)");
    sl_send_reply("401", "Unauthorized");
}
"#;
    let mut config = config(&tenants(&folder)).routes(&routes);
    config.modules.push_str(
        "loadmodule \"htable.so\"\nmodparam(\"htable\", \"htable\", \"challenge=>size=12;autoexpire=240\")\n",
    );
    let kamailio = config.start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    let first = challenge(&phone, "REGISTER", "alice");
    // Nonces are those of a second.
    let mut others = (0..).map(|n| format!("user{n}"));
    wait_for("another second", || {
        let other = challenge(&phone, "REGISTER", &others.next()?);
        (other != first).then_some(())
    });
    assert_eq!(challenge(&phone, "REGISTER", "alice"), first);
    is(reason(&phone, "alice", "old"), "auth_counted", 1);
    (0..200).for_each(|_| is(reason(&phone, "alice", "old"), "auth_same", 1));
    is(reason(&phone, "alice", "guess"), "auth_counted", 2);
    assert_eq!(guess(&phone, "REGISTER", "alice", "right").1.reason, "auth_cleared");
}

/// OpenSIPS's module auth looks at the first header only.
#[test]
fn headers_before_it_hide_no_guess() {
    let folder = Folder::new();
    let kamailio = config(&tenants(&folder)).start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    let nonce = challenge(&phone, "REGISTER", "alice");
    let decoy = "Proxy-Authorization: Digest username=\"alice\", realm=\"test.invalid\"\r\n";
    let many = "Authorization: Digest username=\"a\", realm=\"b\", nonce=\"c\", uri=\"d\", response=\"e\"\r\n".repeat(4);
    for n in 1..3 {
        let guess = credentials("REGISTER", "alice", "hidden", &nonce);
        let reply = phone.request("REGISTER", "alice", &format!("{decoy}{many}{guess}")).unwrap();
        assert_eq!(told(&reply).1, format!("default {n}/100 0"));
    }
}

#[test]
fn kemi_has_the_same_functions() {
    let folder = Folder::new();
    let script = folder.join("script.lua");
    std::fs::write(
        &script,
        r#"
function ksr_request_route()
    local told = KSR.sipwarden.auth_check("a@x") .. " " .. KSR.sipwarden.auth_failed("a@x") .. " "
        .. KSR.sipwarden.auth_failed_credentials("a@x", "k") .. " "
        .. KSR.sipwarden.auth_failed_credentials("a@x", "k") .. " " .. KSR.sipwarden.auth_ok("a@x")
    KSR.sl.sl_send_reply(200, told)
end
"#,
    )
    .unwrap();
    let config = config(&tenants(&folder)).routes("").settings(&format!(
        "loadmodule \"app_lua.so\"\nmodparam(\"app_lua\", \"load\", \"{}\")\ncfgengine \"lua\"\n",
        script.display()
    ));
    let kamailio = config.start();
    let reply = Phone::new("127.9.0.1", kamailio.address()).request("OPTIONS", "x", "").unwrap();
    assert!(reply.text.starts_with("SIP/2.0 200 1 6 1 4 1\r\n"), "{}", reply.text);
}

#[test]
fn the_example_bans_who_guesses_at_subscribers() {
    let folder = Folder::new();
    let db = tenants(&folder);
    db.run(
        "DELETE FROM sipwarden_trusted;
        INSERT INTO sipwarden_company VALUES ('test.invalid', 'b', 0, 0);",
    );
    let subscribers = "/usr/share/kamailio/db_sqlite/auth_db-create.sql";
    db.run(&std::fs::read_to_string(subscribers).unwrap());
    db.run(
        "INSERT INTO subscriber (username, domain, password) VALUES ('phone', 'test.invalid', 'right'),
            ('bob', 'test.invalid', 'secret');",
    );
    let gateway = crate::support::callee::AutoCallee::start("127.0.0.1");
    let defines = [("WITH_AUTH", "1".into()), ("AUTH_DB_URL", format!("\"{}\"", db.url()))];
    // auth_check with two arguments is ours, with three auth_db's.
    let edits = [
        ("\"auth_limit\", 100", "\"auth_limit\", 5"),
        ("auth_check(\"$var(aor)\")", "auth_check(\"$var(aor)\", \"$si\")"),
        ("auth_ok(\"$var(aor)\")", "auth_ok(\"$var(aor)\", \"$si\")"),
    ];
    let example = Example::start_with(&db, gateway.address, &defines, &edits);
    let phone = Phone::new("127.9.0.1", example.address());
    let status = |user: &str, password: &str| {
        let nonce = challenge(&phone, "INVITE", user);
        let header = credentials("INVITE", user, password, &nonce);
        phone.request("INVITE", user, &header).unwrap().status
    };
    let banned = |aor: &str| example.kamcmd(&["sipwarden.bans"]).contains(aor);
    assert_eq!(status("phone", "right"), 200);
    // No such user, another user behind the From that all requests have.
    for user in ["nobody", "bob"] {
        for n in 0..5 {
            assert_eq!(status(user, &format!("guess {n}")), 407);
        }
        wait_for("the ban", || banned(&format!("{user}@test.invalid")).then_some(()));
        assert_eq!(status(user, "secret"), 403);
    }
    assert_eq!(status("phone", "right"), 200);
    // Nor with a decoy before the header that is compared.
    let nonce = challenge(&phone, "INVITE", "bob");
    let decoy = "Proxy-Authorization: Digest username=\"x\", realm=\"y\", nonce=\"n\", uri=\"u\", response=\"r\"\r\n";
    let header = format!("{decoy}{}", credentials("INVITE", "bob", "secret", &nonce));
    assert_eq!(phone.request("INVITE", "bob", &header).unwrap().status, 400);
    // One name, one count.
    let nonce = challenge(&phone, "INVITE", "bob");
    let header = credentials("INVITE", "bob ", "secret", &nonce);
    assert_eq!(phone.request("INVITE", "bob", &header).unwrap().status, 400);
    example.kamcmd(&["sipwarden.unban", "bob@test.invalid"]);
    // A nonce that another address got is no guess: nobody can forge failures.
    let other = Phone::new("127.9.0.2", example.address());
    for n in 0..5 {
        let nonce = challenge(&other, "INVITE", "bob");
        let header = credentials("INVITE", "bob", &format!("forged {n}"), &nonce);
        assert_eq!(phone.request("INVITE", "bob", &header).unwrap().status, 407);
    }
    assert!(!banned("bob@test.invalid") && banned("nobody@test.invalid"));
    // The right password of bob, who is not whom From names.
    assert_eq!(status("bob", "secret"), 403);
    assert!(!banned("bob@test.invalid"));
}

#[test]
fn settings_change_at_run_time_and_bad_ones_are_refused() {
    let folder = Folder::new();
    let mut config = config(&tenants(&folder));
    config.modules.push_str("loadmodule \"cfg_rpc.so\"\n");
    let kamailio = config.start();
    for (how, name, value) in [
        ("int", "auth_limit", "4"),
        ("int", "auth_window", "77"),
        ("int", "auth_block", "78"),
        ("int", "auth_restart", "2"),
        ("int", "auth_same", "79"),
        ("string", "auth_class", "test=limit:2"),
        ("string", "auth_company_sources", "exempt"),
    ] {
        kamailio.set_now(how, name, value);
    }
    let settings = wait_for("the settings", || {
        let now = kamailio.rpc("sipwarden.settings", json!([]));
        (now["auth_company_sources"] == "exempt").then_some(now)
    });
    assert_eq!(settings["auth_same"], 79);
    let default = json!({"class": "default", "limit": 4, "window": 77, "block": 78, "restart": 2});
    assert_eq!(settings["auth_classes"][0], default);
    let classes = settings["auth_classes"].as_array().unwrap();
    let test = classes.iter().position(|class| class["class"] == "test").unwrap();
    assert_eq!((&classes[test]["limit"], &classes[test]["block"]), (&json!(2), &json!(60)));
    for (how, name, value) in [
        ("int", "auth_limit", "0"),
        ("string", "auth_class", "nobody=limit:2"),
        ("string", "auth_class", "test=limit:0"),
        ("string", "auth_company_sources", "nobody"),
    ] {
        let answer = kamailio.kamcmd(&[&format!("cfg.set_now_{how}"), "sipwarden", name, value]);
        assert!(answer.contains("error"), "{name}: {answer}");
    }
    let now = kamailio.rpc("sipwarden.settings", json!([]));
    assert_eq!(now["auth_classes"], settings["auth_classes"]);
}
