//! Agents: the real fence and its marks, and around them what a process does (agent/src/link/session.rs and pings.rs).

mod sign_in;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use postern_agent::core::fence::{Fence, Replays, TICK};
use postern_protocol::{Moment, RequestId};
use postern_relay::core::SessionId;
use rand::Rng;

use super::chance::{between, one_of, up_to};
use super::clock::LocalClock;
use super::ledger::ProcessId;
use super::relay::IDLE;
use super::wire::{Lane, ToAgent, ToRelay};
use super::world::{Happening, World};
pub(super) use sign_in::{Job, Step};

const PING_INTERVAL: Duration = Duration::from_secs(1);

/// Pings one tick apart at the start and after a gap.
const BURST: u32 = 3;

/// A process that stands still for longer notices it, whatever its clock's drift.
const NOTICED: Duration = Duration::from_millis(251);

pub(super) struct Process {
    pub(super) agent: usize,
    pub(super) realm: usize,
    pub(super) name: Arc<str>,
    pub(super) clock: LocalClock,
    pub(super) kid: String,
    pub(super) previous_kid: Option<String>,
    pub(super) connections: u32,
    /// What it says that it takes at once.
    pub(super) slots: u32,
    /// Connections with a bind on them.
    pub(super) in_use: u32,
    /// Marks that it can hold.
    pub(super) room: usize,
    pub(super) marks: Replays,
    pub(super) ends: BTreeMap<SessionId, AgentEnd>,
    pub(super) jobs: BTreeMap<u64, Job>,
    pub(super) last_job: u64,
    pub(super) frozen_until: Moment,
    /// When it stood still for long, by the world's time.
    pub(super) gaps: Vec<(Moment, Moment)>,
    pub(super) draining: bool,
}

/// One session, as the process has it.
pub(super) struct AgentEnd {
    pub(super) fence: Fence,
    pub(super) over: bool,
    /// What came of `Cancel`, to hold the fence to it.
    pub(super) cancelled: BTreeMap<RequestId, Moment>,
    pings: BTreeMap<u64, Moment>,
    next_ping: u64,
    last_ping: Moment,
    burst: u32,
    last_heard: Moment,
    told: (u32, bool),
}

impl World {
    /// A process of the agent starts, beside whatever there is of it.
    pub(super) fn starts(&mut self, agent: usize) -> ProcessId {
        let id = self.next_process();
        // Seldom too few.
        let room = one_of(&mut self.random, &[1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 4]);
        let plan = &self.plan.agents[agent];
        let process = Process {
            agent,
            realm: plan.realm,
            name: plan.name.as_str().into(),
            clock: LocalClock::draw(&mut self.random, self.plan.start),
            kid: format!("key 1 of process {}", id.0),
            previous_kid: None,
            connections: plan.connections,
            slots: plan.connections * plan.boasts,
            in_use: 0,
            room,
            marks: Replays::new(room),
            ends: BTreeMap::new(),
            jobs: BTreeMap::new(),
            last_job: 0,
            frozen_until: Moment(0),
            gaps: Vec::new(),
            draining: false,
        };
        self.note(|| format!("{id:?} of {} in realm {} starts", process.name, process.realm));
        self.agent_of.insert(id, agent);
        self.processes.insert(id, process);
        self.after(Duration::from_millis(5), Happening::Dials(id));
        self.after(TICK, Happening::Ticks(id));
        id
    }

    pub(super) fn lies(&self, process: ProcessId) -> bool {
        self.plan.agents[self.agent_of[&process]].lies
    }

    /// When what comes for a process that stands still is seen to; `None` for one that does not.
    pub(super) fn stands_still(&mut self, id: ProcessId) -> Option<Moment> {
        let until = self.processes.get(&id)?.frozen_until;
        (until > self.now).then(|| until + up_to(&mut self.random, Duration::from_millis(3)))
    }

    pub(super) fn dials(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get(&id) else { return };
        if process.draining || process.ends.values().any(|end| !end.over) {
            return;
        }
        if let Some(at) = self.stands_still(id) {
            return self.at(at, Happening::Dials(id));
        }
        let Some(session) = self.admit(id) else {
            return self.dials_again(id);
        };
        let ready = self.has_directory(self.processes[&id].realm);
        let now = self.now;
        let process = self.processes.get_mut(&id).unwrap();
        let local = process.clock.at(now);
        let end = AgentEnd {
            fence: Fence::new(local),
            over: false,
            cancelled: BTreeMap::new(),
            pings: BTreeMap::new(),
            next_ping: 0,
            last_ping: local,
            burst: BURST,
            last_heard: now,
            told: (process.slots, ready),
        };
        process.ends.insert(session, end);
        self.note(|| format!("{id:?} is in session as {session:?}"));
        self.log.count("in session");
    }

    fn dials_again(&mut self, id: ProcessId) {
        let pause = between(&mut self.random, 1, 1_000);
        self.after(pause, Happening::Dials(id));
    }

