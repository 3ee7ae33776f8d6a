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
    for reason in [NotStarted::CannotOpen, NotStarted::Replayed, NotStarted::Refused] {
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
fn an_agent_whose_wall_clock_is_wrong_costs_no_caller_a_sign_in_and_is_passed_over_soon() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 3);
    let mut asked = 0;
    for user in 0..20 {
        let id = rig.sign_in_of(user, Some(&["kid"]));
        let mut sent = rig.sent();
        if sent.1 == SessionId(1) {
            asked += 1;
            // The relay has seen that it has not expired.
            rig.answer(sent, Answer::NotStarted(NotStarted::Expired));
            sent = rig.sent();
        }
        rig.answer(sent, RIGHT);
        assert_eq!(rig.settled(), [(id, Outcome::Verdict(Verdict::Success))]);
    }
    assert_eq!((asked, rig.state(1)), (3, AgentState::Ejected));
}

#[test]
fn the_only_agent_is_asked_again_when_the_request_was_too_long_on_its_way() {
    for late in [NotStarted::WindowPassed, NotStarted::Cancelled] {
        let mut rig = Rig::new(Ambiguous::Fail, 1);
        let id = rig.sign_in();
        let first = rig.sent();
        rig.pass(Duration::from_millis(250));
        let told = rig.commands();
        let Some(Command::Cancel { start_by, .. }) = told.first() else {
            panic!("{told:?}");
        };
        rig.answer(first, Answer::NotStarted(late));
        rig.pass(Duration::from_millis(50));
        let again = rig.commands().into_iter().find_map(|command| match command {
            Command::Send { start_by, .. } => Some(start_by),
            _ => None,
        });
        // So the agent can tell the two apart.
        assert!(again.unwrap() > *start_by, "{late:?}");
        rig.answer((id, first.1, 2), RIGHT);
        assert_eq!(rig.settled(), [(id, Outcome::Verdict(Verdict::Success))], "{late:?}");
    }
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

#[test]
fn what_was_never_sent_goes_to_another_at_once_and_says_nothing_of_the_agent() {
    let mut rig = Rig::new(Ambiguous::Fail, 2);
    let id = rig.sign_in();
    let (flight, first, attempt) = rig.sent();
    rig.pass(Duration::from_millis(50));
    let heard = |rig: &Rig| rig.core.agents.get(first).unwrap().liveness.last_heard();
    let before = heard(&rig);
    rig.core.handle_answer(rig.now, first, flight, attempt, Answer::Unsent);
    let (again, second, _) = rig.sent();
    assert_eq!(again, id);
    assert_ne!(second, first);
    assert_eq!(heard(&rig), before);
    assert_eq!(rig.state(first.0), AgentState::Draining, "its session is ending");
}
