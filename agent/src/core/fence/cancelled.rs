//! The attempts that one session's relay no longer waits for.
//!
//! A `Cancel` may overtake its request, so the id is remembered though nothing is known of it, and with it until when the
//! attempt was to begin: the relay may send the same sign-in once more, and means that. It can only save a
//! bind, so losing one is harmless, and each session has a small set of its own: whatever a relay cancels takes
//! nothing from the marks that keep a bind from being made twice, nor from another relay.

use std::collections::{HashMap, VecDeque};

use postern_protocol::{Moment, RequestId};

/// Ids remembered. A `Cancel` and its request are a round trip apart; this is far more than come in one.
const CAPACITY: usize = 4096;

/// The ids, the oldest forgotten for a new one.
#[derive(Debug, Default)]
pub(super) struct Cancelled {
    /// The latest moment of the relay by which a cancelled attempt was to begin, by sign-in.
    ids: HashMap<RequestId, Moment>,
    /// The same ids, the oldest first.
    order: VecDeque<RequestId>,
}

impl Cancelled {
    /// The relay no longer waits for the attempt of `id` that was to begin by `start_by`, nor for those before it.
    pub(super) fn insert(&mut self, id: RequestId, start_by: Moment) {
        if let Some(known) = self.ids.get_mut(&id) {
            *known = start_by.max(*known);
            return;
        }
        self.ids.insert(id, start_by);
        self.order.push_back(id);
        if self.order.len() > CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    /// Whether the attempt of `id` that must begin by `start_by` was cancelled.
    pub(super) fn contains(&self, id: RequestId, start_by: Moment) -> bool {
        self.ids.get(&id).is_some_and(|cancelled| start_by <= *cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> RequestId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        RequestId(bytes)
    }

    #[test]
    fn a_flood_of_cancels_stays_bounded_and_costs_the_oldest_ones_only() {
        let mut cancelled = Cancelled::default();
        for number in 0..3 * CAPACITY {
            cancelled.insert(id(number), Moment(1));
            cancelled.insert(id(number), Moment(1));
        }
        assert_eq!((cancelled.ids.len(), cancelled.order.len()), (CAPACITY, CAPACITY));
        assert!(!cancelled.contains(id(2 * CAPACITY - 1), Moment(1)));
        assert!((2 * CAPACITY..3 * CAPACITY).all(|number| cancelled.contains(id(number), Moment(1))));
    }
}
