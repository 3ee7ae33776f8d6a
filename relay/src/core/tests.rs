//! Stories of single sign-ins, each a rule. Random schedules are in [`schedules`].

mod schedules;

use std::collections::BTreeMap;
use std::sync::Arc;

use postern_protocol::Verdict;

use super::*;

const REALM: RealmIndex = RealmIndex(0);
const DEADLINE: Duration = Duration::from_secs(4);

fn rules(ambiguous: Ambiguous) -> RealmRules {
    RealmRules {
        ambiguous,
        lockout_window: Duration::from_secs(1800),
        queue_length: 4,
        queue_bytes: 4_000,
        agent_return: DEADLINE,
    }
}

fn agent(slots: u32) -> AgentSession {
    AgentSession {
        realm: REALM,
        name: "".into(),
        slots,
        directory_ready: true,
        kid: "kid".to_owned(),
        previous_kid: None,
        rtt: Duration::from_millis(10),
        draining: false,
        in_doubt: false,
        outstanding: 0,
    }
}

/// A core and its time, with the commands it gave.
struct Rig {
    core: Core,
    now: Moment,
    next: u64,
}

impl Rig {
    /// A session of the agent of the same number.
    fn up(&mut self, id: u64) {
        self.up_as(id, &format!("agent-{id}"));
    }

    fn up_as(&mut self, id: u64, name: &str) {
        let session = AgentSession {
            name: name.into(),
            ..agent(2)
        };
        self.core.handle_session_up(self.now, SessionId(id), session);
    }

    fn new(ambiguous: Ambiguous, agents: u64) -> Self {
        let mut rig = Self {
            core: Core::new([rules(ambiguous)], 7),
            now: Moment(1_000_000),
            next: 0,
        };
        for id in 1..=agents {
            rig.up(id);
        }
        rig
    }

    fn sign_in(&mut self) -> FlightId {
        self.sign_in_of(self.next, None)
    }

    fn sign_in_of(&mut self, user: u64, recipients: Option<&[&str]>) -> FlightId {
        let id = FlightId(self.next);
        self.next += 1;
        let recipients = recipients.map(|kids| Arc::new(kids.iter().map(|kid| (*kid).to_owned()).collect()));
        let sign_in = SignIn {
            realm: REALM,
            user,
            deadline: self.now + DEADLINE,
            bytes: 100,
            recipients,
        };
        self.core.handle_sign_in(self.now, id, sign_in);
        id
    }

    fn commands(&mut self) -> Vec<Command> {
        std::iter::from_fn(|| self.core.poll_command()).collect()
    }

    /// The one attempt that was sent just now.
    fn sent(&mut self) -> (FlightId, SessionId, AttemptNumber) {
        let sent: Vec<_> = self.sends();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent[0]
    }

    fn sends(&mut self) -> Vec<(FlightId, SessionId, AttemptNumber)> {
        let send = |command| match command {
            Command::Send {
                flight,
                session,
                attempt,
                ..
            } => Some((flight, session, attempt)),
            _ => None,
        };
        self.commands().into_iter().filter_map(send).collect()
    }

    fn settled(&mut self) -> Vec<(FlightId, Outcome)> {
        let settle = |command| match command {
            Command::Settle { flight, outcome, .. } => Some((flight, outcome)),
            _ => None,
        };
        self.commands().into_iter().filter_map(settle).collect()
    }

    fn answer(&mut self, (flight, session, attempt): (FlightId, SessionId, AttemptNumber), answer: Answer) {
        self.core.handle_answer(self.now, session, flight, attempt, answer);
    }

    /// Lets time pass, with every timer at its time.
    fn pass(&mut self, duration: Duration) {
        let until = self.now + duration;
        while let Some(at) = self.core.next_timeout().filter(|&at| at <= until) {
            self.now = at.max(self.now);
            self.core.handle_timeout(self.now);
        }
        self.now = until;
    }
}

const RIGHT: Answer = Answer::Verdict(Verdict::Success, None);

fn unavailable(reason: Unavailable) -> Outcome {
    Outcome::Unavailable(reason)
}

#[test]
fn a_verdict_settles_and_frees_the_slot() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    let id = rig.sign_in();
    let sent = rig.sent();
    rig.answer(sent, RIGHT);
    assert_eq!(rig.settled(), [(id, Outcome::Verdict(Verdict::Success))]);
    assert_eq!(
        rig.core
            .sessions(REALM)
            .map(|(_, agent)| agent.outstanding)
            .sum::<u32>(),
        0
    );
    assert_eq!((rig.core.unsettled(), rig.core.next_timeout()), (0, None));
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
    assert_eq!(rig.settled(), [(refused, unavailable(Unavailable::Overloaded))]);
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
        // Past the first start window and the cancel after it, within the second.
        rig.pass(Duration::from_millis(500));
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
fn silence_past_the_start_window_is_cancelled_first_and_retried_after_that() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    rig.sign_in();
    let first = rig.sent();
    rig.pass(Duration::from_millis(249));
    assert!(rig.commands().is_empty());
    rig.pass(Duration::from_millis(1));
    assert_eq!(
        rig.commands(),
        [Command::Cancel {
            flight: first.0,
            session: first.1
        }]
    );
    rig.pass(Duration::from_millis(120));
    let second = rig.sent();
    assert_ne!(second.1, first.1);
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
fn the_first_verdict_wins_and_the_other_attempt_is_cancelled() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    let id = rig.sign_in();
    let first = rig.sent();
    rig.pass(Duration::from_millis(400));
    let second = rig.sent();
    rig.answer(first, Answer::Verdict(Verdict::InvalidCredentials, None));
    let commands = rig.commands();
    assert!(
        commands.contains(&Command::Cancel {
            flight: id,
            session: second.1
        }),
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
    rig.core.handle_superseded(SessionId(3));
    for _ in 0..3 {
        rig.sign_in();
    }
    assert!(rig.sends().iter().all(|(_, session, _)| *session == SessionId(4)));
    rig.core.handle_alive(rig.now, SessionId(3), Duration::ZERO);
    assert_eq!(rig.sent().1, SessionId(3));
}

#[test]
fn with_every_directory_down_it_is_said_at_once_to_those_that_wait_too() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
    let ids: Vec<_> = (0..3).map(|_| rig.sign_in()).collect();
    rig.commands();
    rig.core.handle_status(rig.now, SessionId(1), 2, false);
    assert_eq!(rig.settled(), [(ids[2], unavailable(Unavailable::DirectoryDown))]);
    let later = rig.sign_in();
    assert_eq!(rig.settled(), [(later, unavailable(Unavailable::DirectoryDown))]);
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
    assert_eq!(rig.core.next_timeout(), None);
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
fn a_late_not_started_starts_no_third_attempt_beside_the_second() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 3);
    let id = rig.sign_in();
    let first = rig.sent();
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
    for (id, outcome) in rig.settled() {
        assert!(ids.contains(&id));
        assert_eq!(outcome, unavailable(Unavailable::Indeterminate));
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

/// The core decides; it does not look at clocks, roll its own dice or talk to anybody.
#[test]
fn the_core_imports_no_input_output_clock_or_entropy() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.push(folder.with_extension("rs"));
    files.retain(|file| file.is_file() && !file.ends_with("tests.rs"));
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for banned in [
            "tokio",
            "quinn",
            "hyper",
            "axum",
            "Instant",
            "SystemTime",
            "rand::random",
            "os_rng",
            "rand::rng()",
            "std::net",
            "std::fs",
        ] {
            assert!(!text.contains(banned), "{} mentions {banned}", file.display());
        }
    }
}
