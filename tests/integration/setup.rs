//! Set-up and installation in a copy of this machine, with packages made here.

use crate::support::machine::Machine;

const POLICY: &str = "/usr/sbin/policy-rc.d";
const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/probe.service";

/// A machine whose only source of packages is a folder of ours: `probe` brings an
/// enabled service, `broken` cannot be configured, `killer` kills set-up. Of its two packages
/// with cargo only `cargo-web` is new enough.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.write(
        "/srv/probe.service",
        "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
    );
    let enable = "cp /srv/probe.service /lib/systemd/system/ && deb-systemd-helper enable probe.service >/dev/null\n";
    let cargo =
        "printf '#!/bin/sh\necho cargo 1.999.0\n' >/usr/bin/cargo && chmod +x /usr/bin/cargo\n";
    for (name, version, configure) in [
        ("probe", "1", enable),
        ("broken", "1", "exit 1\n"),
        ("killer", "1", "kill -TERM $(cat /srv/setup.pid)\n"),
        ("slayer", "1", "kill -KILL $(cat /srv/setup.pid)\n"),
        ("cargo", "0.66.0+ds1-1", "exit 1\n"),
        ("cargo-web", "1.999.0+dfsg1-1~deb12u2", cargo),
    ] {
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@test.invalid>\n\
             Description: of a test\n"
        );
        machine.write(&format!("/repository/{name}/DEBIAN/control"), &control);
        let script = format!("#!/bin/sh\nset -e\ncp {POLICY} /srv/policy.{name}\n{configure}");
        machine.write(&format!("/repository/{name}/DEBIAN/postinst"), &script);
    }
    machine.ok("cd /repository
        for name in probe broken killer slayer cargo cargo-web; do
            chmod 755 $name/DEBIAN/postinst
            dpkg-deb --build --root-owner-group $name >/dev/null
            dpkg-deb -f $name.deb >>Packages
            echo \"Filename: $name.deb\" >>Packages
            echo \"Size: $(stat -c %s $name.deb)\" >>Packages
            echo \"SHA256: $(sha256sum $name.deb | cut -d' ' -f1)\" >>Packages
            echo >>Packages
        done
        rm -rf /etc/apt/sources.list.d/* /etc/apt/sources.list
        echo 'deb [trusted=yes] file:/repository ./' >/etc/apt/sources.list");
    machine
}

/// The same, without a cargo that Debian has installed.
fn machine_without_cargo() -> Machine {
    let machine = machine();
    machine.ok("dpkg --purge --force-depends cargo cargo-web >/dev/null 2>&1 || true
        [ ! -e /usr/bin/cargo ]");
    machine
}

fn setup(packages: &str) -> String {
    format!("echo $$ >/srv/setup.pid; SETUP_EXTRA='{packages}' exec tools/setup.sh")
}

#[test]
fn it_leaves_nothing_behind_but_the_packages_that_it_names() {
    let machine = machine();
    let said = machine.ok(&setup("probe"));
    assert!(said.contains("installing 1 Debian packages"), "{said}");
    assert!(said.contains("service probe is disabled; systemctl enable probe"), "{said}");
    assert!(said.lines().count() <= 4, "{said}");
    assert!(machine.read("/srv/policy.probe").contains("exit 101"), "nothing may be started");
    assert!(!machine.path(POLICY).exists() && !machine.path(ENABLED).is_symlink());
    // There is nothing left to do, and nothing to say.
    assert_eq!(machine.ok(&setup("probe")), "");
    assert!(!machine.path(POLICY).exists());
}

#[test]
fn it_leaves_nothing_behind_when_it_fails() {
    let machine = machine();
    let said = machine.fails(&setup("broken"));
    assert!(said.contains("setup: apt-get failed: E: "), "{said}");
    assert!(machine.path("/srv/policy.broken").exists() && !machine.path(POLICY).exists());
    machine.ok("dpkg --purge broken >/dev/null 2>&1");

    machine.fails(&setup("killer"));
    assert!(machine.path("/srv/policy.killer").exists() && !machine.path(POLICY).exists());

    // Nobody can clean up after KILL; the next run does.
    machine.fails(&setup("slayer"));
    assert!(machine.path(POLICY).exists());
    machine.ok("timeout 20 sh -c 'until dpkg --configure -a; do sleep 0.1; done' 2>/dev/null");
    machine.ok(&setup("slayer"));
    assert!(!machine.path(POLICY).exists());

    let said = machine.fails(&setup("no-such-package"));
    assert!(said.contains("Unable to locate package no-such-package"), "{said}");
    machine.write("/etc/apt/sources.list", "deb [trusted=yes] file:/nowhere ./\n");
    let said = machine.fails(&setup("probe"));
    assert!(said.contains("apt-get update failed: ") && said.contains("/nowhere"), "{said}");
    assert!(!machine.path(POLICY).exists());
}

#[test]
fn a_policy_of_somebody_else_stays() {
    let machine = machine();
    machine.write(POLICY, "#!/bin/sh\nexit 101\n");
    machine.ok(&format!("chmod +x {POLICY}"));
    machine.ok(&setup("probe"));
    assert_eq!(machine.read(POLICY), "#!/bin/sh\nexit 101\n");
}

#[test]
fn it_asks_for_what_it_needs_and_names_the_remedy() {
    let machine = machine_without_cargo();
    let path = "export PATH=/usr/sbin:/usr/bin:/sbin:/bin;";
    let needed = env!("CARGO_PKG_RUST_VERSION");
    let later = "sed -i 's/^rust-version = .*/rust-version = \"2.0\"/' Cargo.toml;";
    let said = machine.fails(&format!("{path} {later} {}", setup("probe")));
    assert!(said.contains("nor has apt one: install Rust 2.0 or later, from https://rustup.rs"));
    machine.ok(&format!("sed -i 's/^rust-version = .*/rust-version = \"{needed}\"/' Cargo.toml"));

    // Cargo's own word on its version is all that is asked of it.
    machine.write("/old/cargo", "#!/bin/sh\necho 'cargo 1.65.0'\n");
    machine.ok("chmod +x /old/cargo");
    let said = machine.fails(&format!("export PATH=/old:$PATH; {}", setup("probe")));
    assert!(
        said.contains(&format!("cargo is 1.65.0 (/old/cargo), and {needed} or later")),
        "{said}"
    );
    assert!(said.contains("is needed: apt-get install cargo-web, or https://rustup.rs"), "{said}");

    machine.ok("useradd -m dev && install -D /old/cargo /home/dev/.cargo/bin/cargo");
    let said = machine.fails(&format!("{path} export SUDO_USER=dev; {}", setup("probe")));
    assert!(said.contains("dev has: run sudo env \"PATH=$PATH\" \"HOME=$HOME\" make"), "{said}");

    machine.write("/new/cargo", "#!/bin/sh\necho 'cargo 1.999.0'\n");
    machine.ok("chmod +x /new/cargo && chown -R dev target");
    let as_dev = "export PATH=/new:/usr/sbin:/usr/bin:/bin SETUP_EXTRA=probe;
        exec setpriv --reuid dev --regid dev --clear-groups tools/setup.sh";
    let said = machine.fails(as_dev);
    assert!(
        said.contains("not root; run: sudo apt-get install --no-install-recommends probe"),
        "{said}"
    );
}

