//! BYE, whoever sends it and however it arrives.

use super::*;

#[test]
fn bye_from_either_side_lost_repeated_or_crossing() {
    let stage = Stage::new();
    let mut call = stage.call_up("");
    // While it is up, a second call is refused, by the user's limit first.
    let mut second = stage.call("");
    second.invite();
    let refused = second.final_reply();
    assert!(refused.line.contains("roadwarrior_limit 1/1"), "{}", refused.line);
    assert_eq!(stage.calls(), 1);
    // The slot comes back with the BYE, before it is answered; repeated BYEs and
    // a second one change nothing.
    call.within("BYE");
    stage.callee.request("BYE");
    stage.wait_for_calls(0);
    call.within("BYE");
    stage.hang_up(&mut call);
    stage.assert_free();
}

#[test]
fn a_bye_that_the_script_drops_ends_the_call() {
    let stage = Stage::new();
    let mut call = stage.call_up("");
    call.within_with("BYE", "X-Do: drop\r\n");
    stage.assert_free();
}

#[test]
fn both_sides_hang_up_at_the_same_moment() {
    let stage = Stage::new();
    for _ in 0..10 {
        let mut call = stage.call("");
        call.invite();
        stage.answer(&mut call);
        let ack = stage.callee.request("ACK");
        assert_eq!(stage.calls(), 1);
        stage.callee.hang_up(&ack);
        stage.hang_up(&mut call);
        stage.caller.reply(&stage.caller.request("BYE"), 200, "f");
        stage.wait_for_calls(0);
    }
    stage.assert_free();
}

#[test]
fn a_bye_that_is_answered_with_an_error_ends_the_call() {
    let stage = Stage::new();
    let mut call = stage.call_up("");
    call.within("BYE");
    stage.callee.reply(&stage.callee.request("BYE"), 481, "t");
    stage.assert_free();
}
