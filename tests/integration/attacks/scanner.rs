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
