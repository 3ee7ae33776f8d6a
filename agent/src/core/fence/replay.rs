//! Which sign-ins were bound before: at most one bind for a request id.
//!
//! A mark is set at the moment of starting the bind, insert-if-absent, so that of two attempts with one id only one
//! binds, whichever relay they came through; an attempt that never started leaves no mark. The set is bounded, and
//! full means that nothing is started: forgetting a mark early would allow a second bind. Nothing but a bind that is
//! started takes a place in it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use postern_protocol::{Moment, NotStarted, RequestId};

/// The marks, each until the sign-in that it belongs to has expired.
#[derive(Debug)]
pub struct Replays {
    /// The local moment at which each may be forgotten.
    marks: HashMap<RequestId, Moment>,
    /// The same, the next to be forgotten first.
    ends: BTreeSet<(Moment, RequestId)>,
    capacity: usize,
}

impl Replays {
    /// An empty set of at most `capacity` marks.
    pub fn new(capacity: usize) -> Self {
        Self {
            marks: HashMap::new(),
            ends: BTreeSet::new(),
            capacity,
        }
    }

    /// A bind for `id` is about to be started. The mark stays for `keep`, which must reach beyond the sign-in's
    /// expiry. `Replayed` when there is one already, `Busy` when there is no room for another.
    pub(super) fn start(&mut self, now: Moment, id: RequestId, keep: Duration) -> Result<(), NotStarted> {
        self.forget_expired(now);
        if self.marks.contains_key(&id) {
            return Err(NotStarted::Replayed);
        }
        if self.marks.len() >= self.capacity {
            return Err(NotStarted::Busy);
        }
        let end = now + keep;
        self.marks.insert(id, end);
        self.ends.insert((end, id));
        Ok(())
    }

    /// The bind for `id` was not sent after all, and will not be.
    pub fn never_started(&mut self, id: RequestId) {
        if let Some(end) = self.marks.remove(&id) {
            self.ends.remove(&(end, id));
        }
    }

    pub(super) fn contains(&self, id: RequestId) -> bool {
        self.marks.contains_key(&id)
    }

    fn forget_expired(&mut self, now: Moment) {
        while let Some(&(end, id)) = self.ends.first() {
            if end >= now {
                break;
            }
            self.ends.pop_first();
            self.marks.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const KEEP: Duration = Duration::from_secs(10);

    fn id(number: u8) -> RequestId {
        RequestId([number; 16])
    }

    #[test]
    fn an_id_is_started_once_until_its_mark_ends() {
        let mut replays = Replays::new(8);
        let start = Moment(1_000);
        assert_eq!(replays.start(start, id(1), KEEP), Ok(()));
        assert_eq!(replays.start(start, id(1), KEEP), Err(NotStarted::Replayed));
        assert_eq!(replays.start(start + KEEP, id(1), KEEP), Err(NotStarted::Replayed));
        assert_eq!(
            replays.start(start + KEEP + Duration::from_micros(1), id(1), KEEP),
            Ok(())
        );
    }

    #[test]
    fn full_starts_nothing_and_forgets_nothing() {
        let mut replays = Replays::new(2);
        assert_eq!(replays.start(Moment(0), id(1), KEEP), Ok(()));
        assert_eq!(replays.start(Moment(0), id(2), KEEP), Ok(()));
        assert_eq!(replays.start(Moment(1), id(3), KEEP), Err(NotStarted::Busy));
        assert_eq!(replays.start(Moment(1), id(1), KEEP), Err(NotStarted::Replayed));
        assert_eq!(replays.start(Moment(1), id(2), KEEP), Err(NotStarted::Replayed));
        // The room that came free is used.
        assert_eq!(replays.start(Moment(10_000_001), id(3), KEEP), Ok(()));
    }

    #[test]
    fn an_attempt_that_never_started_leaves_no_mark() {
        let mut replays = Replays::new(1);
        assert_eq!(replays.start(Moment(0), id(1), KEEP), Ok(()));
        replays.never_started(id(1));
        assert_eq!(replays.start(Moment(0), id(2), KEEP), Ok(()));
        replays.never_started(id(1));
        assert_eq!(replays.start(Moment(0), id(2), KEEP), Err(NotStarted::Replayed));
        assert_eq!(replays.ends.len(), 1);
    }

    proptest! {
        /// Against a plain map from id to the end of its mark.
        #[test]
        fn it_agrees_with_a_naive_model(
            steps in prop::collection::vec((0u64..4_000_000, 0u8..12, any::<bool>(), 0u64..8_000_000), 1..200),
            capacity in 1usize..10,
        ) {
            let mut replays = Replays::new(capacity);
            let mut model: BTreeMap<RequestId, u64> = BTreeMap::new();
            let mut now = 0;
            for (gap, which, sent, keep) in steps {
                now += gap;
                model.retain(|_, end| *end >= now);
                let key = id(which);
                let expected = if model.contains_key(&key) {
                    Err(NotStarted::Replayed)
                } else if model.len() >= capacity {
                    Err(NotStarted::Busy)
                } else {
                    Ok(())
                };
                prop_assert_eq!(replays.start(Moment(now), key, Duration::from_micros(keep)), expected);
                if expected.is_ok() && sent {
                    model.insert(key, now + keep);
                } else if expected.is_ok() {
                    replays.never_started(key);
                }
                prop_assert_eq!(replays.ends.len(), replays.marks.len());
            }
        }
    }
}
