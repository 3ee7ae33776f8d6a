//! Where a bind may have been made that no answer speaks of: patience, cancelling, and the one retry.

use super::*;

#[test]
fn an_agent_that_dies_costs_a_retry_under_retry_once_and_an_answer_under_fail() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    rig.sign_in();
    let first = rig.sent();
    rig.core.handle_session_down(rig.now, first.1);
    let second = rig.sent();
    assert_ne!(second.1, first.1);

    let mut rig = Rig::new(Ambiguous::Fail, 2);
    let id = rig.sign_in();
    let first = rig.sent();
    rig.core.handle_started(rig.now, first.1, first.0, first.2);
    rig.core.handle_session_down(rig.now, first.1);
    assert_eq!(rig.settled(), [(id, unavailable(Unavailable::Indeterminate))]);
}

#[test]
fn after_a_lost_attempt_only_a_verdict_says_more_than_that_a_bind_may_have_been_made() {
    let retried = |recipients| {
        let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
        let id = rig.sign_in_of(1, recipients);
        let first = rig.sent();
        rig.core.handle_session_down(rig.now, first.1);
        let second = rig.sent();
        (rig, id, second)
    };
    let words = [
        Answer::NotChecked,
        Answer::NotStarted(NotStarted::Refused),
        Answer::NotStarted(NotStarted::CannotOpen),
        Answer::NotStarted(NotStarted::Replayed),
        Answer::NotStarted(NotStarted::Expired),
    ];
    for word in words {
        let (mut rig, id, second) = retried(Some(&["kid"]));
        rig.answer(second, word.clone());
        assert_eq!(
            rig.settled(),
            [(id, unavailable(Unavailable::Indeterminate))],
            "{word:?}"
        );
    }
    let (mut rig, id, second) = retried(Some(&["kid"]));
    for kid in ["new", "newer"] {
        rig.core.handle_key_change(rig.now, second.1, kid.to_owned());
    }
    rig.answer(second, Answer::NotStarted(NotStarted::Busy));
    assert_eq!(
        rig.settled(),
        [(id, unavailable(Unavailable::Indeterminate))],
        "a stale key would be sealed anew"
    );
}

#[test]
fn a_late_word_without_a_verdict_does_not_end_another_agents_attempt() {
    for word in [
        Answer::NotChecked,
        Answer::NotStarted(NotStarted::Refused),
        Answer::NotStarted(NotStarted::Replayed),
    ] {
        let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
        let id = rig.sign_in();
        let first = rig.sent();
        rig.silent.insert(first.1);
        // Past the first start window, within the second.
        rig.pass(Duration::from_millis(400));
        let second = rig.sent();
        rig.answer(first, word.clone());
        assert_eq!(rig.settled(), [], "{word:?}");
        rig.answer(second, RIGHT);
        assert_eq!(rig.settled(), [(id, Outcome::Verdict(Verdict::Success))], "{word:?}");
    }
}

#[test]
fn a_user_gets_one_retry_within_the_lockout_window() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 4);
    let first = rig.sign_in_of(99, None);
    let sent = rig.sent();
    rig.core.handle_session_down(rig.now, sent.1);
    let retry = rig.sent();
    rig.answer(retry, RIGHT);
    assert_eq!(rig.settled(), [(first, Outcome::Verdict(Verdict::Success))]);
    let again = rig.sign_in_of(99, None);
    let sent = rig.sent();
    rig.core.handle_session_down(rig.now, sent.1);
    assert_eq!(rig.settled(), [(again, unavailable(Unavailable::Indeterminate))]);
}

#[test]
fn an_agent_that_is_silent_past_the_window_is_given_up() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    rig.sign_in();
    let first = rig.sent();
    rig.silent.insert(first.1);
    rig.pass(Duration::from_millis(249));
    assert!(rig.commands().is_empty());
    rig.pass(Duration::from_millis(1));
    assert!(is_cancel(&rig.commands()[0], first));
    assert_ne!(rig.core.flights[&first.0].attempts[1].session, first.1);
}

