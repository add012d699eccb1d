//! Settings and Kamailio's own framework for them. What is of each host is in tests/hosts.

use crate::hosts::settings::{settings, tenants};
use crate::support::kamailio::{Config, Kamailio};
use crate::support::panics::{assert_reported, injected};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, signal, wait_for};
use serde_json::json;

fn config(db: &Sqlite) -> Config {
    let mut config = Config::new(&db.url());
    config.modules.push_str("loadmodule \"cfg_rpc.so\"\n");
    config
}

fn set(kamailio: &Kamailio, name: &str, value: &str) {
    kamailio.set_now("string", name, value);
}

/// `sipwarden.set` needs no cfg_rpc.so, and says itself what is wrong.
#[test]
fn a_setting_is_set_or_the_answer_says_why_not() {
    let folder = Folder::new();
    let db = tenants(&folder, "a.sqlite");
    let kamailio = Config::new(&db.url())
        .settings("modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:50\")\n")
        .start();
    let set = |name: &str, value: &str| kamailio.kamcmd(&["sipwarden.set", name, value]);
    for (name, value, said) in [
        ("flood_limit", "70", "flood_limit: 70"),
        ("flood_monitor", "1", "flood_monitor: 1"),
        ("flood_monitor", "0", "flood_monitor: 0"),
        ("flood_window", "700ms", "flood_window: 700ms"),
        ("flood_window", "3", "flood_window: 3"),
        ("flood_class", "carrier=limit:60", "flood_class: carrier=limit:60"),
        ("reload_bad_rows", "skip", "reload_bad_rows: skip"),
        ("event_callback", "s:", "event_callback: "),
        ("auth_limit", "90", "auth_limit: 90"),
    ] {
        let answer = set(name, value);
        assert!(answer.contains(said) && answer.contains("pending: 0"), "{name}: {answer}");
    }
    let told = kamailio.rpc("sipwarden.settings", json!([]));
    assert_eq!((&told["flood_limit"], &told["auth_limit"]), (&json!(70), &json!(90)));
    assert_eq!(told["classes"][1]["limit"], 60);
    let before = settings(&kamailio);
    for (name, value, said) in [
        ("flood_limit", "0", "flood_limit: 0 is not from 1 to 65535"),
        ("flood_limit", "ten", "flood_limit: \"ten\" is a text; give a number from 1 to 65535"),
        ("flood_window", "2 s", "flood_window: \"2 s\" is not 100ms to 3600s"),
        ("flood_class", "office=limit:5", "there is no class office"),
        ("reload_bad_rows", "keep", "\"keep\" is not one of fail, skip"),
        ("max_calls", "10", "max_calls is fixed at start-up: change it in modparam and restart"),
        ("flod_limit", "10", "there is no parameter \"flod_limit\"; sipwarden.settings lists them"),
        ("nope", "0", "there is no parameter \"nope\"; sipwarden.settings lists them"),
    ] {
        let answer = set(name, value);
        assert!(answer.contains("error") && answer.contains(said), "{name}={value}: {answer}");
    }
    assert!(
        kamailio.try_rpc("sipwarden.set", json!(["flood_limit"])).unwrap_err().contains("value")
    );
    assert_eq!(settings(&kamailio), before);
}

/// Changes are applied by the warden: while that is stopped, a reload
/// waits, and does nothing rather than read the old database.
#[test]
fn a_reload_faults_while_changes_do_not_hold() {
    let folder = Folder::new();
    let (first, second) = (tenants(&folder, "a.sqlite"), tenants(&folder, "b.sqlite"));
    let kamailio = config(&first).start();
    let list = kamailio.rpc("core.psx", json!([]));
    let own = list.as_array().unwrap().iter().find(|p| p["DSC"] == "sipwarden warden").unwrap();
    let own = own["PID"].as_u64().unwrap() as i32;
    signal(own, libc::SIGSTOP);
    set(&kamailio, "db_url", &second.url());
    let told = kamailio.rpc("sipwarden.settings", json!([]));
    assert_eq!((&told["pending"], &told["db_url"]), (&json!(1), &json!(first.url())));
    let fault = kamailio.try_rpc("sipwarden.reload", json!([])).unwrap_err();
    assert!(fault.contains("changes of settings are not in force yet"), "{fault}");
    signal(own, libc::SIGCONT);
    assert_eq!(settings(&kamailio)["db_url"], second.url());
    kamailio.rpc("sipwarden.reload", json!([]));
    assert_eq!(kamailio.rpc("sipwarden.stats", json!([]))["generation"], 2);
}

#[test]
fn every_parameter_is_told_and_no_password() {
    let folder = Folder::new();
    let db = tenants(&folder, "a.sqlite");
    let kamailio = config(&db)
        .settings("loadmodule \"db_mysql.so\"\n")
        .settings("modparam(\"sipwarden\", \"max_calls\", 4711)\n")
        .start();
    set(&kamailio, "audit_url", "mysql://sip:secret@127.0.0.1:1/sip");
    let told = settings(&kamailio);
    assert_eq!(told["audit_url"], "mysql://sip:***@127.0.0.1:1/sip");
    assert_eq!((&told["db_url"], &told["max_calls"]), (&json!(db.url()), &json!(4711)));
    let names: Vec<&str> =
        sipwarden::host::PARAMS.iter().map(|param| param.name.to_str().unwrap()).collect();
    for name in names {
        // Classes are told one by one, feeds by a method of their own.
        let apart = matches!(name, "flood_class" | "auth_class" | "blocklist_file");
        assert_eq!(told[name].is_null(), apart, "{name} in {told}");
    }
    for classes in ["classes", "auth_classes"] {
        assert_eq!(told[classes][0]["class"], "default", "{told}");
    }
}

#[test]
fn the_callback_of_events_changes() {
    let folder = Folder::new();
    let script = folder.join("script.lua");
    let lua = "
function ksr_request_route()
    KSR.sipwarden.check_company_ip(KSR.pv.get(\"$rU\"))
    KSR.sl.sl_send_reply(200, \"OK\")
end
function first(name) KSR.notice(\"first \" .. KSR.pv.get(\"$swd(company)\") .. \"\\n\") end
function second(name) KSR.notice(\"second \" .. KSR.pv.get(\"$swd(company)\") .. \"\\n\") end
";
    std::fs::write(&script, lua).unwrap();
    let kamailio = config(&tenants(&folder, "a.sqlite"))
        .routes("")
        .settings(&format!(
            "loadmodule \"app_lua.so\"\nmodparam(\"app_lua\", \"load\", \"{}\")\ncfgengine \"lua\"\n",
            script.display()
        ))
        .start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    let logged = |company: &str, line: &str| {
        phone.request("OPTIONS", company, "").unwrap();
        wait_for(line, || kamailio.log().contains(line).then_some(()));
    };
    for (callback, company) in [("first", "one"), ("second", "two"), ("first", "three")] {
        set(&kamailio, "event_callback", callback);
        settings(&kamailio);
        logged(company, &format!("{callback} {company}"));
    }
}

/// Kamailio asks by itself whether a value may be set.
#[test]
fn a_panic_in_a_check_of_a_setting_leaves_it_serving() {
    let folder = Folder::new();
    let mut kamailio = injected(config(&tenants(&folder, "tables.sqlite")), "CheckSetting").start();
    kamailio.kamcmd(&["cfg.set_now_string", "sipwarden", "flood_window", "5s"]);
    wait_for("the panic", || (kamailio.counter("panics") >= 1).then_some(()));
    assert_reported(&kamailio, "CheckSetting");
    assert!(kamailio.runs());
}