#[test]
fn the_compiler_of_the_release_is_installed_where_there_is_no_cargo() {
    let machine = machine_without_cargo();
    let path = "export PATH=/usr/sbin:/usr/bin:/sbin:/bin;";
    machine.fails(&format!("{path} cargo --version"));
    machine.ok(&format!("{path} {}", setup("")));
    assert_eq!(machine.ok(&format!("{path} cargo --version")), "cargo 1.999.0\n");
    assert_eq!(machine.ok(&format!("{path} {}", setup(""))), "");
}

#[test]
fn installation_only_copies_and_makes_the_folder_of_the_tables() {
    let machine = machine();
    let path = "export PATH=/usr/sbin:/usr/bin:/sbin:/bin;";
    machine.ok(&format!("rm -rf /var/lib/kamailio; {path} make install"));
    let state = machine.ok("stat -c '%U %a' /var/lib/kamailio");
    assert_eq!(state, "kamailio 750\n");
    machine.ok("cmp target/release/sipwarden.so $(tools/modules.sh kamailio)/sipwarden.so");
    // Again, also when the tables are there: nothing is lost.
    machine.write("/var/lib/kamailio/sipwarden.sqlite", "");
    machine.ok(&format!("{path} make install"));
    assert!(machine.path("/var/lib/kamailio/sipwarden.sqlite").exists());

    machine.ok(&format!("{path} make install DESTDIR=/package"));
    machine.ok("test -f /package/$(tools/modules.sh kamailio)/sipwarden.so -a -d /package/var/lib/kamailio");
    let said = machine.fails(&format!("rm target/release/sipwarden.so; {path} make install"));
    assert!(said.contains("run make build first"), "{said}");
}

/// What docs/upgrade.md says of building elsewhere, and of removing.
#[test]
fn it_moves_to_another_machine_and_away_again() {
    use crate::support::stock::block_with;
    let machine = machine();
    machine.ok("rm -rf /var/lib/kamailio");
    let pack = block_with("docs/upgrade.md", "DESTDIR=$PWD/package");
    machine.ok(&pack.replace("make setup build\n", ""));
    machine.ok(&block_with("docs/upgrade.md", "tar -C / "));
    machine.ok("cmp target/release/sipwarden.so $(tools/modules.sh kamailio)/sipwarden.so");
    assert_eq!(machine.ok("stat -c '%U %a' /var/lib/kamailio"), "kamailio 750\n");
    machine.ok("cp kamailio-cfg/sipwarden.cfg /etc/kamailio/");
    machine.ok(&block_with("docs/upgrade.md", "rm $(tools"));
    machine.fails("ls $(tools/modules.sh kamailio)/sipwarden.so");
}
