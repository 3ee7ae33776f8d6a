//! To whom a sign-in goes, and when it is said at once that it goes nowhere.

use super::*;

#[test]
fn a_verdict_settles_and_frees_the_slot() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    let id = rig.sign_in();
    let sent = rig.sent();
    rig.answer(sent, RIGHT);
    assert_eq!(rig.settled(), [(id, Outcome::Verdict(Verdict::Success))]);
    assert!(rig.core.is_quiet());
}

#[test]
fn sign_ins_go_to_the_agent_with_the_fewest_and_never_beyond_its_slots() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    for _ in 0..5 {
        rig.sign_in();
    }
    let mut per_agent = BTreeMap::<SessionId, usize>::new();
    for (_, session, _) in rig.sends() {
        *per_agent.entry(session).or_default() += 1;
    }
    assert_eq!(per_agent.into_values().collect::<Vec<_>>(), [2, 2]);
    assert_eq!(rig.core.queued(REALM), 1);
}

#[test]
fn a_free_slot_takes_the_one_that_waits_longest() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    let ids: Vec<_> = (0..4).map(|_| rig.sign_in()).collect();
    let first = rig.sends()[0];
    rig.answer(first, RIGHT);
    assert_eq!(rig.sent().0, ids[2]);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    for _ in 0..6 {
        rig.sign_in();
    }
    rig.commands();
    let refused = rig.sign_in();
    assert_eq!(
        rig.commands()[0],
        Command::Shed(Shed::QueueLength),
        "the metrics tell why"
    );
    assert_eq!(rig.core.queued(REALM), 4);
    assert!(!rig.core.flights.contains_key(&refused));
}

#[test]
fn who_would_wait_for_too_long_is_refused_at_once() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    rig.sign_in();
    let sent = rig.sent();
    rig.pass(Duration::from_millis(400));
    rig.answer(sent, RIGHT);
    // Two at once, each for 400 ms: the third of those that wait would wait for 600.
    let ids: Vec<_> = (0..5).map(|_| rig.sign_in()).collect();
    assert_eq!(rig.core.queued(REALM), 2);
    assert_eq!(
        rig.settled(),
        [
            (sent.0, Outcome::Verdict(Verdict::Success)),
            (ids[4], unavailable(Unavailable::Overloaded))
        ]
    );
}

#[test]
fn without_an_agent_it_is_said_at_once_unless_one_has_just_left() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 0);
    let id = rig.sign_in();
    assert_eq!(rig.settled(), [(id, unavailable(Unavailable::NoAgent))]);

    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    rig.core.handle_session_down(rig.now, SessionId(1));
    let waits = rig.sign_in();
    assert!(rig.settled().is_empty());
    rig.pass(Duration::from_secs(1));
    rig.up(2);
    assert_eq!(rig.sent(), (waits, SessionId(2), 1));
    rig.core.handle_session_down(rig.now, SessionId(2));
    rig.pass(DEADLINE);
    let too_late = rig.sign_in();
    assert!(rig.settled().contains(&(too_late, unavailable(Unavailable::NoAgent))));
}

#[test]
fn what_a_caller_sealed_goes_only_to_agents_that_can_open_it() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    let mut other = agent(2);
    other.kid = "other".to_owned();
    other.name = "other".into();
    rig.core.handle_session_up(rig.now, SessionId(2), other);
    for _ in 0..2 {
        rig.sign_in_of(1, Some(&["other"]));
        assert_eq!(rig.sent().1, SessionId(2));
    }
    let stale = rig.sign_in_of(1, Some(&["gone"]));
    assert_eq!(rig.settled(), [(stale, Outcome::StaleKey)]);
    rig.core.handle_key_change(rig.now, SessionId(1), "new".to_owned());
    rig.sign_in_of(1, Some(&["kid"]));
    assert_eq!(rig.sent().1, SessionId(1), "the key before the current one still opens");
}

#[test]
fn nothing_goes_to_an_agent_that_drains_has_no_directory_or_is_in_doubt() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 4);
    rig.core.handle_draining(rig.now, SessionId(1));
    rig.core.handle_status(rig.now, SessionId(2), 2, false);
    rig.silent.insert(SessionId(3));
    rig.core.handle_superseded(rig.now, SessionId(3));
    for _ in 0..3 {
        rig.sign_in();
    }
    assert!(rig.sends().iter().all(|(_, session, _)| *session == SessionId(4)));
    rig.core.handle_heard(rig.now, SessionId(3), RTT);
    assert_eq!(rig.sent().1, SessionId(3));
}

#[test]
fn with_every_directory_down_sign_ins_wait_for_half_a_second_and_then_it_is_said_at_once() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    let ids: Vec<_> = (0..3).map(|_| rig.sign_in()).collect();
    rig.commands();
    rig.core.handle_status(rig.now, SessionId(1), 2, false);
    rig.pass(Duration::from_millis(499));
    assert_eq!(rig.settled(), []);
    rig.pass(Duration::from_millis(1));
    let settled: BTreeMap<_, _> = rig.settled().into_iter().collect();
    assert_eq!(settled[&ids[2]], unavailable(Unavailable::DirectoryDown));
    let later = rig.sign_in();
    assert_eq!(rig.settled(), [(later, unavailable(Unavailable::DirectoryDown))]);
}

#[test]
fn a_directory_that_is_back_at_once_costs_nobody_a_sign_in() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    rig.core.handle_status(rig.now, SessionId(1), 2, false);
    let id = rig.sign_in();
    rig.pass(Duration::from_millis(400));
    rig.core.handle_status(rig.now, SessionId(1), 2, true);
    assert_eq!(rig.sent().0, id);
}
