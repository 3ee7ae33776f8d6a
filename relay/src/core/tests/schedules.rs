//! Random schedules of everything that can happen, each command held against the rules that must always hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use postern_protocol::{Moment, NotStarted, Outcome, Unavailable, Verdict};
use proptest::prelude::*;

use super::{DEADLINE, REALM, Rig};
use crate::config::Ambiguous;
use crate::core::{Answer, AttemptNumber, Command, FlightId, MAX_ATTEMPTS, SessionId, Timer};

/// Something that happens in a random schedule.
#[derive(Debug, Clone)]
enum Step {
    SignIn { user: u64, sealed: bool },
    Up,
    Down(usize),
    Draining(usize),
    Status(usize, u32, bool),
    Superseded(usize),
    Alive(usize),
    Started(usize),
    Answer(usize, Answer),
    CallerGone(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop::sample::select(&Verdict::ALL[..]).prop_map(|verdict| Answer::Verdict(verdict, None));
    let not_started = prop::sample::select(&NotStarted::ALL[..]).prop_map(Answer::NotStarted);
    let answer = prop_oneof![4 => verdict, 3 => not_started, 1 => Just(Answer::NotChecked), 1 => Just(Answer::AccountNotChecked), 1 => Just(Answer::Lost), 1 => Just(Answer::Unsent)];
    prop_oneof![
        8 => (0u64..6, any::<bool>()).prop_map(|(user, sealed)| Step::SignIn { user, sealed }),
        2 => Just(Step::Up),
        1 => any::<usize>().prop_map(Step::Down),
        1 => any::<usize>().prop_map(Step::Draining),
        1 => (any::<usize>(), 1u32..4, any::<bool>()).prop_map(|(at, slots, ready)| Step::Status(at, slots, ready)),
        1 => any::<usize>().prop_map(Step::Superseded),
        1 => any::<usize>().prop_map(Step::Alive),
        4 => any::<usize>().prop_map(Step::Started),
        8 => (any::<usize>(), answer).prop_map(|(at, answer)| Step::Answer(at, answer)),
        1 => any::<usize>().prop_map(Step::CallerGone),
        5 => (0u64..1_500_000).prop_map(Step::Pass),
    ]
}

/// Watches every command and holds it against the rules.
#[derive(Default)]
struct Watch {
    settled: BTreeMap<FlightId, (Outcome, Moment)>,
    asked: BTreeMap<FlightId, Moment>,
    sent: Vec<(FlightId, SessionId, AttemptNumber)>,
    /// Open streams, each with whether the agent has answered that it made no bind.
    open: Vec<(FlightId, SessionId, AttemptNumber)>,
    answered_without_bind: Vec<(FlightId, AttemptNumber)>,
    /// Attempts of which the directory said that it did not check the password.
    not_checked: Vec<(FlightId, AttemptNumber)>,
    /// Slots as each session last announced them.
    slots: BTreeMap<SessionId, usize>,
    user: BTreeMap<FlightId, u64>,
    /// How often it became unknown whether a bind was made.
    ambiguous: BTreeMap<FlightId, usize>,
    retried: BTreeSet<FlightId>,
    verdicts: BTreeMap<FlightId, Vec<Verdict>>,
}

impl Watch {
    fn take(&mut self, rig: &mut Rig) {
        for command in rig.commands() {
            match command {
                Command::Send {
                    flight,
                    session,
                    attempt,
                    start_by,
                } => {
                    assert!(!self.settled.contains_key(&flight), "sent after it was settled");
                    assert!(attempt <= MAX_ATTEMPTS);
                    assert!(start_by <= rig.now + (self.asked[&flight] + DEADLINE).since(rig.now) / 2);
                    let agent = rig.core.agents.get(session).expect("sent to a session that is gone");
                    assert!(agent.serves());
                    self.sent.push((flight, session, attempt));
                    self.open.push((flight, session, attempt));
                    let at_agent = self.open.iter().filter(|(_, to, _)| *to == session).count();
                    assert!(at_agent <= self.slots[&session], "beyond the agent's slots");
                    let others = self
                        .open
                        .iter()
                        .filter(|(other, _, number)| *other == flight && *number != attempt);
                    let given_up = self.ambiguous.get(&flight).copied().unwrap_or(0);
                    assert!(others.count() <= given_up, "hedged");
                    if given_up > 0 && self.retried.insert(flight) {
                        let user = self.user[&flight];
                        let of_user = self.retried.iter().filter(|other| self.user[other] == user).count();
                        assert!(of_user == 1, "two extra attempts of one user");
                    }
                }
                Command::Settle { flight, outcome, .. } => {
                    assert!(
                        self.settled.insert(flight, (outcome, rig.now)).is_none(),
                        "settled twice"
                    );
                    match outcome {
                        Outcome::Verdict(verdict) => {
                            let given = self.verdicts.get(&flight).is_some_and(|given| given.contains(&verdict));
                            assert!(given, "a verdict that no agent gave");
                        }
                        Outcome::Unavailable(Unavailable::Indeterminate) => {}
                        other => assert!(
                            !self.may_have_been_tried(flight),
                            "{other} of a password that may be tried"
                        ),
                    }
                }
                Command::BecameAmbiguous { flight, .. } => {
                    *self.ambiguous.entry(flight).or_default() += 1;
                }
                Command::Cancel { .. }
                | Command::HandedOff { .. }
                | Command::Ping { .. }
                | Command::Opinion { .. }
                | Command::Shed(_) => {}
            }
        }
    }

