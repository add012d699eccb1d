//! A copy of this machine in which a test may do what it likes: its own writable
//! layer over all files, its own network. Needs root: without it the tests fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::server::which;
use super::{Folder, project};

/// Where the project lies in the copy: not where it may lie itself.
pub const PROJECT: &str = "/tested-sipwarden";

/// Files that set-up, installation and the package use.
const PARTS: [&str; 11] = [
    "Makefile",
    "Cargo.toml",
    "tools",
    "debian",
    "kamailio-cfg",
    "monitoring",
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs",
    "tests",
];

/// Belongs to the thread that made it, which stays in its network for good.
pub struct Machine {
    root: PathBuf,
    folder: Folder,
}

impl Machine {
    /// With the files of the project that set-up and installation use.
    pub fn new() -> Self {
        // SAFETY: system calls without memory; they concern this thread only.
        let rc = unsafe { libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWNET) };
        assert_eq!(rc, 0, "needs root: {}", std::io::Error::last_os_error());
        let folder = Folder::new();
        mount(&["--make-rprivate", "/"]);
        mount(&["-t", "tmpfs", "tmpfs", text(folder.path())]);
        let root = folder.join("root");
        layer(Path::new("/"), &folder, "all", &root);
        for shared in ["dev", "proc"] {
            mount(&["--rbind", &format!("/{shared}"), text(&root.join(shared))]);
        }
        for fresh in ["tmp", "run"] {
            mount(&["-t", "tmpfs", "tmpfs", text(&root.join(fresh))]);
        }
        let machine = Machine { root, folder };
        machine.copy_project();
        machine.add_programs();
        machine.ok("ip link set lo up && rm -f /usr/sbin/policy-rc.d");
        machine
    }

    fn copy_project(&self) {
        let there = self.path(PROJECT);
        fs::create_dir_all(there.join("target/release")).unwrap();
        for name in PARTS {
            let done = Command::new("cp").arg("-a").arg(project().join(name)).arg(&there).status();
            assert!(done.unwrap().success(), "{name}");
        }
        fs::copy(super::kamailio::module(), there.join("target/release/sipwarden.so")).unwrap();
        for built in ["target/release/sipwarden-countries", "target/release/licences"] {
            fs::copy(project().join(built), there.join(built)).unwrap();
        }
        // Thousands of files: not copied. Where the project is mounted, the layer over all files
        // has none of it.
        let headers = project().join("target/kamailio");
        let headers = match std::env::var_os("KAMAILIO_SRC") {
            Some(sources) if !headers.exists() => sources.into(),
            _ => headers,
        };
        if headers.exists() {
            layer(&headers, &self.folder, "headers", &there.join("target/kamailio"));
        }
    }

    /// The Kamailio that is tested stands before an installed one.
    fn add_programs(&self) {
        for name in ["kamailio", "kamcmd"] {
            let tested = which(name);
            self.ok(&format!(
                "[ \"$(command -v {name})\" = {tested} ] || ln -sf {tested} /usr/local/sbin/{name}"
            ));
        }
    }

    /// A file of the copy, as this process reaches it.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    pub fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.path(inside)).unwrap_or_else(|e| panic!("{inside}: {e}"))
    }

    /// Runs a program there, in the folder of the project.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.root).args(["env", "-C", PROJECT, program]).stdin(Stdio::null());
        command
    }

    /// Runs shell commands as root in the folder of the project.
    pub fn shell(&self, script: &str) -> Output {
        self.command("sh").args(["-euc", script]).output().unwrap()
    }

    /// The same, which must succeed; what is printed, errors last.
    pub fn ok(&self, script: &str) -> String {
        let out = self.shell(script);
        let said = said(&out);
        assert!(out.status.success(), "{script}\n{said}");
        said
    }

    /// The same, which must fail.
    pub fn fails(&self, script: &str) -> String {
        let out = self.shell(script);
        let said = said(&out);
        assert!(!out.status.success(), "{script}\n{said}");
        said
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for over in [self.root.as_path(), self.folder.path()] {
            let _ = Command::new("umount").arg("-l").arg(over).status();
        }
    }
}

/// What a program has printed, errors last.
pub fn said(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A writable layer over the files of `lower`, at `place`. What is written lies in `folder`.
fn layer(lower: &Path, folder: &Folder, name: &str, place: &Path) {
    let [upper, work] = ["upper", "work"].map(|part| folder.join(&format!("{name}-{part}")));
    for made in [&upper, &work, &place.to_path_buf()] {
        fs::create_dir_all(made).unwrap();
    }
    let layers = [("lowerdir", lower), ("upperdir", &*upper), ("workdir", &*work)];
    let layers = layers.map(|(name, folder)| format!("{name}={}", text(folder))).join(",");
    mount(&["-t", "overlay", "overlay", "-o", &layers, text(place)]);
}

fn mount(arguments: &[&str]) {
    let out = Command::new("mount").args(arguments).output().unwrap();
    assert!(out.status.success(), "mount {arguments:?} (needs root): {}", said(&out));
}
