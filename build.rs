//! Compiles the C shim against the headers of one Kamailio version, links it
//! into the cdylib only, and generates the Rust side of the contract.
//!
//! Flags come from an installed module, never from `kamailio -v`: the binary
//! prints flags that its own modules do not have.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const SHIM: [&str; 13] = [
    "module.c",
    "settings.c",
    "message.c",
    "auth.c",
    "functions.c",
    "variables.c",
    "rpc.c",
    "statistics.c",
    "database.c",
    "dialog.c",
    "events.c",
    "audit.c",
    "resolver.c",
];

fn main() {
    for var in ["KAMAILIO_SRC", "KAMAILIO_MODULES"] {
        println!("cargo:rerun-if-env-changed={var}");
    }
    println!("cargo:rerun-if-changed=c_shim");

    tell_revision();
    generate_contract();
    let reference = modules_dir().join("sl.so");
    println!("cargo:rerun-if-changed={}", reference.display());
    let strings = printable_strings(&reference);
    compile_shim(&Abi::from_strings(&strings, &reference), &headers_dir());

    // GNU's linker takes no list of symbols beside rustc's own, which has none of the shim's.
    // From Rust 1.90 on lld is the default.
    println!("cargo:rustc-cdylib-link-arg=-fuse-ld=lld");
    let map = shim_dir().join("exports.map");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--version-script={}", map.display());
}

fn manifest_dir() -> PathBuf {
    PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default())
}

