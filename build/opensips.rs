//! OpenSIPS: its headers, and what its modules are compiled with.

use std::env;
use std::path::{Path, PathBuf};

use crate::elf::Library;
use crate::reference::{self, Reference};
use crate::{Host, fail};

pub static HOST: Host = Host {
    name: "opensips",
    files: &[
        "module.c",
        "processes.c",
        "settings.c",
        "message.c",
        "functions.c",
        "mi.c",
        "statistics.c",
        "dialog.c",
        "copies.c",
        "events.c",
        "resolver.c",
    ],
    variables: ["OPENSIPS_SRC", "OPENSIPS_MODULES"],
    modules_dir: || {
        let dirs = reference::usual_dirs("opensips");
        reference::modules_dir("OpenSIPS", "OPENSIPS_MODULES", &dirs)
    },
    headers_dir,
    reference: from_exports,
    configure,
};

/// The sources of the installed OpenSIPS: no package has its headers.
fn headers_dir() -> PathBuf {
    let Some(dir) = env::var_os("OPENSIPS_SRC").map(PathBuf::from) else {
        fail(
            "OPENSIPS_SRC is not set: set it to the folder with the sources of the very OpenSIPS \
             that is installed",
        )
    };
    let sentinel = dir.join("sr_module.h");
    if !sentinel.exists() {
        fail(&format!(
            "OPENSIPS_SRC={}: no sr_module.h in it; the sources of OpenSIPS have one",
            dir.display()
        ));
    }
    println!("cargo:rerun-if-changed={}", sentinel.display());
    dir
}

/// Where the structure `exports` of a module has the pointers that are compared: version,
/// flags, kind and name of the revision.
const COMPARED: [u64; 4] = [16, 24, 32, 40];

fn from_exports(path: &Path) -> Reference {
    let library = Library::open(path);
    let texts = library.and_then(|library| {
        let exports = library.symbol("exports")?;
        let texts = COMPARED.map(|offset| library.text_behind(exports + offset));
        let [Some(version), Some(flags), Some(kind), Some(revision)] = texts else { return None };
        Reference::new(&version, &flags, [kind, revision])
    });
    let known = texts.filter(|r| {
        r.name == "opensips" && r.flags.first().is_some_and(|f| f.starts_with("STATS: "))
    });
    known.unwrap_or_else(|| {
        fail(&format!(
            "{}: this is not a module of OpenSIPS 3.4 or later for this machine",
            path.display()
        ))
    })
}

/// `3.6.8` as 306.
fn number_of(version: &str) -> String {
    let mut numbers = version.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    (major * 100 + minor).to_string()
}

fn configure(build: &mut cc::Build, reference: &Reference, headers: &Path) {
    // What reads answers of name servers.
    println!("cargo:rustc-cdylib-link-arg=-lresolv");
    // After the system's: its folder has names such as error.h.
    build.flag("-idirafter").flag(headers);

    let quoted = |s: &str| format!("\"{s}\"");
    let [kind, revision] = &reference.revision;
    build
        .define("NAME", &*quoted(&reference.name))
        .define("VERSION", &*quoted(&reference.version))
        .define("ARCH", &*quoted(&reference.arch))
        .define("OS", &*quoted(&reference.os))
        .define("VERSIONTYPE", &*quoted(kind))
        .define("THISREVISION", &*quoted(revision))
        .define(&format!("__CPU_{}", reference.arch), None)
        .define(&format!("__OS_{}", reference.os), None)
        .define("__SMP_yes", None)
        .define("MOD_NAME", "sipwarden")
        .define("SW_OPENSIPS", &*number_of(&reference.version))
        // Not among the flags, but in the layouts: its Makefile asks the compiler, and every
        // one that can compile this has both.
        .define("HAVE_STDATOMIC", None)
        .define("HAVE_GENERICS", None);
    for header_probe in [
        "HAVE_GETHOSTBYNAME2",
        "HAVE_UNION_SEMUN",
        "HAVE_MSG_NOSIGNAL",
        "HAVE_MSGHDR_MSG_CONTROL",
        "HAVE_ALLOCA_H",
        "HAVE_TIMEGM",
        "HAVE_EPOLL",
        "HAVE_SIGIO_RT",
        "HAVE_SELECT",
    ] {
        build.define(header_probe, None);
    }
    for flag in &reference.flags {
        match flag.as_str() {
            "STATS: On" => {
                build.define("STATISTICS", None);
            }
            "STATS: Off" => {}
            "FAST_LOCK-ADAPTIVE_WAIT" => {
                build
                    .define("FAST_LOCK", None)
                    .define("ADAPTIVE_WAIT", None)
                    .define("ADAPTIVE_WAIT_LOOPS", "1024");
            }
            "FAST_LOCK-FUTEX-ADAPTIVE_WAIT" => {
                build
                    .define("FAST_LOCK", None)
                    .define("USE_FUTEX", None)
                    .define("ADAPTIVE_WAIT", None)
                    .define("ADAPTIVE_WAIT_LOOPS", "1024");
            }
            other => {
                build.define(other, None);
            }
        }
    }
}
