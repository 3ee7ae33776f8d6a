//! To whom a sign-in goes now, what becomes of one that nobody can take, and who is there at all.

use std::time::Duration;

use postern_protocol::{Moment, Outcome, Unavailable};

use super::agents::InHand;
use super::balance::{Choice, Lots};
use super::flight::{Attempt, Phase};
use super::queue::{Full, Walk};
use super::{Command, Core, FlightId, PATIENCE, Realm, RealmIndex, SessionId, Shed, USUAL_LIFE};

/// How long sign-ins wait for a directory after the last one was lost: a domain controller that closes its connections
/// and takes new ones at once costs nobody a sign-in.
const DIRECTORY_RETURN: Duration = Duration::from_millis(500);

impl Core {
    /// Sends the flight to an agent, or lets it wait for one, or settles it when waiting is of no use.
    pub(super) fn place(&mut self, now: Moment, id: FlightId) {
        let Some(flight) = self.flights.get(&id) else { return };
        if now >= flight.sign_in.deadline {
            return self.flight_timeout(now, id, false);
        }
        let realm = flight.sign_in.realm;
        if !self.agents.of(realm).any(|(_, agent)| agent.is_at_work()) {
            self.realms[realm.0].queue.begins_anew(now);
        }
        if let Some(session) = self.choose(now, id) {
            return self.send(now, id, session);
        }
        if let Some(outcome) = self.hopeless(now, id) {
            return self.settle(id, outcome, None);
        }
        self.enqueue(now, id);
    }

