//! The world of one schedule: its time, what is going to happen, and everybody in it.
//!
//! One heap of events on one fake clock, which is the relay's own. What happens at the same moment happens in the order
//! in which it was arranged, and all chance is from the schedule's seed: the same seed is the same schedule, to the
//! last byte of its log.

use std::collections::BTreeMap;
use std::time::Duration;

use postern_protocol::{Moment, Outcome, Unavailable};
use postern_relay::core::{FlightId, SessionId};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::agent::{Process, Step};
use super::chance::{gap, up_to};
use super::directory::Dc;
use super::ledger::{Ledger, ProcessId};
use super::log::Log;
use super::model::{Broken, Model};
use super::people::Detail;
use super::plan::Plan;
use super::relay::Relay;
use super::wire::{Lane, Stream, ToAgent, ToRelay};

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Happening {
    Arrival,
    CallerGoes(FlightId),
    Fault,
    /// The relay's driver: an event waits, or a timer is due.
    DriverWakes,
    AtRelay(SessionId, ToRelay),
    /// The relay's end of a connection looks whether anything came.
    RelayLooks(SessionId),
    /// A session's task takes what the driver gave it to send.
    LinkTakes(SessionId),
    ProbeEnds(SessionId),
    /// The relay's end of a stream has waited long enough.
    PatienceEnds(SessionId, Stream),
    AtAgent(SessionId, ToAgent),
    Dials(ProcessId),
    Ticks(ProcessId),
    Goes(ProcessId, u64, Step),
    Exits(ProcessId),
    /// A process of this agent starts.
    Starts(usize),
    Mends(usize, usize),
}

pub(super) struct World {
    pub(super) now: Moment,
    pub(super) random: SmallRng,
    pub(super) plan: Plan,
    pub(super) relay: Relay,
    pub(super) processes: BTreeMap<ProcessId, Process>,
    pub(super) process_of: BTreeMap<SessionId, ProcessId>,
    /// By its place in the plan, also of processes that are gone.
    pub(super) agent_of: BTreeMap<ProcessId, usize>,
    /// By realm.
    pub(super) directories: Vec<Vec<Dc>>,
    pub(super) details: BTreeMap<FlightId, Detail>,
    pub(super) lanes: BTreeMap<Lane, Moment>,
    /// Sessions between whose ends nothing gets through, until when.
    pub(super) cuts: BTreeMap<SessionId, Moment>,
    pub(super) model: Model,
    pub(super) ledger: Ledger,
    pub(super) log: Log,
    /// Nothing arrives and nothing goes wrong any more.
    pub(super) quiet: bool,
    last_process: u64,
    events: BTreeMap<(Moment, u64), Happening>,
    last_event: u64,
}

impl World {
    pub(super) fn new(seed: u64, log_kept: bool) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let plan = Plan::draw(&mut random);
        let rules: Vec<_> = plan.realms.iter().map(|realm| realm.rules.clone()).collect();
        let directories = plan
            .realms
            .iter()
            .map(|realm| (0..realm.dcs).map(|_| Dc::draw(&mut random)).collect())
            .collect();
        let mut world = Self {
            now: plan.start,
            relay: Relay::new(rules.clone(), random.random()),
            processes: BTreeMap::new(),
            process_of: BTreeMap::new(),
            agent_of: BTreeMap::new(),
            directories,
            details: BTreeMap::new(),
            lanes: BTreeMap::new(),
            cuts: BTreeMap::new(),
            model: Model::new(rules),
            ledger: Ledger::default(),
            log: Log::new(plan.start, log_kept),
            quiet: false,
            last_process: 0,
            events: BTreeMap::new(),
            last_event: 0,
            random,
            plan,
        };
        for agent in 0..world.plan.agents.len() {
            // Some are there from the start, some come when sign-ins wait for them already.
            let after = up_to(&mut world.random, Duration::from_millis(500));
            world.after(after, Happening::Starts(agent));
        }
        world.after(Duration::from_millis(200), Happening::Arrival);
        world.after(Duration::from_millis(300), Happening::Fault);
        world
    }

    /// Lets everything happen, and then looks at what is left.
    ///
    /// # Errors
    /// The first rule that did not hold.
    pub(super) fn run(&mut self) -> Result<(), Broken> {
        let busy_until = self.now + self.plan.length;
        // Past every deadline, and past what streams wait beyond it.
        let end = busy_until + self.plan.deadline + Duration::from_secs(5);
        while let Some(entry) = self.events.first_entry() {
            let (at, _) = *entry.key();
            if at > end {
                break;
            }
            self.quiet |= at > busy_until;
            let happening = entry.remove();
            self.now = at;
            self.happen(happening)?;
        }
        self.now = end;
        self.end()
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Broken> {
        match happening {
            Happening::Arrival => {
                if !self.quiet {
                    self.arrive();
                    let next = gap(&mut self.random, self.plan.arrivals);
                    self.after(next, Happening::Arrival);
                }
            }
            Happening::CallerGoes(flight) => self.caller_goes(flight),
            Happening::Fault => {
                if !self.quiet {
                    self.fault();
                    let next = gap(&mut self.random, self.plan.faults);
                    self.after(next, Happening::Fault);
                }
            }
            Happening::DriverWakes => self.driver_wakes()?,
            Happening::AtRelay(session, frame) => self.at_relay(session, frame),
            Happening::RelayLooks(session) => self.relay_looks(session),
            Happening::LinkTakes(session) => self.link_takes(session),
            Happening::ProbeEnds(session) => self.probe_ends(session),
            Happening::PatienceEnds(session, stream) => self.patience_ends(session, stream),
            Happening::AtAgent(session, frame) => self.at_agent(session, frame),
            Happening::Dials(process) => self.dials(process),
            Happening::Ticks(process) => self.ticks(process),
            Happening::Goes(process, job, step) => self.goes(process, job, step)?,
            Happening::Exits(process) => self.exits(process),
            Happening::Starts(agent) => {
                self.starts(agent);
            }
            Happening::Mends(realm, dc) => self.mends(realm, dc),
        }
        Ok(())
    }

    /// Everything is settled and forgotten; what was said to be untried was never tried, whatever came later.
    fn end(&mut self) -> Result<(), Broken> {
        let sessions: Vec<SessionId> = self.relay.links.keys().copied().collect();
        for session in sessions {
            self.link_ends(session, true, "the schedule is over");
        }
        self.relay.asleep_until = self.now;
        self.turn()?;
        self.model.at_the_end(self.now, &mut self.relay.core)?;
        for (flight, view) in &self.model.sign_ins {
            let untried = !matches!(
                view.settled,
                Some(Outcome::Verdict(_) | Outcome::Unavailable(Unavailable::Indeterminate))
            );
            if untried && !view.caller_gone && self.ledger.was_tried(*flight) {
                let text = format!("{:?}, and a domain controller checked the password", view.settled);
                return Err(Broken::new("untried-means-untried", self.now, *flight, text));
            }
        }
        for _ in 0..self.ledger.bound_twice() {
            self.log.count("bound twice");
        }
        Ok(())
    }

    pub(super) fn after(&mut self, delay: Duration, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    pub(super) fn at(&mut self, moment: Moment, happening: Happening) {
        self.last_event += 1;
        self.events.insert((moment.max(self.now), self.last_event), happening);
    }

    pub(super) fn next_process(&mut self) -> ProcessId {
        self.last_process += 1;
        ProcessId(self.last_process)
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        self.log.line(self.now, line);
    }
}
