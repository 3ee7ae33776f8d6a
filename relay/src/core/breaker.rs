//! What an agent's own failures cost it.
//!
//! Two things, with two ends. Each failure is a *penalty*: the agent counts as slower by 5 s, half of it gone every
//! 500 ms, so that a fast failing one attracts nothing. Three failures in a row, of three users, *eject* it: it gets
//! nothing for 1 s, then one sign-in as a probe, and twice as long, up to 60 s, if that fails as well. One user alone
//! ejects nobody, nor does what a caller can cause: that is not told to this machine.
//!
//! An agent that says that it cannot begin, being busy, is nobody's failure, but a fast refusal must not look like a
//! fast agent: it *rests* for 50 ms, doubling to 1 s, until its next verdict.
//!
//! Agents that are new or come back begin slowly: one that has just started has cold caches and connections still to
//! open.

use std::time::Duration;

use postern_protocol::Moment;

/// What a failure adds, in seconds, and the most that there is: several at once are one event.
const PENALTY: f64 = 5.0;

/// A penalty halves in this time, in seconds.
const HALF_LIFE: f64 = 0.5;

/// Failures in a row, of so many users, that eject.
const FAILURES: usize = 3;

/// The first ejection; then doubling.
const FIRST_EJECTION: Duration = Duration::from_secs(1);

/// A probe costs a sign-in a hand-off at least: not more than one a minute.
const LONGEST_EJECTION: Duration = Duration::from_secs(60);

/// After so long without an ejection the next one is a first one again.
const HEALTHY: Duration = Duration::from_secs(60);

/// A probe that the agent itself declined, or that said nothing of it, is made again after this.
const PROBE_AGAIN: Duration = Duration::from_secs(1);

/// The first rest of one that could not begin; then doubling.
const FIRST_REST: Duration = Duration::from_millis(50);

/// It takes a second at most to notice that it can again.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// From the beginning, or the return, to a full share.
const SLOW_START: Duration = Duration::from_secs(2);

/// The share at the beginning.
const FIRST_SHARE: f64 = 0.1;

/// An agent that is not used for a while.
#[derive(Debug, Clone, Copy)]
struct Ejection {
    until: Moment,
    /// Its one sign-in is under way.
    probing: bool,
}

/// The failures of one session.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    /// The users of the failures in a row, each once, as many as are needed.
    failed: Vec<u64>,
    ejection: Option<Ejection>,
    /// Ejections since it was last healthy.
    ejections: u32,
    penalty: f64,
    penalty_at: Moment,
    /// When it began, or came back.
    since: Moment,
    /// Until when it rests, and how often in a row it could not begin.
    rest: Option<(Moment, u32)>,
}

impl Breaker {
    /// A session that begins `now`.
    pub(super) fn new(now: Moment) -> Self {
        Self {
            failed: Vec::new(),
            ejection: None,
            ejections: 0,
            penalty: 0.0,
            penalty_at: now,
            since: now,
            rest: None,
        }
    }

    /// The agent is back with another session: what it did before still counts, and it begins slowly.
    pub(super) fn resume(&mut self, now: Moment) {
        self.since = now;
        self.rest = None;
        if let Some(ejection) = &mut self.ejection {
            ejection.probing = false;
        }
    }

    /// It gave a verdict, on its probe or not. True when that ends an ejection.
    pub(super) fn succeeded(&mut self, now: Moment, probe: bool) -> bool {
        self.failed.clear();
        self.rest = None;
        if self.ejection.is_none() {
            if now.since(self.since) >= HEALTHY {
                self.ejections = 0;
            }
            return false;
        }
        if !probe {
            // Of a sign-in that it had before: says nothing of how it is now.
            return false;
        }
        self.ejection = None;
        self.penalty = 0.0;
        self.since = now;
        true
    }

    /// It failed a sign-in of `user`, its probe or not. Until when that ejects it, if it does.
    pub(super) fn failed(&mut self, now: Moment, user: u64, probe: bool) -> Option<Moment> {
        self.penalty = PENALTY;
        self.penalty_at = now;
        if self.ejection.is_some() {
            return probe.then(|| self.eject(now));
        }
        if !self.failed.contains(&user) {
            self.failed.push(user);
        }
        (self.failed.len() >= FAILURES).then(|| self.eject(now))
    }

    /// What it had as a probe ended in a way that says nothing of it: another may be sent, not at once. Whoever declines
    /// probes must not get every new sign-in as one. Gives when.
    pub(super) fn probe_said_nothing(&mut self, now: Moment) -> Moment {
        let until = now + PROBE_AGAIN;
        if let Some(ejection) = &mut self.ejection {
            *ejection = Ejection { until, probing: false };
        }
        until
    }

    /// It could not begin, and rests. Gives until when.
    pub(super) fn declined(&mut self, now: Moment) -> Moment {
        let times = self.rest.map_or(0, |(_, times)| times);
        let until = now + FIRST_REST.saturating_mul(1 << times.min(16)).min(LONGEST_REST);
        self.rest = Some((until, times.saturating_add(1)));
        until
    }

    /// Whether it rests.
    pub(super) fn rests(&self, now: Moment) -> bool {
        self.rest.is_some_and(|(until, _)| now < until)
    }

    fn eject(&mut self, now: Moment) -> Moment {
        let pause = FIRST_EJECTION.saturating_mul(1 << self.ejections.min(16));
        let until = now + pause.min(LONGEST_EJECTION);
        self.ejections = self.ejections.saturating_add(1);
        self.failed.clear();
        self.ejection = Some(Ejection { until, probing: false });
        until
    }

    /// Whether it is ejected, be it that a probe is due or under way.
    pub(super) fn is_ejected(&self) -> bool {
        self.ejection.is_some()
    }

