//! The sessions' tasks: the control stream, the streams of sign-ins, probes, and the end.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use postern_protocol::{Moment, NotStarted, Verdict};
use postern_relay::core::{AgentSession, Answer, RealmIndex, SessionId};
use rand::Rng;
use rand::seq::SliceRandom;

use super::{Event, Link, Order};
use crate::schedules::chance::up_to;
use crate::schedules::ledger::ProcessId;
use crate::schedules::wire::{Failure, Lane, Last, Request, Stream, ToAgent, ToRelay};
use crate::schedules::world::{Happening, World};

/// Without a packet for so long the connection is lost.
pub(in crate::schedules) const IDLE: Duration = Duration::from_secs(3);

/// How long a session may take to show that it lives when a newer one of the same agent has come.
const PROBE: Duration = Duration::from_millis(500);

const MOST_SESSIONS_PER_AGENT: usize = 4;

/// How long the relay's end of a stream waits past the sign-in's deadline (relay/src/session/sign_in.rs).
const PATIENCE: Duration = Duration::from_secs(3);

impl World {
    /// A process dials. False when it is not taken in.
    pub(in crate::schedules) fn admit(&mut self, id: ProcessId) -> Option<SessionId> {
        let process = &self.processes[&id];
        let (realm, name) = (process.realm, process.name.clone());
        let same = |link: &Link| link.realm == realm && link.name == name;
        let before: Vec<(SessionId, ProcessId)> = self
            .relay
            .links
            .iter()
            .filter(|(_, link)| same(link))
            .map(|(session, link)| (*session, link.process))
            .collect();
        if let Some((older, _)) = before.iter().find(|(_, process)| *process == id) {
            // The older one stays if it lives, else it makes room.
            self.probe(*older);
            return None;
        }
        if before.len() >= MOST_SESSIONS_PER_AGENT {
            return None;
        }
        self.relay.last_session += 1;
        let session = SessionId(self.relay.last_session);
        let process = &self.processes[&id];
        let rtt = self.plan.network.delay * 2;
        let link = Link {
            process: id,
            realm,
            name: name.clone(),
            queue: VecDeque::new(),
            streams: BTreeMap::new(),
            kid: process.kid.clone(),
            previous_kid: None,
            rtt,
            last_heard: self.now,
            pings: BTreeMap::new(),
            next_ping: 0,
            probe: None,
            close_when_idle: false,
        };
        let up = AgentSession {
            realm: RealmIndex(realm),
            name,
            slots: process.slots,
            directory_ready: self.has_directory(realm),
            kid: link.kid.clone(),
            rtt,
        };
        self.relay.links.insert(session, link);
        self.process_of.insert(session, id);
        self.post(Event::Up(session, up));
        for (older, _) in before {
            self.log.count("superseded");
            self.post(Event::Superseded(older));
            self.probe(older);
        }
        self.after(IDLE, Happening::RelayLooks(session));
        Some(session)
    }

    fn probe(&mut self, session: SessionId) {
        let Some(link) = self.relay.links.get_mut(&session) else {
            return;
        };
        if link.probe.is_none() {
            link.probe = Some(false);
            self.send_to_agent(session, ToAgent::Ping(u64::MAX));
            self.after(PROBE, Happening::ProbeEnds(session));
        }
    }

    pub(in crate::schedules) fn probe_ends(&mut self, session: SessionId) {
        if let Some(link) = self.relay.links.get_mut(&session)
            && link.probe.take() == Some(false)
        {
            self.link_ends(session, false, "replaced by a newer one");
        }
    }

    pub(super) fn ping(&mut self, session: SessionId) {
        let now = self.now;
        let Some(link) = self.relay.links.get_mut(&session) else {
            return;
        };
        let number = link.next_ping;
        link.next_ping += 1;
        link.pings.insert(number, now);
        self.send_to_agent(session, ToAgent::Ping(number));
    }

    pub(in crate::schedules) fn relay_looks(&mut self, session: SessionId) {
        let Some(link) = self.relay.links.get(&session) else {
            return;
        };
        let lost_at = link.last_heard + IDLE;
        if lost_at <= self.now {
            self.link_ends(session, true, "nothing was heard for 3 s");
        } else {
            self.at(lost_at, Happening::RelayLooks(session));
        }
    }

    pub(in crate::schedules) fn at_relay(&mut self, session: SessionId, frame: ToRelay) {
        if self.relay.frozen_until > self.now {
            let lane = match &frame {
                ToRelay::Started(stream) | ToRelay::Answer(stream, _) => Lane::SignInToRelay(session, *stream),
                _ => Lane::ControlToRelay(session),
            };
            let at = self.read_after(lane, self.relay.frozen_until);
            return self.at(at, Happening::AtRelay(session, frame));
        }
        let now = self.now;
        let Some(link) = self.relay.links.get_mut(&session) else {
            return;
        };
        link.last_heard = now;
        match frame {
            ToRelay::Ping(number) => {
                let rtt = link.rtt;
                self.send_to_agent(session, ToAgent::Pong { number, time: now });
                self.post(Event::Heard(session, rtt));
            }
            ToRelay::Pong(number) => {
                if let Some(sent) = link.pings.remove(&number) {
                    link.rtt = (link.rtt * 7 + now.since(sent)) / 8;
                }
                link.probe = link.probe.map(|_| true);
                let rtt = link.rtt;
                self.post(Event::Heard(session, rtt));
            }
            ToRelay::Status { slots, ready } => self.post(Event::Status { session, slots, ready }),
            ToRelay::Draining => self.post(Event::Draining(session)),
            ToRelay::KeyChange(kid) => {
                link.previous_kid = Some(std::mem::replace(&mut link.kid, kid.clone()));
                self.post(Event::KeyChange(session, kid));
            }
            ToRelay::Started(stream) => match link.streams.get_mut(&stream) {
                Some(true) => self.link_ends(session, false, "Started came twice"),
                Some(started) => {
                    *started = true;
                    self.post(Event::Started(session, stream));
                }
                None => {}
            },
            ToRelay::Answer(stream, last) => {
                // Whatever comes after the last frame is not read.
                if link.streams.remove(&stream).is_some() {
                    self.post(Event::Answered(session, stream, answer(last)));
                    self.end_if_idle(session);
                }
            }
            ToRelay::Closed => self.link_ends(session, true, "closed by the agent"),
        }
    }

