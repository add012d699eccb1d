//! Events as E_SIPWARDEN_*, with a parameter for each attribute.

use crate::host::Config;
use crate::support::panics::{assert_reported, injected};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};

#[test]
fn an_event_route_has_the_attributes() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0);",
    );
    let routes = format!(
        "{}\nevent_route[E_SIPWARDEN_DENIED] {{\n    xlog(\"L_NOTICE\", \"told: $param(event) \
         $param(reason) $param(code) $param(ip) $param(company) $param(count)\\n\");\n}}\n",
        crate::support::scripts::ANSWER_VERDICT
    );
    let opensips = Config::new(&db.url()).routes(&routes).start();
    let phone = Phone::new("127.0.0.1", opensips.address());
    phone.ask("c");
    wait_for("the event", || {
        opensips.log().contains("told: denied denied_no_ranges -2 127.0.0.1 c 1").then_some(())
    });
    // A variable of the script tells of the message in between.
    assert_eq!(phone.ask("c").reason, "denied_no_ranges");
}

/// No event has a name then, so none is raised.
#[test]
fn a_panic_in_the_names_of_events_leaves_it_serving() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0);",
    );
    let mut opensips = injected(Config::new(&db.url()), "EventName").start();
    let phone = Phone::new("127.0.0.1", opensips.address());
    assert_eq!(phone.ask("c").reason, "denied_no_ranges");
    assert_reported(&opensips, "EventName");
    assert!(opensips.runs());
}