    /// Until when it gets nothing, if it is ejected. That may be over, while no probe has shown that it is well.
    pub(super) fn ejected_until(&self) -> Option<Moment> {
        self.ejection.map(|ejection| ejection.until)
    }

    /// Whether a sign-in is to show now how it is.
    pub(super) fn wants_probe(&self, now: Moment) -> bool {
        self.ejection
            .is_some_and(|ejection| !ejection.probing && now >= ejection.until)
    }

    /// A sign-in goes there. True if it is the probe.
    pub(super) fn chosen(&mut self, now: Moment) -> bool {
        let probe = self.wants_probe(now);
        if let Some(ejection) = &mut self.ejection {
            ejection.probing |= probe;
        }
        probe
    }

    /// By how many seconds it counts as slower.
    pub(super) fn penalty(&self, now: Moment) -> f64 {
        self.penalty * (-now.since(self.penalty_at).as_secs_f64() / HALF_LIFE).exp2()
    }

    /// Its share of what it could do, from [`FIRST_SHARE`] to 1.
    pub(super) fn share(&self, now: Moment) -> f64 {
        let part = now.since(self.since).as_secs_f64() / SLOW_START.as_secs_f64();
        FIRST_SHARE + (1.0 - FIRST_SHARE) * part.min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment(ms * 1_000)
    }

    fn ejected(now: Moment) -> Breaker {
        let mut breaker = Breaker::new(now);
        let ejects: Vec<bool> = (1..=3).map(|user| breaker.failed(now, user, false).is_some()).collect();
        assert_eq!(ejects, [false, false, true]);
        breaker
    }

    #[test]
    fn failures_of_fewer_than_three_users_eject_nobody() {
        let mut breaker = Breaker::new(at(0));
        assert!((0..100).all(|turn| breaker.failed(at(turn), turn % 2, false).is_none()));
        assert!(!breaker.is_ejected());
    }

    #[test]
    fn a_verdict_in_between_starts_the_count_again() {
        let mut breaker = Breaker::new(at(0));
        for turn in 0..100 {
            assert!(
                breaker.failed(at(turn), turn, false).is_none() && breaker.failed(at(turn), turn + 1, false).is_none()
            );
            breaker.succeeded(at(turn), false);
        }
    }

    #[test]
    fn it_is_probed_once_after_1_s_and_then_at_doubling_pauses_up_to_60_s() {
        let mut now = at(0);
        let mut breaker = ejected(now);
        for pause in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            let due = now + Duration::from_millis(pause);
            assert!(!breaker.wants_probe(due - Duration::from_micros(1)));
            assert!(breaker.chosen(due), "after {pause} ms");
            assert!(!breaker.wants_probe(due) && !breaker.chosen(due), "one probe");
            now = due;
            assert!(breaker.failed(now, 8, false).is_none(), "of before");
            assert!(breaker.failed(now, 9, true).is_some(), "one failed probe is enough");
        }
    }

    #[test]
    fn a_good_probe_brings_it_back_without_a_penalty_and_slowly() {
        let mut breaker = ejected(at(0));
        assert!(!breaker.succeeded(at(500), false), "not a probe");
        assert!(breaker.is_ejected() && breaker.penalty(at(1_000)) > 1.0);
        breaker.chosen(at(1_000));
        breaker.probe_said_nothing(at(1_000));
        assert!(!breaker.chosen(at(1_999)), "whoever declines probes gets few");
        assert!(breaker.chosen(at(2_000)), "another probe");
        assert!(!breaker.succeeded(at(2_005), false), "of before");
        assert!(breaker.succeeded(at(2_010), true));
        assert!(!breaker.is_ejected() && breaker.penalty(at(2_010)) == 0.0);
        assert!(breaker.share(at(2_010)) < 0.11 && breaker.share(at(4_010)) > 0.99);
        // Not yet healthy for long: the next ejection is a second one.
        assert!((1..=3).any(|user| breaker.failed(at(4_000), user, false).is_some()));
        assert!(!breaker.wants_probe(at(5_999)) && breaker.wants_probe(at(6_000)));
    }

    #[test]
    fn a_minute_of_health_forgets_earlier_ejections() {
        let mut breaker = ejected(at(0));
        breaker.chosen(at(1_000));
        breaker.succeeded(at(1_000), true);
        breaker.succeeded(at(61_000), false);
        assert!((1..=3).any(|user| breaker.failed(at(62_000), user, false).is_some()));
        assert!(breaker.wants_probe(at(63_000)));
    }

    #[test]
    fn a_penalty_halves_every_500_ms_and_many_failures_at_once_are_no_more_than_one() {
        let mut breaker = Breaker::new(at(0));
        for _ in 0..10 {
            breaker.failed(at(0), 1, false);
        }
        let rounded = |ms| (breaker.penalty(at(ms)) * 100.0).round() / 100.0;
        assert_eq!(
            [rounded(0), rounded(500), rounded(1_000), rounded(5_000)],
            [5.0, 2.5, 1.25, 0.0]
        );
    }

    #[test]
    fn one_that_cannot_begin_rests_ever_longer_until_its_next_verdict() {
        let mut breaker = Breaker::new(at(0));
        let rests: Vec<u64> = (0..7).map(|_| breaker.declined(at(0)).0 / 1_000).collect();
        assert_eq!(rests, [50, 100, 200, 400, 800, 1_000, 1_000]);
        assert!(breaker.rests(at(999)) && !breaker.rests(at(1_000)));
        breaker.succeeded(at(1_000), false);
        assert_eq!(breaker.declined(at(1_000)), at(1_050));
    }
}
