//! Which agent gets a sign-in, and what becomes of one that nobody can take: the realm's queue and the choice among its
//! agents.

use std::time::Duration;

use postern_protocol::{Moment, Outcome, Unavailable};
use rand::Rng;

use super::flight::{Attempt, Phase};
use super::{Command, Core, FlightId, RealmIndex, SessionId};

impl Core {
    /// Sends the flight to an agent, or lets it wait for one, or settles it when waiting is of no use.
    pub(super) fn place(&mut self, now: Moment, id: FlightId) {
        let Some(flight) = self.flights.get(&id) else { return };
        if now >= flight.sign_in.deadline {
            return self.flight_timeout(now, id);
        }
        if let Some(session) = self.choose(now, id) {
            return self.send(now, id, session);
        }
        if let Some(outcome) = self.hopeless(now, id) {
            return self.settle(id, outcome, None);
        }
        self.enqueue(id);
    }

    fn enqueue(&mut self, id: FlightId) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        if flight.queued {
            return;
        }
        let realm = &mut self.realms[flight.sign_in.realm.0];
        let fits = realm.queued < realm.rules.queue_length
            && realm.queued_bytes + flight.sign_in.bytes <= realm.rules.queue_bytes;
        if !fits {
            return self.settle(id, Outcome::Unavailable(Unavailable::Overloaded), None);
        }
        flight.queued = true;
        realm.queued += 1;
        realm.queued_bytes += flight.sign_in.bytes;
        realm.queue.push_back(id);
        self.set_timer(id);
    }

    /// The eligible agent with the fewest sign-ins outstanding; chance decides among equals. One that has just said
    /// that it could not begin is asked again only if there is no other.
    fn choose(&mut self, now: Moment, id: FlightId) -> Option<SessionId> {
        let flight = self.flights.get(&id)?;
        let refused_by = flight.refusal.as_ref().map(|(name, _)| name.clone());
        let mut best: Option<((bool, u32), SessionId)> = None;
        let mut equals = 0_u32;
        for (session, agent) in self.agents.of(flight.sign_in.realm) {
            let eligible = agent.has_free_slot() && flight.may_ask(agent, now);
            if !eligible || flight.attempt_on(session).is_some() {
                continue;
            }
            let cost = (refused_by.as_ref() == Some(&agent.name), agent.outstanding);
            match best {
                Some((least, _)) if least < cost => continue,
                Some((least, _)) if least == cost => equals += 1,
                _ => equals = 0,
            }
            if self.random.random_range(0..=equals) == 0 {
                best = Some((cost, session));
            }
        }
        best.map(|(_, session)| session)
    }

    /// The outcome of a flight that no agent in session could take, however long it waited; `None` if one could.
    fn hopeless(&self, now: Moment, id: FlightId) -> Option<Outcome> {
        let flight = self.flights.get(&id)?;
        if !flight.attempts.is_empty() {
            return None;
        }
        let realm = &self.realms[flight.sign_in.realm.0];
        let staying = || {
            self.agents
                .of(flight.sign_in.realm)
                .filter(|(_, agent)| !agent.draining)
        };
        if staying().next().is_none() {
            let returning = realm
                .agent_left
                .is_some_and(|left| now.since(left) < realm.rules.agent_return);
            return (!returning || flight.is_ambiguous()).then_some(Outcome::Unavailable(Unavailable::NoAgent));
        }
        if !staying().any(|(_, agent)| flight.is_sealed_to(agent)) {
            return Some(Outcome::StaleKey);
        }
        if staying().any(|(_, agent)| flight.could_ask(agent)) {
            return None;
        }
        // Of those left, each has been tried, is in doubt, or has no directory.
        if staying().any(|(_, agent)| agent.in_doubt) {
            return None;
        }
        Some(Outcome::Unavailable(flight.failure()))
    }

    fn send(&mut self, now: Moment, id: FlightId, session: SessionId) {
        let Some(agent) = self.agents.get_mut(session) else {
            return;
        };
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        let window = Duration::from_millis(250).max(Duration::from_millis(100) + agent.rtt * 3);
        let start_by = now + window.min(flight.sign_in.deadline.since(now) / 2);
        agent.outstanding += 1;
        flight.sends += 1;
        let number = flight.sends;
        flight.attempts.push(Attempt {
            session,
            agent: agent.name.clone(),
            number,
            start_by,
            phase: Phase::Sent,
        });
        self.leave_queue(id);
        self.commands.push_back(Command::Send {
            flight: id,
            session,
            attempt: number,
            start_by,
        });
        self.set_timer(id);
    }

    /// Gives waiting sign-ins to agents with free slots, oldest first.
    pub(super) fn dispatch(&mut self, now: Moment, realm: RealmIndex) {
        let mut position = 0;
        while self.agents.any_free(realm) {
            let Some(&id) = self.realms[realm.0].queue.get(position) else {
                break;
            };
            let waiting = self.flights.get(&id).is_some_and(|flight| flight.queued);
            if !waiting {
                // Settled while it waited, or sent: the queue is cleaned here and not by searching it then.
                self.realms[realm.0].queue.remove(position);
            } else if let Some(session) = self.choose(now, id) {
                self.realms[realm.0].queue.remove(position);
                self.send(now, id, session);
            } else {
                position += 1;
            }
        }
    }

    /// After agents left or lost their directory: answers those that wait for nothing.
    pub(super) fn settle_hopeless(&mut self, now: Moment, realm: RealmIndex) {
        let waiting: Vec<FlightId> = self.realms[realm.0].queue.iter().copied().collect();
        for id in waiting {
            let queued = self.flights.get(&id).is_some_and(|flight| flight.queued);
            if let Some(outcome) = self.hopeless(now, id).filter(|_| queued) {
                self.settle(id, outcome, None);
            }
        }
    }

    pub(super) fn leave_queue(&mut self, id: FlightId) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        if std::mem::take(&mut flight.queued) {
            let realm = &mut self.realms[flight.sign_in.realm.0];
            realm.queued -= 1;
            realm.queued_bytes -= flight.sign_in.bytes;
            // Most leave from the front; the others are skipped when their turn comes.
            while realm.queue.front() == Some(&id) {
                realm.queue.pop_front();
            }
        }
    }
}
