//! One direction of a link: what becomes of each datagram, and when it goes on.
//!
//! Knows neither sockets nor clocks nor chance: the time and the lots are arguments. Times are from any one beginning.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::Settings;

/// Bytes that may be under way in one direction. A megabyte of sign-ins is a thousand of them: what is beyond is lost,
/// as it is in a router whose queue is full.
pub(super) const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What chance says of one datagram, each from 0 up to 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lots {
    /// Whether it is lost.
    pub(super) loss: f64,
    /// How long it takes.
    pub(super) delay: f64,
}

/// The datagrams under way in one direction, each with what its carrier wants to know of it.
#[derive(Debug)]
pub(super) struct Line<T> {
    settings: Settings,
    under_way: BinaryHeap<Reverse<UnderWay<T>>>,
    bytes: usize,
    accepted: u64,
    /// When the last one in order is due: the next is not due before it.
    last_due: Duration,
}

#[derive(Debug)]
struct UnderWay<T> {
    due: Duration,
    number: u64,
    datagram: Vec<u8>,
    tag: T,
}

impl<T> Line<T> {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            under_way: BinaryHeap::new(),
            bytes: 0,
            accepted: 0,
            last_due: Duration::ZERO,
        }
    }

    /// From now on these hold. A black hole swallows what is under way.
    pub(super) fn handle_settings(&mut self, settings: Settings) {
        self.settings = settings;
        if settings.drop {
            self.under_way.clear();
            self.bytes = 0;
        }
    }

    /// Takes a datagram, or loses it.
    pub(super) fn handle_datagram(&mut self, now: Duration, datagram: Vec<u8>, tag: T, lots: Lots) {
        let lost = self.settings.drop || lots.loss < self.settings.loss;
        if lost || self.bytes + datagram.len() > MOST_BYTES {
            return;
        }
        let (least, most) = self.settings.delay;
        let mut due = now + least + (most - least).mul_f64(lots.delay);
        if !self.settings.reorder {
            due = due.max(self.last_due);
            self.last_due = due;
        }
        self.accepted += 1;
        self.bytes += datagram.len();
        self.under_way.push(Reverse(UnderWay {
            due,
            number: self.accepted,
            datagram,
            tag,
        }));
    }

    /// The next datagram that is to go on by now. Ask until there is none.
    pub(super) fn poll_due(&mut self, now: Duration) -> Option<(Vec<u8>, T)> {
        if self.next_timeout()? > now {
            return None;
        }
        let Reverse(next) = self.under_way.pop()?;
        self.bytes -= next.datagram.len();
        Some((next.datagram, next.tag))
    }

    /// When the next one is due.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.under_way.peek().map(|Reverse(next)| next.due)
    }
}

impl<T> UnderWay<T> {
    /// By time; those of one moment as they came.
    fn key(&self) -> (Duration, u64) {
        (self.due, self.number)
    }
}

impl<T> PartialEq for UnderWay<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for UnderWay<T> {}

impl<T> PartialOrd for UnderWay<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for UnderWay<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NEVER_LOST: f64 = 0.999_999;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn line(text: &str) -> Line<u8> {
        Line::new(Settings::parse(text.as_bytes()).unwrap())
    }

    fn send(line: &mut Line<u8>, now: Duration, tag: u8, lots: (f64, f64)) {
        let (loss, delay) = lots;
        line.handle_datagram(now, vec![tag; 100], tag, Lots { loss, delay });
    }

    fn arrived(line: &mut Line<u8>, now: Duration) -> Vec<u8> {
        std::iter::from_fn(|| line.poll_due(now)).map(|(_, tag)| tag).collect()
    }

    #[test]
    fn without_settings_everything_goes_on_at_once_in_order() {
        let mut line = line("{}");
        for tag in 0..10 {
            send(&mut line, ms(7), tag, (0.0, 0.9));
        }
        assert_eq!(line.next_timeout(), Some(ms(7)));
        assert_eq!(arrived(&mut line, ms(7)), (0..10).collect::<Vec<_>>());
        assert_eq!(line.next_timeout(), None);
    }

    #[test]
    fn a_datagram_is_lost_when_its_lot_is_below_the_loss() {
        let mut line = line(r#"{"loss":0.05}"#);
        for (tag, lot) in [(1, 0.049), (2, 0.05), (3, NEVER_LOST)] {
            send(&mut line, ms(0), tag, (lot, 0.0));
        }
        assert_eq!(arrived(&mut line, ms(0)), [2, 3]);
    }

    #[test]
    fn a_slow_datagram_holds_up_those_behind_it_unless_they_may_overtake() {
        for (reorder, order) in [(false, [1, 2, 3]), (true, [2, 3, 1])] {
            let mut line = line(&format!(r#"{{"delay_ms":[10,50],"reorder":{reorder}}}"#));
            for (tag, lot) in [(1, 0.9), (2, 0.0), (3, 0.5)] {
                send(&mut line, ms(100), tag, (NEVER_LOST, lot));
            }
            assert_eq!(line.next_timeout(), Some(if reorder { ms(110) } else { ms(146) }));
            assert_eq!(arrived(&mut line, ms(109)), [0; 0]);
            assert_eq!(arrived(&mut line, ms(150)), order);
        }
    }

    #[test]
    fn a_black_hole_swallows_what_is_under_way_and_lets_through_what_comes_after_it() {
        let mut line = line(r#"{"delay_ms":[10,10]}"#);
        send(&mut line, ms(0), 1, (NEVER_LOST, 0.0));
        line.handle_settings(Settings::parse(br#"{"drop":true}"#).unwrap());
        send(&mut line, ms(1), 2, (NEVER_LOST, 0.0));
        line.handle_settings(Settings::default());
        send(&mut line, ms(20), 3, (NEVER_LOST, 0.0));
        assert_eq!(arrived(&mut line, ms(20)), [3]);
    }

    #[test]
    fn what_is_under_way_is_bounded_and_room_comes_back() {
        let mut line = line(r#"{"delay_ms":[10,10]}"#);
        let big = MOST_BYTES / 2;
        for tag in 0..3 {
            let lots = Lots {
                loss: NEVER_LOST,
                delay: 0.0,
            };
            line.handle_datagram(ms(0), vec![0; big], tag, lots);
        }
        assert_eq!(arrived(&mut line, ms(10)), [0, 1]);
        send(&mut line, ms(10), 4, (NEVER_LOST, 0.0));
        assert_eq!(arrived(&mut line, ms(20)), [4]);
    }

    proptest! {
        #[test]
        fn in_order_means_in_order_whatever_the_delays_and_however_they_change(
            steps in proptest::collection::vec((0u64..20, 0.0..1.0f64, 0u64..80), 1..100)
        ) {
            let mut line = line("{}");
            let (mut now, mut seen) = (0, Vec::new());
            for (tag, (gap, lot, most)) in (0u8..).zip(&steps) {
                now += gap;
                line.handle_settings(Settings { delay: (ms(0), ms(*most)), ..Settings::default() });
                send(&mut line, ms(now), tag, (NEVER_LOST, *lot));
                seen.extend(arrived(&mut line, ms(now)));
            }
            seen.extend(arrived(&mut line, ms(now + 80)));
            prop_assert_eq!(seen.len(), steps.len());
            prop_assert!(seen.is_sorted());
        }
    }
}
