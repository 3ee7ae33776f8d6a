//! The sign-ins of one realm that wait for an agent, bounded by count, by bytes and by time.
//!
//! A queue is for what comes at once and is soon done. One that was never empty for a second is none of those: more
//! comes than can be done, and waiting only makes everybody late, also long after it has become less. From then on
//! nobody waits for longer than a fifth of the usual bound, until it was empty once. (The idea is that of controlled
//! delay, RFC 8289, as it is used for queues of requests.) Time in which no agent is at work is not counted: what waits
//! then is done soon after they are back.
//!
//! First come, first served, but for those that were at an agent already, which come before. What a caller sealed can
//! go to some agents only; so that it holds nobody up, it waits in a line of its own, and the two lines are merged by
//! age. Each line stands for itself: who seals to an agent that is silent lowers nobody else's bound.

use std::collections::BTreeMap;
use std::time::Duration;

use postern_protocol::Moment;

use super::FlightId;

/// A place in the queue; the smaller it is the sooner its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    line: Line,
    turn: i64,
}

/// Who may take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Line {
    /// Any agent.
    Open,
    /// The agents whose key the caller used.
    Sealed,
}

/// So many in one line that nobody can take now are looked at before its turn is over: an event must not cost as much
/// as the queue is long.
const LOOKED_AT: usize = 32;

/// A queue that was not empty for so long is a standing one,
const STANDING: Duration = Duration::from_secs(1);

/// and the time that one may wait in it is divided by this.
const STANDING_PART: u32 = 5;

/// Time constant of the mean service time, in seconds.
const TAU: f64 = 2.0;

/// Bounds of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueRules {
    /// Sign-ins.
    pub length: usize,
    /// Bytes of sign-ins.
    pub bytes: usize,
    /// The longest that a sign-in is expected to wait; a fifth of it where the queue was never empty for a second.
    pub wait: Duration,
}

/// Why a sign-in may not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// As many wait as may.
    Length,
    /// As many bytes wait as may.
    Bytes,
    /// It would wait for longer than it may.
    Time,
}

/// The queue of one realm.
#[derive(Debug)]
pub(super) struct Queue {
    rules: QueueRules,
    lines: [BTreeMap<i64, (FlightId, usize)>; 2],
    bytes: usize,
    /// Since when each line has not been empty, although somebody was there to work it off.
    busy_since: [Option<Moment>; 2],
    next: i64,
    first: i64,
    /// Where the next walk begins, by line: those before it were looked at and could not be taken.
    resume: [i64; 2],
    /// How long an agent has a sign-in, on average, in seconds, and when that was last seen.
    service: Option<(f64, Moment)>,
}

impl Queue {
    pub(super) fn new(rules: QueueRules) -> Self {
        Self {
            rules,
            lines: [BTreeMap::new(), BTreeMap::new()],
            bytes: 0,
            busy_since: [None; 2],
            next: 0,
            first: 0,
            resume: [i64::MIN; 2],
            service: None,
        }
    }

    /// Goes on by other rules. Whoever waits already goes on waiting.
    pub(super) fn change(&mut self, rules: QueueRules) {
        self.rules = rules;
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lines.iter().map(BTreeMap::len).sum()
    }

    /// Bytes of those that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// An agent had a sign-in for `took` before it gave its verdict.
    pub(super) fn served(&mut self, now: Moment, took: Duration) {
        let took = took.as_secs_f64();
        let mean = self.service.map_or(took, |(mean, at)| {
            // Many in a short time count as much as the time, not more.
            let weight = (-now.since(at).as_secs_f64() / TAU).exp().min(0.99);
            mean * weight + took * (1.0 - weight)
        });
        self.service = Some((mean, now));
    }