    /// Lets time pass, and takes commands at the time at which they are given.
    fn pass(&mut self, rig: &mut Rig, duration: Duration) {
        let until = rig.now + duration;
        while let Some(at) = rig.core.next_timeout().filter(|&at| at <= until) {
            rig.now = at.max(rig.now);
            rig.core.handle_timeout(rig.now);
            self.take(rig);
        }
        rig.now = until;
    }

    /// Whether some attempt of a flight may have led to a bind that checked the password.
    fn may_have_been_tried(&self, flight: FlightId) -> bool {
        let settled = |attempt: AttemptNumber| {
            let known = (flight, attempt);
            self.answered_without_bind.contains(&known) || self.not_checked.contains(&known)
        };
        self.sent
            .iter()
            .any(|(sent, _, attempt)| *sent == flight && !settled(*attempt))
    }

    /// Attempts of a flight that may have led to a bind.
    fn possible_binds(&self, flight: FlightId) -> usize {
        let possible = |sent: &&(FlightId, SessionId, AttemptNumber)| {
            sent.0 == flight && !self.answered_without_bind.contains(&(flight, sent.2))
        };
        self.sent.iter().filter(possible).count()
    }
}

fn run(ambiguous: Ambiguous, steps: Vec<Step>) {
    let mut rig = Rig::new(ambiguous, 2);
    let slots = BTreeMap::from([(SessionId(1), 2), (SessionId(2), 2)]);
    let mut watch = Watch {
        slots,
        ..Watch::default()
    };
    let mut sessions = vec![SessionId(1), SessionId(2)];
    let mut last_session = 2;
    let pick = |list: &[SessionId], at: usize| list.get(at % list.len().max(1)).copied();
    for step in steps {
        match step {
            Step::SignIn { user, sealed } => {
                watch.asked.insert(FlightId(rig.next), rig.now);
                watch.user.insert(FlightId(rig.next), user);
                rig.sign_in_of(user, sealed.then_some(&["kid"]));
            }
            Step::Up => {
                last_session += 1;
                sessions.push(SessionId(last_session));
                rig.up_as(last_session, &format!("agent-{}", last_session % 3));
                watch.slots.insert(SessionId(last_session), 2);
            }
            Step::Down(at) => {
                if let Some(id) = pick(&sessions, at) {
                    sessions.retain(|other| *other != id);
                    watch.open.retain(|(_, session, _)| *session != id);
                    rig.core.handle_session_down(rig.now, id);
                }
            }
            Step::Draining(at) => pick(&sessions, at)
                .into_iter()
                .for_each(|id| rig.core.handle_draining(rig.now, id)),
            Step::Status(at, slots, ready) => {
                if let Some(id) = pick(&sessions, at) {
                    watch.slots.insert(id, slots as usize);
                    rig.core.handle_status(rig.now, id, slots, ready);
                }
            }
            Step::Superseded(at) => pick(&sessions, at)
                .into_iter()
                .for_each(|id| rig.core.handle_superseded(rig.now, id)),
            Step::Alive(at) => {
                pick(&sessions, at)
                    .into_iter()
                    .for_each(|id| rig.core.handle_heard(rig.now, id, Duration::ZERO));
            }
            Step::Started(at) => {
                if let Some(&(flight, session, attempt)) = watch.open.get(at % watch.open.len().max(1)) {
                    rig.core.handle_started(rig.now, session, flight, attempt);
                }
            }
            Step::Answer(at, answer) => {
                if !watch.open.is_empty() {
                    let (flight, session, attempt) = watch.open.swap_remove(at % watch.open.len());
                    match answer {
                        Answer::NotStarted(reason) => {
                            watch.answered_without_bind.push((flight, attempt));
                            if reason == NotStarted::NoMatch {
                                let given = watch.verdicts.entry(flight).or_default();
                                given.push(Verdict::InvalidCredentials);
                            }
                        }
                        Answer::Verdict(verdict, _) => watch.verdicts.entry(flight).or_default().push(verdict),
                        Answer::NotChecked | Answer::AccountNotChecked => watch.not_checked.push((flight, attempt)),
                        Answer::Unsent => watch.answered_without_bind.push((flight, attempt)),
                        Answer::Lost => {}
                    }
                    rig.core.handle_answer(rig.now, session, flight, attempt, answer);
                }
            }
            Step::CallerGone(at) => {
                if rig.next > 0 {
                    rig.core.handle_caller_gone(FlightId(at as u64 % rig.next));
                }
            }
            Step::Pass(us) => watch.pass(&mut rig, Duration::from_micros(us)),
        }
        watch.take(&mut rig);
        rig.core.agents.assert_counted();
        let queued = rig.core.queued(REALM);
        assert!(queued <= 4, "the queue is beyond its bound");
    }
    watch.pass(&mut rig, DEADLINE);
    assert_eq!(rig.core.unsettled(), 0, "not settled by its deadline");
    assert!(
        !rig.core
            .timers
            .iter()
            .any(|(_, timer)| matches!(timer, Timer::Flight(_)))
    );
    for (flight, asked) in &watch.asked {
        let (_, at) = watch.settled.get(flight).expect("never settled");
        assert!(at.since(*asked) <= DEADLINE, "settled after its deadline");
        let most = if ambiguous == Ambiguous::Fail { 1 } else { 2 };
        assert!(
            watch.possible_binds(*flight) <= most,
            "{flight:?} may have been bound more than {most} times"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn under_fail_every_schedule_settles_once_in_time_with_at_most_one_bind(steps in prop::collection::vec(step(), 1..120)) {
        run(Ambiguous::Fail, steps);
    }

    #[test]
    fn under_retry_once_every_schedule_settles_once_in_time_with_at_most_two_binds(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        run(Ambiguous::RetryOnce, steps);
    }
}
