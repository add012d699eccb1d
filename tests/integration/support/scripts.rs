//! Scripts of tests, in Kamailio's language: a host with another one puts its words in.

/// Answers OPTIONS with the verdict on the company in the request's user part and the pid of
/// the worker.
pub const ANSWER_VERDICT: &str = r#"
request_route {
    check_company_ip("$rU");
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    sl_send_reply(200, "OK");
}
"#;

/// A proxy that counts calls, as [`super::proxy`] says. `DIALOG`: the host makes the dialog, with
/// its lifetime; `MORE`: what only this host can do.
pub const PROXY: &str = r#"
request_route {
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
    if (t_precheck_trans()) { t_check_trans(); exit; }
    t_check_trans();
    if ($hdr(X-Do) == "challenge" && $hdr(Authorization) == $null) {
        dlg_manage();
        route(COUNT);
        sl_send_reply(407, "Authenticate");
        exit;
    }
DIALOG    route(COUNT);
    if ($hdr(X-Do) == "twice") { route(COUNT); }
    switch ($hdr(X-Do)) {
        case "drop": exit;
        case "reply": sl_send_reply(503, "No"); exit;
        case "treply": t_newtran(); t_reply(503, "No"); exit;
        case "newtran": t_newtran(); exit;
        case "serial": t_on_failure("NEXT"); break;
        case "parallel": append_branch("sip:bob@CALLEE;x=2"); break;
MORE    }
    record_route();
    $ru = "sip:bob@CALLEE";
    t_relay();
}
failure_route[NEXT] {
    if (t_is_canceled()) { exit; }
    route(COUNT);
    $ru = "sip:bob@CALLEE;second=yes";
    append_branch();
    t_relay();
}
route[COUNT] {
    $var(flags) = "";
    if (is_present_hf("X-Flags")) { $var(flags) = $hdr(X-Flags); }
    if (is_present_hf("X-Roadwarrior")) {
        if (!roadwarrior_acquire("$hdr(X-Roadwarrior)", "$fd", "$var(flags)")) {
            append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
            send_reply(403, "Refused: $swd(reason) $swd(user_calls)/$swd(user_limit)");
            exit;
        }
    }
    if (!cc_limit("$fd", "$var(flags)")) {
        append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
        send_reply(403, "Refused: $swd(reason) $swd(company_calls)/$swd(company_limit) $swd(brand_calls)/$swd(brand_limit)");
        exit;
    }
}
"#;
