//! What is known of all links: which are in session, what stands against the others, which replicas were told of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use postern_protocol::connection::Transport;
use postern_service::admin::Readiness;
use prometheus::IntGauge;
use tokio::sync::{Notify, watch};

use super::dial::Spot;
use super::explain::{Trouble, TroubleKind};
use super::session::Place;
use crate::config::RelayAddress;
use crate::metrics::Metrics;

/// The states of a link in the metrics.
const STATES: [&str; 2] = ["up", "down"];

/// The topic in `/readyz` of a link is this and its relay's address.
const TOPIC: &str = "relay";

/// The board. One lock, never held across an await.
#[derive(Debug)]
pub(crate) struct Board {
    state: Mutex<State>,
    /// Numbers of the sessions, oldest first.
    sessions: watch::Sender<Vec<u64>>,
    news: Notify,
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

#[derive(Debug, Default)]
struct State {
    next_session: u64,
    sessions: BTreeMap<u64, Entry>,
    /// Present troubles by relay address or name.
    troubles: BTreeMap<String, Trouble>,
}

#[derive(Debug)]
struct Entry {
    spot: Spot,
    relay: [u8; 16],
    replicas: Vec<RelayAddress>,
}

impl Board {
    /// No link yet.
    pub(crate) fn new(metrics: Arc<Metrics>, readiness: Readiness) -> Arc<Self> {
        readiness.block(TOPIC, "no relay was reached yet");
        Arc::new(Self {
            state: Mutex::default(),
            sessions: watch::channel(Vec::new()).0,
            news: Notify::new(),
            metrics,
            readiness,
        })
    }

    /// The sessions, as they come and go.
    pub(crate) fn sessions(&self) -> watch::Receiver<Vec<u64>> {
        self.sessions.subscribe()
    }

    /// A session with the relay process `relay` begins; it lasts until the result is dropped. `None` if there is one
    /// with that process already, under whatever address, and this one does not take its place.
    pub(crate) fn join(
        self: &Arc<Self>,
        spot: &Spot,
        relay: [u8; 16],
        replicas: Vec<RelayAddress>,
        (transport, place): (Transport, Place),
    ) -> Option<Joined> {
        let number = {
            let mut state = self.lock();
            let ours = |entry: &Entry| entry.relay == relay && (place == Place::New || entry.spot != *spot);
            if state.sessions.values().any(ours) {
                return None;
            }
            state.next_session += 1;
            let number = state.next_session;
            state.troubles.remove(&spot.to_string());
            state.sessions.insert(
                number,
                Entry {
                    spot: spot.clone(),
                    relay,
                    replicas,
                },
            );
            number
        };
        self.carried(spot, transport).inc();
        self.publish(spot);
        self.news.notify_one();
        Some(Joined {
            board: self.clone(),
            spot: spot.clone(),
            number,
            transport,
        })
    }

    /// Something stands against a relay. Logged when it is news.
    pub(crate) fn trouble(&self, relay: &str, trouble: &Trouble) {
        let old = self.lock().troubles.insert(relay.to_owned(), trouble.clone());
        // The same trouble again, every five seconds at most, is told once.
        if old.is_none_or(|old| old.kind != trouble.kind) {
            tracing::warn!(relay, kind = trouble.kind.as_str(), trouble = %trouble.text, "no session with a relay");
        }
        // A name is no link, and a second way to a relay in session is none that is missing.
        if !matches!(trouble.kind, TroubleKind::Resolve | TroubleKind::Duplicate) {
            // After `GoAway` the end of the old session is not the end of the new one.
            let up = self
                .lock()
                .sessions
                .values()
                .any(|entry| entry.spot.to_string() == relay);
            self.count(relay, up);
        }
        self.tell_readiness();
    }

    /// A session has ended.
    pub(crate) fn ended(&self, relay: &str, trouble: &Trouble) {
        if trouble.kind == TroubleKind::Ended {
            tracing::info!(relay, reason = %trouble.text, "session ended");
            self.lock().troubles.insert(relay.to_owned(), trouble.clone());
            self.tell_readiness();
        } else {
            self.trouble(relay, trouble);
        }
    }

    /// A name resolves (again).
    pub(crate) fn resolved(&self, relay: &str) {
        if self.lock().troubles.remove(relay).is_some() {
            self.tell_readiness();
        }
    }

    /// Forgets names that nothing leads to any more: a relay tells of its replicas, and may tell of others each time.
    pub(crate) fn keep_names(&self, wanted: &BTreeSet<String>) {
        let mut state = self.lock();
        let before = state.troubles.len();
        state
            .troubles
            .retain(|relay, trouble| trouble.kind != TroubleKind::Resolve || wanted.contains(relay));
        let changed = state.troubles.len() != before;
        drop(state);
        if changed {
            self.tell_readiness();
        }
    }

    /// Whether an address is in session.
    pub(crate) fn is_up(&self, spot: &Spot) -> bool {
        self.lock().sessions.values().any(|entry| entry.spot == *spot)
    }

    /// What the relays in session told of other replicas.
    pub(crate) fn replicas(&self) -> BTreeSet<RelayAddress> {
        let state = self.lock();
        state
            .sessions
            .values()
            .flat_map(|entry| entry.replicas.iter().cloned())
            .collect()
    }

