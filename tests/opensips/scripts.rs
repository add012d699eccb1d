//! Scripts of tests in the language of OpenSIPS.

/// Words of Kamailio's language in the scripts of tests/hosts, and those of this one. Copies of an
/// INVITE end where a call is counted.
const WORDS: [(&str, &str); 7] = [
    ("request_route {", "route {"),
    ("if (t_precheck_trans()) { t_check_trans(); exit; }", ""),
    ("$null", "NULL"),
    ("dlg_manage()", "create_dialog()"),
    ("t_is_canceled()", "t_was_cancelled()"),
    ("append_branch(\"", "append_msg_branch(\""),
    // Its failure routes need none.
    ("append_branch();", ""),
];

/// A script of tests/hosts in this language: what an event says are parameters.
pub fn of_opensips(script: &str) -> String {
    let mut parts = script.split("event_route[sipwarden:");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(']').unwrap();
        let (body, behind) = rest.split_once("\n}").unwrap_or((rest, ""));
        let (name, body) = (name.to_ascii_uppercase(), body.replace("$swd(", "$param("));
        text.push_str(&format!("event_route[E_SIPWARDEN_{name}]{body}\n}}{behind}"));
    }
    put_in(&WORDS, text)
}

/// Flags of dialogs have names from 4.0 on.
const FLAGS_OF_4: [(&str, &str); 2] = [
    ("create_dialog(\"B\")", "create_dialog(\"bye-on-timeout\")"),
    (
        "create_dialog(\"PpB\")",
        "create_dialog(\"options-ping-caller,options-ping-callee,bye-on-timeout\")",
    ),
];

/// A script of 3.6 as this major version has it.
pub fn of_version(major: u32, script: String) -> String {
    if major < 4 { script } else { put_in(&FLAGS_OF_4, script) }
}

fn put_in(words: &[(&str, &str)], script: String) -> String {
    words.iter().fold(script, |script, (word, own)| script.replace(word, own))
}

/// Timers are short, so that endings that wait for them come soon.
pub const TIMERS: &str = r#"
modparam("tm", "fr_timeout", 2)
modparam("tm", "fr_inv_timeout", 3)
modparam("tm", "wt_timer", 2)
modparam("dialog", "default_timeout", 60)
"#;

macro_rules! transaction {
    () => {
        r#"if (!($hdr(X-Do) =~ "^(drop|reply|treply|newtran)$")) { t_newtran(); }"#
    };
}

/// A copy of this INVITE ends here, also one that another worker has at this moment.
pub const TRANSACTION: &str = transaction!();

/// Lifetimes are set when there is a dialog.
pub const DIALOG: &str = concat!(
    transaction!(),
    r#"
    if ($hdr(X-Do) == "bye") {
        create_dialog("B");
    } else if ($hdr(X-Do) != "implicit") {
        create_dialog();
    }
    if ($hdr(X-Do) == "lifetime" || $hdr(X-Do) == "bye") { $DLG_timeout = 2; }
"#
);

pub const AUTH: &str = r#"
modparam("auth", "disable_nonce_check", 1)
modparam("auth", "nonce_expire", 300)
modparam("auth", "calculate_ha1", 1)
modparam("auth", "username_spec", "$au")
modparam("auth", "password_spec", "$var(password)")
"#;

pub const PASSWORD: &str = r#"$var(password) = "right";
    if (is_method("REGISTER")) {
        pv_www_authorize("test.invalid");
    } else {
        pv_proxy_authorize("test.invalid");
    }"#;

pub const CHALLENGE: &str = r#"if (is_method("REGISTER")) {
        www_challenge("test.invalid");
    } else {
        proxy_challenge("test.invalid");
    }"#;