    pub(in crate::schedules) fn patience_ends(&mut self, session: SessionId, stream: Stream) {
        let Some(link) = self.relay.links.get_mut(&session) else {
            return;
        };
        if link.streams.remove(&stream).is_some() {
            self.post(Event::Answered(session, stream, Answer::Lost));
            self.end_if_idle(session);
        }
    }

    /// The driver gives a session something to do. False if it takes nothing any more: it has ended.
    pub(super) fn tell(&mut self, session: SessionId, order: Order) -> bool {
        let Some(link) = self.relay.links.get_mut(&session) else {
            return false;
        };
        link.queue.push_back(order);
        if link.queue.len() == 1 {
            // Its task is woken at once, and now and then others are before it.
            let most = if self.random.random_bool(0.05) { 20_000 } else { 100 };
            let soon = up_to(&mut self.random, Duration::from_micros(most));
            self.after(soon, Happening::LinkTakes(session));
        }
        true
    }

    /// The session's task takes all that the driver gave it.
    pub(in crate::schedules) fn link_takes(&mut self, session: SessionId) {
        if self.relay.frozen_until > self.now {
            return self.at(self.relay.frozen_until, Happening::LinkTakes(session));
        }
        while let Some(link) = self.relay.links.get_mut(&session)
            && let Some(order) = link.queue.pop_front()
        {
            match order {
                Order::Send {
                    stream,
                    start_by,
                    deadline,
                } => self.send_request(session, stream, start_by, deadline),
                Order::Cancel(id, start_by) => self.send_to_agent(session, ToAgent::Cancel(id, start_by)),
                Order::CloseWhenIdle => {
                    link.close_when_idle = true;
                    self.end_if_idle(session);
                }
            }
        }
    }

    fn send_request(&mut self, session: SessionId, stream: Stream, start_by: Moment, deadline: Moment) {
        let Some(link) = self.relay.links.get_mut(&session) else {
            return;
        };
        let detail = &self.details[&stream.0];
        let wanted = |kid: &String| detail.recipients.as_ref().is_none_or(|kids| kids.contains(kid));
        let kid = [Some(&link.kid), link.previous_kid.as_ref()]
            .into_iter()
            .flatten()
            .find(|kid| wanted(kid));
        let Some(kid) = kid.cloned() else {
            let answer = Answer::NotStarted(NotStarted::NoKey);
            return self.post(Event::Answered(session, stream, answer));
        };
        link.streams.insert(stream, false);
        let request = Request {
            stream,
            id: detail.id,
            kid,
            start_by,
        };
        self.at(deadline + PATIENCE, Happening::PatienceEnds(session, stream));
        self.send_to_agent(session, ToAgent::Request(request));
    }

    fn end_if_idle(&mut self, session: SessionId) {
        let idle = |link: &Link| link.close_when_idle && link.streams.is_empty();
        if self.relay.links.get(&session).is_some_and(idle) {
            self.link_ends(session, false, "the agent has drained");
        }
    }

    /// The session's task ends. What it was given and did not send it gives back. Where the connection was lost, its
    /// streams tell so then; where it is the relay that ends it, they are dropped.
    pub(in crate::schedules) fn link_ends(&mut self, session: SessionId, lost: bool, why: &str) {
        let Some(link) = self.relay.links.remove(&session) else {
            return;
        };
        self.note(|| format!("relay: {session:?} of {} ends: {why}", link.name));
        self.log.count("session ended");
        for order in link.queue {
            if let Order::Send { stream, .. } = order {
                self.log.count("given back unsent");
                self.post(Event::Answered(session, stream, Answer::Unsent));
            }
        }
        if lost {
            let mut streams: Vec<Stream> = link.streams.into_keys().collect();
            streams.shuffle(&mut self.random);
            for stream in streams {
                self.post(Event::Answered(session, stream, Answer::Lost));
            }
        }
        self.post(Event::Down(session));
        self.send_to_agent(session, ToAgent::Closed);
    }
}

fn answer(last: Last) -> Answer {
    match last {
        Last::Verdict(verdict) => Answer::Verdict(Verdict::from_code(verdict.code()), None),
        Last::NotStarted(reason) => Answer::NotStarted(NotStarted::from_code(reason.code())),
        Last::Failed(Failure::Unknown) => Answer::Lost,
        Last::Failed(Failure::Directory) => Answer::NotChecked,
        Last::Failed(Failure::Account) => Answer::AccountNotChecked,
    }
}
