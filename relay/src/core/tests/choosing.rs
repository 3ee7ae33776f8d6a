//! What agents get beside each other: by how fast they are, what they have in hand, and how often they failed.

use super::*;

impl Rig {
    /// `count` sign-ins, one every `every`, each answered after the time that `took` has for its agent. Gives how many
    /// each agent got.
    pub(super) fn serve(
        &mut self,
        count: u64,
        every: Duration,
        took: impl Fn(u64) -> Option<Duration>,
    ) -> BTreeMap<u64, u64> {
        let mut got = BTreeMap::new();
        type Sent = (FlightId, SessionId, AttemptNumber);
        let mut answers: BTreeMap<(Moment, Sent), Sent> = BTreeMap::new();
        let mut next = self.now;
        for number in 0..count {
            next = next + every;
            while let Some(((at, _), sent)) = answers.first_key_value().map(|(key, sent)| (*key, *sent))
                && at <= next
            {
                self.pass(at.since(self.now));
                answers.remove(&(at, sent));
                let answer = took(sent.1.0).map_or(Answer::NotChecked, |_| RIGHT);
                self.answer(sent, answer);
            }
            self.pass(next.since(self.now));
            self.sign_in_of(number, None);
            for sent in self.sends() {
                *got.entry(sent.1.0).or_default() += 1;
                let at = self.now + took(sent.1.0).unwrap_or(Duration::from_micros(100));
                answers.insert((at, sent), sent);
            }
        }
        got
    }
}

impl Rig {
    /// Has an agent fail three users, and the others busy meanwhile.
    fn eject(&mut self, agent: u64) {
        let others: Vec<SessionId> = self
            .core
            .sessions(REALM)
            .map(|(id, _)| id)
            .filter(|id| id.0 != agent)
            .collect();
        others
            .iter()
            .for_each(|id| self.core.handle_status(self.now, *id, 0, true));
        for user in 0..3 {
            self.sign_in_of(1_000_000 + user, None);
            let sent = self.sent();
            assert_eq!(sent.1, SessionId(agent));
            self.answer(sent, Answer::NotChecked);
        }
        others
            .iter()
            .for_each(|id| self.core.handle_status(self.now, *id, 1_000, true));
        assert_eq!(self.state(agent), AgentState::Ejected);
        self.commands();
    }
}

const MS: Duration = Duration::from_millis(1);

fn roomy(agents: u64) -> Rig {
    let mut rig = Rig::new(Ambiguous::RetryOnce, agents);
    for id in 1..=agents {
        rig.core.handle_status(rig.now, SessionId(id), 1_000, true);
    }
    rig
}

#[test]
fn agents_that_are_alike_get_as_much() {
    let mut rig = roomy(4);
    let got = rig.serve(8_000, MS, |_| Some(MS * 5));
    assert!(got.values().all(|count| (1_800..=2_200).contains(count)), "{got:?}");
}

#[test]
fn one_that_is_ten_times_slower_gets_little() {
    let mut rig = roomy(3);
    let got = rig.serve(8_000, MS, |agent| Some(MS * if agent == 1 { 50 } else { 5 }));
    assert!(got[&1] < 800, "{got:?}");
}

#[test]
fn one_that_answers_suspiciously_fast_attracts_nothing() {
    let mut rig = roomy(4);
    let got = rig.serve(8_000, MS, |agent| Some(if agent == 1 { MS / 10 } else { MS * 10 }));
    // Drawn for half of them, it would have 4,000.
    assert!((1_500..2_400).contains(&got[&1]), "{got:?}");
}

#[test]
fn where_one_is_much_faster_one_that_fails_attracts_nothing_all_the_same() {
    let mut rig = roomy(3);
    let took = |agent| Some(MS * if agent == 1 { 2 } else { 10 });
    rig.serve(1_000, MS, took);
    let got = rig.serve(4_000, MS, |agent| if agent == 3 { None } else { took(agent) });
    assert!(got[&3] < 20, "{got:?}");
    // Of the two that are left the fast one wins the draw until it has five times as much in hand: three quarters.
    assert!((1_000..3_200).contains(&got[&1]), "{got:?}");
}

