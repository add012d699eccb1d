//! The operators' page as people see and use it: narrow and wide, long lists, long ids,
//! by keyboard alone, without an answer.

use crate::support::browser::Browser;
use crate::support::call::{Caller, Endpoint};
use crate::support::page::{Server, headers};
use crate::support::sip::Phone;
use crate::support::wait_for;
use serde_json::{Value, json};

const WIDTHS: [u32; 6] = [1440, 1280, 1024, 640, 390, 320];
const BLOCKS: usize = 1000;

/// What is wider than the window or its section, what scrolls sideways, and words and ids of
/// up to 18 characters that are broken.
const MISFITS: &str = "
    const found = [];
    if (document.documentElement.scrollWidth > innerWidth) found.push('the page scrolls');
    for (const e of document.querySelectorAll('body *')) {
        const head = e.closest('thead');
        if (!e.checkVisibility() || head && getComputedStyle(head).position === 'absolute') continue;
        const box = e.getBoundingClientRect(), section = e.closest('section');
        const name = e.tagName + ' ' + e.className + ' ' + e.textContent.slice(0, 40);
        const edge = section && e !== section ? section.getBoundingClientRect().right : innerWidth;
        if (box.right > edge + .5 || box.left < -.5) found.push(name);
        if (!e.matches('pre, input') && getComputedStyle(e).overflowX !== 'visible'
                && e.scrollWidth > e.clientWidth + 1) found.push('scrolls: ' + name);
        for (const text of e.childNodes) {
            if (text.nodeType !== Node.TEXT_NODE || e.matches('pre, h1, title')) continue;
            for (const word of text.data.matchAll(/(?<!\\S)\\S{2,18}(?!\\S)/g)) {
                const range = document.createRange();
                range.setStart(text, word.index);
                range.setEnd(text, word.index + word[0].length);
                if (range.getClientRects().length > 1) found.push('broken: ' + word[0] + ' in ' + name);
            }
        }
    }
    return found;";

