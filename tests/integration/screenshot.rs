//! Makes docs/page.png: `make screenshot`, in a network of its own, where addresses
//! meant for documentation are local ones.

use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::browser::Browser;
use crate::support::call::{Caller, Endpoint};
use crate::support::page::{Server, headers};
use crate::support::sip::Phone;
use crate::support::wait_for;
use serde_json::{Value, json};

const TABLES: &str = "
INSERT INTO sipwarden_brand VALUES ('northwind', 60), ('bluebell', 40), ('wholesale', 0);
INSERT INTO sipwarden_company VALUES
    ('acme.example', 'northwind', 1, 12), ('harbour.example', 'northwind', 1, 30),
    ('bakery.example', 'northwind', 0, 4), ('clinic.example', 'bluebell', 1, 20),
    ('lawyers.example', 'bluebell', 1, 10), ('transit.example', 'wholesale', 0, 0);
INSERT INTO sipwarden_company_address VALUES
    ('acme.example', '192.0.2.0', 26), ('harbour.example', '198.51.100.0', 24),
    ('clinic.example', '192.0.2.128', 25);
INSERT INTO sipwarden_user VALUES
    ('alice@acme.example', 'acme.example', 1), ('bob@clinic.example', 'clinic.example', 2);
INSERT INTO sipwarden_trusted VALUES ('127.0.0.99', NULL, 'exempt'), ('203.0.113.200', NULL, 'carrier');
";

/// Company, source and calls that are up.
const CALLS: [(&str, &str, usize); 6] = [
    ("acme.example", "192.0.2.10", 12),
    ("harbour.example", "198.51.100.20", 21),
    ("bakery.example", "203.0.113.40", 2),
    ("clinic.example", "192.0.2.140", 17),
    ("transit.example", "203.0.113.200", 31),
    ("lawyers.example", "203.0.113.5", 0),
];

/// Company, user and source of INVITEs that are refused.
const REFUSED: [(&str, &str, &str); 5] = [
    ("acme.example", "alice@acme.example", "192.0.2.10"),
    ("lawyers.example", "reception@lawyers.example", "203.0.113.5"),
    ("harbour.example", "crane7@harbour.example", "203.0.113.61"),
    ("Acme.example", "carol@acme.example", "192.0.2.11"),
    ("clinic.example", "<b>doctor</b>@clinic.example", "203.0.113.77"),
];

#[test]
#[ignore = "takes a minute and writes docs/page.png; run make screenshot"]
fn screenshot() {
    let server = Server::start(TABLES);
    let proxy = server.example.address();
    let endpoints: Vec<_> = CALLS.iter().map(|(_, source, _)| Endpoint::new(source)).collect();
    let call = |which: usize| {
        let company = CALLS[which].0;
        let headers = headers(company, &format!("user@{company}"));
        let mut caller = Caller::new(&endpoints[which], proxy, company, &headers);
        caller.invite();
        if caller.final_reply().status() == Some(200) {
            caller.ack();
        }
        caller
    };
    for (which, (_, _, count)) in CALLS.iter().enumerate() {
        (0..*count).for_each(|_| drop(call(which)));
    }
    for (prefix, seconds) in [("203.0.113.128/27", "86400"), ("2001:db8:bad::1", "3600")] {
        server.example.kamcmd(&["sipwarden.block", prefix, seconds]);
    }
    let browser = Browser::open(1280, 900);
    browser.go(&server.page());
    let phones: Vec<_> = (1..30)
        .map(|n| Phone::new(&format!("198.51.100.{n}"), proxy))
        .chain([Phone::new("203.0.113.200", proxy)])
        .collect();
    let scanner = Phone::new("203.0.113.99", proxy);
    let begin = Instant::now();
    let mut turn = 0usize;
    while begin.elapsed() < Duration::from_secs(75) {
        // A rate that rises and falls, a scanner now and then, a few short calls.
        let seconds = begin.elapsed().as_secs();
        for phone in phones.iter().take(6 + (seconds as usize * 7 / 10) % 12).chain(phones.last()) {
            phone.send("OPTIONS", "ping", &headers("transit.example", "trunk@transit.example"));
        }
        if (20..26).contains(&seconds) || (50..54).contains(&seconds) {
            (0..40).for_each(|_| {
                drop(scanner.send("REGISTER", "100", &headers("203.0.113.1", "100@203.0.113.1")))
            });
        }
        if turn % (3 + turn / 40 % 4) == 0 {
            call(2).within("BYE");
        }
        if turn % 50 == 7 {
            for (company, user, source) in &REFUSED {
                Phone::new(source, proxy).send("INVITE", "bob", &headers(company, user));
            }
        }
        turn += 1;
        sleep(Duration::from_millis(200));
    }
    browser.fill("#why-company", "acme.example");
    browser.fill("#why-ip", "203.0.113.61");
    browser.fill("#why-aor", "alice@acme.example");
    browser.click("#why-ask");
    wait_for("the verdict", || browser.texts("#answer .verdict").pop());
    browser.script("document.activeElement.blur(); scrollTo(0, 0);", json!([]));
    let resize = |height: &Value| {
        let size =
            json!({"width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": false});
        browser.devtools("Emulation.setDeviceMetricsOverride", size);
    };
    // First without a scrollbar, then as high as it is without one.
    resize(&json!(3000));
    let height = "return Math.ceil(document.body.getBoundingClientRect().height);";
    resize(&browser.script(height, json!([])));
    decode(&browser.screenshot(), "docs/page.png");
    if let Some(folder) = std::env::var_os("SCREENSHOTS") {
        // More to look at: dark, and on a phone.
        let folder = folder.to_str().unwrap();
        let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
        browser.devtools("Emulation.setEmulatedMedia", dark);
        decode(&browser.screenshot(), &format!("{folder}/dark.png"));
        let phone = json!({"width": 360, "height": 2600, "deviceScaleFactor": 1, "mobile": true});
        browser.devtools("Emulation.setDeviceMetricsOverride", phone);
        decode(&browser.screenshot(), &format!("{folder}/phone.png"));
    }
}

fn decode(base64: &str, file: &str) {
    let mut decoder = Command::new("base64")
        .arg("-d")
        .stdin(Stdio::piped())
        .stdout(File::create(file).unwrap())
        .spawn()
        .unwrap();
    decoder.stdin.take().unwrap().write_all(base64.as_bytes()).unwrap();
    assert!(decoder.wait().unwrap().success());
}
