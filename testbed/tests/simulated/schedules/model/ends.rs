//! The rules of the relay's state between events: nothing overdue, nothing unbounded, nobody waiting for nothing.

use std::time::Duration;

use postern_protocol::Moment;
use postern_relay::core::{AgentSession, Core, RealmIndex};

use super::{Broken, Model};

/// The most that a relay's driver is late in these schedules, with the granularity of its timers.
pub(in super::super) const GRACE: Duration = Duration::from_millis(1_010);

impl Model {
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
            let waiting = core.queued(RealmIndex(index));
            if waiting > rules.queue_length {
                return broken("queue-within-bounds", format!("{waiting} of {}", rules.queue_length));
            }
            for (id, session) in core.sessions(RealmIndex(index)) {
                let Some(known) = self.sessions.get(&id) else {
                    return broken("sessions-as-told", format!("{id:?} has ended"));
                };
                let open = known.open.len();
                if session.outstanding as usize != open && !known.forges {
                    let text = format!("{id:?}: {} by the core, {open} in truth", session.outstanding);
                    return broken("in-flight-is-counted", text);
                }
            }
        }
        self.nobody_waits_in_vain(now)
    }

    /// Whoever was never sent goes to an agent that takes work and has room, at once.
    fn nobody_waits_in_vain(&self, now: Moment) -> Result<(), Broken> {
        for id in &self.unsettled {
            let view = &self.sign_ins[id];
            if !view.attempts.is_empty() {
                continue;
            }
            let free = self.sessions.iter().find(|(_, session)| {
                let could = session.takes_work() && session.can_open(&view.facts);
                could && session.realm == view.facts.realm.0 && session.has_room() && !session.forges
            });
            if let Some((session, _)) = free {
                let text = format!("waits, and {session:?} is free");
                return Err(Broken::new("nobody-waits-in-vain", now, *id, text));
            }
        }
        Ok(())
    }

    /// Nothing arrives any more, and every deadline is past.
    pub(in super::super) fn at_the_end(&self, now: Moment, core: &Core) -> Result<(), Broken> {
        let broken = |rule, what: String| Err(Broken::of_all(rule, now, what));
        if let Some(id) = self.unsettled.first() {
            return Err(Broken::new("one-outcome", now, *id, "none"));
        }
        if let Some(at) = core.next_timeout() {
            return broken("nothing-is-left", format!("a timer at {at:?}"));
        }
        let queued: usize = (0..self.realms.len()).map(|realm| core.queued(RealmIndex(realm))).sum();
        if core.unsettled() != 0 || queued != 0 {
            return broken(
                "nothing-is-left",
                format!("{} sign-ins, {queued} queued", core.unsettled()),
            );
        }
        Ok(())
    }
}

/// What the relay holds against a session, as far as anybody can see.
pub(in super::super) fn health(core: &Core, realms: usize) -> Vec<String> {
    let told = |session: &AgentSession| {
        let AgentSession { slots, .. } = session;
        format!("{slots} {:?} {} {}", session.rtt, session.draining, session.in_doubt)
    };
    (0..realms)
        .flat_map(|realm| core.sessions(RealmIndex(realm)))
        .map(|(id, session)| format!("{id:?} {}", told(session)))
        .collect()
}
