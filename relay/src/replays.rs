//! Request ids of callers that seal for themselves: each is taken once. (Agents remember them too, for the case that
//! the same envelope is posted to another replica.)

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use postern_protocol::RequestId;

/// Ids remembered at once: 4,000 a second for the 60 s that an envelope may live.
const CAPACITY: usize = 240_000;

/// The ids, until their envelopes expire.
#[derive(Debug, Default)]
pub struct Replays {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen: HashMap<RequestId, u64>,
    order: VecDeque<RequestId>,
}

/// Why an id is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It was taken before.
    Seen,
    /// Nothing more can be remembered.
    Full,
}

impl Replays {
    /// Takes an id whose envelope expires at `expires`; both times in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn take(&self, now: u64, id: RequestId, expires: u64) -> Result<(), Refused> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Roughly in order of expiry, since none lives longer than a minute: what is over at the front goes.
        while let Some(oldest) = state.order.front().copied() {
            if state.seen.get(&oldest).is_some_and(|&until| until >= now) {
                break;
            }
            state.order.pop_front();
            state.seen.remove(&oldest);
        }
        if state.seen.contains_key(&id) {
            return Err(Refused::Seen);
        }
        if state.seen.len() >= CAPACITY {
            return Err(Refused::Full);
        }
        state.seen.insert(id, expires);
        state.order.push_back(id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> RequestId {
        RequestId([n; 16])
    }

    #[test]
    fn an_id_is_taken_once_until_its_envelope_has_expired() {
        let replays = Replays::default();
        assert_eq!(replays.take(1_000, id(1), 2_000), Ok(()));
        assert_eq!(replays.take(2_000, id(1), 2_500), Err(Refused::Seen));
        assert_eq!(replays.take(2_001, id(1), 2_500), Ok(()));
    }

    #[test]
    fn one_that_lives_longer_does_not_make_others_forgotten_early() {
        let replays = Replays::default();
        replays.take(0, id(1), 60_000).unwrap();
        replays.take(0, id(2), 10).unwrap();
        assert_eq!(replays.take(59_999, id(1), 70_000), Err(Refused::Seen));
    }
}
