//! How many sign-ins may go to another agent: a token bucket for each realm.
//!
//! A hand-off costs agents and directory as much as a new sign-in. When agents fail because there is too much to do,
//! more of them make it worse; so the rate of hand-offs follows that of new sign-ins, with enough at hand for an agent
//! that dies with everything that it had.

use postern_protocol::Moment;

/// One hand-off, in the bucket's unit.
const ONE: u64 = 1_000_000;

/// What a new sign-in adds.
const PER_SIGN_IN: u64 = ONE / 5;

/// What a microsecond adds, however few sign-ins there are: ten hand-offs in a second.
const PER_MICROSECOND: u64 = 10;

/// What there is room for, at least; and at least the sum of the agents' slots.
const LEAST_BURST: u32 = 100;

/// The bucket of one realm.
#[derive(Debug)]
pub(super) struct Budget {
    tokens: u64,
    filled: Option<Moment>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            tokens: u64::from(LEAST_BURST) * ONE,
            filled: None,
        }
    }
}

impl Budget {
    /// A new sign-in arrived, where the agents have `slots` in all.
    pub(super) fn deposit(&mut self, now: Moment, slots: u32) {
        self.add(now, slots, PER_SIGN_IN);
    }

    /// Takes what a hand-off costs; `false` if there is not as much.
    pub(super) fn take(&mut self, now: Moment, slots: u32) -> bool {
        self.add(now, slots, 0);
        let enough = self.tokens >= ONE;
        if enough {
            self.tokens -= ONE;
        }
        enough
    }

    fn add(&mut self, now: Moment, slots: u32, tokens: u64) {
        let since = now.0.saturating_sub(self.filled.unwrap_or(now).0);
        self.filled = Some(now);
        let burst = u64::from(LEAST_BURST.max(slots)) * ONE;
        let tokens = tokens.saturating_add(since.saturating_mul(PER_MICROSECOND));
        self.tokens = self.tokens.saturating_add(tokens).min(burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(budget: &mut Budget, now: Moment, slots: u32) -> usize {
        (0..10_000).take_while(|_| budget.take(now, slots)).count()
    }

    #[test]
    fn a_hundred_are_at_hand_and_ten_more_each_second() {
        let mut budget = Budget::default();
        assert_eq!(drain(&mut budget, Moment(0), 4), 100);
        assert_eq!(drain(&mut budget, Moment(1_000_000), 4), 10);
        assert_eq!(drain(&mut budget, Moment(1_000_000_000), 4), 100);
    }

    #[test]
    fn five_sign_ins_pay_for_one_hand_off() {
        let mut budget = Budget::default();
        drain(&mut budget, Moment(0), 4);
        for _ in 0..50 {
            budget.deposit(Moment(0), 4);
        }
        assert_eq!(drain(&mut budget, Moment(0), 4), 10);
    }

    #[test]
    fn there_is_room_for_all_that_the_agents_can_have() {
        let mut budget = Budget::default();
        drain(&mut budget, Moment(0), 300);
        assert_eq!(drain(&mut budget, Moment(60_000_000), 300), 300);
    }
}
