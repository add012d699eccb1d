//! A public scanner, which gives its name.

use std::process::{Command, Stdio};

use super::*;
use crate::support::kamailio::free_port;

/// What a program of sipvicious has found, and the example's count of scanners.
fn scan(program: &str, arguments: &[&str], tools: bool) -> (String, u64, SocketAddr) {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('127.0.0.1', 'b', 0, 0);",
    );
    let gateway = Endpoint::new("127.0.0.99");
    let defines = [("TOOL_TABLE", "\"sipwarden_tool\"".to_owned())];
    let defines = if tools { &defines[..] } else { &[] };
    let example = Example::start_with(&db, gateway.address(), defines, &[]);
    let server = example.address();
    let found = folder.join("found");
    let mut child = Command::new(program)
        .args(arguments)
        .args(["-p", &server.port().to_string(), "-P", &free_port().to_string(), "127.0.0.1"])
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&found).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .expect("sipvicious is installed by make test");
    wait_up_to(Duration::from_secs(60), program, || child.try_wait().unwrap());
    let stats = example.kamcmd(&["sipwarden.stats"]);
    let line = stats.lines().find_map(|line| line.trim().strip_prefix("scanner_check_scanner: "));
    (std::fs::read_to_string(found).unwrap(), line.unwrap().parse().unwrap(), server)
}

#[test]
fn an_emergency_is_served_whatever_the_phone_calls_itself() {
    let folder = Folder::new();
    let gateway = Endpoint::new("127.0.0.99");
    let defines = [("TOOL_TABLE", "\"sipwarden_tool\"".to_owned())];
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('c.example', 'b', 0, 0);",
    );
    let example = Example::start_with(&db, gateway.address(), &defines, &[]);
    let phone = Endpoint::new("127.45.0.1");
    let dial = |number: &str| {
        let header = "User-Agent: friendly-scanner\r\n";
        let mut caller = Caller::new(&phone, example.address(), "c.example", header);
        caller.dial(number);
        caller.invite();
        caller
    };
    // Another call of it gets no answer.
    dial("900");
    wait_for("a scanner", || {
        let stats = example.kamcmd(&["sipwarden.stats"]);
        stats.contains("scanner_check_scanner: 1\n").then_some(())
    });
    let mut emergency = dial("112");
    let invite = gateway.request("INVITE");
    assert_eq!(invite.0.header("Call-ID"), Some(emergency.call_id.as_str()));
    gateway.reply(&invite, 486, "t");
    assert_eq!(emergency.final_reply().status(), Some(486));
}

#[test]
fn sipvicious_finds_nothing_where_its_name_is_known() {
    let device = |server: SocketAddr| format!("127.0.0.1:{}", server.port());
    let (found, scanners, server) = scan("svmap", &[], false);
    assert!(found.contains(&device(server)) && scanners == 0, "{found}");
    let (found, scanners, server) = scan("svmap", &[], true);
    assert!(!found.contains(&device(server)) && scanners > 0, "{scanners}: {found}");
    let users = ["-e", "100-110", "-m", "REGISTER", "--force"];
    let (found, scanners, _) = scan("svwar", &users, true);
    assert!(!found.contains("10") && scanners > 0, "{scanners}: {found}");
}
