//! Variables that are not set: in quotes they reach the function, which judges.

use crate::host::Config;
use crate::support::Folder;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;

#[test]
fn in_quotes_they_are_judged_and_bare_they_are_refused() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run("INSERT INTO sipwarden_brand VALUES ('b', 0);");
    let routes = r#"
        route {
            switch ($rU) {
                case "company": check_company_ip("$avp(none)"); break;
                case "flood": flood_check("", "$avp(none)"); break;
                case "ban": auth_check("$avp(none)"); break;
                case "call": cc_limit("$avp(none)"); break;
                case "bare": check_company_ip($avp(none)); $var(rc) = $rc; break;
            }
            append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
            append_to_reply("X-Code: $var(rc)\r\n");
            sl_send_reply(200, "OK");
        }"#;
    let mut config = Config::new(&db.url()).routes(routes);
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    let opensips = config.start();
    let phone = Phone::new("127.0.0.1", opensips.address());
    let told = |what: &str| {
        let told = phone.ask(what);
        (told.code, told.reason)
    };
    let expected = |code: i32, reason: &str| (code, reason.to_owned());
    assert_eq!(told("company"), expected(-9, "internal_error"));
    assert_eq!(told("call"), expected(-9, "internal_error"));
    // These are open where nothing can be judged.
    let (code, _) = told("flood");
    assert!(code > 0, "{code}");
    let (code, _) = told("ban");
    assert!(code > 0, "{code}");
    // The function is not called at all: the core answers -1 for it.
    let reply = phone.request("OPTIONS", "bare", "").unwrap();
    assert_eq!(reply.header("X-Code"), Some("-1"), "{}", reply.text);
    assert!(opensips.log().contains("Variable in param [1] is not a string"));
}
