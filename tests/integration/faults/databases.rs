//! A database that answers wrongly, slowly, or far too much.

use super::*;
use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

fn reload(kamailio: &Kamailio) -> Result<serde_json::Value, String> {
    kamailio.try_rpc("sipwarden.reload", json!([]))
}

#[test]
fn a_database_that_answers_nonsense_fails_reloads_and_nothing_else() {
    let site = Site::new();
    let nonsense = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nonsense.local_addr().unwrap().port();
    let mut config = site.config;
    config.modules.push_str("loadmodule \"db_mysql.so\"\nloadmodule \"db_postgres.so\"\n");
    let mut kamailio = config.start();
    let going = Going::begin();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            nonsense.set_nonblocking(true).unwrap();
            while going.is_on() {
                let Ok((mut stream, _)) = nonsense.accept() else {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                };
                let _ = stream.write_all(&[0x4a, 0, 0, 0, 10, b'9', 0, 0xff].repeat(999));
            }
        });
        let _end = going.while_held();
        under_calls(&kamailio, || {
            for scheme in ["mysql", "postgres"] {
                let url = format!("{scheme}://sip:secret@127.0.0.1:{port}/sip");
                kamailio.rpc("sipwarden.set", json!(["db_url", url]));
                let fault = reload(&kamailio).unwrap_err();
                assert!(fault.contains("cannot be") && !fault.contains("secret"), "{fault}");
            }
        });
    });
    // A file that is no database, or that ends in the middle.
    let whole = std::fs::read(site.db.path()).unwrap();
    let broken = site.folder.join("broken.sqlite");
    let url = format!("sqlite:///{}", broken.display());
    kamailio.rpc("sipwarden.set", json!(["db_url", url]));
    let noise: Vec<u8> =
        (0..40_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut scribbled = whole.clone();
    scribbled[4096..].iter_mut().for_each(|byte| *byte ^= 0x5a);
    for bytes in [&noise[..], &whole[..whole.len() / 2], &scribbled[..]] {
        std::fs::write(&broken, bytes).unwrap();
        let fault = reload(&kamailio).unwrap_err();
        assert!(fault.starts_with("500 "), "{fault}");
        under_calls(&kamailio, || ());
    }
    kamailio.rpc("sipwarden.set", json!(["db_url", site.db.url()]));
    assert_eq!(reload(&kamailio).unwrap()["generation"], 2);
    proxy::assert_nothing_left(&kamailio);
    assert!(kamailio.runs());
}

#[test]
fn a_million_bad_rows_are_counted_and_the_tables_stay() {
    let site = Site::new();
    let rows = if is_long() { 1_000_000 } else { 100_000 };
    let mut kamailio = site.config.start();
    site.wait_for_files(&kamailio);
    site.db.run(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
        INSERT INTO sipwarden_company_address SELECT 'nobody-' || i, '300.1.2.' || i, i FROM n;"
    ));
    for policy in ["fail", "skip"] {
        kamailio.rpc("sipwarden.set", json!(["reload_bad_rows", policy]));
        let before = kamailio.log().lines().count();
        let answer = under_calls(&kamailio, || reload(&kamailio));
        match policy {
            "fail" => {
                let fault = answer.unwrap_err();
                let all = format!("{rows} bad rows: sipwarden_company_address row 2: ");
                assert!(fault.contains(&all), "{fault}");
                assert_eq!(kamailio.counter("tables_kept"), 1);
            }
            _ => assert_eq!(answer.unwrap()["skipped_rows"], rows),
        }
        // Those that are kept, and no line for each.
        assert!(kamailio.log().lines().count() < before + 200);
    }
    let endpoint = Endpoint::new("127.0.0.1");
    assert!(answer_to(&endpoint, &kamailio, "nobody").contains("unknown_company"));
    assert!(kamailio.runs());
}
