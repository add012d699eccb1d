//! Parameters and changes of settings: any value for each of them, and the rules that follow.

use std::sync::OnceLock;

use serde_json::{Value, json};
use sipwarden::host::{Kind, PARAMS};

use super::bytes::Bytes;
use super::hosted;
use crate::host::door;
use crate::host::request::Request;

/// Places of parameters that name no file.
fn places() -> &'static [usize] {
    static PLACES: OnceLock<Vec<usize>> = OnceLock::new();
    PLACES.get_or_init(|| {
        let files = ["tables_file", "flood_persist", "geoip_db"];
        let is_file = |at: &usize| files.contains(&PARAMS[*at].name.to_str().unwrap());
        (0..PARAMS.len()).filter(|at| !is_file(at)).collect()
    })
}

fn value(input: &mut Bytes<'_>, kind: Kind) -> Value {
    let text = match input.below(4) {
        0 => return json!(i32::from_le_bytes(input.array())),
        1 => return json!(input.byte()),
        2 => input.text(),
        _ => {
            let name = input.of(&["carrier", "default", "exempt", ""]);
            let keys = ["limit", "window", "block", "block_max", "budget", "restart", "aors"];
            let mut pair = || format!("{}:{}", input.of(&keys), u16::from_le_bytes(input.array()));
            match kind {
                Kind::Classes | Kind::AuthClasses => format!("{name}={};{}", pair(), pair()),
                Kind::Duration { .. } => format!("{}ms", u16::from_le_bytes(input.array())),
                Kind::Choice { words, .. } => input.of(words).to_owned(),
                _ => name.to_owned(),
            }
        }
    };
    json!(text.replace('\0', " "))
}

pub fn run(data: &[u8]) {
    hosted::begin();
    let mut input = Bytes(data);
    let request = Request::from("203.0.113.9");
    for _ in 0..8 {
        let place = input.of(places());
        let value = value(&mut input, PARAMS[place].kind);
        if door::check_setting(place as u32, &value) {
            assert!(PARAMS[place].runtime);
            door::apply_setting(place as u32, &value);
        }
        // Whatever the rules are by now, requests are judged.
        assert_ne!(door::flood_check(&request, ""), 0);
        assert_ne!(door::auth_failed(&request, "alice@example.com", None), 0);
        if input.is_empty() {
            break;
        }
    }
    if input.one_in(4) {
        door::ask("settings", json!([]));
    }
    hosted::check();
}
