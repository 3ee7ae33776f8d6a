//! When which user signs in, and whether with the right password. The same seed gives the same plan.
//!
//! Every user is used once: then what a directory counts of a user is what became of one sign-in.

use std::time::Duration;

use postern_protocol::Verdict;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A while of constant arrivals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stage {
    /// Sign-ins a second; 0 is a pause.
    pub per_second: f64,
    /// How long.
    pub lasts: Duration,
}

/// One sign-in that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When, from the beginning.
    pub at: Duration,
    /// The user's number.
    pub user: u32,
    /// Whether with the right password.
    pub right: bool,
}

impl Attempt {
    /// What must come of it.
    pub fn expected(&self) -> Verdict {
        if self.right {
            Verdict::Success
        } else {
            Verdict::InvalidCredentials
        }
    }
}

/// All sign-ins of a run, by time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// By time.
    pub attempts: Vec<Attempt>,
    /// How long it takes, the pause at the end included.
    pub lasts: Duration,
}

impl Plan {
    /// Sign-ins at constant rates, stage after stage, by users from number `first_user` on. Of them `wrong` (a share
    /// from 0 to 1) have the wrong password, each by its own lot.
    pub fn new(stages: &[Stage], first_user: u32, wrong: f64, seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let mut attempts = Vec::new();
        let mut users = first_user..;
        let mut begin = Duration::ZERO;
        for stage in stages {
            let end = begin + stage.lasts;
            // Each from its number and not from the one before: no error adds up.
            let times = (0u32..).map(|number| begin.as_secs_f64() + f64::from(number) / stage.per_second);
            let times = times.map(Duration::try_from_secs_f64).map_while(Result::ok);
            for (at, user) in times.take_while(|at| *at < end).zip(&mut users) {
                let right = !chance.random_bool(wrong.clamp(0.0, 1.0));
                attempts.push(Attempt { at, user, right });
            }
            begin = end;
        }
        Self { attempts, lasts: begin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn stage(per_second: f64, secs: u64) -> Stage {
        Stage {
            per_second,
            lasts: Duration::from_secs(secs),
        }
    }

    #[test]
    fn arrivals_are_even_within_a_stage_and_go_on_where_the_one_before_ended() {
        let plan = Plan::new(&[stage(500.0, 2), stage(0.0, 3), stage(100.0, 1)], 1, 0.3, 7);
        assert_eq!((plan.attempts.len(), plan.lasts), (1_100, Duration::from_secs(6)));
        assert_eq!(plan.attempts[1].at, Duration::from_millis(2));
        assert_eq!(plan.attempts[999].at, Duration::from_micros(1_998_000));
        assert_eq!(plan.attempts[1_000].at, Duration::from_secs(5));
        assert!(plan.attempts.is_sorted_by_key(|attempt| attempt.at));
    }

    #[test]
    fn no_user_is_used_twice_and_the_share_of_wrong_passwords_is_as_asked() {
        let plan = Plan::new(&[stage(1_000.0, 10)], 100, 0.3, 7);
        let users: BTreeSet<u32> = plan.attempts.iter().map(|attempt| attempt.user).collect();
        assert_eq!((users.len(), users.first()), (10_000, Some(&100)));
        let wrong = plan.attempts.iter().filter(|attempt| !attempt.right).count();
        assert!((2_800..3_200).contains(&wrong), "{wrong}");
    }

    #[test]
    fn a_seed_gives_the_same_plan_again_and_another_seed_another() {
        let plan = |seed| Plan::new(&[stage(500.0, 2)], 1, 0.3, seed);
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }
}
