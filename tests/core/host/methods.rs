//! RPC methods: arguments by position and by name, usages, faults.

use serde_json::{Map, Value, json};

use super::alone::alone;
use super::door;
use super::examples::METHODS;
use super::start::started;

/// Arguments with their names.
fn named(names: &[String], values: &[&str]) -> Value {
    let pairs = names.iter().zip(values).map(|(name, value)| (name.clone(), json!(value)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// What is in an answer, without what time changes.
fn shape(answer: Result<Value, (i32, String)>) -> Result<Vec<String>, (i32, String)> {
    answer.map(|reply| reply.as_object().unwrap().keys().cloned().collect())
}

#[test]
fn positions_and_names_are_answered_alike() {
    alone(|| {
        started(&[]);
        let methods: Vec<_> = (0..).map_while(door::rpc_method).collect();
        let names: Vec<&str> = methods.iter().map(|(name, ..)| &**name).collect();
        assert_eq!(names, METHODS.map(|(name, _)| name));
        for ((method, names, required, usage), (_, good)) in methods.iter().zip(METHODS) {
            assert_eq!(names.len(), good.len(), "{method}");
            for count in *required..=good.len() {
                let by_position = shape(door::rpc(method, json!(good[..count])));
                let by_name = shape(door::rpc(method, named(names, &good[..count])));
                assert_eq!(by_position, by_name, "{method}");
                let is_there = *method != "release";
                assert_eq!(by_position.is_ok(), is_there, "{method}: {by_position:?}");
            }
            let usage = format!("usage: fake ask {usage}");
            let fault = |params: Value| door::rpc(method, params).unwrap_err();
            for missing in 0..*required {
                let mut some = named(names, good);
                some.as_object_mut().unwrap().remove(&names[missing]);
                let expected = format!("{usage}; {} is missing", names[missing]);
                assert_eq!(fault(some), (400, expected), "{method}");
            }
            let unknown = format!("{usage}; there is no argument \"who\"");
            assert_eq!(fault(json!({"who": "x"})), (400, unknown));
            let many: Vec<&str> = good.iter().copied().chain(["x"]).collect();
            assert_eq!(fault(json!(many)), (400, format!("{usage}; one argument too many: \"x\"")));
        }
    });
}

#[test]
fn what_the_host_cannot_read_is_named_in_its_own_words() {
    alone(|| {
        started(&[]);
        for (index, (method, good)) in METHODS.iter().enumerate() {
            let (_, names, ..) = door::rpc_method(index as u32).unwrap();
            for (place, name) in names.iter().enumerate() {
                let expected = format!("argument {name} is nothing that the fake host can read");
                let mut by_name = named(&names, good);
                by_name[name] = json!([]);
                assert_eq!(door::rpc(method, by_name).unwrap_err(), (400, expected.clone()));
                let mut by_position: Vec<Value> = good.iter().map(|text| json!(text)).collect();
                by_position[place] = json!({});
                assert_eq!(door::rpc(method, by_position.into()).unwrap_err(), (400, expected));
            }
        }
        // A number that may stand for another text is taken where a number is due only.
        let set = |name: &str| door::rpc("set", json!([name, 0]));
        assert_eq!(set("flood_block").unwrap()["flood_block"], 0);
        assert!(set("geoip_db").is_err());
        assert!(door::rpc("company", json!([0])).is_err());
    });
}
