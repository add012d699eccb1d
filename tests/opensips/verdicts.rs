//! What functions answer in the script, and what stops the start.

use crate::host::Config;
use crate::support::Folder;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('near', 'b', 1, 0), ('far', 'b', 1, 0);
INSERT INTO sipwarden_company_address VALUES ('near', '127.0.0.0', 8), ('far', '192.0.2.0', 24);
";

/// What a function returns is false in an `if` where it refuses, and `$rc` has the code.
#[test]
fn functions_are_asked_in_conditions() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TENANTS);
    let routes = r#"
        route {
            if (check_company_ip("$rU")) { $var(a) = "yes " + $rc; } else { $var(a) = "no " + $rc; }
            if (check_company_ip("$rU", "192.0.2.7")) { $var(b) = "yes"; } else { $var(b) = "no"; }
            if (check_country("DE")) { $var(c) = "yes"; } else { $var(c) = $swd(reason); }
            append_to_reply("X-Said: $var(a), $var(b), $var(c)\r\n");
            sl_send_reply(200, "OK");
        }"#;
    let opensips = Config::new(&db.url()).routes(routes).start();
    let phone = Phone::new("127.0.0.1", opensips.address());
    let said = |company: &str| {
        let reply = phone.request("OPTIONS", company, "").unwrap();
        reply.header("X-Said").unwrap().to_owned()
    };
    assert_eq!(said("near"), "yes 1, no, internal_error");
    assert_eq!(said("far"), "no -1, yes, internal_error");
}

/// A letter that is no flag stops the start, as the script has it.
#[test]
fn flags_and_scopes_are_checked_at_the_start() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    let log = |line: &str| {
        let mut config = Config::new(&db.url()).routes(&format!("route {{ {line} exit; }}"));
        config.modules.push_str("loadmodule \"dialog.so\"\n");
        config.fail_to_start()
    };
    let said = log(r#"cc_limit("c", "z");"#);
    assert!(said.contains("cc_limit") && said.contains("\"z\""), "{said}");
    let said = log(r#"cc_limit("c", "o", "no scope");"#);
    assert!(said.contains("no scope"), "{said}");
}
