//! Agents that are not heard: suspected, passed over, and used again.

use super::*;

/// Gives both agents something to do, and makes the first one silent for as long as it takes to suspect it.
fn one_of_two_suspected() -> Rig {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    rig.silent.insert(SessionId(1));
    for _ in 0..4 {
        rig.sign_in();
    }
    rig.pass(Duration::from_millis(250));
    assert_eq!((rig.state(1), rig.state(2)), (AgentState::Suspect, AgentState::Ready));
    rig
}

#[test]
fn a_suspect_gets_nothing_until_it_is_heard() {
    let mut rig = one_of_two_suspected();
    rig.core.handle_status(rig.now, SessionId(2), 100, true);
    rig.commands();
    for _ in 0..10 {
        rig.sign_in();
        assert_eq!(rig.sent().1, SessionId(2));
    }
    rig.core.handle_heard(rig.now, SessionId(1), RTT);
    assert_eq!(rig.state(1), AgentState::Ready);
}

#[test]
fn all_that_a_silent_agent_had_is_given_up_when_the_window_is_past() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    rig.core.handle_status(rig.now, SessionId(2), 100, true);
    rig.silent.insert(SessionId(1));
    for _ in 0..10 {
        rig.sign_in();
    }
    let sent = rig.sends();
    let had: Vec<_> = sent.iter().filter(|(_, session, _)| *session == SessionId(1)).collect();
    assert!(!had.is_empty());
    // It said so of one, which changes nothing: it is silent.
    let &&(flight, session, attempt) = &had[0];
    rig.core.handle_started(rig.now, session, flight, attempt);
    rig.pass(Duration::from_millis(250));
    let retried: BTreeSet<FlightId> = rig.sends().into_iter().map(|(flight, ..)| flight).collect();
    assert_eq!(retried, had.iter().map(|(flight, ..)| *flight).collect());
}

#[test]
fn where_all_are_silent_sign_ins_wait_a_second_for_one_to_be_heard() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    rig.silent.insert(SessionId(1));
    rig.sign_in();
    rig.pass(Duration::from_millis(300));
    rig.commands();
    let waits = rig.sign_in();
    rig.pass(Duration::from_millis(900));
    assert_eq!(rig.sends(), []);
    rig.core.handle_heard(rig.now, SessionId(1), RTT);
    assert_eq!(rig.sent().0, waits);
}

#[test]
fn where_all_stay_silent_the_one_that_was_heard_last_is_used() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 3);
    rig.silent = (1..=3).map(SessionId).collect();
    for id in 1..=3 {
        rig.core.handle_superseded(rig.now, SessionId(id));
        rig.core.handle_status(rig.now, SessionId(id), 9, true);
        rig.core.handle_superseded(rig.now, SessionId(id));
        rig.now = rig.now + Duration::from_millis(10);
    }
    let id = rig.sign_in();
    rig.pass(Duration::from_millis(900));
    assert_eq!(rig.sends(), []);
    rig.pass(Duration::from_millis(100));
    assert_eq!(rig.sent(), (id, SessionId(3), 1));
}

#[test]
fn a_session_of_the_restarted_agent_takes_what_waits_for_the_silent_one() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    rig.silent.insert(SessionId(1));
    rig.sign_in();
    rig.pass(Duration::from_millis(300));
    let waits = rig.sign_in();
    rig.commands();
    rig.up_as(2, "agent-1");
    assert_eq!(rig.sent(), (waits, SessionId(2), 1));
}

#[test]
fn a_relay_that_stood_still_suspects_nobody_and_gives_nobody_up() {
    let mut rig = Rig::new(Ambiguous::Fail, 1);
    let id = rig.sign_in();
    let (flight, session, attempt) = rig.sent();
    rig.core.handle_started(rig.now, session, flight, attempt);
    // Nothing is looked at for three seconds; what came meanwhile is read only after the timers.
    rig.now = rig.now + Duration::from_secs(3);
    rig.core.handle_timeout(rig.now);
    assert_eq!((rig.state(1), rig.settled()), (AgentState::Ready, vec![]));
    rig.answer((flight, session, attempt), RIGHT);
    assert_eq!(rig.settled(), [(id, Outcome::Verdict(Verdict::Success))]);
}

