//! The audit table, which OpenSIPS's drivers write otherwise than Kamailio's.

use crate::host::Config;
use crate::support::Folder;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;

#[test]
fn refusals_are_written_to_the_audit_table() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0);",
    );
    let settings = format!("modparam(\"sipwarden\", \"audit_url\", \"{}\")\n", db.url());
    let opensips = Config::new(&db.url()).settings(&settings).start();
    let phone = Phone::new("127.0.0.1", opensips.address());
    for _ in 0..3 {
        assert_eq!(phone.ask("c").code, -2);
    }
    crate::support::wait_for("the rows", || {
        let rows = db.query(
            "SELECT reason, source, company, SUM(hits) FROM sipwarden_audit \
             WHERE company = 'c' GROUP BY 1, 2, 3;",
        );
        (rows.trim() == "denied_no_ranges|127.0.0.1|c|3").then_some(())
    });
    assert_eq!(opensips.counter("audit_lost"), 0);
}
