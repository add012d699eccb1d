//! The example configuration, as it is shipped.

use serde_json::json;

use crate::host::{Config, OfOpenSips, OpenSips};
use crate::support::call::{Caller, Endpoint, Message};
use crate::support::callee::AutoCallee;
use crate::support::host::{Host, Place};
use crate::support::running::free_port;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project, wait_for};

/// The example with the places of a test: nothing else is changed.
fn start(folder: Folder, callee: &AutoCallee) -> OpenSips {
    start_with(folder, callee, |text| text)
}

fn start_with(folder: Folder, callee: &AutoCallee, change: impl Fn(String) -> String) -> OpenSips {
    let (port, commands) = (free_port(), free_port());
    let place = |name: &str| folder.join(name).display().to_string();
    let text = std::fs::read_to_string(project().join("opensips-cfg/opensips.cfg")).unwrap();
    let mut text = crate::scripts::of_version(crate::host::major(), text);
    let module = OfOpenSips::module();
    for (shipped, here) in [
        ("socket=udp:0.0.0.0:5060", format!("socket=udp:127.0.0.1:{port}")),
        ("stderror_enabled=no", "stderror_enabled=yes".into()),
        ("syslog_enabled=yes", "syslog_enabled=no".into()),
        (
            "/usr/lib/x86_64-linux-gnu/opensips/modules",
            crate::host::modules().display().to_string(),
        ),
        ("\"sipwarden.so\"", format!("\"{}\"", module.display())),
        (
            "loadmodule \"mi_fifo.so\"",
            format!(
                "loadmodule \"mi_fifo.so\"\nloadmodule \"mi_datagram.so\"\n\
                 modparam(\"mi_datagram\", \"socket_name\", \"udp:127.0.0.1:{commands}\")"
            ),
        ),
        ("/run/opensips/opensips_fifo", place("fifo")),
        ("/var/lib/opensips/sipwarden.sqlite", place("tables.sqlite")),
        ("/var/lib/opensips/sipwarden.tables", place("last.tables")),
        ("/var/lib/opensips/sipwarden.blocks", place("last.blocks")),
        ("sip:127.0.0.1:5080", format!("sip:{}", callee.address)),
    ] {
        assert!(text.contains(shipped), "{shipped}");
        text = text.replace(shipped, &here);
    }
    let file = folder.join("opensips.cfg");
    std::fs::write(&file, change(text)).unwrap();
    let place = Place { folder: folder.path(), port, commands };
    let mut command = OfOpenSips::command(&Config::new(""), &file, &place);
    let commands = OfOpenSips::commands(&place);
    let mut opensips = OpenSips::start(&mut command, folder, port, commands);
    opensips.wait_until_ready();
    opensips
}

#[test]
fn it_refuses_and_counts_as_it_says() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('near.example', 'b', 1, 1), ('far.example', 'b', 1, 0);
         INSERT INTO sipwarden_company_address VALUES ('near.example', '127.0.0.0', 8),
             ('far.example', '192.0.2.0', 24);",
    );
    let callee = AutoCallee::start("127.0.0.1");
    let opensips = start(folder, &callee);
    let endpoint = Endpoint::new("127.0.0.1");
    let call = |domain: &str| {
        let mut call = Caller::new(&endpoint, opensips.address(), domain, "");
        call.invite();
        let reply = call.final_reply();
        if reply.status() == Some(200) {
            call.ack();
        }
        (call, reply.status().unwrap())
    };
    let (mut up, status) = call("near.example");
    assert_eq!(status, 200);
    assert_eq!(call("near.example").1, 403);
    assert_eq!(call("far.example").1, 403);
    assert_eq!(call("unknown.example").1, 403);
    up.within("BYE");
    wait_for("the slot", || {
        let company = opensips.rpc("sipwarden_company", json!(["near.example"]));
        (company["calls"] == 0).then_some(())
    });
    let phone = Phone::new("127.0.0.1", opensips.address());
    assert_eq!(phone.options_to_the_server().unwrap().status, 200);
}

/// A To tag and a Route are what anybody can write.
#[test]
fn with_dialogs_in_a_database_an_invite_within_no_call_is_refused() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c.example', 'b', 0, 0);",
    );
    let dialogs = OfOpenSips::dialogs(&folder);
    let callee = AutoCallee::start("127.0.0.1");
    let opensips = start_with(folder, &callee, |text| {
        let shipped = "sqlite:////var/lib/opensips/dialogs.sqlite";
        assert!(text.contains(shipped));
        let is_ours = |line: &str| {
            let of_route = line.starts_with("\t\t#") && !line.starts_with("\t\t# ");
            line.starts_with("#modparam(\"dialog\"") || of_route
        };
        let lines = text.lines().map(|line| match is_ours(line) {
            true => line.replacen('#', "", 1),
            false => line.to_owned(),
        });
        lines
            .collect::<Vec<_>>()
            .join("\n")
            .replace(shipped, &dialogs.url())
            .replace("udp_workers=8", "udp_workers=1")
            + "\n"
    });
    let endpoint = Endpoint::new("127.0.0.1");
    let mut forged = Caller::new(&endpoint, opensips.address(), "c.example", "");
    let header = |name: &str, value: String| (name.to_owned(), value);
    let headers = vec![
        header("To", format!("<sip:900@{}>;tag=t", opensips.address())),
        header("Record-Route", format!("<sip:{};lr>", opensips.address())),
        header("Contact", format!("<sip:900@{}>", callee.address)),
    ];
    forged.answered(&Message { line: "SIP/2.0 200 OK".into(), headers });
    forged.within("INVITE");
    assert_eq!(forged.final_reply().status(), Some(481));

    // A call that was checked and counted goes on.
    let mut live = Caller::new(&endpoint, opensips.address(), "c.example", "");
    live.invite();
    assert_eq!(live.final_reply().status(), Some(200));
    live.ack();
    live.within("INVITE");
    assert_eq!(live.final_reply().status(), Some(200));
    live.ack();
    live.within("BYE");
    wait_for("the slot", || {
        (opensips.ask("company", json!(["c.example"]))["calls"] == 0).then_some(())
    });
}