    /// How long one that comes now is expected to wait where the agents have `slots` in all; nothing where nobody can
    /// say.
    pub(super) fn expected_wait(&self, slots: u32) -> Duration {
        match self.service {
            Some((mean, _)) if slots > 0 => {
                // Queues have bounds far below what f64 holds exactly.
                let ahead = u32::try_from(self.len() + 1).unwrap_or(u32::MAX);
                Duration::from_secs_f64(f64::from(ahead) * mean / f64::from(slots))
            }
            _ => Duration::ZERO,
        }
    }

    /// Whether one of `bytes` that has `time_left` may begin to wait in `line`, where the agents have `slots` in all.
    pub(super) fn admits(
        &self,
        now: Moment,
        line: Line,
        bytes: usize,
        time_left: Duration,
        slots: u32,
    ) -> Result<(), Full> {
        if self.len() >= self.rules.length {
            return Err(Full::Length);
        }
        if self.bytes + bytes > self.rules.bytes {
            return Err(Full::Bytes);
        }
        let mean = self
            .service
            .map_or(Duration::ZERO, |(mean, _)| Duration::from_secs_f64(mean));
        let stands = self.busy_since[line as usize].is_some_and(|since| now.since(since) >= STANDING);
        let bound = self.rules.wait / if stands { STANDING_PART } else { 1 };
        let wait = self.expected_wait(slots);
        // Where one sign-in takes that long, waiting for one is nothing unusual.
        if wait > bound.max(mean) || wait + mean > time_left {
            return Err(Full::Time);
        }
        Ok(())
    }

    /// Nobody is there who could work it off: such time does not make it a standing one.
    pub(super) fn begins_anew(&mut self, now: Moment) {
        for since in self.busy_since.iter_mut().flatten() {
            *since = now;
        }
    }

    /// Takes one in at the end; before all others if it is there `again`.
    pub(super) fn push(&mut self, now: Moment, id: FlightId, bytes: usize, line: Line, again: bool) -> Place {
        self.busy_since[line as usize].get_or_insert(now);
        let turn = if again {
            self.first -= 1;
            self.first
        } else {
            self.next += 1;
            self.next
        };
        self.bytes += bytes;
        self.lines[line as usize].insert(turn, (id, bytes));
        Place { line, turn }
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, place: Place) {
        let line = place.line as usize;
        if let Some((_, bytes)) = self.lines[line].remove(&place.turn) {
            self.bytes -= bytes;
        }
        if self.lines[line].is_empty() {
            self.busy_since[line] = None;
        }
    }

    /// All that wait.
    pub(super) fn all(&self) -> Vec<FlightId> {
        self.lines
            .iter()
            .flat_map(BTreeMap::values)
            .map(|(id, _)| *id)
            .collect()
    }
}

/// A walk through a queue in the order of turns, that may leave out some and take others out on the way. Where it left out
/// too many, the next one goes on from there, and the one after that begins at the front again.
#[derive(Debug)]
pub(super) struct Walk {
    /// The first turn not seen yet, and how many were left out, by line.
    next: [i64; 2],
    left: [usize; 2],
}

impl Walk {
    pub(super) fn new(queue: &mut Queue) -> Self {
        Self {
            next: std::mem::replace(&mut queue.resume, [i64::MIN; 2]),
            left: [0; 2],
        }
    }

    /// The next whose turn it is; `None` at the end, or where too many were left out.
    pub(super) fn next(&mut self, queue: &Queue) -> Option<FlightId> {
        let candidate = |line: Line| {
            let (turn, (id, _)) = queue.lines[line as usize].range(self.next[line as usize]..).next()?;
            (self.left[line as usize] < LOOKED_AT).then_some((*turn, line, *id))
        };
        let next = [candidate(Line::Open), candidate(Line::Sealed)]
            .into_iter()
            .flatten()
            .min();
        let (turn, line, id) = next?;
        self.next[line as usize] = turn + 1;
        self.left[line as usize] += 1;
        Some(id)
    }

    /// The one that came last was taken out and is not among those left out.
    pub(super) fn taken(&mut self, place: Place) {
        self.left[place.line as usize] -= 1;
    }

