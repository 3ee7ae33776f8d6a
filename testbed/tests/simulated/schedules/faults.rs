//! What goes wrong, and when.

use std::time::Duration;

use postern_protocol::{NotStarted, Verdict};
use postern_relay::core::{Answer, FlightId, SessionId};
use rand::Rng;

use super::chance::{between, one_of};
use super::ledger::ProcessId;
use super::relay::Event;
use super::world::World;

/// The longest that the relay stands still. It suspects nobody then.
const STALL_MS: u64 = 1_000;

impl World {
    /// Something goes wrong.
    pub(super) fn fault(&mut self) {
        let ids: Vec<ProcessId> = self.processes.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = one_of(&mut self.random, &ids);
        match self.random.random_range(0..100) {
            0..12 => self.dies(id),
            12..20 => self.drains(id),
            20..28 => {
                let time = between(&mut self.random, 20, 300);
                self.freezes(id, time);
            }
            28..36 => {
                let time = between(&mut self.random, 250, 6_000);
                self.freezes(id, time);
            }
            36..44 => self.cuts(id),
            44..66 => self.directory_fault(),
            66..76 => {
                let time = between(&mut self.random, 1, STALL_MS);
                let whole = self.random.random_bool(0.4);
                self.relay_stands_still(time, whole);
            }
            76..82 => self.changes_key(id),
            82..88 => {
                let connections = self.random.random_range(1..=6);
                let process = self.processes.get_mut(&id).unwrap();
                (process.connections, process.slots) = (connections, connections);
                self.log.count("slots changed");
            }
            88..92 => {
                // Two machines with one certificate.
                let agent = self.processes[&id].agent;
                self.log.count("twin");
                self.starts(agent);
            }
            _ => self.forges(),
        }
    }

    fn cuts(&mut self, id: ProcessId) {
        let time = between(&mut self.random, 50, 5_000);
        let sessions: Vec<SessionId> = self.processes[&id].ends.keys().copied().collect();
        for session in sessions {
            self.note(|| format!("nothing gets through on {session:?} for {time:?}"));
            self.log.count("cut");
            self.cuts.insert(session, self.now + time);
        }
    }

    /// The driver's task is not scheduled, and what it is told piles up; or nothing of the relay runs. Not again before
    /// it had its turn.
    fn relay_stands_still(&mut self, time: Duration, whole: bool) {
        if self.now < self.relay.asleep_until + Duration::from_millis(5) {
            return;
        }
        let until = self.now + time;
        self.relay.asleep_until = until;
        if whole {
            self.relay.frozen_until = until;
        }
        let who = if whole { "relay" } else { "driver" };
        self.note(|| format!("the {who} stands still for {time:?}"));
        self.log.count(if whole { "relay frozen" } else { "driver stalled" });
    }

    /// An agent answers for what it was not sent. Through a session's streams it cannot; the core must not care.
    fn forges(&mut self) {
        let of_liars = |id: &SessionId| self.lies(self.process_of[id]);
        let sessions: Vec<SessionId> = self.relay.links.keys().copied().filter(of_liars).collect();
        if sessions.is_empty() {
            return;
        }
        let session = one_of(&mut self.random, &sessions);
        let flight = FlightId(self.random.random_range(1..=self.details.len().max(1) as u64));
        let stream = (flight, self.random.random_range(1..=3));
        if self.relay.links[&session].streams.contains_key(&stream) {
            return;
        }
        let answer = match self.random.random_range(0..5) {
            0 => Answer::NotStarted(one_of(&mut self.random, &NotStarted::ALL)),
            1 => Answer::Lost,
            2 => Answer::NotChecked,
            3 => Answer::AccountNotChecked,
            _ => Answer::Verdict(one_of(&mut self.random, &Verdict::ALL), None),
        };
        self.note(|| format!("{session:?} makes up {answer:?} for {stream:?}"));
        self.log.count("forged");
        if self.random.random_bool(0.3) {
            self.post(Event::Started(session, stream));
        }
        self.post(Event::Answered(session, stream, answer));
    }
}
