//! The sessions of one realm by agent, arranged so that an agent with a slot free can be drawn: looking at a thousand for
//! each sign-in would cost more than the sign-in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::Rng;

use super::SessionId;

/// The agents of a realm.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// In no order.
    agents: Vec<Entry>,
    /// Where each is among them.
    places: BTreeMap<Arc<str>, usize>,
    /// Places of those that have a slot free, in no order.
    free: Vec<usize>,
    /// Sessions that are ejected.
    ejected: BTreeSet<SessionId>,
}

#[derive(Debug)]
struct Entry {
    name: Arc<str>,
    /// At least one.
    sessions: Vec<SessionId>,
    /// How many of them have a slot free.
    free_sessions: usize,
    /// Its place among those that have.
    free_at: Option<usize>,
}

impl Roster {
    /// Takes in a session of the agent, without a free slot until that is said.
    pub(super) fn join(&mut self, name: &Arc<str>, id: SessionId) {
        let place = *self.places.entry(name.clone()).or_insert_with(|| {
            self.agents.push(Entry {
                name: name.clone(),
                sessions: Vec::new(),
                free_sessions: 0,
                free_at: None,
            });
            self.agents.len() - 1
        });
        if let Some(entry) = self.agents.get_mut(place) {
            entry.sessions.push(id);
        }
    }

    /// Takes a session out, which has no free slot any more.
    pub(super) fn leave(&mut self, name: &Arc<str>, id: SessionId) {
        self.ejected.remove(&id);
        let Some(&place) = self.places.get(name) else { return };
        let Some(entry) = self.agents.get_mut(place) else {
            return;
        };
        entry.sessions.retain(|session| *session != id);
        if !entry.sessions.is_empty() {
            return;
        }
        self.places.remove(name);
        self.agents.swap_remove(place);
        // Another one has its place now.
        if let Some(moved) = self.agents.get(place) {
            self.places.insert(moved.name.clone(), place);
            if let Some(at) = moved.free_at {
                self.free[at] = place;
            }
        }
    }

    /// One of the agent's sessions has a slot free now, or has none any more.
    pub(super) fn set_free(&mut self, name: &Arc<str>, free: bool) {
        let Some(&place) = self.places.get(name) else { return };
        let Some(entry) = self.agents.get_mut(place) else {
            return;
        };
        if free {
            entry.free_sessions += 1;
            if entry.free_at.is_none() {
                entry.free_at = Some(self.free.len());
                self.free.push(place);
            }
            return;
        }
        entry.free_sessions = entry.free_sessions.saturating_sub(1);
        if entry.free_sessions > 0 {
            return;
        }
        let Some(at) = entry.free_at.take() else { return };
        self.free.swap_remove(at);
        if let Some(moved) = self.free.get(at).and_then(|place| self.agents.get_mut(*place)) {
            moved.free_at = Some(at);
        }
    }

    /// A session is ejected now, or is not any more.
    pub(super) fn set_ejected(&mut self, id: SessionId, ejected: bool) {
        if ejected {
            self.ejected.insert(id);
        } else {
            self.ejected.remove(&id);
        }
    }

    /// Whether any agent has a slot free.
    pub(super) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// The sessions of any agent that has a slot free, each agent as likely.
    pub(super) fn draw(&self, random: &mut impl Rng) -> Option<&[SessionId]> {
        let place = self.free.get(random.random_range(0..self.free.len().max(1)))?;
        self.agents.get(*place).map(|entry| &*entry.sessions)
    }

    /// The agent's sessions.
    pub(super) fn sessions_of(&self, name: &str) -> &[SessionId] {
        let entry = self.places.get(name).and_then(|place| self.agents.get(*place));
        entry.map_or(&[], |entry| &entry.sessions)
    }

    /// Sessions that are ejected, the oldest first.
    pub(super) fn ejected(&self) -> impl Iterator<Item = SessionId> {
        self.ejected.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    impl Roster {
        /// It holds these agents, of each session its id, whether a slot is free, and whether it is ejected.
        pub(in crate::core) fn assert_is(&self, agents: &BTreeMap<Arc<str>, Vec<(SessionId, bool, bool)>>) {
            assert_eq!(self.agents.len(), agents.len());
            let ejected = |sessions: &[(SessionId, bool, bool)]| {
                let ejected = sessions.iter().filter(|(.., ejected)| *ejected);
                ejected.map(|(id, ..)| *id).collect::<Vec<_>>()
            };
            let all: BTreeSet<_> = agents.values().flat_map(|sessions| ejected(sessions)).collect();
            assert_eq!(self.ejected, all);
            let mut free = 0;
            for (name, sessions) in agents {
                let entry = &self.agents[self.places[name]];
                assert_eq!(&entry.name, name);
                let of_entry: BTreeSet<_> = entry.sessions.iter().copied().collect();
                assert_eq!(of_entry, sessions.iter().map(|(id, ..)| *id).collect());
                let count = sessions.iter().filter(|(_, free, _)| *free).count();
                assert_eq!((entry.free_sessions, entry.free_at.is_some()), (count, count > 0));
                free += usize::from(count > 0);
                assert!(entry.free_at.is_none_or(|at| self.free[at] == self.places[name]));
            }
            assert_eq!(self.free.len(), free);
        }
    }

    #[test]
    fn it_holds_what_came_and_went_whatever_the_order() {
        let (mut roster, mut truth) = (
            Roster::default(),
            BTreeMap::<Arc<str>, Vec<(SessionId, bool, bool)>>::new(),
        );
        let mut random = SmallRng::seed_from_u64(1);
        for number in 0..20_000 {
            let name: Arc<str> = format!("agent-{}", random.random_range(0..12)).into();
            let sessions = truth.entry(name.clone()).or_default();
            let any = random.random_range(0..sessions.len().max(1));
            match (random.random_range(0..5), sessions.get_mut(any)) {
                (0, _) | (_, None) => {
                    roster.join(&name, SessionId(number));
                    sessions.push((SessionId(number), false, false));
                }
                (1, Some((id, free, _))) => {
                    if *free {
                        roster.set_free(&name, false);
                    }
                    roster.leave(&name, *id);
                    sessions.remove(any);
                }
                (2, Some((id, _, ejected))) => {
                    *ejected = !*ejected;
                    roster.set_ejected(*id, *ejected);
                }
                (_, Some((_, free, _))) => {
                    *free = !*free;
                    roster.set_free(&name, *free);
                }
            }
            truth.retain(|_, sessions| !sessions.is_empty());
            roster.assert_is(&truth);
            let drawn = roster.draw(&mut random);
            let has_free = |sessions: &&Vec<(SessionId, bool, bool)>| sessions.iter().any(|(_, free, _)| *free);
            assert_eq!(drawn.is_some(), truth.values().any(|sessions| has_free(&sessions)));
            if let Some([first, ..]) = drawn {
                let mut agents = truth.values().filter(has_free);
                assert!(agents.any(|sessions| sessions.iter().any(|(id, ..)| id == first)));
            }
        }
    }
}
