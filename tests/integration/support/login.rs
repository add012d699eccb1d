//! Guessing at passwords, with the server's own digest authentication.

use serde_json::{Value, json};

use super::Folder;
use super::config::Config;
use super::digest::{challenge, credentials};
use super::host::Host;
use super::running::Running;
use super::sip::{Phone, Reply, Told};
use super::sqlite::Sqlite;

/// As the reference shows it, and each answer tells the verdict. `PASSWORD` and `CHALLENGE` are
/// the server's own.
const SCRIPT: &str = r#"
request_route {
    $var(aor) = $au + "@" + $ar;
    if ($au != $null && !auth_check("$var(aor)")) {
        route(TELL);
        sl_send_reply(403, "Forbidden");
        exit;
    }
    PASSWORD
    switch ($rc) {
        case 1:
            auth_ok("$var(aor)");
            route(TELL);
            sl_send_reply(200, "OK");
            exit;
        case -2:
            if (is_present_hf("X-Known")) {
                auth_failed("$var(aor)", "$hdr(X-Known)");
            } else {
                auth_failed("$var(aor)");
            }
            route(TELL);
            break;
        default:
            # An old nonce, or none: to be challenged is no failure.
            if (is_present_hf("X-Careless")) {
                auth_failed("$rU@test.invalid");
                route(TELL);
            }
    }
    CHALLENGE
    exit;
}
route[TELL] {
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    append_to_reply("X-Auth: $swd(class) $swd(failures)/$swd(failure_limit) $swd(ban_seconds)\r\n");
}
event_route[sipwarden:block] {
    xlog("L_NOTICE", "told: $swd(event) $swd(reason) aor=$swd(aor) ip=$swd(ip) code=$swd(code) until=$swd(until) class=$swd(class) end\n");
}
event_route[sipwarden:unblock] {
    xlog("L_NOTICE", "told: $swd(event) $swd(reason) aor=$swd(aor) ip=$swd(ip) calls=$swd(calls) end\n");
}
"#;

pub fn script<H: Host>() -> String {
    SCRIPT.replace("PASSWORD", H::PASSWORD).replace("CHALLENGE", H::CHALLENGE)
}

pub fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0);
        INSERT INTO sipwarden_company_address VALUES ('office', '127.1.0.0/24', NULL);
        INSERT INTO sipwarden_trusted VALUES ('127.3.0.1', NULL, 'exempt'),
            ('127.3.1.0', 24, 'test'), ('127.3.2.0', 24, 'carrier');",
    );
    db
}

pub fn config<H: Host>(db: &Sqlite) -> Config<H> {
    let mut config = Config::new(&db.url()).routes(&script::<H>()).settings(H::AUTH).settings(
        "modparam(\"sipwarden\", \"auth_class\", \"test=limit:7;block:60\")\n\
         modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:2000;block:0\")\n",
    );
    config.workers = 8;
    config.modules.push_str("loadmodule \"auth.so\"\n");
    config
}

pub fn set(name: &str, value: u32) -> String {
    format!("modparam(\"sipwarden\", \"{name}\", {value})\n")
}

pub fn told(reply: &Reply) -> (Told, String) {
    let told = reply.told().unwrap_or_else(|| panic!("no verdict in {}", reply.text));
    (told, reply.header("X-Auth").unwrap().to_owned())
}

/// A guess with a new nonce; the status and what was told.
pub fn guess(phone: &Phone, method: &str, user: &str, password: &str) -> (u16, Told, String) {
    let nonce = challenge(phone, method, user);
    let reply = phone.request(method, user, &credentials(method, user, password, &nonce)).unwrap();
    let (told, auth) = told(&reply);
    (reply.status, told, auth)
}

/// The reason that a guess is told, and the failures.
pub fn reason(phone: &Phone, user: &str, password: &str) -> (String, String) {
    let (_, told, auth) = guess(phone, "REGISTER", user, password);
    (told.reason, auth.split(' ').nth(1).unwrap().split('/').next().unwrap().to_owned())
}

pub fn is(told: (String, String), reason: &str, failures: u32) {
    assert_eq!(told, (reason.to_owned(), failures.to_string()));
}

pub fn bans<H: Host>(server: &Running<H>) -> Vec<Value> {
    server.ask("bans", json!([]))["bans"].as_array().unwrap().clone()
}
