//! The functions of a script with any texts, in any order; each slot is free in the end.

use std::sync::OnceLock;

use sipwarden::host::abi::{
    SW_DIALOG_ENDED, SW_DIALOG_GONE, SW_DIALOG_LOADED, SW_DIALOG_RESUMED, SW_EXPIRY_LIFETIME,
};

use super::bytes::Bytes;
use super::hosted;
use crate::host::door;
use crate::host::request::Request;
use crate::host::world::world;

/// One of a few, or any.
fn text(input: &mut Bytes<'_>, known: &[&str]) -> String {
    if input.one_in(4) { input.text() } else { input.of(known).to_owned() }
}

fn request(input: &mut Bytes<'_>) -> Request {
    let sources =
        ["192.0.2.7", "203.0.113.9", "198.51.100.1", "2001:db8::7", "::ffff:192.0.2.1", ""];
    let source = input.of(&sources);
    let call = text(input, &["one", "two", "three", ""]);
    let flags = input.byte();
    let is = |bit: u8| flags & 1 << bit != 0;
    Request {
        id: u32::from(input.byte() % 4),
        proxied: is(0),
        given: is(1).then(|| text(input, &["192.0.2.7", "<null>", "[2001:db8::1]"])),
        initial_invite: is(2) || is(3),
        within: is(4) && is(5),
        misplaced: is(6) && is(7),
        stream: is(5),
        cseq: text(input, &["1", "2", ""]),
        branch: text(input, &["z9hG4bK1", "z9hG4bK2", ""]),
        user_agent: text(input, &["friendly-scanner", ""]),
        from: text(input, &["sip:alice@example.com", "sip:x", ""]),
        credentials: (0..input.below(4)).map(|_| text(input, &["Digest response=\"1\""])).collect(),
        code: text(input, &["-1", "-2", "-3", "1", ""]),
        call_id: call,
        ..Request::from(source)
    }
}

const COMPANIES: [&str; 4] = ["7", "open", "8", "<null>"];
const AORS: [&str; 3] = ["alice@example.com", "bob@example.com", ""];
const SCOPES: [&str; 6] =
    ["", "did=7", "carrier=x;did=7", "user=alice@example.com", "did=7;did=7", "a=1;b=2;c=3;d=4"];

fn function(input: &mut Bytes<'_>, request: &Request) {
    let flags = &*text(input, &["", "o", "e", "i", "p", "eio"]);
    let company = &*text(input, &COMPANIES);
    let dialogs: Vec<_> = world().dialogs.iter().map(|dialog| dialog.name).collect();
    let dialog = match dialogs.as_slice() {
        [] => (0, 1),
        some => input.of(some),
    };
    let code = match input.below(16) {
        0 => door::check_company_ip(request, company),
        1 => door::check_country(request, &text(input, &["ES", "ES,FR", ""])),
        2 => door::flood_check(request, flags),
        3 => door::scanner_check(request),
        4 => door::auth_check(request, &text(input, &AORS)),
        5 => {
            let credentials = input.one_in(2).then(|| text(input, &["", "Digest x"]));
            door::auth_failed(request, &text(input, &AORS), credentials.as_deref())
        }
        6 => door::auth_ok(request, &text(input, &AORS)),
        7 => door::grant(request, company, &text(input, &["60", "0", "soon"])),
        8 | 9 => door::roadwarrior_acquire(request, &text(input, &AORS), company, flags),
        10 | 11 => door::cc_limit_scopes(request, company, flags, &text(input, &SCOPES)),
        12 => {
            let events = [SW_DIALOG_ENDED, SW_DIALOG_GONE, SW_DIALOG_RESUMED, SW_DIALOG_LOADED];
            door::dialog_event(input.of(&events), dialog);
            1
        }
        13 => {
            let remembered = [company, &text(input, &AORS), flags];
            door::dialog_restored(dialog, &request.call_id, remembered);
            1
        }
        14 => {
            door::dialog_expired(dialog, SW_EXPIRY_LIFETIME, input.one_in(2));
            1
        }
        _ => {
            door::dialog_request(request);
            let _ = door::check_flags(&text(input, &["cc_limit", "flood_check"]), flags);
            1
        }
    };
    assert_ne!(code, 0, "0 ends a script");
    for name in ["code", "reason", "ip", "company_calls", "class", "failures"] {
        let _ = door::variable(request, name);
    }
}

/// Calls that count, over all companies.
fn calls() -> u64 {
    static INDEX: OnceLock<usize> = OnceLock::new();
    let find = || (0..).map_while(door::statistic).position(|(name, _)| name == "calls_active");
    door::gauge(*INDEX.get_or_init(|| find().expect("no such statistic")) as u32)
}

pub fn run(data: &[u8]) {
    hosted::begin();
    let mut input = Bytes(data);
    for _ in 0..32 {
        let request = request(&mut input);
        function(&mut input, &request);
        if input.is_empty() {
            break;
        }
    }
    let dialogs: Vec<_> = world().dialogs.iter().map(|dialog| dialog.name).collect();
    for dialog in dialogs.into_iter().chain([(0, 1)]) {
        door::dialog_event(SW_DIALOG_GONE, dialog);
    }
    world().dialogs.clear();
    assert_eq!(world().held, 0, "a dialog was not given back");
    assert_eq!(calls(), 0, "a call counts on");
    hosted::check();
}
