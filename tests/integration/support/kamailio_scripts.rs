//! What scripts of tests have in Kamailio only.

/// Timers are short, so that endings that wait for them come soon.
pub const TIMERS: &str = r#"
modparam("tm", "fr_timer", 1500)
modparam("tm", "fr_inv_timer", 2500)
modparam("tm", "wt_timer", 500)
modparam("tm", "failure_reply_mode", 3)
modparam("dialog", "dlg_match_mode", 1)
modparam("dialog", "early_timeout", 3)
modparam("dialog", "noack_timeout", 3)
modparam("dialog", "end_timeout", 3)
modparam("dialog", "default_timeout", 60)
modparam("dialog", "timeout_avp", "$avp(lifetime)")
modparam("rr", "enable_full_lr", 1)
"#;

/// Lifetimes are set before the dialog is made.
pub const DIALOG: &str = r#"
    if ($hdr(X-Do) == "lifetime" || $hdr(X-Do) == "bye") { $avp(lifetime) = 2; }
    if ($hdr(X-Do) == "bye") { $dlg_ctx(timeout_bye) = 1; }
    if ($hdr(X-Do) != "implicit") { dlg_manage(); }
"#;

/// A call that comes by the same proxy twice.
pub const SPIRAL: &str = r#"
        case "spiral":
            if (!is_present_hf("X-Spiraled")) {
                append_hf("X-Spiraled: yes\r\n");
                $du = "sip:" + $Ri + ":" + $Rp;
                t_relay();
                exit;
            }
            break;
"#;
