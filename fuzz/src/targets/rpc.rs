//! RPC methods with any arguments, by position and by name.

use serde_json::{Map, Value, json};

use super::bytes::Bytes;
use super::hosted;
use crate::host::door;
use crate::host::examples::METHODS;

/// A text that means something to some method, or any.
fn argument(input: &mut Bytes<'_>, example: Option<&&str>) -> Value {
    let words = ["7", "open", "all", "0", "1", "-1", "192.0.2.7", "192.0.2.0/24", "2001:db8::/32"];
    match input.below(8) {
        0 | 1 => json!(example.copied().unwrap_or("1")),
        2 => json!(input.of(&words)),
        3 => json!(u64::from_le_bytes(input.array())),
        4 => input.of(&[Value::Null.as_str(), None]).map_or(json!([]), Value::from),
        5 => json!("x".repeat(input.byte().into()) + &input.text()),
        _ => json!(input.text()),
    }
}

pub fn run(data: &[u8]) {
    hosted::begin();
    let mut input = Bytes(data);
    for _ in 0..4 {
        // Bytes are 0 more often than by chance: that is the last method, which does the least.
        let index = METHODS.len() - 1 - input.below(METHODS.len());
        let (method, examples) = METHODS[index];
        let names = &door::rpc_methods()[index].1;
        let count = if input.one_in(16) { 7 } else { input.below(examples.len() + 1) };
        let values: Vec<Value> =
            (0..count).map(|at| argument(&mut input, examples.get(at))).collect();
        // Files are of other targets.
        let is_path = values.iter().any(|value| value.as_str().is_some_and(|t| t.contains('/')));
        if method == "set" && is_path {
            continue;
        }
        let params = match input.one_in(3) {
            true => names.iter().cloned().zip(values).collect::<Map<_, _>>().into(),
            false => Value::Array(values),
        };
        match door::rpc(method, params) {
            Ok(_) => {}
            Err((code, reason)) => {
                assert!((400..=599).contains(&code), "{method}: {code} {reason}");
                assert!(!reason.is_empty() && !reason.chars().any(char::is_control), "{reason:?}");
            }
        }
        if input.is_empty() {
            break;
        }
    }
    hosted::check();
}
