//! One sign-in in an agent, step by step as in agent/src/sign_in.rs: open, look up, take a connection, ask the fence,
//! bind.

use std::time::Duration;

use postern_agent::core::fence::Attempt;
use postern_protocol::{Moment, NotStarted, Verdict};
use postern_relay::core::SessionId;
use rand::Rng;

use crate::schedules::chance::{between, one_of, up_to};
use crate::schedules::directory::BindEnd;
use crate::schedules::ledger::{Asked, ProcessId};
use crate::schedules::model::Broken;
use crate::schedules::wire::{Failure, Last, Request, Stream, ToRelay};
use crate::schedules::world::{Happening, World};

/// For a free connection; the agent does not queue.
const PATIENCE: Duration = Duration::from_millis(5);

/// Until no check of expiry lets an envelope pass again.
const KEEP: Duration = Duration::from_secs(94);

#[derive(Debug, Clone)]
pub(in crate::schedules) struct Job {
    session: SessionId,
    stream: Stream,
    attempt: Attempt,
    kid: String,
    received: Moment,
    start_by: Moment,
    waited: bool,
    /// The fence gave leave once.
    begun: bool,
    avoid: Vec<usize>,
    dc: usize,
    /// The same request once more, from another relay: nobody here waits for its answer.
    copy: bool,
}

#[derive(Debug)]
pub(in crate::schedules) enum Step {
    Open,
    LookedUp,
    Connect,
    Bound(BindEnd),
    Lie,
}

impl World {
    pub(super) fn accepts(&mut self, id: ProcessId, session: SessionId, request: Request) {
        let now = self.now;
        let process = self.processes.get_mut(&id).unwrap();
        let received = process.clock.at(now);
        let job = Job {
            session,
            stream: request.stream,
            attempt: Attempt {
                id: request.id,
                received,
                start_by: request.start_by,
            },
            kid: request.kid,
            received: now,
            start_by: request.start_by,
            waited: false,
            begun: false,
            avoid: Vec::new(),
            dc: 0,
            copy: false,
        };
        if self.lies(id) {
            self.take_on(id, job, Duration::from_micros(100), Step::Lie);
        } else if self.processes[&id].draining {
            self.answer(&job, Last::NotStarted(NotStarted::Draining));
        } else {
            let opening = up_to(&mut self.random, Duration::from_millis(2));
            self.take_on(id, job, opening, Step::Open);
        }
    }

    fn take_on(&mut self, id: ProcessId, job: Job, after: Duration, step: Step) {
        let process = self.processes.get_mut(&id).unwrap();
        process.last_job += 1;
        let number = process.last_job;
        process.jobs.insert(number, job);
        self.after(after, Happening::Goes(id, number, step));
    }

    pub(in crate::schedules) fn goes(&mut self, id: ProcessId, number: u64, step: Step) -> Result<(), Broken> {
        if let Some(at) = self.stands_still(id) {
            self.at(at, Happening::Goes(id, number, step));
            return Ok(());
        }
        let Some(process) = self.processes.get_mut(&id) else {
            return Ok(());
        };
        let Some(mut job) = process.jobs.remove(&number) else {
            return Ok(());
        };
        let next = match step {
            Step::Open => self.opens(id, &job),
            Step::LookedUp => self.looked_up(id, &job),
            Step::Connect => self.connects(id, &mut job)?,
            Step::Bound(end) => self.bound(id, &mut job, end),
            Step::Lie => self.makes_up(&job),
        };
        match next {
            Next::Answer(last) => self.answer(&job, last),
            Next::Step(after, step) => {
                self.processes.get_mut(&id).unwrap().jobs.insert(number, job);
                self.after(after, Happening::Goes(id, number, step));
            }
            Next::Nothing => {}
        }
        Ok(())
    }

    fn opens(&mut self, id: ProcessId, job: &Job) -> Next {
        let detail = &self.details[&job.stream.0];
        let process = self.processes.get_mut(&id).unwrap();
        if job.kid != process.kid && Some(&job.kid) != process.previous_kid.as_ref() {
            return Next::not_started(NotStarted::NoKey);
        }
        if let Some(fault) = detail.fault {
            return Next::not_started(fault);
        }
        if !detail.alternate {
            return Next::Step(Duration::ZERO, Step::Connect);
        }
        let local = process.clock.at(self.now);
        let fence = &mut process.ends.get_mut(&job.session).unwrap().fence;
        if let Err(reason) = fence.may_start(local, &job.attempt) {
            return Next::not_started(reason);
        }
        let patience = fence.time_left(local, job.start_by);
        let search = between(&mut self.random, 1, 60);
        Next::Step(search.min(patience), Step::LookedUp)
    }

    fn looked_up(&mut self, id: ProcessId, job: &Job) -> Next {
        let flight = job.stream.0;
        if !self.has_directory(self.processes[&id].realm) || self.random.random_bool(0.05) {
            return Next::not_started(NotStarted::NoLookUp);
        }
        if !self.ledger.truth(flight).exists {
            self.ledger.not_found(flight);
            return Next::not_started(NotStarted::NoMatch);
        }
        Next::Step(Duration::ZERO, Step::Connect)
    }

