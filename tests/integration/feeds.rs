//! The shipped script that fetches feeds, and its units. What becomes of a feed is in tests/hosts.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::support::{Folder, project};

/// Runs the shipped script; what it says, and whether it succeeded.
fn fetch(file: &Path, url: &Path, more: &[&str]) -> (String, bool) {
    let script = project().join("kamailio-cfg/feeds/sipwarden-feed");
    let url = format!("file://{}", url.display());
    let Output { status, stdout, stderr } =
        Command::new(script).arg(file).arg(url).args(more).output().unwrap();
    let said = [stdout, stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), status.success())
}

#[test]
fn the_script_fetches_a_feed_as_a_whole_or_not_at_all() {
    let folder = Folder::new();
    let (file, url) = (folder.join("drop.txt"), folder.join("published"));
    let publish = |text: &str| fs::write(&url, text).unwrap();
    let inode = || fs::metadata(&file).unwrap().ino();
    publish("# ten\n192.0.2.0/28 ; SBL1\r\n2001:db8::/32\n\n198.51.100.1\n198.51.100.2\n");
    let (said, fetched) = fetch(&file, &url, &[]);
    assert!(fetched && said.contains("lists 4"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), fs::read(&url).unwrap());
    let first = inode();
    for (text, why) in [
        ("", "lists nothing"),
        ("# nothing\n", "lists nothing"),
        ("<html>\n192.0.2.1\n", "line 1:<html>: this is not an address"),
        ("192.0.2.1\n", "lists 1, before there were 4"),
    ] {
        publish(text);
        let (said, fetched) = fetch(&file, &url, &[]);
        assert!(!fetched && said.contains(why), "{text}: {said}");
        assert!(said.contains("stays as it was"), "{said}");
        assert_eq!(inode(), first);
    }
    let (said, fetched) = fetch(&file, Path::new("/nonexistent"), &[]);
    assert!(!fetched && said.contains("cannot be fetched"), "{said}");
    // Another file took its place, none was left beside it.
    publish("192.0.2.1\n");
    let (said, fetched) = fetch(&file, &url, &["20"]);
    assert!(fetched, "{said}");
    assert_ne!(inode(), first);
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.count(), 2);
}

#[test]
fn the_units_are_ones() {
    let version = Command::new("systemd-analyze").arg("--version").output();
    if !version.is_ok_and(|out| out.status.success()) {
        return;
    }
    let folder = Folder::new();
    for name in ["sipwarden-feed@.service", "sipwarden-feed@.timer"] {
        let text = project().join("kamailio-cfg/feeds/systemd").join(name);
        let text = fs::read_to_string(text).unwrap();
        // Where the package puts it.
        let text = text.replace("ExecStart=sipwarden-feed", "ExecStart=/bin/true");
        fs::write(folder.join(name), text).unwrap();
    }
    let unit = folder.join("sipwarden-feed@.timer");
    let out = crate::support::wait_up_to(Duration::from_secs(60), "systemd-analyze", || {
        Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().ok()
    });
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!said.contains("sipwarden-feed"), "{said}");
}
