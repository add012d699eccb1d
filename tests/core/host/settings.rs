//! Settings that are changed while the host runs.

use serde_json::{Value, json};

use super::alone::alone;
use super::door;
use super::request::Request;
use super::start::started;
use super::world::logged;

fn index_of(name: &str) -> u32 {
    (0..).map_while(door::param).position(|(known, ..)| known == name).unwrap() as u32
}

#[test]
fn a_change_that_was_checked_holds_at_once() {
    alone(|| {
        started(&[]);
        let limit = index_of("flood_limit");
        assert!(!door::check_setting(limit, &json!(0)));
        assert!(logged("not changed: parameter flood_limit: 0 is not from 1 to 65535"));
        assert!(door::check_setting(limit, &json!(1)));
        door::apply_setting(limit, &json!(1));
        let flooder = Request::from("203.0.113.9");
        let codes = [(); 2].map(|()| door::flood_check(&flooder, "") > 0);
        assert_eq!(codes, [true, false]);
        assert!(!door::check_setting(index_of("max_calls"), &json!(99)));
        assert!(logged("parameter max_calls cannot be changed at run time"));
    });
}

#[test]
fn an_operator_changes_numbers_texts_and_classes() {
    alone(|| {
        started(&[("flood_class", json!("a=limit:9"))]);
        let set =
            |name: &str, value: Value| door::rpc("set", json!({"name": name, "value": value}));
        assert_eq!(set("flood_limit", json!(7)).unwrap()["flood_limit"], 7);
        assert_eq!(set("reload_bad_rows", json!("skip")).unwrap()["reload_bad_rows"], "skip");
        set("flood_class", json!("a=limit:8")).unwrap();
        let classes = door::ask("settings", json!([]))["classes"].clone();
        let limit = |name: &str| {
            let found = classes.as_array().unwrap().iter().find(|class| class["class"] == name);
            found.unwrap()["limit"].clone()
        };
        assert_eq!([limit("default"), limit("a")], [7, 8]);
        let (code, reason) = set("max_calls", json!(99)).unwrap_err();
        assert_eq!((code, reason.ends_with("change it in modparam and restart Fake")), (400, true));
        assert_eq!(set("nothing", json!(1)).unwrap_err().0, 404);
    });
}
