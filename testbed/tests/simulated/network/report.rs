//! What became of the sign-ins, and who was bound how often.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use postern_protocol::{Outcome, Verdict};

use super::cluster::Made;
use super::plan::DEADLINE;
use super::timeline::Event;

/// A bind, as the directory has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) at: Duration,
    pub(super) agent: IpAddr,
}

/// The end of a simulation.
#[derive(Debug)]
pub(super) struct Report {
    /// User number n is at n - 1.
    pub(super) made: Vec<Made>,
    /// By user, in order.
    pub(super) binds: BTreeMap<usize, Vec<Bind>>,
    pub(super) events: Vec<(Duration, Event)>,
}

impl Report {
    pub(super) fn new(made: Vec<Made>, events: Vec<(Duration, Event)>) -> Self {
        let mut binds = BTreeMap::<usize, Vec<Bind>>::new();
        for (at, event) in &events {
            if let &Event::Bind { agent, user } = event {
                binds.entry(user).or_default().push(Bind { at: *at, agent });
            }
        }
        Self { made, binds, events }
    }

    /// Each of the sign-ins with its user's number.
    pub(super) fn sign_ins(&self) -> impl Iterator<Item = (usize, &Made)> {
        (1..).zip(&self.made)
    }

    /// The users who got no verdict of their relay.
    pub(super) fn failed(&self) -> Vec<usize> {
        let failed = |made: &Made| !made.cut && !matches!(made.settled, Some((_, Outcome::Verdict(_))));
        self.sign_ins()
            .filter(|(_, made)| failed(made))
            .map(|(user, _)| user)
            .collect()
    }

    /// The users who were bound more than once.
    pub(super) fn twice(&self) -> Vec<usize> {
        let twice = self.binds.iter().filter(|(_, binds)| binds.len() > 1);
        twice.map(|(user, _)| *user).collect()
    }

    /// The users whom this agent bound in that time.
    pub(super) fn bound_by(&self, agent: IpAddr, time: &Range<Duration>) -> Vec<usize> {
        let in_time = |bind: &Bind| bind.agent == agent && time.contains(&bind.at);
        let bound = self.binds.iter().filter(|(_, binds)| binds.iter().any(in_time));
        bound.map(|(user, _)| *user).collect()
    }

    /// The users who got their outcome in that time.
    pub(super) fn settled_in(&self, time: &Range<Duration>) -> Vec<usize> {
        let settled = |made: &Made| made.settled.is_some_and(|(at, _)| time.contains(&at));
        let settled = self.sign_ins().filter(|(_, made)| settled(made));
        settled.map(|(user, _)| user).collect()
    }

    /// How long a part of all sign-ins took at most.
    pub(super) fn quantile(&self, part: f64) -> Duration {
        let took = |made: &Made| made.settled.map(|(at, _)| at - made.at);
        let mut took: Vec<Duration> = self.made.iter().filter_map(took).collect();
        took.sort();
        let place = (took.len() as f64 * part) as usize;
        took[place.min(took.len() - 1)]
    }

    /// What holds in every schedule.
    pub(super) fn check(&self) {
        assert!(!self.made.is_empty(), "nobody has signed in");
        for (user, made) in self.sign_ins() {
            let Some((at, outcome)) = made.settled else {
                assert!(made.cut, "user {user} has no outcome");
                continue;
            };
            let took = at - made.at;
            assert!(
                took <= DEADLINE + Duration::from_millis(5),
                "user {user}: {outcome} after {took:?}"
            );
            let expected = if made.right {
                Verdict::Success
            } else {
                Verdict::InvalidCredentials
            };
            match outcome {
                Outcome::Verdict(verdict) => {
                    assert_eq!(verdict, expected, "user {user}");
                    assert!(self.binds.contains_key(&user), "user {user}: a verdict and no bind");
                }
                Outcome::Unavailable(_) => {}
                other => panic!("user {user}: {other}, which nobody has caused"),
            }
        }
    }
}
