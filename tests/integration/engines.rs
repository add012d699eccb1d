//! KEMI in the languages that the reference shows: which texts are names, and what an
//! unset variable becomes.

use std::fs;

use crate::support::kamailio::{Config, Kamailio};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project};
use serde_json::json;

/// A language: its module, how a script is named to it, and the script, in which each
/// place `ASK(...)` asks and adds a header.
struct Engine {
    name: &'static str,
    settings: &'static str,
    script: &'static str,
}

const LUA: Engine = Engine {
    name: "Lua",
    settings: "loadmodule \"app_lua.so\"\nmodparam(\"app_lua\", \"load\", \"SCRIPT\")\ncfgengine \"lua\"\n",
    script: r#"
function tell(name, code)
    KSR.hdr.append_to_reply("X-" .. name .. ": " .. code .. " " .. KSR.pv.gete("$swd(reason)")
        .. " " .. KSR.pv.gete("$swd(ip)") .. "\r\n")
end
function ksr_request_route()
    if KSR.is_INVITE() then
        tell("Limit", NUMBER)
        KSR.sl.sl_send_reply(486, "Asked")
        return 1
    end
    tell("Unset", UNSET)
    tell("Word", KSR.sipwarden.check_company_ip("" .. tostring(nil)))
    tell("Failed", KSR.sipwarden.auth_failed_credentials(tostring(nil), "guess"))
    tell("Flood", KSR.sipwarden.flood_check_addr("192.0.2.1"))
    tell("Flags", KSR.sipwarden.flood_check_flags_addr("e", "192.0.2.2"))
    tell("Check", KSR.sipwarden.check_company_ip_addr("12", "192.0.2.3"))
    tell("Acquire", KSR.sipwarden.roadwarrior_acquire_addr("a@b", "12", "192.0.2.4"))
    tell("Acquired", KSR.sipwarden.roadwarrior_acquire_flags_addr("a@b", "12", "o", "192.0.2.5"))
    tell("Ask", KSR.sipwarden.auth_check_addr("a@b", "192.0.2.6"))
    tell("Guess", KSR.sipwarden.auth_failed_addr("a@b", "192.0.2.7"))
    tell("Token", KSR.sipwarden.auth_failed_credentials_addr("a@b", "guess", "192.0.2.8"))
    tell("Ok", KSR.sipwarden.auth_ok_addr("a@b", "192.0.2.9"))
    tell("Grant", KSR.sipwarden.grant_addr("12", "60", "192.0.2.10"))
    tell("Bad", KSR.sipwarden.flood_check_addr(KSR.pv.gete("$avp(unset)")))
    KSR.sl.sl_send_reply(200, "OK")
    return 1
end
"#,
};

const PYTHON: Engine = Engine {
    name: "Python",
    settings: "loadmodule \"app_python3.so\"\nmodparam(\"app_python3\", \"load\", \"SCRIPT\")\n\
               cfgengine \"python\"\n",
    script: r#"
import KSR as KSR

def mod_init():
    return kamailio()

class kamailio:
    def child_init(self, rank):
        return 0

    def tell(self, name, code):
        KSR.hdr.append_to_reply("X-%s: %d %s %s\r\n" % (name, code,
            KSR.pv.gete("$swd(reason)"), KSR.pv.gete("$swd(ip)")))

    def ksr_request_route(self, msg):
        tell = self.tell
        if KSR.is_INVITE():
            tell("Limit", NUMBER)
            try:
                said = KSR.sipwarden.cc_limit(12)
            except Exception as error:
                said = type(error).__name__
            KSR.hdr.append_to_reply("X-Number: %s\r\n" % said)
            KSR.sl.sl_send_reply(486, "Asked")
            return 1
        tell("Unset", UNSET)
        tell("Word", KSR.sipwarden.check_company_ip(str(None)))
        tell("Failed", KSR.sipwarden.auth_failed_credentials(str(None), "guess"))
        tell("Flood", KSR.sipwarden.flood_check_addr("192.0.2.1"))
        tell("Flags", KSR.sipwarden.flood_check_flags_addr("e", "192.0.2.2"))
        tell("Check", KSR.sipwarden.check_company_ip_addr("12", "192.0.2.3"))
        tell("Acquire", KSR.sipwarden.roadwarrior_acquire_addr("a@b", "12", "192.0.2.4"))
        tell("Acquired", KSR.sipwarden.roadwarrior_acquire_flags_addr("a@b", "12", "o", "192.0.2.5"))
        tell("Ask", KSR.sipwarden.auth_check_addr("a@b", "192.0.2.6"))
        tell("Guess", KSR.sipwarden.auth_failed_addr("a@b", "192.0.2.7"))
        tell("Token", KSR.sipwarden.auth_failed_credentials_addr("a@b", "guess", "192.0.2.8"))
        tell("Ok", KSR.sipwarden.auth_ok_addr("a@b", "192.0.2.9"))
        tell("Grant", KSR.sipwarden.grant_addr("12", "60", "192.0.2.10"))
        tell("Bad", KSR.sipwarden.flood_check_addr(KSR.pv.gete("$avp(unset)")))
        KSR.sl.sl_send_reply(200, "OK")
        return 1
"#,
};

