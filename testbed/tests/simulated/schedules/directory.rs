//! Domain controllers, well and unwell.

use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;

use super::chance::{between, one_of, up_to};
use super::ledger::ProcessId;
use super::world::{Happening, World};
use postern_relay::core::FlightId;

/// An agent waits no longer for a bind.
const BIND_TIMEOUT: Duration = Duration::from_millis(1_500);

#[derive(Debug, Clone, Copy)]
pub(super) enum Mode {
    Well,
    /// Answers after so long.
    Slow(Duration),
    /// Answers that it cannot check now: another one may.
    Busy,
    /// Answers that it does not check, as another one would.
    Faulty,
    /// Takes binds and never answers. Some of them count.
    Hanging,
    /// Checks the password, and closes the connection before the answer.
    Losing,
    /// Its connections are found closed before anything is sent.
    Closing,
    /// Nobody can connect.
    Refusing,
}

#[derive(Debug)]
pub(super) struct Dc {
    pub(super) mode: Mode,
    delay: Duration,
}

impl Dc {
    pub(super) fn draw(random: &mut SmallRng) -> Self {
        Self {
            mode: Mode::Well,
            delay: between(random, 1, 30),
        }
    }
}

/// How a bind ends, as its agent sees it.
#[derive(Debug, Clone, Copy)]
pub(super) enum BindEnd {
    Checked,
    Elsewhere,
    Fault,
    AccountFault,
    Unknown,
    NeverSent,
}

impl World {
    pub(super) fn has_directory(&self, realm: usize) -> bool {
        self.directories[realm]
            .iter()
            .any(|dc| !matches!(dc.mode, Mode::Refusing))
    }

    /// A domain controller that can be connected to, other than those.
    pub(super) fn choose_dc(&mut self, realm: usize, avoid: &[usize]) -> Option<usize> {
        let usable: Vec<usize> = self.directories[realm]
            .iter()
            .enumerate()
            .filter(|(index, dc)| !matches!(dc.mode, Mode::Refusing) && !avoid.contains(index))
            .map(|(index, _)| index)
            .collect();
        (!usable.is_empty()).then(|| one_of(&mut self.random, &usable))
    }

    /// A bind for `flight` is sent; how it ends, and after how long.
    pub(super) fn bind(
        &mut self,
        realm: usize,
        dc: usize,
        flight: FlightId,
        process: ProcessId,
    ) -> (BindEnd, Duration) {
        let Dc { mode, delay } = self.directories[realm][dc];
        let soon = delay + up_to(&mut self.random, delay);
        let (end, after, checked) = match mode {
            Mode::Well | Mode::Refusing => (BindEnd::Checked, soon, true),
            Mode::Slow(time) if time > BIND_TIMEOUT => (BindEnd::Unknown, BIND_TIMEOUT, true),
            Mode::Slow(time) => (BindEnd::Checked, time, true),
            Mode::Busy => (BindEnd::Elsewhere, soon, false),
            Mode::Faulty if self.random.random() => (BindEnd::AccountFault, soon, false),
            Mode::Faulty => (BindEnd::Fault, soon, false),
            Mode::Hanging => (BindEnd::Unknown, BIND_TIMEOUT, self.random.random()),
            Mode::Losing => (BindEnd::Unknown, soon, true),
            // And another has to be opened.
            Mode::Closing => (BindEnd::NeverSent, soon, false),
        };
        if checked {
            self.ledger.checked(flight, process);
        }
        self.note(|| {
            format!(
                "{process:?}: bind for {} at dc {dc} of realm {realm}, {mode:?}: {end:?} in {after:?}",
                flight.0
            )
        });
        (end, after)
    }

    /// A domain controller falls ill.
    pub(super) fn directory_fault(&mut self) {
        let realm = self.random.random_range(0..self.directories.len());
        let slow = between(&mut self.random, 100, 2_500);
        let modes = [
            Mode::Slow(slow),
            Mode::Busy,
            Mode::Faulty,
            Mode::Hanging,
            Mode::Losing,
            Mode::Closing,
            Mode::Refusing,
        ];
        let mode = one_of(&mut self.random, &modes);
        let all = self.random.random_bool(0.3);
        let one = self.random.random_range(0..self.directories[realm].len());
        let time = between(&mut self.random, 200, 4_000);
        for dc in 0..self.directories[realm].len() {
            if all || dc == one {
                self.note(|| format!("dc {dc} of realm {realm} is {mode:?} for {time:?}"));
                self.directories[realm][dc].mode = mode;
                self.after(time, Happening::Mends(realm, dc));
            }
        }
        self.log.count("directory fault");
    }

    pub(super) fn mends(&mut self, realm: usize, dc: usize) {
        self.directories[realm][dc].mode = Mode::Well;
    }
}
