//! Which agent gets a sign-in.
//!
//! Of those that may have it, two are drawn, and the one with the smaller cost gets it: how slow it is, times what it
//! has in hand already. Costs within a quarter of each other are equal, and chance decides: thus agents that are as
//! good as each other get as much, and no news of one draws everything to it. Two random choices need no more than
//! this to stay close to the best.
//!
//! One that answers suspiciously fast may be making its answers up. It costs at least what one of the usual speed would
//! that has in hand as much as the others on average, and so gets about its even share.
//!
//! Two are mostly found by drawing from all, however many there are: whoever is hit and may not have the sign-in is drawn
//! again. All are looked at only where that finds nobody, or where one is hit of whom the others decide.
//!
//! An ejected agent whose time is over gets the next sign-in, whatever it costs: nothing but a sign-in can show that
//! it is well again. Agents that are ejected, or rest, are passed over, but not where they are more than half of those
//! that are there: then it is not the agents.

use std::collections::BTreeMap;
use std::time::Duration;

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
pub(super) const SUSPECT_PATIENCE: Duration = Duration::from_secs(1);

/// Draws from all before all are looked at. Where half of the agents may have the sign-in, one case in thirty needs that.
const DRAWS: usize = 8;

/// Of those that begin slowly, who has a lot in the draws for one sign-in. One that is new has one only now and then; not a
/// higher cost, by which it would get nothing at all. Decided once, whichever way leads to the choice.
#[derive(Debug, Default)]
pub(super) struct Lots(Vec<(SessionId, bool)>);

impl Lots {
    fn has(&mut self, session: SessionId, share: f64, random: &mut impl Rng) -> bool {
        if share >= 1.0 {
            return true;
        }
        if let Some((_, has)) = self.0.iter().find(|(known, _)| *known == session) {
            return *has;
        }
        let has = random.random::<f64>() < share;
        self.0.push((session, has));
        has
    }
}

/// What stands for an agent in the draw: the session of its that would get the sign-in.
#[derive(Debug, Clone, Copy)]
struct Lot {
    session: SessionId,
    cost: f64,
    share: f64,
    /// What it has in hand already, and this sign-in.
    in_hand: f64,
    too_fast: bool,
}

fn in_hand(agent: &Agent) -> f64 {
    f64::from(agent.outstanding() + 1)
}

/// The agents of one realm, for one choice.
pub(super) struct Choice<'a> {
    pub(super) agents: &'a Agents,
    pub(super) realm: RealmIndex,
    pub(super) usual: &'a Usual,
    pub(super) now: Moment,
}

