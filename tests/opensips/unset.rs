//! Variables that are not set, without quotes: those in quotes are in tests/hosts.

use crate::host::Config;
use crate::support::Folder;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;

/// The function is not called at all: the core answers -1 for it.
#[test]
fn bare_they_are_refused() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    let routes = r#"
        route {
            check_company_ip($avp(none));
            $var(rc) = $rc;
            append_to_reply("X-Code: $var(rc)\r\n");
            sl_send_reply(200, "OK");
        }"#;
    let opensips = Config::new(&db.url()).routes(routes).start();
    let phone = Phone::new("127.0.0.1", opensips.address());
    let reply = phone.request("OPTIONS", "x", "").unwrap();
    assert_eq!(reply.header("X-Code"), Some("-1"), "{}", reply.text);
    assert!(opensips.log().contains("Variable in param [1] is not a string"));
}
