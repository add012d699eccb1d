//! The Debian package: what is in it, and its life in a copy of this machine. `make
//! package-test` does the same in clean Debians.

use crate::support::stock::Stock;

/// What an operator finds.
const FILES: [&str; 23] = [
    "/kamailio/modules/sipwarden.so",
    "./etc/kamailio/sipwarden.cfg",
    "./usr/share/sipwarden/kamailio-cfg/kamailio.cfg",
    "./usr/share/sipwarden/kamailio-cfg/http.cfg",
    "./usr/share/sipwarden/kamailio-cfg/sql/sqlite/sipwarden.sql",
    "./usr/share/sipwarden/kamailio-cfg/sql/mysql/upgrade-0.9.0.sql",
    "./usr/share/sipwarden/kamailio-cfg/sql/postgres/upgrade-0.9.0.sql",
    "./usr/share/sipwarden/kamailio-cfg/ivozprovider/views.sql",
    "./usr/share/sipwarden/kamailio-cfg/firewall/sipwarden/firewall.nft",
    "./usr/share/sipwarden/kamailio-cfg/firewall/sipwarden/blocked.nft",
    "./usr/share/sipwarden/kamailio-cfg/firewall/sipwarden/early.nft",
    "./usr/share/sipwarden/kamailio-cfg/firewall/kamailio.service.d/sipwarden-firewall.conf",
    "./usr/share/sipwarden/monitoring/alerts.yml",
    "./usr/share/sipwarden/monitoring/grafana.json",
    "./usr/share/kamailio/mysql/sipwarden-create.sql",
    "./usr/share/man/man7/sipwarden.7.gz",
    "./usr/share/doc/kamailio-sipwarden-module/README.md",
    "./usr/share/doc/kamailio-sipwarden-module/licences.gz",
    "./usr/share/doc/kamailio-sipwarden-module/CHANGELOG.md",
    "./usr/share/doc/kamailio-sipwarden-module/docs/reference.md",
    "./usr/share/doc/kamailio-sipwarden-module/docs/upgrade.md",
    "./usr/share/doc/kamailio-sipwarden-module/docs/sizing.md",
    "./usr/share/doc/kamailio-sipwarden-module/docs/iptables.md",
];

#[test]
fn it_has_what_it_should_and_lives_as_it_should() {
    let stock = Stock::new();
    let machine = &stock.machine;
    machine.ok("mkdir -p /debs/before
        DEB_VERSION=0.1.0 tools/deb.sh
        mv target/deb/kamailio-sipwarden-module_*.deb /debs/before/
        tools/deb.sh
        mv target/deb/kamailio-sipwarden-module_*.deb /debs/
        rm -rf target/deb");
    let listed = machine.ok("dpkg-deb --contents /debs/*.deb");
    for file in FILES {
        let found = listed.lines().any(|line| line.split(" -> ").next().unwrap().ends_with(file));
        assert!(found, "{file}: {listed}");
    }
    // Its licence asks that whoever gets the binary gets the notice too.
    let notices = machine.ok("dpkg-deb --fsys-tarfile /debs/*.deb |
        tar -xO ./usr/share/doc/kamailio-sipwarden-module/licences.gz | zcat");
    assert!(notices.contains("\nredis 1") && notices.contains("Redistributions in binary form"));
    // Exactly the version that is installed: not the one before, not the next.
    let version = machine.ok("kamailio -v | sed -n 's/^version: kamailio \\([^ ]*\\).*/\\1/p'");
    let version = version.trim();
    let depends = machine.ok("dpkg-deb --field /debs/*.deb Depends");
    let exactly = format!("kamailio (>= {version}~), kamailio (<< {version}.0~), ");
    assert!(depends.starts_with(&exactly), "{depends}");
    machine.ok(&format!(
        "dpkg --compare-versions {version}-1+deb12u1 '<<' {version}.0~
        dpkg --compare-versions {version}+bookworm '<<' {version}.0~
        dpkg --compare-versions {version}.1 '>>' {version}.0~"
    ));
    machine.ok("lintian --fail-on error /debs/*.deb");
    let said = machine.ok("tests/package/check.sh /debs/before/*.deb /debs/*.deb");
    assert!(said.ends_with("installed anew: every step as expected\n"), "{said}");
}