impl Choice<'_> {
    /// The agent that gets `flight` now, where nobody is ejected and each agent has one session, so that all but the
    /// usual draw is out of the question. `None` where it takes a look at all of them to tell. Gives each agent the
    /// chance that [`Self::agent_for`] does.
    pub(super) fn drawn_from_all(&self, flight: &Flight, lots: &mut Lots, random: &mut impl Rng) -> Option<SessionId> {
        let mut drawn: Vec<SessionId> = Vec::with_capacity(DRAWS);
        let mut first: Option<(SessionId, f64)> = None;
        for _ in 0..DRAWS {
            let (session, agent) = self.agents.any(self.realm, random)?;
            if drawn.contains(&session) {
                continue;
            }
            drawn.push(session);
            let there = |agent: &Agent| agent.could_take(flight) && !agent.liveness.is_suspect();
            let rests = |agent: &Agent| agent.breaker.rests(self.now);
            if !there(agent) || !self.may_have(flight, session, agent) || flight.was_refused_by(agent) {
                continue;
            }
            let passed_over = rests(agent) && self.are_few(there, rests);
            if passed_over || !lots.has(session, agent.breaker.share(self.now), random) {
                continue;
            }
            let cost = if agent.is_suspiciously_fast(self.now, self.usual) {
                let rests_count = self.are_few(there, rests);
                let well = |agent: &Agent| there(agent) && !(rests_count && rests(agent));
                let others = |agent: &Agent| well(agent) && !flight.was_refused_by(agent);
                self.cost(agent).max(self.in_hand_of_trusted(flight, others))
            } else {
                self.cost(agent)
            };
            match first {
                None => first = Some((session, cost)),
                Some((first, first_cost)) => {
                    return Some(if first_cost <= cost * EQUAL { first } else { session });
                }
            }
        }
        None
    }

    /// What those that do not answer suspiciously fast have in hand on average, this sign-in included.
    fn in_hand_of_trusted(&self, flight: &Flight, also: impl Fn(&Agent) -> bool) -> f64 {
        let trusted = self
            .candidates(flight, also)
            .filter(|(_, agent)| !agent.is_suspiciously_fast(self.now, self.usual));
        let (sum, count) = trusted.fold((0.0, 0.0), |(sum, count), (_, agent)| {
            (sum + in_hand(agent), count + 1.0)
        });
        if count > 0.0 { sum / count } else { 0.0 }
    }

    /// The agent that gets `flight` now; `None` if there is nobody who may have it.
    pub(super) fn agent_for(&self, flight: &Flight, lots: &mut Lots, random: &mut impl Rng) -> Option<SessionId> {
        self.candidates(flight, |_| true).next()?;
        if flight.is_fresh()
            && let Some(probe) = self.first(flight, |agent| agent.breaker.wants_probe(self.now))
        {
            return Some(probe);
        }
        let there = |agent: &Agent| agent.could_take(flight) && !agent.liveness.is_suspect();
        let ejected = |agent: &Agent| agent.breaker.is_ejected();
        let rests = |agent: &Agent| agent.breaker.rests(self.now);
        let ejections_count = self.are_few(there, ejected);
        let passed_over = |agent: &Agent| ejections_count && ejected(agent);
        let rests_count = self.are_few(|agent| there(agent) && !passed_over(agent), rests);
        let passed_over = |agent: &Agent| passed_over(agent) || rests_count && rests(agent);
        let well = |agent: &Agent| !agent.liveness.is_suspect() && !passed_over(agent);
        // One that has just said that it could not begin is asked again only if there is no other.
        let others = |agent: &Agent| well(agent) && !flight.was_refused_by(agent);
        if let Some(session) = self.draw(flight, lots, random, others) {
            return Some(session);
        }
        let refused = flight.refusal.is_some();
        let again = refused.then(|| self.draw(flight, lots, random, well)).flatten();
        again.or_else(|| self.suspect(flight))
    }

    /// Whether `such` are no more than half of the agents `among` which they are. An agent is one of them when all its
    /// sessions are, and counts as one.
    fn are_few(&self, among: impl Fn(&Agent) -> bool, such: impl Fn(&Agent) -> bool) -> bool {
        let mut agents: BTreeMap<&str, bool> = BTreeMap::new();
        for (_, agent) in self.agents.of(self.realm).filter(|(_, agent)| among(agent)) {
            *agents.entry(agent.name()).or_insert(true) &= such(agent);
        }
        agents.values().filter(|such| **such).count() * 2 <= agents.len()
    }

    /// Those that may have `flight` now and fulfil `also`.
    fn candidates(&self, flight: &Flight, also: impl Fn(&Agent) -> bool) -> impl Iterator<Item = (SessionId, &Agent)> {
        self.agents
            .of(self.realm)
            .filter(move |(session, agent)| self.may_have(flight, *session, agent) && also(agent))
    }

    fn may_have(&self, flight: &Flight, session: SessionId, agent: &Agent) -> bool {
        agent.has_free_slot() && flight.may_ask(session, agent, self.now)
    }

    fn first(&self, flight: &Flight, also: impl Fn(&Agent) -> bool) -> Option<SessionId> {
        let alive = |agent: &Agent| !agent.liveness.is_suspect() && also(agent);
        self.candidates(flight, alive).next().map(|(session, _)| session)
    }

    /// Two agents are drawn, and the cheaper one gets it. Agents and not sessions: one with several has no more lots.
    fn draw(
        &self,
        flight: &Flight,
        has_lot: &mut Lots,
        random: &mut impl Rng,
        also: impl Fn(&Agent) -> bool,
    ) -> Option<SessionId> {
        let mut agents: BTreeMap<&str, (Lot, u32)> = BTreeMap::new();
        for (session, agent) in self.candidates(flight, also) {
            let (cost, share) = (self.cost(agent), agent.breaker.share(self.now));
            let lot = Lot {
                session,
                cost,
                share,
                in_hand: in_hand(agent),
                too_fast: agent.is_suspiciously_fast(self.now, self.usual),
            };
            let (cheapest, equals) = agents.entry(agent.name()).or_insert((lot, 0));
            if cost * EQUAL < cheapest.cost {
                (*cheapest, *equals) = (lot, 1);
            } else if cost <= cheapest.cost * EQUAL {
                // Two machines with one certificate both serve.
                *equals += 1;
                if random.random_ratio(1, *equals) {
                    *cheapest = lot;
                }
            }
        }
        let trusted = agents.values().filter(|(lot, _)| !lot.too_fast);
        let (in_hand, count) = trusted.fold((0.0, 0.0), |(sum, count), (lot, _)| (sum + lot.in_hand, count + 1.0));
        let least = if count > 0.0 { in_hand / count } else { 0.0 };
        let all = agents.values().map(|(lot, _)| Lot {
            cost: if lot.too_fast { lot.cost.max(least) } else { lot.cost },
            ..*lot
        });
        let mut lots: Vec<Lot> = all
            .clone()
            .filter(|lot| has_lot.has(lot.session, lot.share, random))
            .collect();
        if lots.is_empty() {
            lots.extend(all);
        }
        let first = random.random_range(0..lots.len().max(1));
        // Another one, each as likely; with one agent, that one.
        let second = (first + random.random_range(1..lots.len().max(2))) % lots.len().max(1);
        let (one, other) = (lots.get(first)?, lots.get(second)?);
        Some(if one.cost <= other.cost * EQUAL {
            one.session
        } else {
            other.session
        })
    }

    fn cost(&self, agent: &Agent) -> f64 {
        agent.handicap(self.now, self.usual) * in_hand(agent)
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