/// Texts of which foreground and background differ too little, with their ratio.
const PALE: &str = "
    const rgba = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
    const light = ([r, g, b]) => { const [x, y, z] = [r, g, b].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * x + .7152 * y + .0722 * z; };
    const found = [];
    for (const e of document.querySelectorAll('body *')) {
        const own = [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
        if (!own || !e.checkVisibility() || e.closest('script, style, noscript, :disabled')) continue;
        let back = null, opacity = 1;
        for (let at = e; at; at = at.parentElement) {
            const style = getComputedStyle(at), colour = rgba(style.backgroundColor);
            opacity *= style.opacity;
            if (!back && colour[3] === 1) back = colour;
        }
        const [a, b] = [light(rgba(getComputedStyle(e).color)), light(back)].sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (opacity < 1 || ratio < 4.5) found.push(e.tagName + ' ' + e.textContent.slice(0, 40) + ' ' + ratio.toFixed(2));
    }
    return found;";

fn long(kind: char) -> String {
    format!("{kind}{}-{}", "x".repeat(40), "y".repeat(22))
}

/// A platform with all that makes a page wide.
fn start() -> (Server, Browser) {
    let (company, brand) = (long('c'), long('b'));
    let server = Server::start(&format!(
        "INSERT INTO sipwarden_brand VALUES ('{brand}', 1), ('b', 3);
        INSERT INTO sipwarden_company VALUES ('{company}', '{brand}', 0, 1), ('acme', 'b', 0, 3),
            ('acme.example', 'b', 0, 1);
        INSERT INTO sipwarden_trusted VALUES ('127.0.0.99', NULL, 'exempt'), ('127.50.0.1', NULL, 'exempt');
        INSERT INTO sipwarden_limit VALUES ('carrier', '{carrier}', 'any', 9999, 65535, 86400, 100, 604800, 100, 65535),
            ('carrier', 'north', 'any', 120, NULL, NULL, 10, 7200, NULL, NULL), ('did', '*', 'in', 5, 10, 1, NULL, NULL, 0, NULL);",
        carrier = long('k')
    ));
    let phone = Endpoint::new("127.50.0.1");
    let aor = format!("{}@{}", long('u'), long('d'));
    let (odd, usual) = ((&*company, &*aor), ("acme.example", "alice@acme.example"));
    for ((company, aor), status) in
        [(odd, 200), (odd, 503), (("acme", &*aor), 200), (usual, 200), (usual, 503)]
    {
        let scopes = format!("X-Scopes: carrier={};did=+34910000001\r\n", long('k'));
        let headers = headers(company, aor) + &scopes;
        let mut caller = Caller::new(&phone, server.example.address(), &long('d'), &headers);
        caller.invite();
        let reply = caller.final_reply();
        assert_eq!(reply.status() == Some(200), status == 200, "{}", server.example.log());
        if status == 200 {
            caller.ack();
        }
    }
    server.example.kamcmd(&["sipwarden.ban", &aor, "2001:db8:1234:5678:9abc:def0:1234:5678"]);
    let scanner = Phone::new("127.50.0.2", server.example.address());
    (0..150).for_each(|_| drop(scanner.send("OPTIONS", "x", &headers("acme", "x"))));
    let browser = Browser::open(1280, 900);
    browser.go(&server.page());
    wait_for("an answer", || (browser.text("#state") == "answers").then_some(()));
    let made = browser.wait_script(&format!(
        "for (let n = 1; n < {BLOCKS}; n++) await rpc('block', '2001:db8:' + n.toString(16) + ':ffff::1', '9000'); \
         return (await rpc('blocks')).total;"
    ));
    assert_eq!(made, BLOCKS);
    browser.click("#live-calls summary");
    browser.click("#all-limits summary");
    browser.fill("#why-scopes", &format!("carrier={};did=+34910000001", long('k')));
    browser.fill("#why-flags", "oe");
    browser.fill("#why-company", &company);
    browser.fill("#why-ip", "2001:db8:1234:5678:9abc:def0:1234:5678");
    browser.click("#why-ask");
    for part in [
        "#answer li",
        "#calls tbody tr",
        "#limits tbody tr",
        "#denied tbody tr",
        "#blocks tbody tr:nth-child(20)",
    ] {
        wait_for(part, || browser.texts(part).pop());
    }
    (server, browser)
}

fn resize(browser: &Browser, width: u32) {
    let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
    browser.devtools("Emulation.setDeviceMetricsOverride", size);
    let is = "return innerWidth;";
    wait_for("the width", || (browser.script(is, json!([])) == width).then_some(()));
}

fn none(browser: &Browser, script: &str, what: &str) {
    // A width is followed in the next frame.
    browser.wait_script(
        "await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));",
    );
    assert_eq!(browser.script(script, json!([])), Value::Array(Vec::new()), "{what}");
}

#[test]
fn nothing_is_cut_off_and_all_can_be_done_by_keyboard() {
    let (server, browser) = start();
    for width in WIDTHS {
        resize(&browser, width);
        none(&browser, MISFITS, &format!("at {width}"));
    }
    resize(&browser, 1280);
    let wide = "return [...document.querySelectorAll('table')].filter(t => t.checkVisibility()) \
        .map(t => t.parentNode.id + (t.matches('.cards') ? ' is a list' : ''));";
    assert_eq!(
        browser.script(wide, json!([])),
        json!([
            "brands",
            "companies",
            "scopes",
            "limits is a list",
            "calls",
            "blocks",
            "bans",
            "denied"
        ])
    );

    // One source among them is found, by its text or by an address in it.
    for text in ["2001:db8:2a7:", "2001:db8:2a7:ffff::99"] {
        browser.fill("#find", text);
        wait_for("the one", || {
            let found = browser.texts("#blocks tbody td:first-child");
            (found == ["2001:db8:2a7:ffff::/64"]).then_some(())
        });
    }
    assert_eq!(browser.text("#block-count"), "1 found");
    browser.fill("#find", "no such");
    wait_for("none", || (browser.text("#blocks") == "No such source is blocked.").then_some(()));
    browser.script(
        "const find = document.querySelector('#find'); find.value = ''; \
        find.dispatchEvent(new Event('input')); find.focus();",
        json!([]),
    );
    wait_for("all", || (browser.text("#block-count") == "1000 blocks").then_some(()));

    // From the field to the first button, lift, and on with the next one.
    let labels = || {
        let all =
            "return [...document.querySelectorAll('#blocks tbody button')].map(b => b.ariaLabel);";
        serde_json::from_value::<Vec<String>>(browser.script(all, json!([]))).unwrap()
    };
    let focus = || browser.script("return document.activeElement.ariaLabel;", json!([]));
    let before = wait_for("the first page", || Some(labels()).filter(|all| all.len() == 20));
    browser.press("\u{e004}");
    assert_eq!(focus(), before[0]);
    browser.press("\u{e004}");
    assert_eq!(focus(), before[1]);
    browser.press("\u{e007}");
    wait_for("the question", || browser.texts("dialog[open] p").pop());
    browser.press("\u{e004}\u{e007}");
    wait_for("the answer", || browser.text("#done").contains("no longer blocked").then_some(()));
    let after = wait_for("the list", || Some(labels()).filter(|all| !all.contains(&before[1])));
    assert_eq!((&after[0], &after[1]), (&before[0], &before[2]));
    wait_for("the focus", || (focus() == after[1]).then_some(()));

    // What the eye needs where colours are the reader's own.
    let forced = json!({"features": [{"name": "forced-colors", "value": "active"}]});
    browser.devtools("Emulation.setEmulatedMedia", forced);
    let border = "return getComputedStyle(document.querySelector('.bar')).borderTopWidth;";
    assert_eq!(browser.script(border, json!([])), "1px");

    // Without an answer: said in the tab too, and all can still be read.
    assert_eq!(browser.script("return document.title;", json!([])), "sipwarden");
    drop(server);
    wait_for("the title", || {
        let title = browser.script("return document.title;", json!([]));
        title.as_str().unwrap().starts_with("No answer").then_some(())
    });
    for scheme in ["light", "dark"] {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme},
            {"name": "forced-colors", "value": "none"}]});
        browser.devtools("Emulation.setEmulatedMedia", features);
        none(&browser, PALE, scheme);
    }
    resize(&browser, 320);
    none(&browser, MISFITS, "without an answer");
}
