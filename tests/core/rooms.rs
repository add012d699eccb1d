//! The rooms of the house: no circle of imports, dependencies that point one way, and a
//! plan in docs/architecture.md that shows what is there.
//! `UPDATE_DOCS=1 cargo test --test core rooms::` rewrites the plan; the order of its rows is kept.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::imports::Crate;

const PLAN: &str = "docs/architecture.md";

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn source() -> Crate {
    Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// Begin and end of the plan, which is generated but for the order of its rows.
fn plan(text: &str) -> (usize, usize) {
    let begin = "<!-- begin rooms -->\n";
    let from = text.find(begin).expect("no plan of the rooms") + begin.len();
    (from, from + text[from..].find("<!-- end rooms -->").expect("the plan has no end"))
}

/// The rooms in the order of the plan: a folder `x/`, or a file of its own.
fn rooms() -> Vec<String> {
    let text = read(PLAN);
    let (from, to) = plan(&text);
    let names = text[from..to].lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    names.map(str::to_owned).collect()
}

fn room_of(file: &str, rooms: &[String]) -> Option<usize> {
    rooms.iter().position(|room| match room.strip_suffix('/') {
        Some(folder) => file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')),
        None => file == room,
    })
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    let circles = source().circles();
    assert!(circles.is_empty(), "circles of imports: {circles:#?}");
}

#[test]
fn a_room_uses_only_the_rooms_below_it() {
    let rooms = rooms();
    let mut wrong = String::new();
    for (file, used) in source().imports() {
        let place = |file: &str| {
            room_of(file, &rooms).unwrap_or_else(|| panic!("{PLAN} has no room for src/{file}"))
        };
        for other in used {
            if place(&other) < place(&file) {
                writeln!(wrong, "src/{file} uses src/{other}, which is above it").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_plan_shows_what_is_there() {
    let files = source().files();
    let rooms = rooms();
    for file in &files {
        let stands_aside = matches!(file.as_str(), "lib.rs" | "host/mod.rs");
        assert!(stands_aside || room_of(file, &rooms).is_some(), "{PLAN} lacks src/{file}");
    }
    let mut rows = String::from("| room | what it is | files |\n|---|---|---|\n");
    for (place, room) in rooms.iter().enumerate() {
        let inside: Vec<&str> = files
            .iter()
            .filter(|file| room_of(file, &rooms) == Some(place))
            .map(|file| file.strip_prefix(room.as_str()).unwrap_or(""))
            .filter(|file| !file.is_empty() && *file != "mod.rs")
            .map(|file| file.trim_end_matches("/mod.rs").trim_end_matches(".rs"))
            .collect();
        let head =
            if room.ends_with('/') { format!("src/{room}mod.rs") } else { format!("src/{room}") };
        writeln!(rows, "| `{room}` | {} | {} |", purpose(&read(&head)), inside.join(" ")).unwrap();
    }
    let text = read(PLAN);
    let (from, to) = plan(&text);
    if text[from..to] == rows {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PLAN);
        fs::write(path, format!("{}{rows}{}", &text[..from], &text[to..])).unwrap();
        return;
    }
    panic!("{PLAN}: the plan differs from src; run UPDATE_DOCS=1 cargo test --test core rooms::");
}

/// The file that says what a room is.
fn head_of(room: &str) -> String {
    let inside = if room.ends_with('/') { "mod.rs" } else { "" };
    format!("src/{room}{inside}")
}

/// The first paragraph of a file's comment.
fn purpose(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Where unsafe code may stand: towards C, shared memory and the kernel.
const WALLS: [&str; 6] =
    ["host/contract/", "host/symbol.rs", "shm/", "memory.rs", "system.rs", "clock.rs"];

#[test]
fn unsafe_code_stays_behind_its_walls() {
    for (file, words) in source().words() {
        if !WALLS.iter().any(|wall| file.starts_with(wall)) {
            let found = words.iter().any(|word| word == "unsafe");
            assert!(!found, "src/{file} has unsafe code: it belongs into one of {WALLS:?}");
        }
    }
    for room in rooms().iter().filter(|room| !WALLS.contains(&room.as_str())) {
        let forbids = read(&head_of(room)).contains("#![forbid(unsafe_code)]");
        assert!(forbids, "src/{room} does not forbid unsafe code");
    }
}

/// The shim of a host turns its habits into what all hosts have.
/// The oldest compiler that must do knows no `let` behind another condition.
#[test]
fn no_condition_has_a_let_in_its_middle() {
    let mut folders: Vec<_> = ["src", "tests", "benches", "examples"].map(PathBuf::from).into();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let behind = ["&", "& let "].concat();
                let found = text.lines().find(|line| line.contains(&behind));
                assert_eq!(found, None, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 200, "{seen}");
}

/// The oldest compiler that must do forgets the parts of such a text at the end of the line.
#[test]
fn no_formatted_arguments_are_bound_to_a_name() {
    for (file, words) in source().words() {
        let bound =
            words.windows(3).any(|of| of[0] == "=" && of[1] == "format_args" && of[2] == "!");
        assert!(!bound, "{file}: Rust {} cannot do that", env!("CARGO_PKG_RUST_VERSION"));
    }
}

#[test]
fn the_contract_has_no_word_of_one_host() {
    let words = ["kamailio", "kemi", "kamcmd", "opensips", "event_route", "cfg", "mod_init"];
    let contract = read("c_shim/sipwarden.h").to_lowercase();
    for word in words {
        assert!(!contract.contains(word), "c_shim/sipwarden.h says {word}");
    }
}
