//! Whatever is refused can be found where an operator looks first, and what a variable that is not
//! set becomes.

use super::Config;
use crate::support::Folder;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::wait_for;
use serde_json::json;

const ROUTES: &str = r#"
request_route {
    switch ($rU) {
        case "unset-aor": roadwarrior_acquire("$avp(unset)", "office"); break;
        case "empty-aor": roadwarrior_acquire("", "office"); break;
        case "acquire-unset-company": roadwarrior_acquire("a@office", "$avp(unset)"); break;
        case "acquire-outside": roadwarrior_acquire("two@office", "office"); break;
        case "limit-unset-company": cc_limit("$avp(unset)"); break;
        case "limit-outside": cc_limit("office"); break;
        case "check-unset-company": check_company_ip("$avp(unset)"); break;
        case "check-bad-address": check_company_ip("office", "not-an-ip"); break;
        case "country-no-database": check_country("ES"); break;
        case "flood": flood_check("", "$avp(unset)"); break;
        case "ban": auth_check("$avp(unset)"); break;
    }
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    sl_send_reply(403, "no");
}
event_route[sipwarden:denied] {
    xlog("L_NOTICE", "told of $swd(function) $swd(reason) ($swd(code)) company=$swd(company) aor=$swd(aor)\n");
}
"#;

#[test]
fn every_refusal_is_among_the_denied_and_is_an_event() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0);
        INSERT INTO sipwarden_user VALUES ('two@office', 'office', 2);",
    );
    let mut config = Config::new(&db.url()).routes(ROUTES);
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    let server = config.start();
    let phone = Phone::new("127.0.0.1", server.address());

    let cases = [
        ("unset-aor", "roadwarrior_acquire", "roadwarrior_none", "office", "<null>"),
        ("empty-aor", "roadwarrior_acquire", "roadwarrior_none", "office", ""),
        ("acquire-unset-company", "roadwarrior_acquire", "internal_error", "<null>", "a@office"),
        ("limit-unset-company", "cc_limit", "internal_error", "<null>", ""),
        ("limit-outside", "cc_limit", "internal_error", "office", ""),
        ("check-unset-company", "check_company_ip", "internal_error", "<null>", ""),
        ("check-bad-address", "check_company_ip", "bad_address", "office", ""),
        ("country-no-database", "check_country", "internal_error", "", ""),
    ];
    for (case, function, reason, company, aor) in cases {
        let told = phone.request("OPTIONS", case, "").unwrap().told().unwrap();
        assert_eq!(told.reason, reason, "{case}");
        let found = wait_for(&format!("{case} to be listed"), || {
            let listed = server.ask("denied", json!([]));
            let all = listed["denied"].as_array().unwrap().clone();
            all.into_iter().find(|row| {
                row["function"] == function
                    && row["reason"] == reason
                    && row["company"] == company
                    && row["aor"] == aor
            })
        });
        assert_eq!(found["code"], told.code, "{found}");
        let line = format!("told of {function} {reason} ({})", told.code);
        wait_for(&line, || server.log().contains(&line).then_some(()));
    }
    // These let pass what they cannot judge.
    for case in ["flood", "ban"] {
        let told = phone.request("OPTIONS", case, "").unwrap().told().unwrap();
        assert!(told.code > 0, "{case}: {told:?}");
    }
}
