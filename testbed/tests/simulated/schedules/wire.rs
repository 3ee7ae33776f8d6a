//! The way between relay and agent, as QUIC gives it: every stream in order, and nothing in order between streams.
//!
//! What is lost on the network comes later and is in `late`; a frame that never arrives on a session that lives is one
//! that its receiver dropped. Through a cut nothing comes before it ends.

use std::time::Duration;

use postern_protocol::{Moment, NotStarted, RequestId, Verdict};
use postern_relay::core::{AttemptNumber, FlightId, SessionId};
use rand::Rng;

use super::chance::up_to;
use super::world::{Happening, World};

/// One sign-in's stream on a session: which sign-in, the how-manieth attempt.
pub(super) type Stream = (FlightId, AttemptNumber);

/// What comes in order: one direction of the control stream, or of a sign-in's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    ControlToAgent(SessionId),
    ControlToRelay(SessionId),
    SignInToAgent(SessionId, Stream),
    SignInToRelay(SessionId, Stream),
}

#[derive(Debug, Clone)]
pub(super) enum ToAgent {
    Ping(u64),
    Pong {
        number: u64,
        time: Moment,
    },
    /// Of an attempt that was to begin by then.
    Cancel(RequestId, Moment),
    Request(Request),
    Closed,
}

#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) stream: Stream,
    pub(super) id: RequestId,
    pub(super) kid: String,
    pub(super) start_by: Moment,
}

#[derive(Debug, Clone)]
pub(super) enum ToRelay {
    Ping(u64),
    Pong(u64),
    Status { slots: u32, ready: bool },
    Draining,
    KeyChange(String),
    Started(Stream),
    Answer(Stream, Last),
    Closed,
}

/// The last frame of a sign-in's stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Last {
    Verdict(Verdict),
    NotStarted(NotStarted),
    Failed(Failure),
}

/// Why there is no verdict.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    /// The directory did not check the password,
    Directory,
    /// because of the account,
    Account,
    /// or may have.
    Unknown,
}

impl Failure {
    pub(super) const ALL: [Self; 3] = [Self::Directory, Self::Account, Self::Unknown];
}

impl World {
    pub(super) fn send_to_agent(&mut self, session: SessionId, frame: ToAgent) {
        let lane = match &frame {
            ToAgent::Request(request) => Lane::SignInToAgent(session, request.stream),
            _ => Lane::ControlToAgent(session),
        };
        let must_arrive = matches!(frame, ToAgent::Closed);
        if let Some(at) = self.arrival(session, lane, must_arrive) {
            self.at(at, Happening::AtAgent(session, frame));
        }
    }

    pub(super) fn send_to_relay(&mut self, session: SessionId, frame: ToRelay) {
        let lane = match &frame {
            ToRelay::Started(stream) | ToRelay::Answer(stream, _) => Lane::SignInToRelay(session, *stream),
            _ => Lane::ControlToRelay(session),
        };
        let must_arrive = matches!(frame, ToRelay::Closed);
        if matches!(frame, ToRelay::Answer(..)) && self.random.random_bool(self.plan.network.repeats) {
            self.log.count("answer repeated");
            if let Some(at) = self.arrival(session, lane, false) {
                self.at(at, Happening::AtRelay(session, frame.clone()));
            }
        }
        if let Some(at) = self.arrival(session, lane, must_arrive) {
            self.at(at, Happening::AtRelay(session, frame));
        }
    }

    fn arrival(&mut self, session: SessionId, lane: Lane, must_arrive: bool) -> Option<Moment> {
        let network = &self.plan.network;
        if !must_arrive && self.random.random_bool(network.loss) {
            self.log.count("frame dropped");
            return None;
        }
        let mut delay = network.delay + up_to(&mut self.random, network.jitter);
        if self.random.random_bool(network.tail) {
            delay += up_to(&mut self.random, network.late);
        }
        let mut at = self.now + delay;
        if let Some(&until) = self.cuts.get(&session)
            && until > self.now
        {
            at = until + delay;
        }
        Some(self.in_order(lane, at))
    }

    /// The earliest moment from `at` on that is after everything before it in its lane.
    pub(super) fn in_order(&mut self, lane: Lane, at: Moment) -> Moment {
        let last = self.lanes.entry(lane).or_default();
        *last = at.max(*last);
        *last
    }

    /// The same for somebody who stands still until `until`: what has come is read then, each stream at its own time.
    pub(super) fn read_after(&mut self, lane: Lane, until: Moment) -> Moment {
        let at = until + up_to(&mut self.random, Duration::from_millis(3));
        self.in_order(lane, at)
    }
}
