//! The rules of the relay's state between events: nothing overdue, nothing unbounded, nobody waiting for nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use postern_protocol::Moment;
use postern_relay::core::{AgentState, Core, RealmIndex, SessionId};

use super::{Broken, Model};

/// The most that a relay's driver is late in these schedules, with the granularity of its timers.
pub(in super::super) const GRACE: Duration = Duration::from_millis(1_010);

/// With more than so many the relay need not look at all of them at once.
const LOOKED_AT: usize = 32;

impl Model {
    /// An event was handled.
    pub(in super::super) fn after_event(&mut self, now: Moment, core: &Core) {
        for (index, crowded) in self.crowded.iter_mut().enumerate() {
            if core.queued(RealmIndex(index)) > LOOKED_AT {
                *crowded = now;
            }
        }
    }

    /// The core was given the time, with all timers that were due.
    pub(in super::super) fn nothing_overdue(&self, now: Moment) -> Result<(), Broken> {
        let overdue = |view: &super::View| view.facts.deadline <= now;
        match self.unsettled.iter().find(|id| overdue(&self.sign_ins[id])) {
            Some(id) => {
                let arrived = self.sign_ins[id].arrived;
                let text = format!("no outcome {:?} after it arrived", now.since(arrived));
                Err(Broken::new("settled-by-its-deadline", now, *id, text))
            }
            None => Ok(()),
        }
    }

    /// The driver has done all that it had to do at `now`.
    pub(in super::super) fn between_events(&self, now: Moment, core: &Core) -> Result<(), Broken> {
        let broken = |rule, what: String| Err(Broken::of_all(rule, now, what));
        if core.unsettled() != self.unsettled.len() {
            let text = format!(
                "the core has {}, and {} are not settled",
                core.unsettled(),
                self.unsettled.len()
            );
            return broken("settled-is-forgotten", text);
        }
        for (index, rules) in self.realms.iter().enumerate() {
            let realm = RealmIndex(index);
            let (waiting, bytes) = (core.queued(realm), core.queued_bytes(realm));
            if waiting > rules.queue.length || bytes > rules.queue.bytes {
                let text = format!("{waiting} and {bytes} bytes, with {:?}", rules.queue);
                return broken("queue-within-bounds", text);
            }
            for (id, agent) in core.sessions(realm) {
                let Some(known) = self.sessions.get(&id) else {
                    return broken("sessions-as-told", format!("{id:?} has ended"));
                };
                let open = known.open.len();
                if agent.outstanding() as usize != open {
                    let text = format!("{id:?}: {} by the core, {open} in truth", agent.outstanding());
                    return broken("in-flight-is-counted", text);
                }
            }
        }
        self.silence_is_noticed(now)?;
        self.nobody_waits_in_vain(now)
    }

    /// Whoever was never sent goes to an agent that is well and has room, at once.
    fn nobody_waits_in_vain(&self, now: Moment) -> Result<(), Broken> {
        for id in &self.unsettled {
            let view = &self.sign_ins[id];
            if !view.attempts.is_empty() || view.arrived <= self.crowded[view.facts.realm.0] {
                continue;
            }
            let free = self.sessions.iter().find(|(_, session)| {
                let could = session.is_well() && now >= session.rests_until && session.can_open(&view.facts);
                could && session.realm == view.facts.realm.0 && session.has_room()
            });
            if let Some((session, _)) = free {
                let text = format!("waits, and {session:?} is free");
                return Err(Broken::new("nobody-waits-in-vain", now, *id, text));
            }
        }
        Ok(())
    }

    /// Nothing arrives any more, every session has ended, and every deadline is past.
    pub(in super::super) fn at_the_end(&self, now: Moment, core: &mut Core) -> Result<(), Broken> {
        let broken = |rule, what: String| Err(Broken::of_all(rule, now, what));
        if let Some(id) = self.unsettled.first() {
            return Err(Broken::new("one-outcome", now, *id, "none"));
        }
        if !core.is_quiet() {
            return broken("nothing-is-left", "something is kept of a sign-in".to_owned());
        }
        // The longest ejection is a minute.
        core.handle_timeout(now + Duration::from_secs(70));
        if let Some(at) = core.next_timeout() {
            return broken("nothing-is-left", format!("a timer at {at:?}"));
        }
        Ok(())
    }
}

/// What the relay holds against each session, as far as anybody can see.
pub(in super::super) type Health = BTreeMap<SessionId, (AgentState, f64)>;

pub(in super::super) fn health(core: &Core, now: Moment, realms: usize) -> Health {
    (0..realms)
        .flat_map(|realm| core.sessions(RealmIndex(realm)))
        .map(|(id, agent)| (id, (agent.state(), core.handicap(now, id).unwrap_or_default())))
        .collect()
}
