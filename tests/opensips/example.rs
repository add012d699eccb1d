//! The example configuration, as it is shipped.

use serde_json::json;

use crate::host::OpenSips;
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::kamailio::free_port;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project, wait_for};

/// The example with the places of a test: nothing else is changed.
fn start(folder: Folder, callee: &AutoCallee) -> OpenSips {
    let (port, commands) = (free_port(), free_port());
    let place = |name: &str| folder.join(name).display().to_string();
    let mut text = std::fs::read_to_string(project().join("opensips-cfg/opensips.cfg")).unwrap();
    let modules = std::process::Command::new("tools/opensips-modules.sh")
        .current_dir(project())
        .output()
        .unwrap();
    let modules = String::from_utf8(modules.stdout).unwrap();
    let module = project().join("target/opensips/release/sipwarden.so");
    for (shipped, here) in [
        ("socket=udp:0.0.0.0:5060", format!("socket=udp:127.0.0.1:{port}")),
        ("stderror_enabled=no", "stderror_enabled=yes".into()),
        ("syslog_enabled=yes", "syslog_enabled=no".into()),
        ("/usr/lib/x86_64-linux-gnu/opensips/modules", modules.trim().into()),
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
    let config = folder.join("opensips.cfg");
    std::fs::write(&config, text).unwrap();
    let opensips = OpenSips::spawn(folder, &config, port, commands);
    wait_for("OpenSIPS to answer", || opensips.try_rpc("sipwarden_version", json!([])).ok());
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
