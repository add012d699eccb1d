//! The guide for IvozProvider, followed to the letter: these tests run its own lines.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::platform::Platform;
use crate::support::proxies::Kind;
use crate::support::server::{search_path, which};
use crate::support::world::World;
use crate::support::{Folder, merge, project, wait_for};

/// The guide's block of shell with this text in it.
fn block(text: &str) -> String {
    let guide = fs::read_to_string(project().join("docs/ivozprovider.md")).unwrap();
    let blocks = guide.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut found = blocks.filter(|block| block.contains(text));
    let block = found.next().unwrap_or_else(|| panic!("no block with {text}")).to_owned();
    assert!(found.next().is_none(), "two blocks with {text}");
    block
}

/// The code in the guide's text that begins so.
fn inline(begin: &str) -> String {
    let guide = fs::read_to_string(project().join("docs/ivozprovider.md")).unwrap();
    let rest = guide.split(&format!("`{begin}")).nth(1).unwrap_or_else(|| panic!("no {begin}"));
    begin.to_owned() + rest.split('`').next().unwrap()
}

/// An operator's shell, with a `mysql` that asks the platform's server.
struct Shell {
    folder: Folder,
    /// What the guide says, and what it is here.
    names: Vec<(String, String)>,
}

impl Shell {
    fn new(platform: &Platform) -> Self {
        let folder = Folder::new();
        let path = folder.path().display().to_string();
        let copied = Command::new("cp")
            .arg("-r")
            .arg(project().join("kamailio-cfg"))
            .arg(folder.join("kamailio-cfg"))
            .status();
        assert!(copied.unwrap().success());
        let server = which("kamailio");
        let kamailio = format!("exec {server} -L {} \"$@\"", search_path());
        fs::create_dir(folder.join("bin")).unwrap();
        for proxy in ["users", "trunks"] {
            fs::create_dir_all(folder.join(&format!("etc/proxy{proxy}"))).unwrap();
            let merged = merge::merge(&merge::stock(proxy), &merge::calls(proxy));
            fs::write(folder.join(&format!("etc/proxy{proxy}/kamailio.cfg")), merged).unwrap();
        }
        let url = platform.server.url_of("x", "y", "z");
        let server = url.split('@').nth(1).unwrap().trim_end_matches("/z").to_owned();
        let names = vec![
            (" /tmp ".into(), format!(" {path} ")),
            ("data.ivozprovider.local".into(), server),
            ("/etc/kamailio/".into(), format!("{path}/etc/")),
            ("unix:/tmp/".into(), format!("unix:{path}/")),
        ];
        let shell = Shell { folder, names };
        shell.program("mysql", &platform.server.as_mysql());
        shell.program("kamailio", &kamailio);
        let dry_run = shell.folder.join("kamailio-cfg/ivozprovider/dry-run.cfg");
        shell.edit(&dry_run, &[("unix:/tmp/", &format!("unix:{path}/"))]);
        shell
    }

