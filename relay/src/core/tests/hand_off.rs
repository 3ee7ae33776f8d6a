//! What an agent did not start: whether another one gets it.

use super::*;

#[test]
fn not_started_is_handed_to_another_agent() {
    for reason in [
        NotStarted::Busy,
        NotStarted::Draining,
        NotStarted::NoDirectory,
        NotStarted::NoKey,
        NotStarted::NoClock,
    ] {
        let mut rig = Rig::new(Ambiguous::Fail, 2);
        rig.sign_in();
        let first = rig.sent();
        rig.answer(first, Answer::NotStarted(reason));
        let second = rig.sent();
        assert_ne!(second.1, first.1, "{reason:?}");
        assert_eq!(second.2, 2);
    }
}

#[test]
fn a_sign_in_is_sent_at_most_three_times() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 3);
    let id = rig.sign_in();
    for _ in 0..2 {
        let sent = rig.sent();
        rig.answer(sent, Answer::NotStarted(NotStarted::Busy));
    }
    let third = rig.sent();
    rig.answer(third, Answer::NotStarted(NotStarted::Busy));
    assert_eq!(rig.settled(), [(id, unavailable(Unavailable::Overloaded))]);
}

#[test]
fn what_a_caller_sealed_wrongly_is_its_own_fault_and_never_handed_off() {
    for reason in [
        NotStarted::CannotOpen,
        NotStarted::Replayed,
        NotStarted::Expired,
        NotStarted::Refused,
    ] {
        let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
        let id = rig.sign_in_of(1, Some(&["kid"]));
        let sent = rig.sent();
        rig.answer(sent, Answer::NotStarted(reason));
        assert_eq!(rig.settled(), [(id, Outcome::BadRequest)], "{reason:?}");
    }
}

#[test]
fn a_look_up_without_exactly_one_match_is_the_directorys_word_and_is_never_handed_off() {
    for recipients in [None, Some(&["kid"][..])] {
        let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
        let id = rig.sign_in_of(1, recipients);
        let sent = rig.sent();
        rig.answer(sent, Answer::NotStarted(NotStarted::NoMatch));
        assert_eq!(rig.settled(), [(id, Outcome::Verdict(Verdict::InvalidCredentials))]);
        // It is asked as before: an unknown name is nobody's trouble.
        for _ in 0..4 {
            rig.sign_in();
        }
        assert_eq!(rig.sends().len(), 4, "all slots of both");
    }
}

#[test]
fn a_look_up_that_cannot_be_made_is_handed_off_and_leaves_the_agent_its_other_names() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    let id = rig.sign_in();
    let first = rig.sent();
    rig.answer(first, Answer::NotStarted(NotStarted::NoLookUp));
    let second = rig.sent();
    assert_ne!(first.1, second.1);
    rig.answer(second, Answer::NotStarted(NotStarted::NoLookUp));
    assert_eq!(rig.settled(), [(id, unavailable(Unavailable::DirectoryDown))]);
    for _ in 0..4 {
        rig.sign_in();
    }
    assert_eq!(rig.sends().len(), 4, "all slots of both");
}

#[test]
fn what_a_caller_sealed_and_came_too_late_is_handed_off_like_any_other() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    rig.sign_in_of(1, Some(&["kid"]));
    let first = rig.sent();
    rig.answer(first, Answer::NotStarted(NotStarted::WindowPassed));
    assert_ne!(rig.sent().1, first.1);
}

#[test]
fn the_only_agent_is_asked_again_after_a_pause_when_it_was_busy() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    let id = rig.sign_in();
    for pause in [50, 200] {
        let sent = rig.sent();
        rig.answer(sent, Answer::NotStarted(NotStarted::Busy));
        rig.pass(Duration::from_millis(pause - 1));
        assert!(rig.sends().is_empty());
        rig.pass(Duration::from_millis(1));
    }
    let third = rig.sent();
    rig.answer(third, RIGHT);
    assert_eq!(rig.settled(), [(id, Outcome::Verdict(Verdict::Success))]);
}
