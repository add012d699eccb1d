//! One call counts once, whatever its INVITEs do.

use super::*;

#[test]
fn serial_and_parallel_forks_count_once() {
    let stage = Stage::new();
    let mut call = stage.call("serial");
    call.invite();
    stage.callee.reply(&stage.callee.request("INVITE"), 486, "t");
    let second = stage.callee.request("INVITE");
    assert!(second.0.line.contains("second=yes"), "{}", second.0.line);
    assert_eq!(stage.calls(), 1);
    stage.callee.reply(&second, 200, "t");
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();
    stage.hang_up(&mut call);
    stage.wait_for_calls(0);

    let mut call = stage.call("parallel");
    call.invite();
    let branches = [stage.callee.request("INVITE"), stage.callee.request("INVITE")];
    assert_eq!(stage.calls(), 1);
    stage.callee.reply(&branches[0], 486, "x");
    stage.callee.reply(&branches[1], 200, "t");
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();
    assert_eq!(stage.calls(), 1);
    stage.hang_up(&mut call);
    stage.assert_free();
}

#[test]
fn a_second_pass_and_a_re_invite_count_once() {
    let stage = Stage::new();
    for doing in ["twice", "implicit"] {
        let mut call = stage.call_up(doing);
        stage.assert_re_invite_is_held(&mut call);
    }
    stage.assert_free();
}

#[test]
fn a_re_invite_of_another_company_changes_nothing() {
    let stage = Stage::new();
    let mut call = stage.call_up("");
    call.within_with("INVITE", "X-Company: other\r\n");
    stage.answer(&mut call);
    assert_eq!(stage.server.counter("cc_call_held_by_other"), 1);
    assert_eq!((stage.calls(), calls(&stage.server, "other")), (1, 0));
    stage.hang_up(&mut call);
    stage.assert_free();
}

#[test]
fn duplicate_invites_in_several_workers_count_once() {
    let stage = Stage::new();
    for _ in 0..25 {
        let mut call = stage.call("");
        for _ in 0..3 {
            call.invite();
        }
        let invite = stage.callee.request("INVITE");
        stage.callee.reply(&invite, 200, "t");
        assert_eq!(call.final_reply().status(), Some(200));
        call.ack();
        assert_eq!(stage.calls(), 1);
        stage.hang_up(&mut call);
        stage.wait_for_calls(0);
    }
    stage.assert_free();
}

#[test]
fn calls_with_one_call_id_cannot_share_a_slot() {
    let stage = Stage::new();
    let mut call = stage.call("");
    call.invite();
    let invite = stage.callee.request("INVITE");
    stage.callee.reply(&invite, 180, "t");
    // Same Call-ID and From tag, another CSeq and branch: another call.
    for _ in 0..3 {
        call.invite_again();
        let refused = call.final_reply();
        // Told by the dialog, if there is one for both.
        let reasons = ["call_duplicate", "roadwarrior_limit"];
        assert!(reasons.iter().any(|why| refused.line.contains(why)), "{}", refused.line);
    }
    assert_eq!(stage.calls(), 1);
    stage.callee.reply(&invite, 486, "t");
    stage.assert_free();
}

#[test]
fn an_emergency_passes_all_limits_and_counts_in_each() {
    let stage = Stage::new();
    let mut first = stage.call_up("");
    let mut emergency = Caller::new(&stage.caller, stage.server.address(), "c", &headers("eo"));
    emergency.invite();
    stage.answer(&mut emergency);
    assert_eq!(stage.calls(), 2);
    for call in [&mut first, &mut emergency] {
        stage.hang_up(call);
    }
    stage.assert_free();
}

#[test]
fn dialogs_that_go_while_their_call_is_counted_leave_nothing() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TABLES);
    let callers: Vec<_> = (0..20).map(|_| Endpoint::new("127.0.0.1")).collect();
    // No pre-check: several workers make and destroy the dialog of one INVITE.
    let routes = "route { if (is_method(\"INVITE\")) { \
                  cc_limit(\"other\", \"\", \"carrier=south;did=$rU;user=$fU@$fd\"); \
                  sl_send_reply(480, \"No\"); } exit; }\n";
    let mut config: Config =
        config(&db.url(), callers[0].address()).settings(LIMITS).routes(routes);
    config.workers = 8;
    let server = config.start();
    for _ in 0..100 {
        let mut calls: Vec<_> = callers
            .iter()
            .map(|caller| Caller::new(caller, server.address(), "other", ""))
            .collect();
        calls.iter().for_each(|call| (0..4).for_each(|_| call.invite()));
        calls.iter_mut().for_each(|call| assert_eq!(call.final_reply().status(), Some(480)));
    }
    assert!(server.counter("cc_call_counted") >= 2000);
    assert_nothing_left(&server);
}
