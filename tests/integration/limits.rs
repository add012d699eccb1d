//! Limits with the guide's lines, and in other databases. What is of each host is in tests/hosts.

use crate::hosts::limits::{ROUTES, Stage};
use crate::support::call::Caller;
use crate::support::proxy::{calls, keep_dialogs};
use crate::support::servers::Server;
use crate::support::stock::block_with;
use crate::support::wait_for;
use libc::SIGTERM;
use serde_json::json;

#[test]
fn with_the_guides_line_callers_name_no_scopes_of_their_own() {
    let line = block_with("docs/limits.md", "cc_limit(");
    let asked = r#"cc_limit("$hdr(X-Company)", "$hdr(X-Flags)", "$hdr(X-Scopes)")"#;
    let routes = ROUTES.replace(asked, line.trim()).replace(
        "    t_check_trans();\n",
        "    t_check_trans();\n    $avp(company) = \"a\";\n    $avp(callee) = $hdr(X-Callee);\n",
    );
    let rows = "INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES
                    ('carrier', '*', 9), ('did', '*', 9), ('user', '*', 9);";
    let stage = Stage::with(rows, &routes, |config| config);
    let dial = |user: &str, headers: &str| {
        let mut call = Caller::new(&stage.endpoint, stage.server.address(), "a", headers);
        call.dial(user);
        call.invite();
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        call
    };
    let count = |scope: &str| {
        stage.server.rpc("sipwarden.calls", json!([scope]))["total"].as_u64().unwrap()
    };
    let sly = dial("7;carrier=north", "X-Callee: bob@a\r\n");
    assert_eq!(["did=7", "carrier=north", "user=bob@a"].map(count), [1, 0, 1]);
    let plain = dial("7", "");
    assert_eq!(["did=7", "user=bob@a", "user=0"].map(count), [2, 1, 0]);
    stage.end(vec![sly, plain]);
}

/// Servers refuse or cut values that are longer than their columns, which SQLite does not.
fn long_scopes_come_back(server: &Server) {
    server.create_dialog_tables();
    let settings = keep_dialogs(&server.url(), 1);
    let rows = "INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES ('did', '*', 1);";
    let mut stage = Stage::with(rows, ROUTES, |mut config| {
        config.modules.insert_str(0, server.driver());
        config.settings(&settings)
    });
    let did = |n: u32| format!("did={n}{}", "x".repeat(130));
    let scopes = |dids: std::ops::Range<u32>| dids.map(|n| did(n) + ";").collect::<String>();
    let up = stage
        .call(&[
            ("X-Company", "a"),
            ("X-Flags", "o"),
            ("X-Scopes", &scopes(0..5)),
            ("X-Second", "b"),
            ("X-Scopes2", &scopes(5..8)),
        ])
        .unwrap();
    wait_for("the dialog to be stored", || {
        let parts = "SELECT COUNT(*) FROM dialog_vars WHERE dialog_key LIKE 'sipwarden_more%';";
        (server.query(parts).trim() == "3").then_some(())
    });
    drop(up);
    stage.server.stop(SIGTERM);
    stage.server = stage.config.start();
    assert_eq!((calls(&stage.server, "a"), calls(&stage.server, "b")), (1, 1));
    for n in 0..8 {
        assert_eq!(stage.refusal("", &did(n)), format!("limit -13 {} 1/1", did(n)));
    }
}

#[test]
fn long_scopes_come_back_with_mariadb() {
    long_scopes_come_back(&Server::mariadb());
}

#[test]
fn long_scopes_come_back_with_postgresql() {
    long_scopes_come_back(&Server::postgres());
}