#[test]
fn an_agent_that_is_there_is_asked_to_leave_it_and_given_the_time_to_say_what_it_did() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    rig.sign_in();
    let first = rig.sent();
    rig.pass(Duration::from_millis(250));
    let commands = rig.commands();
    assert!(commands.len() == 1 && is_cancel(&commands[0], first), "{commands:?}");
    rig.pass(Duration::from_millis(1_749));
    assert!(rig.commands().is_empty(), "a late word is no reason for a second bind");
    rig.pass(Duration::from_millis(1));
    assert_ne!(rig.sent().1, first.1);
}

#[test]
fn an_agent_that_does_not_answer_the_ping_behind_the_cancel_is_given_up() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    rig.sign_in();
    let first = rig.sent();
    rig.pass(Duration::from_millis(240));
    // It has just been heard, so it is not silent when the window ends.
    rig.core.handle_heard(rig.now, first.1, RTT);
    rig.silent.insert(first.1);
    rig.pass(Duration::from_millis(10));
    assert!(matches!(rig.commands()[..], [Command::Cancel { .. }]));
    rig.pass(Duration::from_millis(119));
    assert!(rig.commands().is_empty());
    rig.pass(Duration::from_millis(1));
    assert_ne!(rig.sent().1, first.1);
}

#[test]
fn an_agent_that_confirms_the_cancel_leaves_nothing_ambiguous() {
    let mut rig = Rig::new(Ambiguous::Fail, 2);
    rig.sign_in();
    let first = rig.sent();
    rig.pass(Duration::from_millis(250));
    rig.commands();
    rig.answer(first, Answer::NotStarted(NotStarted::Cancelled));
    assert_ne!(rig.sent().1, first.1);
}

#[test]
fn started_lengthens_patience() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    rig.sign_in();
    let first = rig.sent();
    rig.core.handle_started(rig.now, first.1, first.0, first.2);
    rig.pass(Duration::from_millis(1_999));
    assert!(rig.commands().is_empty());
    rig.pass(Duration::from_millis(1));
    assert_ne!(rig.sent().1, first.1);
}

#[test]
fn a_late_not_started_starts_no_third_attempt_beside_the_second() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 3);
    let id = rig.sign_in();
    let first = rig.sent();
    rig.silent.insert(first.1);
    rig.pass(Duration::from_millis(400));
    let second = rig.sent();
    rig.answer(first, Answer::NotStarted(NotStarted::Cancelled));
    assert!(rig.commands().is_empty());
    // Nothing is unknown any more: what fails now made no bind.
    rig.answer(second, Answer::NotStarted(NotStarted::NoDirectory));
    let third = rig.sent();
    rig.answer(third, Answer::NotStarted(NotStarted::NoDirectory));
    assert_eq!(rig.settled(), [(id, unavailable(Unavailable::DirectoryDown))]);
}

#[test]
fn what_may_have_been_bound_is_never_called_overloaded() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    let ids: Vec<_> = (0..8).map(|_| rig.sign_in()).collect();
    let sent = rig.sends();
    assert_eq!((sent.len(), rig.core.queued(REALM)), (4, 4));
    rig.core.handle_session_down(rig.now, sent[0].1);
    rig.pass(Duration::ZERO);
    for (id, outcome) in rig.settled() {
        assert!(ids.contains(&id));
        assert_eq!(outcome, unavailable(Unavailable::Indeterminate));
    }
}

#[test]
fn a_new_session_of_an_agent_that_may_have_bound_it_does_not_get_it_again() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    let ids: Vec<_> = (0..4).map(|_| rig.sign_in()).collect();
    let sent = rig.sends();
    let lost = sent[0].1;
    rig.core.handle_session_down(rig.now, lost);
    rig.commands();
    rig.up_as(3, &format!("agent-{}", lost.0));
    let to_the_new_session = rig.sends();
    let had_it: Vec<_> = sent
        .iter()
        .filter(|(_, to, _)| *to == lost)
        .map(|(id, ..)| *id)
        .collect();
    assert_eq!((ids.len(), had_it.len()), (4, 2));
    assert!(
        to_the_new_session.iter().all(|(id, ..)| !had_it.contains(id)),
        "{to_the_new_session:?}"
    );
}
