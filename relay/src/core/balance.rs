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
//! Two are mostly found by drawing from all with a slot free, however many there are: whoever is hit and may not have the
//! sign-in is drawn again. All are looked at only where that finds nobody, or where one is hit of whom the others decide
//! (ejected, resting, suspiciously fast).
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

/// The lot of an agent: of several sessions (two machines with one certificate both serve) the cheapest, of equals any.
/// With how many there were.
#[derive(Debug, Clone, Copy, Default)]
struct AgentsLot(Option<(Lot, u32)>);

impl AgentsLot {
    fn offer(&mut self, lot: Lot, random: &mut impl Rng) {
        let Some((cheapest, equals)) = &mut self.0 else {
            self.0 = Some((lot, 1));
            return;
        };
        if lot.cost * EQUAL < cheapest.cost {
            (*cheapest, *equals) = (lot, 1);
        } else if lot.cost <= cheapest.cost * EQUAL {
            *equals += 1;
            if random.random_ratio(1, *equals) {
                *cheapest = lot;
            }
        }
    }
}

/// What those that do not answer suspiciously fast have in hand on average, this sign-in included.
fn in_hand_of_trusted(lots: &[Lot]) -> f64 {
    let trusted = lots.iter().filter(|lot| !lot.too_fast);
    let (sum, count) = trusted.fold((0.0, 0.0), |(sum, count), lot| (sum + lot.in_hand, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Which agents are passed over. Not where they are more than half of those that are there: then it is not the agents.
#[derive(Debug, Clone, Copy)]
struct PassedOver {
    ejected: bool,
    resting: bool,
}

impl PassedOver {
    fn has(self, agent: &Agent, now: Moment) -> bool {
        self.ejected && agent.breaker.is_ejected() || self.resting && agent.breaker.rests(now)
    }
}

/// The agents of one realm, for one choice.
pub(super) struct Choice<'a> {
    pub(super) agents: &'a Agents,
    pub(super) realm: RealmIndex,
    pub(super) usual: &'a Usual,
    pub(super) now: Moment,
}

impl Choice<'_> {
    /// The ejected one that is to show with `flight`, if that is a new one, that it is well again. It comes before all
    /// others.
    pub(super) fn probe(&self, flight: &Flight) -> Option<SessionId> {
        if !flight.is_fresh() {
            return None;
        }
        let wants = |agent: &Agent| !agent.liveness.is_suspect() && agent.breaker.wants_probe(self.now);
        let mut ejected = self.agents.ejected(self.realm);
        let probe = ejected.find(|(session, agent)| wants(agent) && self.may_have(flight, *session, agent));
        probe.map(|(session, _)| session)
    }

    /// The agent that gets `flight` now, where none is to be probed with it. `None` where it takes a look at all of them
    /// to tell. Gives each agent the chance that [`Self::agent_for`] does.
    pub(super) fn drawn(&self, flight: &Flight, has_lot: &mut Lots, random: &mut impl Rng) -> Option<SessionId> {
        let mut drawn: Vec<SessionId> = Vec::with_capacity(DRAWS);
        let mut passed_over: Option<PassedOver> = None;
        let mut first: Option<(SessionId, f64)> = None;
        for _ in 0..DRAWS {
            let sessions = self.agents.draw(self.realm, random)?;
            let agent = *sessions.first()?;
            if drawn.contains(&agent) {
                continue;
            }
            drawn.push(agent);
            let mut lot = AgentsLot::default();
            for session in sessions {
                let Some(agent) = self.agents.of_realm(self.realm, *session) else {
                    continue;
                };
                let there = agent.could_take(flight) && !agent.liveness.is_suspect();
                if !there || !self.may_have(flight, *session, agent) || flight.was_refused_by(agent) {
                    continue;
                }
                // Only here, since it takes a look at all of them.
                let in_doubt = agent.breaker.is_ejected() || agent.breaker.rests(self.now);
                if in_doubt
                    && passed_over
                        .get_or_insert_with(|| self.passed_over(flight))
                        .has(agent, self.now)
                {
                    continue;
                }
                lot.offer(self.lot(*session, agent), random);
            }
            let Some(lot) = lot.0.map(|(lot, _)| lot) else { continue };
            if !has_lot.has(lot.session, lot.share, random) {
                continue;
            }
            let cost = if lot.too_fast {
                let passed_over = *passed_over.get_or_insert_with(|| self.passed_over(flight));
                let others = |agent: &Agent| self.is_well(agent, passed_over) && !flight.was_refused_by(agent);
                lot.cost.max(in_hand_of_trusted(&self.lots(flight, random, others)))
            } else {
                lot.cost
            };
            match first {
                None => first = Some((lot.session, cost)),
                Some((first, first_cost)) => {
                    return Some(if first_cost <= cost * EQUAL { first } else { lot.session });
                }
            }
        }
        None
    }

    /// The agent that gets `flight` now, where none is to be probed with it; `None` if there is nobody who may have it.
    pub(super) fn agent_for(&self, flight: &Flight, lots: &mut Lots, random: &mut impl Rng) -> Option<SessionId> {
        self.candidates(flight, |_| true).next()?;
        let passed_over = self.passed_over(flight);
        let well = |agent: &Agent| self.is_well(agent, passed_over);
        // One that has just said that it could not begin is asked again only if there is no other.
        let others = |agent: &Agent| well(agent) && !flight.was_refused_by(agent);
        if let Some(session) = self.draw(flight, lots, random, others) {
            return Some(session);
        }
        let refused = flight.refusal.is_some();
        let again = refused.then(|| self.draw(flight, lots, random, well)).flatten();
        again.or_else(|| self.suspect(flight))
    }

    /// Who is passed over, of those that are there for `flight`.
    fn passed_over(&self, flight: &Flight) -> PassedOver {
        let there = |agent: &Agent| agent.could_take(flight) && !agent.liveness.is_suspect();
        let ejected = |agent: &Agent| agent.breaker.is_ejected();
        let rests = |agent: &Agent| agent.breaker.rests(self.now);
        let ejections = self.are_few(there, ejected);
        let still_there = |agent: &Agent| there(agent) && !(ejections && ejected(agent));
        PassedOver {
            ejected: ejections,
            resting: self.are_few(still_there, rests),
        }
    }

    fn is_well(&self, agent: &Agent, passed_over: PassedOver) -> bool {
        !agent.liveness.is_suspect() && !passed_over.has(agent, self.now)
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

    fn lot(&self, session: SessionId, agent: &Agent) -> Lot {
        let in_hand = f64::from(agent.outstanding() + 1);
        Lot {
            session,
            cost: agent.handicap(self.now, self.usual) * in_hand,
            share: agent.breaker.share(self.now),
            in_hand,
            too_fast: agent.is_suspiciously_fast(self.now, self.usual),
        }
    }

    /// What stands for each agent of which a session may have `flight` and fulfils `also`.
    fn lots(&self, flight: &Flight, random: &mut impl Rng, also: impl Fn(&Agent) -> bool) -> Vec<Lot> {
        let mut agents: BTreeMap<&str, AgentsLot> = BTreeMap::new();
        for (session, agent) in self.candidates(flight, also) {
            let lot = self.lot(session, agent);
            agents.entry(agent.name()).or_default().offer(lot, random);
        }
        agents
            .into_values()
            .filter_map(|lot| lot.0)
            .map(|(lot, _)| lot)
            .collect()
    }

    /// Two agents are drawn, and the cheaper one gets it. Agents and not sessions: one with several has no more lots.
    fn draw(
        &self,
        flight: &Flight,
        has_lot: &mut Lots,
        random: &mut impl Rng,
        also: impl Fn(&Agent) -> bool,
    ) -> Option<SessionId> {
        let mut all = self.lots(flight, random, also);
        let least = in_hand_of_trusted(&all);
        for lot in all.iter_mut().filter(|lot| lot.too_fast) {
            lot.cost = lot.cost.max(least);
        }
        let mut lots: Vec<Lot> = all
            .iter()
            .copied()
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