    /// The process notices that a session is lost.
    fn loses(&mut self, id: ProcessId, session: SessionId) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let Some(end) = process.ends.get_mut(&session).filter(|end| !end.over) else {
            return;
        };
        end.over = true;
        end.fence.end();
        if process.draining {
            self.after(Duration::ZERO, Happening::Exits(id));
        } else {
            self.dials_again(id);
        }
    }

    pub(super) fn ticks(&mut self, id: ProcessId) {
        if let Some(at) = self.stands_still(id) {
            return self.at(at, Happening::Ticks(id));
        }
        let Some(realm) = self.processes.get(&id).map(|process| process.realm) else {
            return;
        };
        let ready = self.has_directory(realm);
        let now = self.now;
        let process = self.processes.get_mut(&id).unwrap();
        let (local, status) = (process.clock.at(now), (process.slots, ready));
        let (mut frames, mut lost) = (Vec::new(), Vec::new());
        for (&session, end) in process.ends.iter_mut().filter(|(_, end)| !end.over) {
            if end.fence.tick(local) {
                end.burst = BURST;
                self.log.count("gap noticed");
            }
            if now.since(end.last_heard) > IDLE {
                lost.push(session);
                continue;
            }
            if end.burst > 0 || local.since(end.last_ping) >= PING_INTERVAL {
                end.burst = end.burst.saturating_sub(1);
                end.last_ping = local;
                end.pings.insert(end.next_ping, local);
                frames.push((session, ToRelay::Ping(end.next_ping)));
                end.next_ping += 1;
            }
            if end.told != status {
                end.told = status;
                let (slots, ready) = status;
                frames.push((session, ToRelay::Status { slots, ready }));
            }
        }
        for (session, frame) in frames {
            self.send_to_relay(session, frame);
        }
        for session in lost {
            self.send_to_relay(session, ToRelay::Closed);
            self.loses(id, session);
        }
        // Starved now and then, and never for so long that it is a gap.
        let late = if self.random.random_bool(0.01) { 190 } else { 2 };
        let next = TICK + up_to(&mut self.random, Duration::from_millis(late));
        self.after(next, Happening::Ticks(id));
    }

    pub(super) fn at_agent(&mut self, session: SessionId, frame: ToAgent) {
        let id = self.process_of[&session];
        if let Some(until) = self.stands_still(id) {
            let lane = match &frame {
                ToAgent::Request(request) => Lane::SignInToAgent(session, request.stream),
                _ => Lane::ControlToAgent(session),
            };
            let at = self.read_after(lane, until);
            return self.at(at, Happening::AtAgent(session, frame));
        }
        let now = self.now;
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let local = process.clock.at(now);
        // A session can be spoken on before the process has looked at its own end of the dial.
        let Some(end) = process.ends.get_mut(&session) else {
            return;
        };
        end.last_heard = now;
        match frame {
            ToAgent::Ping(number) => self.send_to_relay(session, ToRelay::Pong(number)),
            ToAgent::Pong { number, time } => {
                if let Some(sent) = end.pings.remove(&number) {
                    end.fence.record(sent, local, time);
                }
            }
            ToAgent::Cancel(request, start_by) => {
                end.fence.cancel(request, Some(start_by));
                let latest = end.cancelled.entry(request).or_default();
                *latest = start_by.max(*latest);
            }
            ToAgent::Request(request) => self.accepts(id, session, request),
            ToAgent::Closed => self.loses(id, session),
        }
    }

    /// Nothing of the process runs for a while; what comes for it piles up, and its clock goes on.
    pub(super) fn freezes(&mut self, id: ProcessId, time: Duration) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        if process.frozen_until > now {
            return;
        }
        process.frozen_until = now + time;
        if time > NOTICED {
            process.gaps.push((now, now + time));
        }
        self.note(|| format!("{id:?} is frozen for {time:?}"));
        self.log.count("frozen");
    }

    /// SIGKILL: the relay hears nothing of it.
    pub(super) fn dies(&mut self, id: ProcessId) {
        if let Some(process) = self.processes.remove(&id) {
            self.note(|| format!("{id:?} of {} is killed", process.name));
            self.log.count("killed");
            if self.random.random_bool(0.9) {
                let pause = between(&mut self.random, 20, 4_000);
                self.after(pause, Happening::Starts(process.agent));
            }
        }
    }

    /// SIGTERM: takes nothing new, finishes, waits for the relay to close.
    pub(super) fn drains(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        process.draining = true;
        let agent = process.agent;
        let sessions: Vec<SessionId> = process
            .ends
            .iter()
            .filter(|(_, end)| !end.over)
            .map(|(id, _)| *id)
            .collect();
        self.note(|| format!("{id:?} drains"));
        self.log.count("drained");
        for session in sessions {
            self.send_to_relay(session, ToRelay::Draining);
        }
        self.after(Duration::from_secs(6), Happening::Exits(id));
        // Its successor may be there before it ends.
        let pause = between(&mut self.random, 1, 3_000);
        self.after(pause, Happening::Starts(agent));
    }

    pub(super) fn exits(&mut self, id: ProcessId) {
        if let Some(process) = self.processes.remove(&id) {
            self.note(|| format!("{id:?} of {} exits", process.name));
            for (session, _) in process.ends.iter().filter(|(_, end)| !end.over) {
                self.send_to_relay(*session, ToRelay::Closed);
            }
        }
    }

    pub(super) fn changes_key(&mut self, id: ProcessId) {
        let Some(process) = self.processes.get_mut(&id) else {
            return;
        };
        let (old, _) = process.kid.split_once(" of").unwrap();
        let number: u64 = old.trim_start_matches("key ").parse().unwrap();
        let kid = format!("key {} of process {}", number + 1, id.0);
        process.previous_kid = Some(std::mem::replace(&mut process.kid, kid.clone()));
        let sessions: Vec<SessionId> = process.ends.keys().copied().collect();
        self.log.count("key changed");
        for session in sessions {
            self.send_to_relay(session, ToRelay::KeyChange(kid.clone()));
        }
    }
}
