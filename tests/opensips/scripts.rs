//! Scripts of tests in the language of OpenSIPS.

/// Answers OPTIONS with the verdict on the company in the request's user part and the pid of
/// the worker.
pub const ANSWER_VERDICT: &str = r#"
route {
    check_company_ip("$rU");
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    sl_send_reply(200, "OK");
}
"#;

/// Timers are short, so that endings that wait for them come soon.
pub const TIMERS: &str = r#"
modparam("tm", "fr_timeout", 2)
modparam("tm", "fr_inv_timeout", 3)
modparam("tm", "wt_timer", 2)
modparam("dialog", "default_timeout", 60)
"#;

/// X-Do: before the checks `challenge`; after them `drop`, `reply`, `treply`, `newtran`,
/// `lifetime`, `bye` (lifetime with BYE), `serial`, `parallel`, `twice`, `implicit` (the script
/// makes no dialog). X-Roadwarrior: the AoR to ask for. X-Flags: of both. X-Company: whom a
/// re-INVITE is of.
pub const PROXY: &str = r#"
route {
    if (has_totag()) {
        if (loose_route()) {
            if (is_method("INVITE")) {
                $var(company) = $fd;
                if (is_present_hf("X-Company")) { $var(company) = $hdr(X-Company); }
                cc_limit("$var(company)");
                xlog("L_NOTICE", "re-INVITE: $swd(reason)\n");
            }
            if (is_method("BYE") && $hdr(X-Do) == "drop") { exit; }
            t_relay();
            exit;
        }
        if (is_method("ACK") && t_check_trans()) { t_relay(); }
        exit;
    }
    if (is_method("CANCEL")) {
        if (t_check_trans()) { t_relay(); }
        exit;
    }
    t_check_trans();
    if ($hdr(X-Do) == "challenge" && $hdr(Authorization) == NULL) {
        create_dialog();
        route(COUNT);
        sl_send_reply(407, "Authenticate");
        exit;
    }
    # A copy of this INVITE ends here, also one that another worker has at this moment.
    if (!($hdr(X-Do) =~ "^(drop|reply|treply|newtran)$")) { t_newtran(); }
    if ($hdr(X-Do) == "bye") {
        create_dialog("B");
    } else if ($hdr(X-Do) != "implicit") {
        create_dialog();
    }
    if ($hdr(X-Do) == "lifetime" || $hdr(X-Do) == "bye") { $DLG_timeout = 2; }
    route(COUNT);
    if ($hdr(X-Do) == "twice") { route(COUNT); }
    switch ($hdr(X-Do)) {
        case "drop":
            exit;
        case "reply":
            sl_send_reply(503, "No");
            exit;
        case "treply":
            t_newtran();
            t_reply(503, "No");
            exit;
        case "newtran":
            t_newtran();
            exit;
        case "serial":
            t_on_failure("NEXT");
            break;
        case "parallel":
            append_msg_branch("sip:bob@CALLEE;x=2");
            break;
    }
    record_route();
    $ru = "sip:bob@CALLEE";
    t_relay();
}
failure_route[NEXT] {
    if (t_was_cancelled()) { exit; }
    route(COUNT);
    $ru = "sip:bob@CALLEE;second=yes";
    t_relay();
}
route[COUNT] {
    $var(flags) = "";
    if (is_present_hf("X-Flags")) { $var(flags) = $hdr(X-Flags); }
    if (is_present_hf("X-Roadwarrior")) {
        if (!roadwarrior_acquire("$hdr(X-Roadwarrior)", "$fd", "$var(flags)")) {
            send_reply(403, "Refused: $swd(reason) $swd(user_calls)/$swd(user_limit)");
            exit;
        }
    }
    if (!cc_limit("$fd", "$var(flags)")) {
        send_reply(403, "Refused: $swd(reason) $swd(company_calls)/$swd(company_limit) $swd(brand_calls)/$swd(brand_limit)");
        exit;
    }
}
"#;