    /// A connection, and with it in hand the fence.
    fn connects(&mut self, id: ProcessId, job: &mut Job) -> Result<Next, Broken> {
        let realm = self.processes[&id].realm;
        let Some(dc) = self.choose_dc(realm, &job.avoid) else {
            return Ok(self.not_this_time(id, job, NotStarted::NoDirectory));
        };
        let process = &self.processes[&id];
        if process.in_use >= process.connections {
            if !job.waited {
                job.waited = true;
                return Ok(Next::Step(PATIENCE, Step::Connect));
            }
            return Ok(self.not_this_time(id, job, NotStarted::Busy));
        }
        if let Err(reason) = self.asks_the_fence(id, job)? {
            self.note(|| format!("{id:?}: {} is not started: {}", job.stream.0.0, reason.as_str()));
            return Ok(self.not_this_time(id, job, reason));
        }
        self.processes.get_mut(&id).unwrap().in_use += 1;
        if !job.begun {
            job.begun = true;
            self.send_started(job);
            self.repeat(id, job);
        }
        job.dc = dc;
        let (end, after) = self.bind(realm, dc, job.stream.0, id);
        Ok(Next::Step(after, Step::Bound(end)))
    }

    fn asks_the_fence(&mut self, id: ProcessId, job: &Job) -> Result<Result<(), NotStarted>, Broken> {
        let now = self.now;
        let process = self.processes.get_mut(&id).unwrap();
        let local = process.clock.at(now);
        let end = process.ends.get_mut(&job.session).unwrap();
        let permit = if job.begun {
            end.fence.start_again(local, &job.attempt, &process.marks)
        } else {
            end.fence.start(local, &job.attempt, KEEP, &mut process.marks)
        };
        let asked = Asked {
            flight: job.stream.0,
            process: id,
            start_by: job.start_by,
            cancelled: (end.cancelled.get(&job.attempt.id)).is_some_and(|until| job.attempt.start_by <= *until),
            over: end.over,
            stood_still: process
                .gaps
                .iter()
                .any(|(_, until)| job.received < *until && *until <= now),
            copy: job.copy,
            room: process.room,
        };
        match permit {
            Err(reason) => return Ok(Err(reason)),
            Ok(_permit) if job.begun => self.ledger.in_time(now, &asked)?,
            Ok(_permit) => self.ledger.started(now, &asked, &self.model)?,
        }
        self.log.count("bind started");
        Ok(Ok(()))
    }

    /// Nothing can be started. What was begun before and never sent is taken back; what was answered by somebody who
    /// did not check it is not.
    fn not_this_time(&mut self, id: ProcessId, job: &Job, reason: NotStarted) -> Next {
        if !job.begun {
            return Next::not_started(reason);
        }
        if !job.avoid.is_empty() {
            return Next::Answer(Last::Failed(Failure::Directory));
        }
        self.processes.get_mut(&id).unwrap().marks.never_started(job.attempt.id);
        self.ledger.taken_back(job.stream.0, id);
        self.log.count("taken back");
        Next::not_started(reason)
    }

    fn bound(&mut self, id: ProcessId, job: &mut Job, end: BindEnd) -> Next {
        self.processes.get_mut(&id).unwrap().in_use -= 1;
        job.waited = false;
        match end {
            BindEnd::Checked => Next::Answer(Last::Verdict(self.ledger.truth(job.stream.0).verdict)),
            BindEnd::Fault => Next::Answer(Last::Failed(Failure::Directory)),
            BindEnd::AccountFault => Next::Answer(Last::Failed(Failure::Account)),
            BindEnd::Unknown => Next::Answer(Last::Failed(Failure::Unknown)),
            BindEnd::Elsewhere => {
                job.avoid.push(job.dc);
                Next::Step(Duration::ZERO, Step::Connect)
            }
            BindEnd::NeverSent => Next::Step(Duration::ZERO, Step::Connect),
        }
    }

    /// A captured request comes once more, through another relay that is in session with the same process.
    fn repeat(&mut self, id: ProcessId, job: &Job) {
        if !job.copy && self.random.random_bool(0.03) {
            let copy = Job {
                begun: false,
                copy: true,
                ..job.clone()
            };
            self.log.count("request repeated");
            let after = up_to(&mut self.random, Duration::from_millis(200));
            self.take_on(id, copy, after, Step::Open);
        }
    }

    /// Whatever the agent likes to say.
    fn makes_up(&mut self, job: &Job) -> Next {
        self.log.count("lie");
        match self.random.random_range(0..10) {
            0..4 => Next::Answer(Last::Verdict(one_of(&mut self.random, &Verdict::ALL))),
            4..6 => Next::not_started(one_of(&mut self.random, &NotStarted::ALL)),
            6 => Next::Answer(Last::Failed(one_of(&mut self.random, &Failure::ALL))),
            7 => {
                self.send_started(job);
                Next::Nothing
            }
            8 => {
                self.send_started(job);
                self.send_started(job);
                Next::Nothing
            }
            _ => Next::Nothing,
        }
    }

    fn send_started(&mut self, job: &Job) {
        if !job.copy {
            self.send_to_relay(job.session, ToRelay::Started(job.stream));
        }
    }

    fn answer(&mut self, job: &Job, last: Last) {
        self.note(|| format!("agent: answers {} on {:?}: {last:?}", job.stream.0.0, job.session));
        let heard = |process: &super::Process| process.ends.get(&job.session).is_some_and(|end| !end.over);
        let process = self.processes.get(&self.process_of[&job.session]);
        if !job.copy && process.is_some_and(heard) {
            self.send_to_relay(job.session, ToRelay::Answer(job.stream, last));
        }
    }
}

/// What comes next for a job.
enum Next {
    Answer(Last),
    Step(Duration, Step),
    Nothing,
}

impl Next {
    fn not_started(reason: NotStarted) -> Self {
        Self::Answer(Last::NotStarted(reason))
    }
}
