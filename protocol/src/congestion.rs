//! Congestion control for the links between relay and agent: NewReno (RFC 9002, section 7) whose window never falls
//! below [`WINDOW_FLOOR`].
//!
//! A sign-in link is thin: a kilobyte here and there, and a person waits for each. It never fills its window, so no
//! acknowledgement lets the window grow (section 7.8), while every loss, and every packet that is taken for lost because
//! a later one overtook it, shrinks it. On a link that loses or reorders all the time the window of quinn's CUBIC so ends
//! at two packets and sign-ins queue for seconds behind it. A window cannot be wrapped from outside either: one that has
//! shrunk unseen below the floor would take minutes to grow out of it again. So loss halves the window, persistent
//! congestion throws it back, and congestion marks (ECN) count like loss; but all of them end at the floor.
//!
//! What a link can do to a network with this: at most [`WINDOW_FLOOR`] bytes are on their way unacknowledged, however bad
//! the network, so at most that much is sent in a round trip (2.6 MB a second at 100 ms), and paced over it. Of a relay's
//! link that is only the outer bound. The inner one is what there is to say: a session has no more sign-ins on their way
//! than slots, a kilobyte or two each, and what is not answered is repeated after time-outs that double (section 6.2.1).
//! Sixteen slots are some 30 KB. Above the floor it is a NewReno like any other and gives way as they do.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics};
use quinn_proto::RttEstimator;

/// The least window, in bytes: 200 full packets. A link with a round trip of 100 ms so carries 1,500 sign-ins a second,
/// more than one agent's directory answers, before the window is the limit.
pub const WINDOW_FLOOR: u64 = 256 * 1024;

/// Makes the controllers of an endpoint's connections.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThinLink;

impl ControllerFactory for ThinLink {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(Window::new(now, current_mtu))
    }
}

/// The window of one path.
#[derive(Debug, Clone)]
struct Window {
    /// Bytes that may be on their way. Never below [`WINDOW_FLOOR`].
    size: u64,
    /// Below this the window doubles with every round trip, above it grows by a packet.
    threshold: u64,
    /// What was sent until then has been answered for by the last reduction.
    reduced_at: Instant,
    /// Acknowledged since the window last grew by a packet, in bytes.
    acknowledged: u64,
    packet: u64,
}

impl Window {
    fn new(now: Instant, current_mtu: u16) -> Self {
        Self {
            size: WINDOW_FLOOR,
            threshold: u64::MAX,
            reduced_at: now,
            acknowledged: 0,
            packet: u64::from(current_mtu),
        }
    }

    fn acknowledge(&mut self, sent: Instant, bytes: u64, app_limited: bool) {
        // A window that was not filled says nothing of what the path could carry; and what was sent before the last
        // reduction was sent under another window.
        if app_limited || sent <= self.reduced_at {
            return;
        }
        if self.size < self.threshold {
            self.size = self.size.saturating_add(bytes);
            return;
        }
        self.acknowledged = self.acknowledged.saturating_add(bytes);
        if self.acknowledged >= self.size {
            self.acknowledged -= self.size;
            self.size = self.size.saturating_add(self.packet);
        }
    }

    fn shrink(&mut self, now: Instant, persistent: bool) {
        self.reduced_at = now;
        self.acknowledged = 0;
        self.size = (self.size / 2).max(WINDOW_FLOOR);
        self.threshold = self.size;
        if persistent {
            self.size = WINDOW_FLOOR;
        }
    }
}

impl Controller for Window {
    fn on_ack(&mut self, _now: Instant, sent: Instant, bytes: u64, app_limited: bool, _rtt: &RttEstimator) {
        self.acknowledge(sent, bytes, app_limited);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, is_persistent_congestion: bool, _lost_bytes: u64) {
        // One reduction for a round trip, however many packets of it were lost or marked.
        if sent > self.reduced_at {
            self.shrink(now, is_persistent_congestion);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.packet = u64::from(new_mtu);
    }

    fn window(&self) -> u64 {
        self.size
    }

    fn metrics(&self) -> ControllerMetrics {
        let mut metrics = ControllerMetrics::default();
        metrics.congestion_window = self.size;
        metrics.ssthresh = Some(self.threshold);
        metrics
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        WINDOW_FLOOR
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MTU: u16 = 1_200;

    /// A path whose round trip is a second: what is sent in one is acknowledged or lost in the next.
    struct Path {
        window: Window,
        start: Instant,
        second: u64,
    }

    impl Path {
        fn new() -> Self {
            let start = Instant::now();
            Self {
                window: Window::new(start, MTU),
                start,
                second: 1,
            }
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        /// A full window is acknowledged.
        fn acknowledge(&mut self, app_limited: bool) {
            let (sent, bytes) = (self.at(self.second), self.window.window());
            self.window.acknowledge(sent, bytes, app_limited);
            self.second += 1;
        }

        fn lose(&mut self, persistent: bool) {
            let (sent, now) = (self.at(self.second), self.at(self.second + 1));
            self.window.on_congestion_event(now, sent, persistent, 1);
            self.second += 2;
        }
    }

    #[test]
    fn no_number_of_losses_brings_the_window_below_the_floor() {
        let mut path = Path::new();
        for number in 0..1_000 {
            path.lose(number % 3 == 0);
            assert_eq!(path.window.window(), WINDOW_FLOOR);
        }
        assert_eq!(path.window.initial_window(), WINDOW_FLOOR);
    }

    #[test]
    fn a_link_that_fills_its_window_doubles_it_until_the_first_loss_and_then_adds_a_packet_each_round_trip() {
        let mut path = Path::new();
        path.acknowledge(false);
        path.acknowledge(false);
        assert_eq!(path.window.window(), 4 * WINDOW_FLOOR);
        path.lose(false);
        assert_eq!(path.window.window(), 2 * WINDOW_FLOOR);
        path.acknowledge(false);
        path.acknowledge(false);
        assert_eq!(path.window.window(), 2 * WINDOW_FLOOR + 2 * u64::from(MTU));
    }

    #[test]
    fn persistent_congestion_and_marks_throw_a_grown_window_back_to_the_floor_and_no_further() {
        let mut path = Path::new();
        for _ in 0..4 {
            path.acknowledge(false);
        }
        assert_eq!(path.window.window(), 16 * WINDOW_FLOOR);
        // A mark: nothing was lost.
        path.window.on_congestion_event(path.at(7), path.at(6), false, 0);
        assert_eq!(path.window.window(), 8 * WINDOW_FLOOR);
        path.second = 8;
        path.lose(true);
        assert_eq!(path.window.window(), WINDOW_FLOOR);
        // It was well above before, so it comes back by doubling.
        path.acknowledge(false);
        assert_eq!(path.window.window(), 2 * WINDOW_FLOOR);
    }

    #[test]
    fn the_losses_of_one_round_trip_count_once() {
        let mut path = Path::new();
        for _ in 0..3 {
            path.acknowledge(false);
        }
        let (sent, now) = (path.at(path.second), path.at(path.second + 1));
        for _ in 0..50 {
            path.window.on_congestion_event(now, sent, false, 1_200);
        }
        assert_eq!(path.window.window(), 4 * WINDOW_FLOOR);
    }

    #[test]
    fn a_thin_link_keeps_its_window_as_it_is() {
        let mut path = Path::new();
        for _ in 0..100 {
            path.acknowledge(true);
        }
        assert_eq!(path.window.window(), WINDOW_FLOOR);
    }
}