const JAVASCRIPT: Engine = Engine {
    name: "JavaScript",
    settings: "loadmodule \"app_jsdt.so\"\nmodparam(\"app_jsdt\", \"load\", \"SCRIPT\")\ncfgengine \"jsdt\"\n",
    script: r#"
function tell(name, code) {
    KSR.hdr.append_to_reply("X-" + name + ": " + code + " " + KSR.pv.gete("$swd(reason)") + " "
        + KSR.pv.gete("$swd(ip)") + "\r\n");
}
function ksr_request_route() {
    if (KSR.is_INVITE()) {
        tell("Limit", NUMBER);
        KSR.sl.sl_send_reply(486, "Asked");
        return;
    }
    var unset;
    tell("Unset", UNSET);
    tell("Word", KSR.sipwarden.check_company_ip(unset));
    tell("Null", KSR.sipwarden.check_company_ip(null));
    tell("Failed", KSR.sipwarden.auth_failed_credentials(unset, "guess"));
    tell("Flood", KSR.sipwarden.flood_check_addr("192.0.2.1"));
    tell("Flags", KSR.sipwarden.flood_check_flags_addr("e", "192.0.2.2"));
    tell("Check", KSR.sipwarden.check_company_ip_addr("12", "192.0.2.3"));
    tell("Acquire", KSR.sipwarden.roadwarrior_acquire_addr("a@b", "12", "192.0.2.4"));
    tell("Acquired", KSR.sipwarden.roadwarrior_acquire_flags_addr("a@b", "12", "o", "192.0.2.5"));
    tell("Ask", KSR.sipwarden.auth_check_addr("a@b", "192.0.2.6"));
    tell("Guess", KSR.sipwarden.auth_failed_addr("a@b", "192.0.2.7"));
    tell("Token", KSR.sipwarden.auth_failed_credentials_addr("a@b", "guess", "192.0.2.8"));
    tell("Ok", KSR.sipwarden.auth_ok_addr("a@b", "192.0.2.9"));
    tell("Grant", KSR.sipwarden.grant_addr("12", "60", "192.0.2.10"));
    tell("Bad", KSR.sipwarden.flood_check_addr(unset));
    KSR.sl.sl_send_reply(200, "OK");
}
"#,
};

/// The forms that the reference shows for a language: of a number, and of a variable that
/// may be unset.
fn shown(language: &str) -> [String; 2] {
    let reference = fs::read_to_string(project().join("docs/reference.md")).unwrap();
    let row = reference.lines().find(|line| line.starts_with(&format!("| {language} | `KSR")));
    let cells: Vec<_> = row.unwrap().split('`').collect();
    [cells[1].to_owned(), cells[3].to_owned()]
}

fn start(engine: &Engine, folder: &Folder) -> Kamailio {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('12', 'b', 1, 5);
        INSERT INTO sipwarden_user VALUES ('a@b', '12', 2);",
    );
    let script = folder.join("script.py");
    let [number, unset] = shown(engine.name);
    fs::write(&script, engine.script.replace("NUMBER", &number).replace("UNSET", &unset)).unwrap();
    let settings = engine.settings.replace("SCRIPT", &script.display().to_string());
    let mut config = Config::new(&db.url()).settings(&settings).routes("");
    config.workers = 1;
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    config.start()
}

fn names_and_addresses(engine: &Engine) {
    let folder = Folder::new();
    let kamailio = start(engine, &folder);
    let phone = Phone::new("127.0.0.7", kamailio.address());
    let reply = phone.request("OPTIONS", "x", "Authorization: Digest x\r\n").expect("a reply");
    let own = "127.0.0.7";
    let mut expected = vec![
        ("Unset", format!("-9 internal_error {own}")),
        ("Word", format!("-9 internal_error {own}")),
        ("Failed", format!("3 auth_untracked {own}")),
        ("Flood", "1 under_limit 192.0.2.1".into()),
        ("Flags", "1 under_limit 192.0.2.2".into()),
        ("Check", "-2 denied_no_ranges 192.0.2.3".into()),
        ("Acquire", "6 roadwarrior_request 192.0.2.4".into()),
        ("Acquired", "6 roadwarrior_request 192.0.2.5".into()),
        ("Ask", "1 auth_clear 192.0.2.6".into()),
        ("Guess", "1 auth_counted 192.0.2.7".into()),
        ("Token", "1 auth_counted 192.0.2.8".into()),
        ("Ok", "1 auth_cleared 192.0.2.9".into()),
        ("Grant", "1 grant_given 192.0.2.10".into()),
        ("Bad", "7 bad_address".into()),
    ];
    if engine.name == "JavaScript" {
        expected.push(("Null", format!("-9 internal_error {own}")));
    }
    for (name, told) in &expected {
        let got = reply.header(&format!("X-{name}")).unwrap_or_else(|| panic!("{}", reply.text));
        assert_eq!(got, told, "{} {name}", engine.name);
    }
    let reply = phone.request("INVITE", "x", "").expect("a reply");
    assert_eq!(reply.header("X-Limit"), Some("1 call_counted 127.0.0.7"), "{}", reply.text);
    if engine.name == "Python" {
        // Kamailio 5.6 raises an exception, 6.1 gives False.
        let said = reply.header("X-Number").expect("an answer");
        assert!(said.parse::<i32>().is_err(), "{said}");
    }
    let known = kamailio.rpc("sipwarden.stats", json!([]))["auth_known"].clone();
    assert_eq!(known, 2, "nobody is known by a word for nothing");
}

#[test]
fn lua() {
    names_and_addresses(&LUA);
}

#[test]
fn python() {
    names_and_addresses(&PYTHON);
}

#[test]
fn javascript() {
    names_and_addresses(&JAVASCRIPT);
}