    fn enqueue(&mut self, now: Moment, id: FlightId) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        if flight.queued.is_some() {
            return;
        }
        let realm = flight.sign_in.realm;
        let slots = self.agents.slots_at_work(realm);
        let queue = &mut self.realms[realm.0].queue;
        let (bytes, time_left) = (flight.sign_in.bytes, flight.sign_in.deadline.since(now));
        let room = match queue.admits(now, flight.line(), bytes, time_left, slots) {
            // It has waited already, and others wait no longer for it.
            Err(Full::Time) if !flight.is_fresh() => Ok(()),
            room => room,
        };
        if let Err(full) = room {
            let shed = match full {
                Full::Length => Shed::QueueLength,
                Full::Bytes => Shed::QueueBytes,
                Full::Time => Shed::QueueWait,
            };
            self.commands.push_back(Command::Shed(shed));
            return self.settle(id, Outcome::Unavailable(Unavailable::Overloaded), None);
        }
        flight.queued = Some(queue.push(now, id, bytes, flight.line(), !flight.is_fresh()));
        self.set_timer(id);
    }

    fn choose(&mut self, now: Moment, id: FlightId) -> Option<SessionId> {
        let flight = self.flights.get(&id)?;
        let realm = flight.sign_in.realm;
        let (usual, seen) = &mut self.realms[realm.0].usual;
        if now.since(*seen) >= USUAL_LIFE {
            (*usual, *seen) = (self.agents.usual(realm, now), now);
        }
        // Where there is too much to do this is the answer for most, and it must be a cheap one.
        if !self.agents.any_free(realm) {
            return None;
        }
        let choice = Choice {
            agents: &self.agents,
            realm,
            usual,
            now,
        };
        let (mut lots, random) = (Lots::default(), &mut self.random);
        choice
            .probe(flight)
            .or_else(|| choice.drawn(flight, &mut lots, random))
            .or_else(|| choice.agent_for(flight, &mut lots, random))
    }

    /// The outcome of a flight that no agent in session could take, however long it waited; `None` if one could.
    fn hopeless(&self, now: Moment, id: FlightId) -> Option<Outcome> {
        let flight = self.flights.get(&id)?;
        if !flight.attempts.is_empty() {
            return None;
        }
        let realm = &self.realms[flight.sign_in.realm.0];
        let within = |left: Option<Moment>, patience| left.is_some_and(|left| now.since(left) < patience);
        let staying = self
            .agents
            .of(flight.sign_in.realm)
            .filter(|(_, agent)| !agent.draining);
        if !realm.presence.agent {
            let returning = within(realm.presence.agent_left, realm.rules.agent_return);
            return (!returning || flight.is_ambiguous()).then_some(Outcome::Unavailable(Unavailable::NoAgent));
        }
        if !staying.clone().any(|(_, agent)| flight.is_sealed_to(agent)) {
            return Some(Outcome::StaleKey);
        }
        if staying.clone().any(|(_, agent)| agent.could_take(flight)) {
            return None;
        }
        // Of those left, each has been tried, or has no directory.
        if realm.presence.directory {
            return Some(Outcome::Unavailable(flight.failure()));
        }
        let tried = |agent: &super::Agent| flight.avoid.contains(agent.name());
        let returning = within(realm.presence.directory_left, DIRECTORY_RETURN);
        let waits = returning && !staying.clone().all(|(_, agent)| tried(agent));
        (!waits).then_some(Outcome::Unavailable(Unavailable::DirectoryDown))
    }

    fn send(&mut self, now: Moment, id: FlightId, session: SessionId) {
        self.leave_queue(id);
        let Some(agent) = self.agents.get_mut(session) else {
            return;
        };
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        let window = Duration::from_millis(250).max(Duration::from_millis(100) + agent.session.rtt * 3);
        let time_left = flight.sign_in.deadline.since(now);
        let start_by = now + window.min(time_left / 2);
        flight.sends += 1;
        let number = flight.sends;
        let in_hand = InHand {
            sent: now,
            user: flight.sign_in.user,
            probe: agent.breaker.chosen(now),
            counted: false,
        };
        agent.in_hand.insert((id, number), in_hand);
        agent.liveness.owes(now);
        flight.attempts.push(Attempt {
            session,
            agent: agent.name().clone(),
            number,
            start_by,
            due_by: now + PATIENCE,
            phase: Phase::Sent,
        });
        self.commands.push_back(Command::Send {
            flight: id,
            session,
            attempt: number,
            start_by,
        });
        self.watch(now, session);
        self.set_timer(id);
    }

    /// Gives waiting sign-ins to agents with free slots, oldest first.
    pub(super) fn dispatch(&mut self, now: Moment, realm: RealmIndex) {
        let mut walk = Walk::new(&mut self.realms[realm.0].queue);
        while self.agents.any_free(realm) {
            let Some(id) = walk.next(&self.realms[realm.0].queue) else {
                break;
            };
            let Some(flight) = self.flights.get(&id) else { continue };
            let (place, deadline) = (flight.queued, flight.sign_in.deadline);
            if now >= deadline {
                // The relay was late. What is sent now could not begin, and would not be known to have been untried.
                self.run_out(now, id);
                place.into_iter().for_each(|place| walk.taken(place));
            } else if let Some(session) = self.choose(now, id) {
                self.send(now, id, session);
                place.into_iter().for_each(|place| walk.taken(place));
            }
        }
        walk.end(&mut self.realms[realm.0].queue);
    }

    /// After agents left, lost their directory or their key, or it was time: somebody else may take what waits, and what
    /// waits for nothing is told so.
    pub(super) fn look_through_queue(&mut self, now: Moment, realm: RealmIndex) {
        self.dispatch(now, realm);
        self.settle_hopeless(now, realm);
    }

    /// Answers those that wait for nothing.
    fn settle_hopeless(&mut self, now: Moment, realm: RealmIndex) {
        for id in self.realms[realm.0].queue.all() {
            if let Some(outcome) = self.hopeless(now, id) {
                self.settle(id, outcome, None);
            }
        }
    }

    pub(super) fn leave_queue(&mut self, id: FlightId) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        if let Some(place) = flight.queued.take() {
            self.realms[flight.sign_in.realm.0].queue.remove(place);
        }
    }

    /// Notes who is there after something has changed, and when the last one left.
    pub(super) fn note_presence(&mut self, now: Moment, realm: RealmIndex) {
        let agent = self.agents.of(realm).any(|(_, agent)| !agent.draining);
        let directory = self.agents.of(realm).any(|(_, agent)| agent.serves());
        let presence = &mut self.realms[realm.0].presence;
        if presence.agent && !agent {
            presence.agent_left = Some(now);
            let patience = self.realms[realm.0].rules.agent_return;
            self.wake(now + patience, realm);
        }
        let presence = &mut self.realms[realm.0].presence;
        if presence.directory && !directory {
            presence.directory_left = Some(now);
            self.wake(now + DIRECTORY_RETURN, realm);
        }
        let Realm { presence, queue, .. } = &mut self.realms[realm.0];
        if directory && !presence.directory {
            queue.begins_anew(now);
        }
        (presence.agent, presence.directory) = (agent, directory);
    }
}