    /// A program that the guide calls, and what it is here.
    fn program(&self, name: &str, line: &str) {
        let file = self.folder.join("bin").join(name);
        fs::write(&file, format!("#!/bin/sh\n{line}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, lines: &str) -> Command {
        let here =
            self.names.iter().fold(lines.to_owned(), |text, (old, new)| text.replace(old, new));
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new("sh");
        command.arg("-ec").arg(here).current_dir(self.folder.path());
        command.env("PATH", format!("{}:{path}", self.folder.join("bin").display()));
        command
    }

    /// What these lines print.
    fn run(&self, lines: &str) -> String {
        let out = self.command(lines).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(out.status.success(), "{lines}\n{}{}", text(&out.stdout), text(&out.stderr));
        text(&out.stdout) + &text(&out.stderr)
    }

    fn edit(&self, file: &Path, edits: &[(&str, &str)]) {
        let mut text = fs::read_to_string(file).unwrap();
        for (old, new) in edits {
            assert!(text.contains(old), "{old}");
            text = text.replace(old, new);
        }
        fs::write(file, text).unwrap();
    }
}

/// A Kamailio that was started by the shell; stopped when dropped.
struct DryRun(std::process::Child);

impl Drop for DryRun {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            crate::support::signal(self.0.id() as i32, libc::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

#[test]
fn from_the_views_to_a_dry_run_and_a_merge_that_is_in_place() {
    let platform = Platform::bare();
    platform.run(
        "INSERT INTO ApplicationServers VALUES (1, '192.0.2.20', 'as');
         INSERT INTO kam_users_address (companyId, ip_addr, mask) VALUES (12, '203.0.113.7', 32), (9, 'office.example', 32);",
    );
    let shell = Shell::new(&platform);
    // 1. Views.
    let remarks = shell.run(&block("views.sql"));
    assert!(remarks.contains("office.example"), "{remarks}");
    shell.run(&block("monitoring"));

    // 2. A dry run.
    for trunks in ["", " -A TRUNKS"] {
        let line = block("dry-run.cfg").trim_end().to_owned() + trunks;
        let log = fs::File::create(shell.folder.join("log")).unwrap();
        let dry = shell
            .command(&format!("exec {line}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let mut dry = DryRun(dry.unwrap());
        let log = || fs::read_to_string(shell.folder.join("log")).unwrap();
        wait_for("the dry run", || {
            assert!(dry.0.try_wait().unwrap().is_none(), "{}", log());
            shell.folder.join("sipwarden_dry_ctl").exists().then_some(())
        });
        let told = shell.run(&block("sipwarden.problems"));
        assert!(log().contains("generation 1 loaded from"), "{}", log());
        for expected in ["granted_range", "class: exempt", "company \"9\"", "office.example"] {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        drop(dry);
        let _ = fs::remove_file(shell.folder.join("sipwarden_dry_ctl"));
    }

    // 3. The files, the passwords, and whether all is in place.
    shell.run(&block("cp sipwarden-users.cfg"));
    for proxy in ["users", "trunks"] {
        let settings = shell.folder.join(&format!("etc/proxy{proxy}/sipwarden-settings.cfg"));
        shell.edit(
            &settings,
            &[
                ("sipwarden:change-me@", "sipwarden:SECRET1@"),
                ("sipwarden_audit:change-me-too@", "sipwarden_audit:SECRET2@"),
            ],
        );
    }
    let said = shell.run(&block("check-merge /etc"));
    assert!(said.ends_with("all in place\n"), "{said}");
    let defines = "-A USERS_LISTEN=udp:127.0.0.1:5060 -A TRUNKS_LISTEN=udp:127.0.0.1:5060 -A RPC_ADDRESS=127.0.0.1 -A RPC_PORT=8000 \
         -A WORKERS=2 -A CTL_SOCKET='\"unix:x\"' -A DBURL='\"mysql://a@b/c\"' -A USERS_ADDRESS='\"127.0.0.1\"' \
         -A TRUNKS_ADDRESS='\"127.0.0.1\"' -A CARRIER='\"sip:x\"'";
    for proxy in ["users", "trunks"] {
        let check = inline("kamailio -c ").replace("proxyusers", &format!("proxy{proxy}"));
        shell.run(&format!("{check} {defines}"));
    }

    // Back: no trace.
    platform.server.run_script(&inline("DROP DATABASE"));
}

#[test]
fn with_dialogs_in_a_database_counts_survive_a_restart_of_either_proxy() {
    let mut world = World::start_with(Kind::Sipwarden, &|platform| {
        let shell = Shell::new(platform);
        let lines = block("dialog-create.sql");
        shell.run(&lines);
        shell.run(&lines.replace("dialogs_users", "dialogs_trunks"));
        let grants =
            fs::read_to_string(project().join("kamailio-cfg/ivozprovider/grants.sql")).unwrap();
        let ours = grants
            .lines()
            .filter_map(|line| line.strip_prefix("-- "))
            .filter(|line| line.starts_with("CREATE") || line.starts_with("GRANT"));
        platform.server.run_script(&ours.collect::<Vec<_>>().join("\n"));
        let url = platform.server.url_of(
            "sipwarden_dialogs",
            "change-me-as-well",
            "sipwarden_dialogs_PROXY",
        );
        vec![("SIPWARDEN_DIALOG_DB_URL".to_owned(), format!("\"{url}\""))]
    });
    let mut out = world.external(7, "+34600000000");
    world.carrier_answers(&mut out);
    let id = out.call_id.clone();
    world.calls_of_company_are("7", 1);
    drop(out);
    world.proxies.trunks.restart();
    world.calls_of_company_are("7", 1);
    assert!(world.proxies.trunks.kamcmd(&["sipwarden.calls", "7"]).contains(&id));

    let phone = world.phone(crate::support::world::ELSEWHERE, 7);
    let call = world.answered(&phone);
    let id = call.call_id.clone();
    drop(call);
    world.proxies.users.restart();
    world.proxies.users.wait_until(&["sipwarden.calls"], "total: 1");
    assert!(world.proxies.users.kamcmd(&["sipwarden.calls"]).contains(&id));
}

#[test]
fn every_setting_is_taken_and_the_page_is_shown_beside_the_portals_port() {
    let folder = Folder::new();
    let saved = folder.join("PROXY-blocks").display().to_string();
    let saved = format!("\"{saved}\"");
    let kept = format!("\"{}\"", folder.join("PROXY-tables").display());
    let settings = [
        ("SIPWARDEN_FLOOD_PERSIST", saved.as_str()),
        ("SIPWARDEN_TABLES_FILE", kept.as_str()),
        ("SIPWARDEN_FLOOD_BLOCK_MAX", "3600"),
        ("SIPWARDEN_BOUND_CARRIERS", ""),
        ("SIPWARDEN_PAGE", ""),
        ("HTTP_ADDRESS", "LISTEN"),
    ];
    // Each proxy has an address of its own; the portal's ports go on as before.
    let guide = fs::read_to_string(project().join("docs/ivozprovider.md")).unwrap();
    assert!(
        guide
            .contains("`route(SIPWARDEN_HTTP);` as the first line of `event_route[xhttp:request]`")
    );
    let world = World::start(Kind::Sipwarden, &settings);
    for proxy in [&world.proxies.users, &world.proxies.trunks] {
        assert!(proxy.portal("sipwarden.version", &[]).contains("200 OK"));
        let of_trunks = std::ptr::eq(proxy, &world.proxies.trunks);
        let shown = proxy.get(if of_trunks { 8061 } else { 8060 });
        assert!(shown.starts_with("HTTP/1.1 200 OK") && shown.contains("<title>"), "{shown}");
        let told = proxy.kamcmd(&["sipwarden.settings"]);
        assert!(told.contains("flood_block_max: 3600"), "{told}");
        assert!(told.contains("tables_file: /"), "{told}");
        let carrier = proxy.kamcmd(&["sipwarden.source", "127.70.0.1"]);
        // No way to ask it that the platform has not had.
        let folder = std::path::PathBuf::from(proxy.ctl_socket());
        let files = fs::read_dir(folder.parent().unwrap()).unwrap();
        let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        assert!(!names.iter().any(|name| name.to_string_lossy().contains("rpc")), "{names:?}");
        assert!(
            carrier.contains(if of_trunks { "class: carrier" } else { "class: default" }),
            "{carrier}"
        );
    }
}

/// The lines of a block, without what is behind their `#`, and that.
fn commands(block: &str) -> Vec<(String, String)> {
    let split = |line: &str| {
        let (command, comment) = line.split_once(" # ").unwrap_or((line, ""));
        (command.trim().to_owned(), comment.trim().to_owned())
    };
    block.lines().map(split).collect()
}

/// A shell beside both proxies, which finds their sockets and logs.
fn beside(world: &World) -> Shell {
    let mut shell = Shell::new(&world.platform);
    let (users, trunks) = (&world.proxies.users, &world.proxies.trunks);
    for (name, proxy) in [("users", users), ("trunks", trunks)] {
        let shipped = format!("/run/kamailio/kamailio_proxy{name}_ctl");
        shell.names.push((shipped, proxy.ctl_socket()));
    }
    let logs = [users, trunks].map(|proxy| proxy.log_file().display().to_string());
    shell.program("journalctl", &format!("cat {}", logs.join(" ")));
    shell
}

#[test]
fn the_commands_of_the_side_by_side_step_show_differences_refusals_and_bans() {
    let world = World::start(Kind::Watch, &[]);
    let shell = beside(&world);
    // An edit that only sipwarden was told of, a refusal, and a thief.
    world.platform.run(
        "INSERT INTO kam_users_address (companyId, ip_addr) VALUES (8, '127.60.0.1');
         DELETE FROM kam_users_address WHERE companyId = 7;",
    );
    world.proxies.users.kamcmd(&["sipwarden.reload"]);
    assert_eq!(world.phone(crate::support::world::ELSEWHERE, 8).register().status(), Some(403));
    assert_eq!(world.phone("127.61.0.1", 8).register().status(), Some(403));
    let mut thief = world.phone("127.60.0.2", 7);
    for n in 0..100 {
        thief.password = format!("guess{n}");
        assert_eq!(thief.register().status(), Some(401));
    }
    thief.password = "secret".into();
    thief.register();
    world.proxies.users.wait_until(&["sipwarden.bans"], "total: 1");
    world.phone(crate::support::world::GRANTED, 7).register();

    let steps = commands(&block("journalctl"));
    let expected = [
        ("journalctl", "filter stock=-1 sipwarden=1 (granted_range)"),
        ("sipwarden.denied", "reason: roadwarrior_none"),
        ("sipwarden.bans", "alice@c7.example"),
    ];
    assert_eq!(steps.len(), expected.len());
    for ((command, _), (what, said)) in steps.iter().zip(expected) {
        assert!(command.contains(what), "{command}");
        let told = shell.run(command);
        assert!(told.contains(said), "{command}\n{told}");
    }
}

#[test]
fn the_commands_after_the_switch_say_what_the_guide_says_of_them() {
    let timer = "\"name=SIPWARDEN_RELOAD;interval=1;mode=1;\"";
    let world = World::start_with(Kind::Sipwarden, &|platform| {
        platform.run(
            "INSERT INTO ApplicationServers VALUES (20, '192.0.2.20', 'of the guide');
             INSERT INTO kam_trunks_address (grp, ip_addr, mask) VALUES (1, '198.51.100.1', 32);
             INSERT INTO kam_users_address (companyId, ip_addr, mask) VALUES (12, '203.0.113.7', 32);",
        );
        vec![("SIPWARDEN_RELOAD_TIMER".to_owned(), timer.to_owned())]
    });
    let shell = beside(&world);
    let steps = commands(&block("kamailio_proxyusers_ctl sipwarden.stats"));
    assert_eq!(steps.len(), 7);
    for (command, comment) in &steps {
        let told = shell.run(command);
        // Behind a colon there is what it says, or one of two.
        let says = comment.split_once(": ").map_or("", |(_, says)| says);
        let said = |expected: &str| assert!(told.contains(expected), "{command}\n{told}");
        match command.rsplit("_ctl ").next().unwrap().split(' ').next().unwrap() {
            "sipwarden.stats" => {
                for expected in ["generation: ", "companies: 3000", "users: 5996"] {
                    said(expected);
                }
            }
            "sipwarden.source" | "sipwarden.check" => {
                let words: Vec<_> = says.split(", or ").collect();
                assert!(!says.is_empty() && words.iter().any(|w| told.contains(w)), "{told}");
            }
            "sipwarden.calls" => {
                said("total: 0");
                let mut call = world.external(12, "+34600000000");
                world.carrier_answers(&mut call);
                let id = call.call_id.clone();
                assert!(shell.run(command).contains(&id));
                world.hang_up(call, &world.carrier);
                world.calls_of_company_are("12", 0);
                assert!(!shell.run(command).contains(&id));
            }
            "sipwarden.company" => {
                said("range_count: 2");
                world.platform.run(
                    "INSERT INTO kam_users_address (companyId, ip_addr) VALUES (12, '203.0.113.8');",
                );
                wait_for("the range of the portal", || {
                    shell.run(command).contains("203.0.113.8/32").then_some(())
                });
            }
            "sipwarden.denied" => {
                world.phone(crate::support::world::ELSEWHERE, 8).register();
                wait_for("the refusal", || {
                    shell.run(command).contains("reason: roadwarrior_none").then_some(())
                });
            }
            other => panic!("nothing is known of {other}"),
        }
    }
}