    /// Waits until there is something new to do for the links.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// There is no link to that address any more.
    pub(crate) fn forget(&self, spot: &Spot) {
        let relay = spot.to_string();
        self.lock().troubles.remove(&relay);
        for state in STATES {
            // An error says that there was no such series.
            let _ = self.metrics.links.remove_label_values(&[relay.as_str(), state]);
        }
        for transport in Transport::ALL {
            let labels = [relay.as_str(), transport.as_str()];
            let _ = self.metrics.link_sessions.remove_label_values(&labels);
        }
        let _ = self.metrics.link_connects.remove_label_values(&[relay.as_str()]);
        self.tell_readiness();
    }

    fn carried(&self, spot: &Spot, transport: Transport) -> IntGauge {
        let labels = [&spot.to_string(), transport.as_str()];
        self.metrics.link_sessions.with_label_values(&labels)
    }

    fn leave(&self, spot: &Spot, number: u64, transport: Transport) {
        self.lock().sessions.remove(&number);
        self.carried(spot, transport).dec();
        self.publish(spot);
    }

    fn publish(&self, spot: &Spot) {
        let numbers: Vec<u64> = self.lock().sessions.keys().copied().collect();
        self.sessions.send_replace(numbers);
        self.count(&spot.to_string(), self.is_up(spot));
        self.tell_readiness();
    }

    fn count(&self, relay: &str, up: bool) {
        for (state, value) in STATES.into_iter().zip([up, !up]) {
            self.metrics
                .links
                .with_label_values(&[relay, state])
                .set(i64::from(value));
        }
    }

    /// Ready with one session; otherwise every relay's trouble is told.
    fn tell_readiness(&self) {
        let state = self.lock();
        if !state.sessions.is_empty() {
            return self.readiness.clear(TOPIC);
        }
        let troubles: Vec<String> = state
            .troubles
            .iter()
            .map(|(relay, trouble)| format!("{relay}: {}", trouble.text))
            .collect();
        if !troubles.is_empty() {
            self.readiness
                .block(TOPIC, format!("no session with any relay: {}", troubles.join("; ")));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every statement, so a panic elsewhere cannot have left it half-written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's place on the board.
#[derive(Debug)]
pub(crate) struct Joined {
    board: Arc<Board>,
    spot: Spot,
    number: u64,
    transport: Transport,
}

impl Joined {
    /// The session's position among `sessions` and how many there are.
    pub(crate) fn place(&self, sessions: &[u64]) -> (u32, u32) {
        let index = sessions.iter().position(|&number| number == self.number).unwrap_or(0);
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (small(index), small(sessions.len()))
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.board.leave(&self.spot, self.number, self.transport);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: (Transport, Place) = (Transport::Quic, Place::New);

    fn board() -> (Arc<Board>, Readiness, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new(0).unwrap().0);
        let readiness = Readiness::new();
        (Board::new(metrics.clone(), readiness.clone()), readiness, metrics)
    }

    fn address(port: u16) -> Spot {
        Spot::Address(([127, 0, 0, 1], port).into())
    }

    #[test]
    fn one_relay_in_session_is_ready_and_none_tells_every_trouble() {
        let (board, readiness, metrics) = board();
        board.trouble("127.0.0.1:1", &Trouble::new(TroubleKind::NoUdp, "no answer".to_owned()));
        board.trouble("127.0.0.1:2", &Trouble::new(TroubleKind::Denied, "denied".to_owned()));
        let reason = readiness.reasons().remove(TOPIC).unwrap();
        assert!(
            reason.contains("127.0.0.1:1: no answer") && reason.contains("127.0.0.1:2: denied"),
            "{reason}"
        );
        let joined = board.join(&address(1), [1; 16], Vec::new(), NEW).unwrap();
        assert!(readiness.reasons().is_empty());
        assert_eq!(metrics.links.with_label_values(&["127.0.0.1:1", "up"]).get(), 1);
        drop(joined);
        assert!(!readiness.reasons().is_empty());
        assert_eq!(metrics.links.with_label_values(&["127.0.0.1:1", "up"]).get(), 0);
        assert_eq!(metrics.links.with_label_values(&["127.0.0.1:1", "down"]).get(), 1);
    }

    #[test]
    fn one_relay_process_has_one_session_under_whatever_address() {
        let (board, _, _) = board();
        let first = board.join(&address(1), [1; 16], Vec::new(), NEW).unwrap();
        assert!(board.join(&address(2), [1; 16], Vec::new(), NEW).is_none());
        let second = board.join(&address(2), [2; 16], Vec::new(), NEW).unwrap();
        let sessions = board.sessions().borrow().clone();
        assert_eq!((first.place(&sessions), second.place(&sessions)), ((0, 2), (1, 2)));
        drop(first);
        assert!(board.join(&address(2), [1; 16], Vec::new(), NEW).is_some());
        assert_eq!(second.place(&board.sessions().borrow()), (0, 1));
    }

    #[test]
    fn a_session_may_take_the_place_of_one_with_the_same_process_at_the_same_address() {
        let (board, ..) = board();
        let tcp = board
            .join(&address(1), [1; 16], Vec::new(), (Transport::Tcp, Place::New))
            .unwrap();
        let better = (Transport::Quic, Place::OfOurOwn);
        assert!(board.join(&address(2), [1; 16], Vec::new(), better).is_none());
        let quic = board.join(&address(1), [1; 16], Vec::new(), better).unwrap();
        let carried = |transport| board.carried(&address(1), transport).get();
        assert_eq!((carried(Transport::Quic), carried(Transport::Tcp)), (1, 1));
        drop(tcp);
        assert!(board.is_up(&address(1)));
        assert_eq!((carried(Transport::Quic), carried(Transport::Tcp)), (1, 0));
        drop(quic);
        assert!(!board.is_up(&address(1)));
    }
}
