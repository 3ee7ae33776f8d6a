//! The domain's controllers as they know each other: which one is the PDC emulator, and which are cut off.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::filetime::FileTime;

/// A controller, by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DcId(u8);

impl DcId {
    /// The first one that is configured.
    pub const FIRST: Self = Self(0);

    /// As many as a domain may have here.
    pub const MOST: usize = 256;

    /// The controller at this place; the last possible one for places beyond.
    pub fn at(place: usize) -> Self {
        Self(u8::try_from(place).unwrap_or(u8::MAX))
    }

    /// Its place in the configuration.
    pub fn place(self) -> usize {
        usize::from(self.0)
    }
}

/// How long a change within a site waits before other controllers are told: the notification delay since the functional
/// level of Windows Server 2003 (`msDS-Replication-Notify-First-DSA-Delay`).
pub const REPLICATION_DELAY: Duration = Duration::from_secs(15);

/// The controllers of one domain.
#[derive(Debug)]
pub(super) struct Controllers {
    names: Box<[String]>,
    pdc: DcId,
    /// How long a password takes from one to another.
    delay: Duration,
    away: Box<[AtomicBool]>,
}

impl Controllers {
    /// `names` are those of the configuration; `pdc` is the PDC emulator.
    pub(super) fn new(names: &[String], pdc: DcId, delay: Duration) -> Self {
        Self {
            names: names.into(),
            pdc,
            delay,
            away: names.iter().map(|_| AtomicBool::new(false)).collect(),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    pub(super) fn pdc(&self) -> DcId {
        self.pdc
    }

    pub(super) fn name(&self, dc: DcId) -> &str {
        self.names.get(dc.place()).map_or("", String::as_str)
    }

    pub(super) fn named(&self, name: &str) -> Option<DcId> {
        let place = self.names.iter().position(|own| own.eq_ignore_ascii_case(name));
        place.map(DcId::at)
    }

    /// Whether the others do not reach it, nor it them.
    pub(super) fn is_away(&self, dc: DcId) -> bool {
        self.away
            .get(dc.place())
            .is_some_and(|away| away.load(Ordering::Relaxed))
    }

    /// Whether that was otherwise before.
    pub(super) fn set_away(&self, dc: DcId, away: bool) -> bool {
        let before = self.away.get(dc.place()).map(|own| own.swap(away, Ordering::Relaxed));
        before.is_some_and(|before| before != away)
    }

    /// The PDC emulator, where it is another controller than `dc` and within its reach.
    pub(super) fn pdc_for(&self, dc: DcId) -> Option<DcId> {
        let reached = dc != self.pdc && !self.is_away(dc) && !self.is_away(self.pdc);
        reached.then_some(self.pdc)
    }

    /// When each controller knows a password that is written at `origin` now: the PDC emulator is told at once (MS-SAMS
    /// 3.2.4.2, PasswordUpdate), the others by replication.
    pub(super) fn told(&self, origin: DcId, now: FileTime) -> Box<[FileTime]> {
        let pdc = self.pdc_for(origin);
        let mut told = vec![FileTime::NEVER; self.count()];
        for (place, told) in told.iter_mut().enumerate() {
            let dc = DcId::at(place);
            if dc == origin || Some(dc) == pdc {
                *told = now;
            }
        }
        self.tell(&mut told, now);
        told.into()
    }

    /// Plans anew who is told when, now that controllers went away or came back: whoever can be reached by one that
    /// knows is told after the delay, or when that was planned already; nobody else is told.
    pub(super) fn tell(&self, told: &mut [FileTime], now: FileTime) {
        let away = |place| self.is_away(DcId::at(place));
        let can_be_told = told.iter().enumerate().any(|(place, at)| *at <= now && !away(place));
        for (place, at) in told.iter_mut().enumerate().filter(|(_, at)| **at > now) {
            *at = if can_be_told && !away(place) {
                (*at).min(now.after(self.delay))
            } else {
                FileTime::NEVER
            };
        }
    }
}
