//! Keeping time: our pings and their answers, the relay's pings, and the tick that notices a frozen process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_protocol::Moment;
use postern_protocol::close::CloseCode;
use postern_protocol::frame::{Control, Ping, Pong, Welcome};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::{Outgoing, Session};
use crate::core::fence::TICK;

/// Pings sent one tick apart at the start and after a gap: the first sign-in needs a sample, and one of several
/// makes a better one.
const BURST: u32 = 3;

/// Pings that may be unanswered at once. More than the idle timeout lets happen.
const OUTSTANDING: usize = 128;

/// What a relay may ask for as the time between pings.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The pings of one session.
pub(super) struct Pings {
    session: Arc<Session>,
    outgoing: mpsc::Sender<Outgoing>,
    interval: Duration,
    /// The end of the relay's certificate, in seconds since 1970.
    relay_not_after: i64,
    sent: Mutex<BTreeMap<u64, Moment>>,
}

impl Pings {
    pub(super) fn new(
        welcome: &Welcome,
        session: Arc<Session>,
        outgoing: mpsc::Sender<Outgoing>,
        relay_not_after: i64,
    ) -> Self {
        let (shortest, longest) = INTERVALS;
        Self {
            session,
            outgoing,
            interval: Duration::from_millis(u64::from(welcome.ping_interval_ms)).clamp(shortest, longest),
            relay_not_after,
            sent: Mutex::default(),
        }
    }

    /// Ticks and pings until the session is over.
    pub(super) async fn keep(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut burst = BURST;
        let mut last = self.session.clock.now();
        for number in 0.. {
            ticks.tick().await;
            let now = self.session.clock.now();
            if self.session.fence().tick(now) {
                tracing::warn!(
                    relay = %self.session.relay,
                    "this process stood still for more than 250 ms; sign-ins received before it are handed back",
                );
                burst = BURST;
            }
            if self.session.clock.unix_ms() / 1000 > u64::try_from(self.relay_not_after).unwrap_or(0) {
                let text = "the relay's certificate has ended";
                tracing::warn!(relay = %self.session.relay, "{text}; closing the session");
                return self.session.connection.close(CloseCode::CertificateExpired, text);
            }
            if burst > 0 || now.since(last) >= self.interval {
                burst = burst.saturating_sub(1);
                last = now;
                self.session.memory.purge(now);
                if !self.ping(number) {
                    return;
                }
            }
        }
    }

    /// The relay asks for our time. False when it does not read.
    pub(super) fn answer(&self, ping: Ping) -> bool {
        self.send(Control::Pong(Pong {
            number: ping.number,
            time: self.session.clock.now(),
        }))
    }

    /// The relay answered with its time.
    pub(super) fn answered(&self, pong: Pong) {
        let received = self.session.clock.now();
        let sent = self
            .sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&pong.number);
        if let Some(sent) = sent {
            self.session.fence().record(sent, received, pong.time);
        }
    }

    fn ping(&self, number: u64) -> bool {
        {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            // Taken before the ping waits for the wire: too early errs on the safe side.
            sent.insert(number, self.session.clock.now());
            if sent.len() > OUTSTANDING {
                sent.pop_first();
            }
        }
        self.send(Control::Ping(Ping { number }))
    }

    fn send(&self, frame: Control) -> bool {
        self.outgoing.try_send(Outgoing::Frame(frame)).is_ok()
    }
}