    /// The walk is over.
    pub(super) fn end(self, queue: &mut Queue) {
        for line in [Line::Open, Line::Sealed] {
            if self.left[line as usize] >= LOOKED_AT {
                queue.resume[line as usize] = self.next[line as usize];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: QueueRules = QueueRules {
        length: 1_000,
        bytes: 10_000,
        wait: Duration::from_millis(500),
    };
    const TIME: Duration = Duration::from_secs(4);

    fn order(queue: &mut Queue) -> Vec<u64> {
        let mut walk = Walk::new(queue);
        let order = std::iter::from_fn(|| walk.next(queue)).map(|id| id.0).collect();
        walk.end(queue);
        order
    }

    #[test]
    fn it_is_first_come_first_served_over_both_lines_and_those_that_come_again_are_first() {
        let mut queue = Queue::new(RULES);
        queue.push(Moment(0), FlightId(1), 1, Line::Open, false);
        queue.push(Moment(0), FlightId(2), 1, Line::Sealed, false);
        let third = queue.push(Moment(0), FlightId(3), 1, Line::Open, false);
        queue.push(Moment(0), FlightId(4), 1, Line::Sealed, true);
        assert_eq!(order(&mut queue), [4, 1, 2, 3]);
        queue.remove(third);
        queue.remove(third);
        assert_eq!(order(&mut queue), [4, 1, 2]);
        assert_eq!((queue.len(), queue.bytes()), (3, 3));
    }

    #[test]
    fn what_waits_for_certain_agents_holds_nobody_up() {
        let mut queue = Queue::new(RULES);
        for id in 0..100 {
            queue.push(Moment(0), FlightId(id), 1, Line::Sealed, false);
        }
        queue.push(Moment(0), FlightId(100), 1, Line::Open, false);
        let looked_at = order(&mut queue);
        assert_eq!((looked_at.len(), looked_at.last()), (LOOKED_AT + 1, Some(&100)));
    }

    #[test]
    fn those_at_the_front_that_nobody_can_take_hide_nobody_for_ever() {
        let mut queue = Queue::new(RULES);
        for id in 0..80 {
            queue.push(Moment(0), FlightId(id), 1, Line::Open, false);
        }
        let walks: Vec<Vec<u64>> = (0..4).map(|_| order(&mut queue)).collect();
        assert_eq!(
            walks,
            [
                (0..32).collect(),
                (32..64).collect(),
                (64..80).collect(),
                (0..32).collect::<Vec<_>>()
            ]
        );
    }

    #[test]
    fn those_taken_out_do_not_end_a_walk() {
        let mut queue = Queue::new(RULES);
        let places: Vec<Place> = (0..100)
            .map(|id| queue.push(Moment(0), FlightId(id), 1, Line::Open, false))
            .collect();
        let mut walk = Walk::new(&mut queue);
        for place in places {
            walk.next(&queue).unwrap();
            queue.remove(place);
            walk.taken(place);
        }
        assert_eq!((queue.len(), walk.next(&queue)), (0, None));
    }

    #[test]
    fn it_is_full_by_count_and_by_bytes() {
        let mut queue = Queue::new(QueueRules { length: 2, ..RULES });
        assert_eq!(queue.admits(Moment(0), Line::Open, 10_001, TIME, 1), Err(Full::Bytes));
        queue.push(Moment(0), FlightId(1), 6_000, Line::Open, false);
        assert_eq!(queue.admits(Moment(0), Line::Open, 4_001, TIME, 1), Err(Full::Bytes));
        assert_eq!(queue.admits(Moment(0), Line::Open, 4_000, TIME, 1), Ok(()));
        queue.push(Moment(0), FlightId(2), 1, Line::Open, false);
        assert_eq!(queue.admits(Moment(0), Line::Open, 1, TIME, 1), Err(Full::Length));
    }

    #[test]
    fn it_is_full_by_time_when_the_wait_would_be_too_long() {
        let mut queue = Queue::new(RULES);
        let twenty = Duration::from_millis(20);
        queue.served(Moment(0), twenty);
        // Four at once, 20 ms each: 200 a second.
        for id in 0..99 {
            assert_eq!(queue.admits(Moment(0), Line::Open, 1, TIME, 4), Ok(()));
            queue.push(Moment(0), FlightId(id), 1, Line::Open, false);
        }
        assert_eq!(queue.expected_wait(4), Duration::from_millis(500));
        queue.push(Moment(0), FlightId(99), 1, Line::Open, false);
        assert_eq!(queue.admits(Moment(0), Line::Open, 1, TIME, 4), Err(Full::Time));
        assert_eq!(queue.admits(Moment(0), Line::Open, 1, TIME, 40), Ok(()));
        assert_eq!(
            queue.admits(Moment(0), Line::Open, 1, twenty, 40),
            Err(Full::Time),
            "it has no time left"
        );
        assert_eq!(
            queue.admits(Moment(0), Line::Open, 1, TIME, 0),
            Ok(()),
            "nobody is there; somebody may come"
        );
    }

    #[test]
    fn in_a_queue_that_was_not_empty_for_a_second_nobody_waits_for_long() {
        let mut queue = Queue::new(RULES);
        queue.served(Moment(0), Duration::from_millis(20));
        // Four at once, 20 ms each: 20 that wait take 100 ms.
        let places: Vec<Place> = (0..50)
            .map(|id| queue.push(Moment(0), FlightId(id), 1, Line::Open, false))
            .collect();
        let (before, after) = (Moment(999_999), Moment(1_000_000));
        assert_eq!(queue.admits(before, Line::Open, 1, TIME, 4), Ok(()));
        assert_eq!(queue.admits(after, Line::Open, 1, TIME, 4), Err(Full::Time));
        assert_eq!(queue.admits(after, Line::Sealed, 1, TIME, 4), Ok(()));
        places[..31].iter().for_each(|place| queue.remove(*place));
        assert_eq!(queue.admits(after, Line::Open, 1, TIME, 4), Ok(()));
        let last = queue.push(after, FlightId(50), 1, Line::Open, false);
        assert_eq!(queue.admits(after, Line::Open, 1, TIME, 4), Err(Full::Time));
        // After a time without anybody it is a new one, and it is one when it was empty.
        queue.begins_anew(after);
        assert_eq!(queue.admits(after, Line::Open, 1, TIME, 4), Ok(()));
        places[31..].iter().for_each(|place| queue.remove(*place));
        queue.remove(last);
        for id in 51..100 {
            queue.push(after, FlightId(id), 1, Line::Open, false);
        }
        assert_eq!(queue.admits(after, Line::Open, 1, TIME, 4), Ok(()));
    }

    #[test]
    fn a_slow_directory_is_no_full_queue() {
        let mut queue = Queue::new(RULES);
        queue.served(Moment(0), Duration::from_secs(1));
        assert_eq!(queue.admits(Moment(0), Line::Open, 1, TIME, 1), Ok(()));
        assert_eq!(
            queue.admits(Moment(0), Line::Open, 1, Duration::from_secs(2), 1),
            Ok(())
        );
        assert_eq!(
            queue.admits(Moment(0), Line::Open, 1, Duration::from_millis(1_999), 1),
            Err(Full::Time)
        );
    }

    #[test]
    fn the_mean_service_time_follows_what_is_seen() {
        let mut queue = Queue::new(RULES);
        for ms in 0..10_000 {
            queue.served(Moment(ms * 1_000), Duration::from_millis(10));
        }
        for ms in 10_000..20_000 {
            queue.served(Moment(ms * 1_000), Duration::from_millis(30));
        }
        let mean = queue.expected_wait(1).as_millis();
        assert!((29..=30).contains(&mean), "{mean}");
    }
}
