//! Does a domain controller that answers the health check answer binds as well?
//!
//! One whose RootDSE is read and whose binds hang would take its part of the sign-ins for ever, each of unknown
//! outcome. After some binds in a row without an answer the others are preferred, and single sign-ins, ever further
//! apart, show whether it is well again: nothing but a bind can tell. While no other can be used, it is used as ever.
//!
//! Already after the first, what finds an idle connection elsewhere goes there for a while.
//!
//! Searches that look somebody up hang for reasons of their own, so theirs is a suspicion apart, by the same rule.

use std::time::Duration;

use postern_protocol::Moment;

/// Binds in a row without an answer. One or two are a lost connection.
const UNANSWERED: u32 = 3;

/// From the suspicion to the first sign-in that tries it again; then doubling.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Each try costs a sign-in, should the domain controller still hang.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What the binds of one domain controller tell.
#[derive(Debug, Default)]
pub(crate) struct Suspicion {
    unanswered: u32,
    last_unanswered: Moment,
    tries: u32,
    next_try: Moment,
}

impl Suspicion {
    /// A bind was answered, however. True when that ends a suspicion.
    pub(crate) fn answered(&mut self) -> bool {
        let ended = self.stands();
        *self = Self::default();
        ended
    }

    /// A bind was sent and not answered. True when a suspicion begins.
    pub(crate) fn unanswered(&mut self, now: Moment) -> bool {
        self.unanswered = self.unanswered.saturating_add(1);
        self.last_unanswered = now;
        let begins = self.unanswered == UNANSWERED;
        if begins {
            self.next_try = now + FIRST_PAUSE;
        }
        begins
    }

    /// Whether other domain controllers are to be preferred.
    pub(crate) fn stands(&self) -> bool {
        self.unanswered >= UNANSWERED
    }

    /// Whether nothing speaks against it: its last bind was answered, or that one was not is a while ago.
    pub(crate) fn is_clear(&self, now: Moment) -> bool {
        self.unanswered == 0 || now.since(self.last_unanswered) >= FIRST_PAUSE
    }

    /// Whether a bind may go there although there are others.
    pub(crate) fn allows(&self, now: Moment) -> bool {
        !self.stands() || now >= self.next_try
    }

    /// A bind goes there although there are others.
    pub(crate) fn chosen(&mut self, now: Moment) {
        self.tries = self.tries.saturating_add(1);
        self.next_try = now + FIRST_PAUSE.saturating_mul(1 << self.tries.min(16)).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspect(now: Moment) -> Suspicion {
        let mut suspicion = Suspicion::default();
        let begins: Vec<bool> = (0..4).map(|_| suspicion.unanswered(now)).collect();
        assert_eq!(begins, [false, false, true, false]);
        suspicion
    }

    #[test]
    fn three_unanswered_binds_in_a_row_are_a_suspicion_and_an_answer_between_is_none() {
        let mut suspicion = Suspicion::default();
        for _ in 0..10 {
            suspicion.unanswered(Moment(0));
            suspicion.unanswered(Moment(0));
            assert!(suspicion.allows(Moment(0)) && !suspicion.answered());
        }
        assert!(!suspect(Moment(0)).allows(Moment(999_999)));
    }

    #[test]
    fn one_unanswered_bind_speaks_against_it_until_one_is_answered_or_for_a_second() {
        let mut suspicion = Suspicion::default();
        assert!(suspicion.is_clear(Moment(0)));
        suspicion.unanswered(Moment(5));
        assert!(!suspicion.is_clear(Moment(1_000_004)) && suspicion.allows(Moment(5)));
        assert!(suspicion.is_clear(Moment(1_000_005)));
        suspicion.answered();
        assert!(suspicion.is_clear(Moment(6)));
    }

    #[test]
    fn it_is_tried_after_1_s_and_then_at_doubling_pauses_up_to_60_s_until_a_bind_is_answered() {
        let mut now = Moment(5);
        let mut suspicion = suspect(now);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(!suspicion.allows(now));
            now = now + Duration::from_secs(pause);
            assert!(suspicion.allows(now), "after {pause} s");
            suspicion.chosen(now);
            suspicion.unanswered(now);
        }
        assert!(suspicion.answered());
        assert!(suspicion.allows(now) && !suspicion.stands());
    }
}