/// The revision of the sources, for `sipwarden.version` and the log. A build of the module
/// follows each commit; those of tests do not, as no test looks at it.
fn tell_revision() {
    println!("cargo:rerun-if-env-changed=SIPWARDEN_REVISION");
    let git = |arguments: &[&str]| {
        let out = Command::new("git").args(arguments).current_dir(manifest_dir()).output().ok()?;
        let text = String::from_utf8(out.stdout).ok().filter(|_| out.status.success())?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    if out.components().any(|part| part.as_os_str() == "release") {
        let log =
            git(&["rev-parse", "--git-path", "logs/HEAD"]).map(|log| manifest_dir().join(log));
        if let Some(log) = log.filter(|log| log.exists()) {
            println!("cargo:rerun-if-changed={}", log.display());
        }
    }
    let given = env::var("SIPWARDEN_REVISION").ok().filter(|given| !given.is_empty());
    let revision = given.or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    println!("cargo:rustc-env=SIPWARDEN_REVISION={}", revision.as_deref().unwrap_or("unknown"));
}

/// Everything that includes a header of the host.
fn shim_dir() -> PathBuf {
    manifest_dir().join("c_shim/kamailio")
}

fn fail(message: &str) -> ! {
    eprintln!("sipwarden: {message}");
    exit(1)
}

fn generate_contract() {
    let header = manifest_dir().join("c_shim/sipwarden.h");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("contract.rs");
    let bindings = bindgen::Builder::default()
        .header(header.to_string_lossy())
        .allowlist_type("sw_.*")
        .allowlist_var("SW_.*")
        .blocklist_var("sw_rust_module")
        .prepend_enum_name(false)
        .layout_tests(false)
        .generate();
    match bindings {
        Ok(b) => {
            if let Err(e) = b.write_to_file(&out) {
                fail(&format!("cannot write {}: {e}", out.display()));
            }
        }
        Err(e) => fail(&format!(
            "bindgen failed on {}: {e}; it needs libclang (`make setup` installs it)",
            header.display()
        )),
    }
}

/// Where the sources of the installed Kamailio are: the folder that holds `core/`.
fn headers_dir() -> PathBuf {
    let dir = env::var_os("KAMAILIO_SRC")
        .map_or_else(|| manifest_dir().join("target/kamailio/src"), PathBuf::from);
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

/// Where the modules of the installed Kamailio are.
fn modules_dir() -> PathBuf {
    if let Some(dir) = env::var_os("KAMAILIO_MODULES") {
        let dir = PathBuf::from(dir);
        if !dir.join("sl.so").exists() {
            fail(&format!("KAMAILIO_MODULES={}: no sl.so in it", dir.display()));
        }
        return dir;
    }
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let candidates = [
        format!("/usr/lib/{arch}-linux-gnu/kamailio/modules"),
        "/usr/lib64/kamailio/modules".into(),
        "/usr/lib/kamailio/modules".into(),
        "/usr/local/lib64/kamailio/modules".into(),
        "/usr/local/lib/kamailio/modules".into(),
    ];
    let found = candidates.iter().map(PathBuf::from).find(|d| d.join("sl.so").exists());
    found.unwrap_or_else(|| {
        fail(&format!(
            "no installed Kamailio module sl.so in {}; run `make setup`, or set KAMAILIO_MODULES",
            candidates.join(", ")
        ))
    })
}

/// Runs of at least 20 printable characters in a file, as strings(1) finds them.
fn printable_strings(path: &Path) -> Vec<String> {
    let bytes =
        fs::read(path).unwrap_or_else(|e| fail(&format!("cannot read {}: {e}", path.display())));
    bytes
        .split(|b| !(0x20..0x7f).contains(b))
        .filter(|run| run.len() >= 20)
        .map(|run| String::from_utf8_lossy(run).into_owned())
        .collect()
}

/// What Kamailio compares when it loads a module.
struct Abi {
    name: String,
    version: String,
    arch: String,
    os: String,
    flags: Vec<String>,
}

impl Abi {
    /// `kamailio 5.6.3 (x86_64/linux)` and the list of flags beside it.
    fn from_strings(strings: &[String], source: &Path) -> Abi {
        let missing =
            |what: &str| -> ! { fail(&format!("{}: no {what} string in it", source.display())) };
        let flags = strings.iter().find(|s| s.contains("SHM_MMAP, "));
        let Some(flags) = flags else { missing("compile-flag") };
        let parsed = strings.iter().find_map(|s| {
            let (head, tail) = s.split_once(" (")?;
            let (name, version) = head.split_once(' ')?;
            let (arch, os) = tail.strip_suffix(')')?.split_once('/')?;
            version.starts_with(|c: char| c.is_ascii_digit()).then(|| Abi {
                name: name.into(),
                version: version.into(),
                arch: arch.into(),
                os: os.into(),
                flags: flags.split(", ").map(|f| f.trim().to_owned()).collect(),
            })
        });
        parsed.unwrap_or_else(|| missing("version"))
    }
}

/// Hands the compiler and its flags to the benchmarks, which compile a module
/// of their own.
fn export_flags(compiler: &cc::Tool) {
    let words =
        std::iter::once(compiler.path().as_os_str()).chain(compiler.args().iter().map(|a| &**a));
    let words: Vec<_> = words.map(|w| w.to_string_lossy()).collect();
    println!("cargo:rustc-env=SIPWARDEN_SHIM_COMPILER={}", words.join("\t"));
}

fn compile_shim(abi: &Abi, headers: &Path) {
    let mut build = cc::Build::new();
    build
        .cargo_metadata(false)
        .std("gnu11")
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(true)
        // Kamailio's own headers are not ours to correct.
        .flag("-isystem")
        .flag(headers)
        .include(manifest_dir().join("c_shim"))
        .include(shim_dir());

    // Log lines name files; not where they lay on the build machine.
    build.flag(format!("-ffile-prefix-map={}/=", manifest_dir().display()));

    let quoted = |s: &str| format!("\"{s}\"");
    build
        .define("NAME", &*quoted(&abi.name))
        .define("VERSION", &*quoted(&abi.version))
        .define("ARCH", &*quoted(&abi.arch))
        .define("OS_QUOTED", &*quoted(&abi.os))
        .define("OS", "linux_")
        .define("__OS_linux", None)
        .define(&format!("__CPU_{}", abi.arch), None)
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
    for flag in &abi.flags {
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
    export_flags(&build.get_compiler());
    for file in SHIM {
        build.file(shim_dir().join(file));
    }
    for object in build.compile_intermediates() {
        println!("cargo:rustc-cdylib-link-arg={}", object.display());
    }
}