#[test]
fn what_was_thought_of_an_agent_long_ago_does_not_come_back() {
    let mut rig = roomy(3);
    rig.eject(1);
    rig.up_as(9, "agent-1");
    rig.core.handle_session_down(rig.now, SessionId(1));
    rig.pass(Duration::from_secs(1));
    rig.commands();
    rig.sign_in();
    let probe = rig.sent();
    assert_eq!(probe.1, SessionId(9));
    rig.answer(probe, RIGHT);
    assert_eq!(rig.state(9), AgentState::Ready);
    rig.pass(Duration::from_secs(60));
    rig.core.handle_session_down(rig.now, SessionId(9));
    rig.up_as(10, "agent-1");
    assert_eq!(rig.state(10), AgentState::Ready);
}

#[test]
fn of_two_agents_the_slow_one_gets_little_though_the_other_is_much_faster() {
    let mut rig = roomy(2);
    let got = rig.serve(4_000, MS, |agent| Some(MS * if agent == 1 { 50 } else { 5 }));
    assert!(got[&1] < 800, "{got:?}");
}

#[test]
fn one_that_fails_fast_attracts_nothing() {
    let mut rig = roomy(3);
    let got = rig.serve(4_000, MS, |agent| (agent != 1).then_some(MS * 5));
    assert!(got[&1] < 10, "{got:?}");
}

#[test]
fn one_that_is_new_starts_slowly() {
    let mut rig = roomy(3);
    rig.serve(3_000, MS, |_| Some(MS * 5));
    rig.up(4);
    rig.core.handle_status(rig.now, SessionId(4), 1_000, true);
    let at_first = rig.serve(200, MS, |_| Some(MS * 5));
    rig.serve(2_000, MS, |_| Some(MS * 5));
    let later = rig.serve(2_000, MS, |_| Some(MS * 5));
    let share = |got: &BTreeMap<u64, u64>, all| got.get(&4).copied().unwrap_or(0) as f64 / all;
    assert!(share(&at_first, 200.0) < 0.1, "{at_first:?}");
    assert!(share(&later, 2_000.0) > 0.2, "{later:?}");
}

#[test]
fn an_ejected_agent_is_probed_with_one_sign_in_and_a_good_one_brings_it_back() {
    let mut rig = roomy(3);
    rig.eject(1);
    for _ in 0..20 {
        rig.sign_in();
        assert_ne!(rig.sent().1, SessionId(1));
    }
    rig.pass(Duration::from_secs(1));
    rig.commands();
    rig.sign_in();
    let probe = rig.sent();
    assert_eq!(probe.1, SessionId(1));
    for _ in 0..20 {
        rig.sign_in();
    }
    assert!(
        rig.sends().iter().all(|(_, session, _)| *session != SessionId(1)),
        "one probe"
    );
    rig.answer(probe, RIGHT);
    assert_eq!(rig.state(1), AgentState::Ready);
}

#[test]
fn while_more_than_half_would_be_ejected_nobody_is_passed_over() {
    let mut rig = roomy(3);
    rig.eject(1);
    rig.eject(2);
    rig.core.handle_status(rig.now, SessionId(3), 0, true);
    rig.commands();
    rig.sign_in();
    assert_ne!(rig.sent().1, SessionId(3));
}

#[test]
fn what_a_caller_can_cause_changes_nothing_in_what_is_thought_of_an_agent() {
    let words = [
        (Answer::AccountNotChecked, None),
        (Answer::NotStarted(NotStarted::Refused), None),
        (Answer::NotStarted(NotStarted::NoMatch), None),
        (Answer::NotStarted(NotStarted::NoLookUp), None),
        (Answer::NotStarted(NotStarted::CannotOpen), Some(&["kid"][..])),
        (Answer::NotStarted(NotStarted::Replayed), Some(&["kid"])),
    ];
    for (word, recipients) in words {
        let mut rig = Rig::new(Ambiguous::RetryOnce, 1);
        rig.serve(20, MS, |_| Some(MS));
        rig.pass(DEADLINE);
        rig.commands();
        let before = rig.core.handicap(rig.now, SessionId(1));
        for user in 0..20 {
            rig.sign_in_of(1_000 + user, recipients);
            let sent = rig.sent();
            rig.answer(sent, word.clone());
            rig.commands();
        }
        assert_eq!(rig.state(1), AgentState::Ready, "{word:?}");
        assert_eq!(rig.core.handicap(rig.now, SessionId(1)), before, "{word:?}");
    }
}

