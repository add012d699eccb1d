//! Beside iptables, and away from it, as the guide shows it.

use std::process::{Command, Output};

use super::*;
use crate::support::guide::block;
use crate::support::netns::run;

/// Runs lines of the guide, with the programs of this platform: nft that reads its folder,
/// kamcmd of its Kamailio, iptables of one kind.
struct Shell<'a> {
    platform: &'a Platform,
    programs: Folder,
    kind: &'static str,
}

impl<'a> Shell<'a> {
    fn new(platform: &'a Platform, kind: &'static str) -> Self {
        let shell = Shell { platform, programs: Folder::new(), kind };
        let etc = platform.rules.folder().display().to_string();
        shell.program("nft", &format!("/usr/sbin/nft -I {etc}"));
        for program in ["iptables", "ip6tables"] {
            shell.program(program, &format!("{program}-{kind}"));
            shell.program(&format!("{program}-save"), &format!("{program}-{kind}-save"));
            shell.program(&format!("{program}-restore"), &format!("{program}-{kind}-restore"));
        }
        shell
    }

    fn program(&self, name: &str, line: &str) {
        let path = self.programs.join(name);
        fs::write(&path, format!("#!/bin/sh\nexec {line} \"$@\"\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn output(&self, lines: &str) -> Output {
        let etc = self.platform.rules.folder().join("sipwarden").display().to_string();
        let lines = lines
            .replace("/etc/sipwarden", &etc)
            .replace("/var/backups/", &format!("{}/", self.programs.path().display()));
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.programs.path().display());
        Command::new("sh")
            .args(["-euc", &lines])
            .env("PATH", path)
            .current_dir(crate::support::project())
            .output()
            .unwrap()
    }

    fn run(&self, lines: &str) -> String {
        let out = self.output(lines);
        assert!(
            out.status.success(),
            "{} {lines}: {}",
            self.kind,
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn run_block(&self, name: &str) -> String {
        let lines = block("iptables.md", name);
        let lines: Vec<_> = lines.lines().filter(|line| !line.starts_with("editor ")).collect();
        self.run(&lines.join("\n"))
    }
}

/// What an operator of iptables has.
const OLD: &str = "
    for tables in iptables ip6tables; do
        $tables -A INPUT -i lo -j ACCEPT
        $tables -A INPUT -p udp --dport 5060 -j ACCEPT
        $tables -P INPUT DROP
    done
    ipset create carriers hash:net
    ipset add carriers 203.0.113.0/24
    ipset add carriers 198.51.100.7
    ipset create banned hash:ip timeout 600
    ipset add banned 10.77.0.4
    iptables -I INPUT -m set --match-set banned src -j DROP";

fn beside(kind: &'static str) {
    let platform = Platform::without_rules();
    let shell = Shell::new(&platform, kind);
    shell.run(OLD);
    shell.run_block("keep");
    let kamailio = platform.config(0).start();
    let kamcmd = kamailio.kamcmd_command();
    shell.program("kamcmd", &format!("env PATH=/usr/sbin:/usr/bin:/sbin:/bin {kamcmd}"));
    wait_for_status(&kamailio, "on");
    let (flooder, other) = (platform.phone("10.77.0.2", V4), platform.phone("10.77.0.3", V4));
    let banned = platform.phone("10.77.0.4", V4);
    flood(&kamailio, &flooder);
    wait_for_set("blocked4", &["10.77.0.2"]);
    assert!(passes(&other));
    let drops = |phone: &Phone| {
        let (dropped, before) = (counter("blocked"), judged(&kamailio));
        phone.send("OPTIONS", "x", "");
        wait_for("the kernel to drop", || (counter("blocked") == dropped + 1).then_some(()));
        assert_eq!(judged(&kamailio), before);
    };
    drops(&flooder);
    // iptables judges all others, and its own files leave ours alone.
    let judged_before = judged(&kamailio);
    banned.send("OPTIONS", "x", "");
    wait_for("iptables to drop", || {
        shell.run("iptables -vxnL INPUT 1").trim().starts_with('1').then_some(())
    });
    assert_eq!(judged(&kamailio), judged_before);
    shell.run("iptables-save >/var/backups/now; iptables -F; iptables-restore </var/backups/now");
    shell.run("nft -f /etc/sipwarden/blocked.nft");
    drops(&flooder);

    // Away from it.
    assert_eq!(shell.run_block("members").trim(), "198.51.100.7,203.0.113.0/24");
    shell.run_block("banned");
    wait_for_set("blocked4", &["10.77.0.2", "10.77.0.4"]);
    platform.rules.set("users_udp", "{ 5060 }");
    shell.run_block("leave");
    assert_eq!(shell.run("iptables -S INPUT; ip6tables -S INPUT; ipset list").lines().count(), 2);
    drops(&flooder);
    drops(&banned);
    kamailio.rpc("sipwarden.unblock", json!(["10.77.0.4"]));
    wait_for_set("blocked4", &["10.77.0.2"]);
    wait_for("the banned one to get through", || passes(&banned).then_some(()));
    assert!(passes(&other));
    assert_eq!(
        run("nft", &["list", "chain", "inet", "sipwarden", "input"]).matches("policy drop").count(),
        1
    );
    // And back: no rule of firewall.nft is left to drop the others.
    shell.run("nft -f /etc/sipwarden/blocked.nft");
    assert!(passes(&other));
    drops(&flooder);
}

#[test]
fn with_the_iptables_of_nftables() {
    beside("nft");
}

#[test]
fn with_the_legacy_iptables() {
    beside("legacy");
}
