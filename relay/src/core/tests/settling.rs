//! What a sign-in ends with: the first verdict, the deadline, or nobody who waits.

use super::*;

#[test]
fn the_first_verdict_wins_and_the_other_attempt_is_cancelled() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    rig.sign_in();
    let first = rig.sent();
    rig.silent.insert(first.1);
    rig.pass(Duration::from_millis(400));
    let second = rig.sent();
    rig.answer(first, Answer::Verdict(Verdict::InvalidCredentials, None));
    let commands = rig.commands();
    assert!(
        commands.iter().any(|command| is_cancel(command, second)),
        "{commands:?}"
    );
    assert!(matches!(
        commands.last(),
        Some(Command::Settle {
            outcome: Outcome::Verdict(Verdict::InvalidCredentials),
            ..
        })
    ));
    rig.answer(second, RIGHT);
    assert!(rig.settled().is_empty(), "settled twice");
}

#[test]
fn a_verdict_for_what_an_agent_was_not_sent_changes_nothing() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    rig.sign_in();
    let (flight, session, attempt) = rig.sent();
    let other = if session == SessionId(1) {
        SessionId(2)
    } else {
        SessionId(1)
    };
    rig.answer((flight, other, attempt), RIGHT);
    rig.answer((flight, session, attempt + 1), RIGHT);
    rig.answer((FlightId(77), session, attempt), RIGHT);
    rig.answer((flight, SessionId(9), attempt), RIGHT);
    assert!(rig.settled().is_empty());
}

#[test]
fn whose_account_it_is_comes_with_the_verdict_that_settles() {
    let subject = |byte| {
        Some(Box::new(Subject {
            object_guid: Some([byte; 16]),
            entry_uuid: None,
            upn: None,
        }))
    };
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    let id = rig.sign_in();
    let sent = rig.sent();
    // Of an attempt that was never made.
    let forged = (sent.0, sent.1, sent.2 + 1);
    rig.answer(forged, Answer::Verdict(Verdict::Success, subject(1)));
    rig.answer(sent, Answer::Verdict(Verdict::Success, subject(2)));
    let settled = rig.commands().into_iter().find_map(|command| match command {
        Command::Settle { flight, subject, .. } => Some((flight, subject)),
        _ => None,
    });
    assert_eq!(settled, Some((id, subject(2))));
}

#[test]
fn at_the_deadline_what_waited_is_a_timeout_and_what_was_sent_is_indeterminate() {
    let mut rig = Rig::new(Ambiguous::Fail, 1);
    let ids: Vec<_> = (0..3).map(|_| rig.sign_in()).collect();
    let sent = rig.sends();
    for (flight, session, attempt) in sent {
        rig.core.handle_started(rig.now, session, flight, attempt);
    }
    rig.pass(DEADLINE);
    let outcomes: BTreeMap<_, _> = rig.settled().into_iter().collect();
    assert_eq!(outcomes[&ids[0]], unavailable(Unavailable::Indeterminate));
    assert_eq!(outcomes[&ids[2]], unavailable(Unavailable::Timeout));
}

#[test]
fn a_caller_that_goes_away_cancels_and_leaves_nothing_behind() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    let sent: Vec<_> = (0..3).map(|_| rig.sign_in()).collect();
    rig.commands();
    for id in sent {
        rig.core.handle_caller_gone(id);
    }
    let cancels = rig
        .commands()
        .into_iter()
        .filter(|command| matches!(command, Command::Cancel { .. }))
        .count();
    assert_eq!((cancels, rig.core.unsettled(), rig.core.queued(REALM)), (2, 0, 0));
    assert_eq!(rig.core.flights.len() + rig.core.queued_bytes(REALM), 0);
}