#[test]
fn a_second_session_of_an_ejected_agent_is_ejected_as_well() {
    let mut rig = roomy(3);
    rig.eject(1);
    rig.up_as(9, "agent-1");
    rig.commands();
    assert_eq!(rig.state(9), AgentState::Ejected);
    // And when the first one is gone.
    rig.core.handle_session_down(rig.now, SessionId(1));
    rig.up_as(10, "agent-1");
    assert_eq!(rig.state(10), AgentState::Ejected);
    rig.up_as(11, "agent-4");
    assert_eq!(rig.state(11), AgentState::Ready);
}

#[test]
fn a_session_that_ends_well_is_no_way_out_for_one_that_was_ejected() {
    let mut rig = roomy(3);
    rig.up_as(9, "agent-1");
    rig.core.handle_status(rig.now, SessionId(9), 0, true);
    rig.eject(1);
    assert_eq!((rig.state(1), rig.state(9)), (AgentState::Ejected, AgentState::Ready));
    rig.core.handle_session_down(rig.now, SessionId(1));
    rig.core.handle_session_down(rig.now, SessionId(9));
    rig.up_as(10, "agent-1");
    assert_eq!(rig.state(10), AgentState::Ejected);
}

#[test]
fn a_late_word_on_a_probe_that_was_given_up_brings_the_next_one_no_nearer() {
    let mut rig = roomy(3);
    rig.eject(1);
    rig.pass(Duration::from_secs(1));
    rig.sign_in();
    let probe = rig.sent();
    assert_eq!(probe.1, SessionId(1));
    rig.silent.insert(probe.1);
    rig.pass(Duration::from_secs(1));
    rig.commands();
    rig.silent.clear();
    // It was ejected anew, for 2 s, when the probe was given up.
    rig.answer(probe, Answer::NotStarted(NotStarted::Cancelled));
    rig.pass(Duration::from_millis(1_000));
    assert!((0..20).all(|_| {
        rig.sign_in();
        let sent = rig.sent();
        rig.answer(sent, RIGHT);
        sent.1 != SessionId(1)
    }));
    rig.pass(Duration::from_millis(500));
    rig.sign_in();
    assert_eq!(rig.sent().1, SessionId(1));
}

#[test]
fn a_caller_that_goes_away_is_nobodys_failure() {
    let mut rig = roomy(2);
    let before = rig.core.handicap(rig.now, SessionId(1));
    for user in 0..20 {
        let id = rig.sign_in_of(user, None);
        let sent = rig.sent();
        rig.core.handle_caller_gone(id);
        rig.answer(sent, Answer::NotStarted(NotStarted::Cancelled));
    }
    assert_eq!((rig.state(1), rig.state(2)), (AgentState::Ready, AgentState::Ready));
    assert_eq!(rig.core.handicap(rig.now, SessionId(1)), before);
}

#[test]
fn failures_of_one_user_alone_eject_nobody() {
    let mut rig = roomy(3);
    for _ in 0..30 {
        rig.sign_in_of(7, None);
        let sent = rig.sent();
        rig.answer(sent, Answer::NotChecked);
        rig.commands();
    }
    assert!((1..=3).all(|id| rig.state(id) == AgentState::Ready));
}

#[test]
fn hand_offs_are_bounded_and_those_of_a_draining_agent_are_free() {
    let mut rig = Rig::new(Ambiguous::RetryOnce, 2);
    let mut handed_off = 0;
    for user in 0..1_000 {
        let id = rig.sign_in_of(user, None);
        let sent = rig.sent();
        rig.answer(sent, Answer::NotStarted(NotStarted::Busy));
        match rig.sends()[..] {
            [second] => {
                handed_off += 1;
                rig.answer(second, RIGHT);
            }
            _ => assert!(!rig.core.flights.contains_key(&id), "refused, and not forgotten"),
        }
        rig.commands();
    }
    // All at the same moment: a full bucket, and a fifth of one for each sign-in.
    assert!((290..=310).contains(&handed_off), "{handed_off}");
    rig.sign_in();
    let sent = rig.sent();
    rig.answer(sent, Answer::NotStarted(NotStarted::Draining));
    assert_ne!(rig.sent().1, sent.1);
}
