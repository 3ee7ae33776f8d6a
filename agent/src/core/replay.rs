//! Which sign-ins were bound or cancelled before: at most one bind for a request id.
//!
//! A mark is set at the moment of starting the bind, insert-if-absent, so that of two attempts with one id only one
//! binds, whichever relay they came through; an attempt that never started leaves no mark. The set is bounded, and
//! full means that nothing is started: forgetting a mark early would allow a second bind. The same id may be marked
//! by a relay's `Cancel` before its request has come.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use postern_protocol::{Moment, RequestId};

/// Why a bind may not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A bind for this id was started before.
    Bound,
    /// The relay cancelled this id.
    Cancelled,
    /// No room to remember another one.
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Bound,
    Cancelled,
}

/// The marks, each until the sign-in that it belongs to has expired.
#[derive(Debug)]
pub(crate) struct Replays {
    marks: HashMap<RequestId, Mark>,
    /// The same ids by the local moment at which they may be forgotten.
    ends: BTreeSet<(Moment, RequestId)>,
    capacity: usize,
}

impl Replays {
    /// An empty set of at most `capacity` marks.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            marks: HashMap::new(),
            ends: BTreeSet::new(),
            capacity,
        }
    }

    /// A bind for `id` is about to be started. The mark stays for `keep`, which must reach beyond the sign-in's
    /// expiry.
    pub(crate) fn start(&mut self, now: Moment, id: RequestId, keep: Duration) -> Result<(), Refusal> {
        self.forget_expired(now);
        match self.marks.get(&id) {
            Some(Mark::Bound) => Err(Refusal::Bound),
            Some(Mark::Cancelled) => Err(Refusal::Cancelled),
            None if self.marks.len() >= self.capacity => Err(Refusal::Full),
            None => {
                self.insert(now, id, Mark::Bound, keep);
                Ok(())
            }
        }
    }

    /// The relay no longer waits for `id`. Nothing changes for a bind that was started. A cancellation for which
    /// there is no room is lost, and harmless: it can only save a bind, and nothing is started while the set is full.
    pub(crate) fn cancel(&mut self, now: Moment, id: RequestId, keep: Duration) {
        self.forget_expired(now);
        if !self.marks.contains_key(&id) && self.marks.len() < self.capacity {
            self.insert(now, id, Mark::Cancelled, keep);
        }
    }

    /// The bind for `id` was not sent after all, and will not be.
    pub(crate) fn never_started(&mut self, id: RequestId) {
        if self.marks.remove(&id).is_some() {
            self.ends.retain(|&(_, marked)| marked != id);
        }
    }

    fn insert(&mut self, now: Moment, id: RequestId, mark: Mark, keep: Duration) {
        self.marks.insert(id, mark);
        self.ends.insert((now + keep, id));
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
        assert_eq!(replays.start(start, id(1), KEEP), Err(Refusal::Bound));
        assert_eq!(replays.start(start + KEEP, id(1), KEEP), Err(Refusal::Bound));
        assert_eq!(
            replays.start(start + KEEP + Duration::from_micros(1), id(1), KEEP),
            Ok(())
        );
    }

    #[test]
    fn a_cancel_that_overtakes_its_request_marks_the_id_and_one_that_comes_late_changes_nothing() {
        let mut replays = Replays::new(8);
        replays.cancel(Moment(0), id(1), KEEP);
        assert_eq!(replays.start(Moment(1), id(1), KEEP), Err(Refusal::Cancelled));
        assert_eq!(replays.start(Moment(1), id(2), KEEP), Ok(()));
        replays.cancel(Moment(2), id(2), KEEP);
        assert_eq!(replays.start(Moment(3), id(2), KEEP), Err(Refusal::Bound));
    }

    #[test]
    fn full_starts_nothing_and_forgets_nothing() {
        let mut replays = Replays::new(2);
        assert_eq!(replays.start(Moment(0), id(1), KEEP), Ok(()));
        replays.cancel(Moment(0), id(2), KEEP);
        replays.cancel(Moment(0), id(3), KEEP);
        assert_eq!(replays.start(Moment(1), id(4), KEEP), Err(Refusal::Full));
        assert_eq!(replays.start(Moment(1), id(1), KEEP), Err(Refusal::Bound));
        assert_eq!(replays.start(Moment(1), id(2), KEEP), Err(Refusal::Cancelled));
        // The cancellation that found no room is not there, and the room that came free is used.
        assert_eq!(replays.start(Moment(10_000_001), id(3), KEEP), Ok(()));
    }

    #[test]
    fn an_attempt_that_never_started_leaves_no_mark() {
        let mut replays = Replays::new(1);
        assert_eq!(replays.start(Moment(0), id(1), KEEP), Ok(()));
        replays.never_started(id(1));
        assert_eq!(replays.start(Moment(0), id(2), KEEP), Ok(()));
        replays.never_started(id(1));
        assert_eq!(replays.start(Moment(0), id(2), KEEP), Err(Refusal::Bound));
    }

    proptest! {
        /// Against a plain map from id to what is known of it and until when.
        #[test]
        fn it_agrees_with_a_naive_model(
            steps in prop::collection::vec((0u64..4_000_000, 0u8..12, any::<bool>(), 0u64..8_000_000), 1..200),
            capacity in 1usize..10,
        ) {
            let mut replays = Replays::new(capacity);
            let mut model: BTreeMap<RequestId, (u64, Mark)> = BTreeMap::new();
            let mut now = 0;
            for (gap, which, cancel, keep) in steps {
                now += gap;
                model.retain(|_, (end, _)| *end >= now);
                let (key, keep_for) = (id(which), Duration::from_micros(keep));
                let known = model.get(&key).map(|&(_, mark)| mark);
                let room = model.len() < capacity;
                if cancel {
                    replays.cancel(Moment(now), key, keep_for);
                    if known.is_none() && room {
                        model.insert(key, (now + keep, Mark::Cancelled));
                    }
                    continue;
                }
                let expected = match known {
                    Some(Mark::Bound) => Err(Refusal::Bound),
                    Some(Mark::Cancelled) => Err(Refusal::Cancelled),
                    None if !room => Err(Refusal::Full),
                    None => Ok(()),
                };
                prop_assert_eq!(replays.start(Moment(now), key, keep_for), expected);
                if expected.is_ok() {
                    model.insert(key, (now + keep, Mark::Bound));
                }
            }
        }
    }
}