#[test]
fn what_a_suspect_says_counts_before_it_gets_work_for_having_said_it() {
    let tells: [fn(&mut Rig); 2] = [
        |rig| rig.core.handle_draining(rig.now, SessionId(1)),
        |rig| rig.core.handle_status(rig.now, SessionId(1), 2, false),
    ];
    for tell in tells {
        let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
        rig.silent.insert(SessionId(1));
        rig.sign_in();
        rig.pass(Duration::from_millis(300));
        rig.sign_in();
        rig.commands();
        tell(&mut rig);
        assert_eq!(rig.sends(), []);
    }
}

#[test]
fn a_suspect_that_says_that_it_drains_gets_nothing_for_its_answer() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    rig.silent.insert(SessionId(1));
    rig.sign_in();
    let sent = rig.sent();
    // Inside the window, so that it is not given up.
    rig.core.handle_superseded(rig.now, SessionId(1));
    rig.sign_in();
    rig.answer(sent, Answer::NotStarted(NotStarted::Draining));
    assert_eq!(rig.sends(), []);
}

#[test]
fn one_that_was_heard_again_and_still_owes_is_pinged_as_soon_as_anybody() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    rig.silent.insert(SessionId(1));
    rig.sign_in();
    rig.pass(Duration::from_millis(400));
    rig.core.handle_heard(rig.now, SessionId(1), RTT);
    rig.commands();
    rig.pass(Duration::from_millis(100));
    rig.listen();
    let pinged = |command: &Command| matches!(command, Command::Ping { .. });
    assert!(rig.given.iter().any(pinged));
}

#[test]
fn whoever_is_given_up_for_its_silence_is_told_first() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    rig.silent.insert(SessionId(1));
    rig.sign_in();
    rig.now = rig.now + Duration::from_millis(5);
    let id = rig.sign_in();
    rig.up(2);
    rig.commands();
    rig.pass(Duration::from_millis(100));
    // The relay is a little late: the agent's silence is looked at before the second sign-in's window.
    rig.now = rig.now + Duration::from_millis(160);
    rig.core.handle_timeout(rig.now);
    let of_it = |command: Command| match command {
        Command::Cancel { flight, session, .. } if flight == id => Some(("told", session)),
        Command::Send { flight, session, .. } if flight == id => Some(("sent", session)),
        _ => None,
    };
    let given: Vec<_> = rig.commands().into_iter().filter_map(of_it).collect();
    assert_eq!(given, [("told", SessionId(1)), ("sent", SessionId(2))]);
}

#[test]
fn while_all_are_silent_nobody_is_refused_for_a_queue_that_stands() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 0);
    let queue = QueueRules {
        length: 1_000,
        bytes: 1_000_000,
        wait: Duration::from_millis(500),
    };
    let realm = RealmRules {
        queue,
        ..rules(Ambiguous::RetryOnce)
    };
    rig.core = Core::new([realm], 7);
    (1..=3).for_each(|id| rig.up(id));
    let every = Duration::from_millis(20);
    rig.serve(100, every, |_| Some(every));
    rig.silent.extend((1..=3).map(SessionId));
    // In 1.5 s 75 come. Once the agents are back, with six slots, the last of them waits for 250 ms: less than one may,
    // and more than one may in a queue that stands.
    for _ in 0..75 {
        rig.pass(every);
        rig.sign_in();
        let commands = rig.commands();
        let shed = commands.iter().find(|command| matches!(command, Command::Shed(_)));
        assert_eq!(shed, None, "{:?}", rig.now);
    }
    assert!(rig.core.queued(REALM) > 60, "they wait");
    // Nor when they are heard again after a while in which nobody came.
    rig.pass(Duration::from_secs(1));
    rig.commands();
    rig.silent.clear();
    (1..=3).for_each(|id| rig.core.handle_heard(rig.now, SessionId(id), RTT));
    rig.commands();
    rig.sign_in();
    let commands = rig.commands();
    assert!(
        !commands.iter().any(|command| matches!(command, Command::Shed(_))),
        "{commands:?}"
    );
}
