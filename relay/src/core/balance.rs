//! Which agent gets a sign-in.
//!
//! Of those that may have it, two are drawn, and the one with the smaller cost gets it: how slow it is, times what it
//! has in hand already. Costs within a quarter of each other are equal, and chance decides: thus agents that are as
//! good as each other get as much, and no news of one draws everything to it. Two random choices need no more than
//! this to stay close to the best.
//!
//! An ejected agent whose time is over gets the next sign-in, whatever it costs: nothing but a sign-in can show that
//! it is well again. While more than half of a realm's agents are ejected, nobody is: then it is not the agents.

use postern_protocol::Moment;
use rand::Rng;

use super::agents::{Agent, Agents};
use super::flight::Flight;
use super::latency::Usual;
use super::{RealmIndex, SessionId};

/// Costs up to this many times the smaller one are equal to it.
const EQUAL: f64 = 1.25;

/// How long a realm's sign-ins wait for one of its suspects to be heard before they go to a suspect all the same. An
/// agent that is there answers within a round trip; one that restarts is back within this.
pub(super) const SUSPECT_PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// The agents of one realm, for one choice.
pub(super) struct Choice<'a> {
    pub(super) agents: &'a Agents,
    pub(super) realm: RealmIndex,
    pub(super) usual: &'a Usual,
    pub(super) now: Moment,
}

impl Choice<'_> {
    /// The agent that gets `flight` now; `None` if there is nobody who may have it.
    pub(super) fn agent_for(&self, flight: &Flight, random: &mut impl Rng) -> Option<SessionId> {
        if flight.is_fresh()
            && let Some(probe) = self.first(flight, |agent| agent.breaker.wants_probe(self.now))
        {
            return Some(probe);
        }
        let ejections_count = self.ejections_count(flight);
        let passed_over = |agent: &Agent| ejections_count && agent.breaker.is_ejected();
        let well = |agent: &Agent| !agent.liveness.is_suspect() && !passed_over(agent);
        // One that has just said that it could not begin is asked again only if there is no other.
        self.draw(flight, random, |agent| well(agent) && !flight.was_refused_by(agent))
            .or_else(|| self.draw(flight, random, well))
            .or_else(|| self.suspect(flight))
    }

    /// Whether ejected agents are passed over: not where that leaves less than half of those that are there.
    fn ejections_count(&self, flight: &Flight) -> bool {
        let there = |agent: &Agent| agent.could_take(flight) && !agent.liveness.is_suspect();
        let there = self.agents.of(self.realm).filter(|(_, agent)| there(agent));
        let ejected = there.clone().filter(|(_, agent)| agent.breaker.is_ejected()).count();
        ejected * 2 <= there.count()
    }

    /// Those that may have `flight` now and fulfil `also`.
    fn candidates(&self, flight: &Flight, also: impl Fn(&Agent) -> bool) -> impl Iterator<Item = (SessionId, &Agent)> {
        self.agents.of(self.realm).filter(move |(session, agent)| {
            agent.has_free_slot() && flight.may_ask(*session, agent, self.now) && also(agent)
        })
    }

    fn first(&self, flight: &Flight, also: impl Fn(&Agent) -> bool) -> Option<SessionId> {
        let alive = |agent: &Agent| !agent.liveness.is_suspect() && also(agent);
        self.candidates(flight, alive).next().map(|(session, _)| session)
    }

    fn draw(&self, flight: &Flight, random: &mut impl Rng, also: impl Fn(&Agent) -> bool) -> Option<SessionId> {
        let count = self.candidates(flight, &also).count();
        let first = random.random_range(0..count.max(1));
        // Another one, each as likely.
        let second = (first + random.random_range(1..count.max(2))) % count.max(1);
        let mut drawn = self
            .candidates(flight, &also)
            .enumerate()
            .filter(|(at, _)| *at == first || *at == second);
        let (_, (one, of_one)) = drawn.next()?;
        let Some((_, (other, of_other))) = drawn.next() else {
            return Some(one);
        };
        let (cost_of_one, cost_of_other) = (self.cost(of_one), self.cost(of_other));
        let equal = cost_of_one.max(cost_of_other) <= cost_of_one.min(cost_of_other) * EQUAL;
        let one_wins = if equal {
            random.random()
        } else {
            cost_of_one < cost_of_other
        };
        Some(if one_wins { one } else { other })
    }

    fn cost(&self, agent: &Agent) -> f64 {
        agent.handicap(self.now, self.usual) * f64::from(agent.outstanding() + 1)
    }

    /// Where nobody is left who is not silent: the one that was heard last, after a while.
    fn suspect(&self, flight: &Flight) -> Option<SessionId> {
        let serving = self.agents.of(self.realm).filter(|(_, agent)| agent.could_take(flight));
        let patient = |agent: &Agent| {
            let since = agent.liveness.suspected_since();
            since.is_none_or(|since| self.now.since(since) < SUSPECT_PATIENCE)
        };
        if serving.clone().any(|(_, agent)| patient(agent)) {
            return None;
        }
        self.candidates(flight, |_| true)
            .max_by_key(|(_, agent)| agent.liveness.last_heard())
            .map(|(session, _)| session)
    }
}
