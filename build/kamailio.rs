//! Kamailio: its headers, and what its modules are compiled with.

use std::env;
use std::path::{Path, PathBuf};

use crate::reference::{self, Reference};
use crate::{Host, fail, project};

pub static HOST: Host = Host {
    name: "kamailio",
    files: &[
        "module.c",
        "settings.c",
        "message.c",
        "auth.c",
        "functions.c",
        "rpc.c",
        "statistics.c",
        "dialog.c",
        "events.c",
        "resolver.c",
    ],
    variables: ["KAMAILIO_SRC", "KAMAILIO_MODULES"],
    modules_dir: || {
        let dirs = reference::usual_dirs("kamailio");
        reference::modules_dir("Kamailio", "KAMAILIO_MODULES", &dirs)
    },
    headers_dir,
    reference: from_strings,
    configure,
};

/// Where the sources of the installed Kamailio are: the folder that holds `core/`.
fn headers_dir() -> PathBuf {
    let dir =
        env::var_os("KAMAILIO_SRC").map_or_else(|| project("target/kamailio/src"), PathBuf::from);
    let sentinel = dir.join("core/sr_module.h");
    if !sentinel.exists() {
        fail(&format!(
            "no Kamailio headers: {} does not exist; run `make setup`, or set KAMAILIO_SRC to the \
             src folder of the very Kamailio version that is installed",
            sentinel.display()
        ));
    }
    println!("cargo:rerun-if-changed={}", sentinel.display());
    dir
}

/// Runs of at least 20 printable characters in a file, as strings(1) finds them.
fn printable_strings(path: &Path) -> Vec<String> {
    reference::read(path)
        .split(|b| !(0x20..0x7f).contains(b))
        .filter(|run| run.len() >= 20)
        .map(|run| String::from_utf8_lossy(run).into_owned())
        .collect()
}

fn from_strings(path: &Path) -> Reference {
    let strings = printable_strings(path);
    let missing =
        |what: &str| -> ! { fail(&format!("{}: no {what} string in it", path.display())) };
    let flags = strings.iter().find(|s| s.contains("SHM_MMAP, "));
    let Some(flags) = flags else { missing("compile-flag") };
    let parsed = strings.iter().find_map(|s| Reference::new(s, flags, Default::default()));
    parsed.unwrap_or_else(|| missing("version"))
}

fn configure(build: &mut cc::Build, reference: &Reference, headers: &Path) {
    // Kamailio's own headers are not ours to correct.
    build.flag("-isystem").flag(headers);

    let quoted = |s: &str| format!("\"{s}\"");
    build
        .define("NAME", &*quoted(&reference.name))
        .define("VERSION", &*quoted(&reference.version))
        .define("ARCH", &*quoted(&reference.arch))
        .define("OS_QUOTED", &*quoted(&reference.os))
        .define("OS", "linux_")
        .define("__OS_linux", None)
        .define(&format!("__CPU_{}", reference.arch), None)
        .define("CC_GCC_LIKE_ASM", None)
        .define("STATISTICS", None)
        .define("MOD_NAME", "\"sipwarden\"")
        .define("MOD_NAMEID", "sipwarden");
    for header_probe in [
        "HAVE_GETHOSTBYNAME2",
        "HAVE_UNION_SEMUN",
        "HAVE_SCHED_YIELD",
        "HAVE_MSG_NOSIGNAL",
        "HAVE_MSGHDR_MSG_CONTROL",
        "HAVE_ALLOCA_H",
        "HAVE_TIMEGM",
        "HAVE_SCHED_SETSCHEDULER",
        "HAVE_IP_MREQN",
        "HAVE_EPOLL",
        "HAVE_SIGIO_RT",
    ] {
        build.define(header_probe, None);
    }
    for flag in &reference.flags {
        match flag.as_str() {
            "FAST_LOCK-ADAPTIVE_WAIT" => {
                build
                    .define("FAST_LOCK", None)
                    .define("ADAPTIVE_WAIT", None)
                    .define("ADAPTIVE_WAIT_LOOPS", "1024");
            }
            "TLS_PTHREAD_MUTEX_SHARED" => {
                build.define("KSR_PTHREAD_MUTEX_SHARED", None);
            }
            other => {
                build.define(other, None);
            }
        }
    }
}
