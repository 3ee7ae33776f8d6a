//! What strikes when: the decisions about faults, without a socket, a clock or chance of its own.
//!
//! Every moment is the time since the faults were put in force, and every random number comes from the caller. A fault
//! that has happened as often as it may is spent: however many ask at once, none gets it in excess.
//!
//! Where several faults could strike at the same point, they are asked in their order and the first that strikes
//! decides; those behind it are not asked and lose nothing. Latencies add up; of several limits the lowest holds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::rule::{Certificate, Delay, EndWhen, Fault, Operations, ResultCode, Rule, Stage};
use crate::domain::fold::fold;

/// Standard deviations from the median to the 99th percentile of a normal distribution.
const P99_DEVIATIONS: f64 = 2.326_347_874_040_841;

/// Random numbers, each from 0 to below 1.
pub type Draw<'a> = &'a mut dyn FnMut() -> f64;

/// The faults that are in force together.
#[derive(Debug, Default)]
pub struct Engine {
    rules: Vec<Armed>,
}

#[derive(Debug)]
struct Armed {
    rule: Rule,
    left: Option<AtomicU64>,
}

/// Where and when something could strike.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// The controller, by its place.
    pub dc: usize,
    /// Since the faults were put in force.
    pub elapsed: Duration,
}

/// What strikes a connection as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConnection {
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
    /// The server forgets it.
    HalfOpen,
    /// The server falls silent.
    Hang,
}

/// What strikes a bind that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBind {
    /// The connection is closed, and the bind is not looked at.
    Close,
    /// The connection is reset, and the bind is not looked at.
    Reset,
    /// It is answered without a look at the account.
    Result(ResultCode),
}

/// What becomes of the answer to a bind that was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is sent.
    Answer,
    /// It is never sent.
    Silence,
    /// The connection is closed instead.
    Close,
    /// The connection is reset instead.
    Reset,
}

/// An operation whose answer may be held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A bind.
    Bind,
    /// A search.
    Search,
    /// Any other that has an answer.
    Other,
}

/// Which faults a connection has been exposed to as a whole: each strikes it once or spares it for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exposed(u64);

impl Engine {
    /// These faults, none of which has happened yet; at most [`super::rule::MOST`].
    pub fn new(rules: Vec<Rule>) -> Self {
        let rules = rules.into_iter().map(|rule| Armed {
            left: rule.times.map(AtomicU64::new),
            rule,
        });
        Self { rules: rules.collect() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The faults, and how often each can still happen where that is bounded.
    pub fn rules(&self) -> impl Iterator<Item = (&Rule, Option<u64>)> {
        let left = |armed: &Armed| armed.left.as_ref().map(|left| left.load(Ordering::Acquire));
        self.rules.iter().map(move |armed| (&armed.rule, left(armed)))
    }

    /// Whether anything depends on whose bind it is.
    pub fn asks_whose(&self) -> bool {
        self.rules.iter().any(|armed| !armed.rule.users.is_empty())
    }

    /// Whether the controller's listeners are closed.
    pub fn refuses(&self, at: At) -> bool {
        self.open(at).any(|(_, armed)| armed.rule.fault == Fault::Refuse)
    }

    /// Whether the controller is out of everybody's reach, the other controllers' included.
    pub fn cuts_off(&self, at: At) -> bool {
        self.open(at).any(|(_, armed)| {
            let always = armed.rule.probability >= 1.0 && armed.rule.times.is_none();
            match armed.rule.fault {
                Fault::Refuse => true,
                Fault::HalfOpen | Fault::Hang(Stage::Connection) => always,
                _ => false,
            }
        })
    }

    /// How many binds the controller works on at once.
    pub fn binds_at_once(&self, at: At) -> Option<usize> {
        let limits = self.open(at).filter_map(|(_, armed)| match armed.rule.fault {
            Fault::Limit { binds } => Some(binds),
            _ => None,
        });
        limits.min()
    }

    /// When the next fault begins or ends by itself.
    pub fn next_edge(&self, elapsed: Duration) -> Option<Duration> {
        let edges = self.rules.iter().flat_map(|armed| {
            let Rule { from, lasts, .. } = &armed.rule;
            [Some(*from), lasts.map(|lasts| *from + lasts)]
        });
        edges.flatten().filter(|edge| *edge > elapsed).min()
    }

    /// Whether the time of a fault, named by its place, is not over.
    pub fn lasts(&self, place: usize, elapsed: Duration) -> bool {
        self.rules.get(place).is_some_and(|armed| armed.is_open(elapsed))
    }

    /// What strikes a connection, asked when it is accepted and again whenever something may have changed; with the
    /// place of the fault.
    pub fn connection(&self, at: At, exposed: &mut Exposed, draw: Draw<'_>) -> Option<(usize, OnConnection)> {
        self.open(at).find_map(|(place, armed)| {
            let strike = match armed.rule.fault {
                Fault::Close(EndWhen::Connection) => OnConnection::Close,
                Fault::Reset(EndWhen::Connection) => OnConnection::Reset,
                Fault::HalfOpen => OnConnection::HalfOpen,
                Fault::Hang(Stage::Connection) => OnConnection::Hang,
                _ => return None,
            };
            let bit = 1_u64.checked_shl(u32::try_from(place).ok()?)?;
            if exposed.0 & bit != 0 {
                return None;
            }
            exposed.0 |= bit;
            armed.strikes(draw).then_some((place, strike))
        })
    }

    /// The place of the fault that silences the server before or after a TLS handshake.
    pub fn hang(&self, at: At, stage: Stage, draw: Draw<'_>) -> Option<usize> {
        let mut open = self.open(at);
        let strikes = open.find(|(_, armed)| armed.rule.fault == Fault::Hang(stage) && armed.strikes(draw));
        strikes.map(|(place, _)| place)
    }

    /// The certificate of a handshake where it is not the right one.
    pub fn certificate(&self, at: At, draw: Draw<'_>) -> Option<Certificate> {
        self.open(at).find_map(|(_, armed)| match armed.rule.fault {
            Fault::Certificate(which) => armed.strikes(draw).then_some(which),
            _ => None,
        })
    }

    /// What strikes a bind before anybody looks at it. `user` is the account's sAMAccountName.
    pub fn bind_received(&self, at: At, user: Option<&str>, draw: Draw<'_>) -> Option<OnBind> {
        let user = user.map(fold);
        self.open(at).find_map(|(_, armed)| {
            let strike = match armed.rule.fault {
                Fault::Close(EndWhen::BeforeBind) => OnBind::Close,
                Fault::Reset(EndWhen::BeforeBind) => OnBind::Reset,
                Fault::Result(code) => OnBind::Result(code),
                _ => return None,
            };
            (armed.concerns(user.as_deref()) && armed.strikes(draw)).then_some(strike)
        })
    }

    /// What becomes of a decided bind's answer.
    pub fn bind_decided(&self, at: At, user: Option<&str>, draw: Draw<'_>) -> Fate {
        let user = user.map(fold);
        let fate = self.open(at).find_map(|(_, armed)| {
            let fate = match armed.rule.fault {
                Fault::Close(EndWhen::AfterBind) => Fate::Close,
                Fault::Reset(EndWhen::AfterBind) => Fate::Reset,
                Fault::Hang(Stage::Bind) => Fate::Silence,
                _ => return None,
            };
            (armed.concerns(user.as_deref()) && armed.strikes(draw)).then_some(fate)
        });
        fate.unwrap_or(Fate::Answer)
    }

    /// How long an answer is held back.
    pub fn delay(&self, at: At, operation: Operation, user: Option<&str>, draw: Draw<'_>) -> Duration {
        let user = user.map(fold);
        let mut whole = Duration::ZERO;
        for (_, armed) in self.open(at) {
            let Fault::Latency { delay, operations } = armed.rule.fault else {
                continue;
            };
            let meant = match operations {
                Operations::All => true,
                Operations::Binds => operation == Operation::Bind,
                Operations::Searches => operation == Operation::Search,
            };
            if meant && armed.concerns(user.as_deref()) && armed.strikes(draw) {
                whole += delay.draw(draw);
            }
        }
        whole
    }

    /// Whether a bundle of bytes may be sent little by little that is sent now or so much later.
    pub fn may_drip(&self, at: At, within: Duration) -> bool {
        self.rules.iter().any(|armed| {
            let Rule { dc, from, lasts, .. } = &armed.rule;
            matches!(armed.rule.fault, Fault::Drip { .. })
                && dc.is_none_or(|dc| dc == at.dc)
                && *from <= at.elapsed + within
                && lasts.is_none_or(|lasts| at.elapsed < *from + lasts)
                && armed.may_strike()
        })
    }

    /// How little at a time a bundle of bytes is sent; with the place of the fault.
    pub fn drip(&self, at: At, draw: Draw<'_>) -> Option<(usize, usize, Duration)> {
        self.open(at).find_map(|(place, armed)| match armed.rule.fault {
            Fault::Drip { bytes, every } => armed.strikes(draw).then_some((place, bytes, every)),
            _ => None,
        })
    }

    /// The faults at a controller whose time it is, in their order.
    fn open(&self, at: At) -> impl Iterator<Item = (usize, &Armed)> {
        let here = move |armed: &Armed| armed.rule.dc.is_none_or(|dc| dc == at.dc) && armed.is_open(at.elapsed);
        self.rules.iter().enumerate().filter(move |(_, armed)| here(armed))
    }
}

impl Armed {
    fn is_open(&self, elapsed: Duration) -> bool {
        let Some(since) = elapsed.checked_sub(self.rule.from) else {
            return false;
        };
        self.rule.lasts.is_none_or(|lasts| since < lasts)
    }

    fn concerns(&self, user: Option<&str>) -> bool {
        self.rule.users.is_empty() || user.is_some_and(|user| self.rule.users.contains(user))
    }

    /// Whether it can happen another time.
    fn may_strike(&self) -> bool {
        let spent = self.left.as_ref().is_some_and(|left| left.load(Ordering::Acquire) == 0);
        self.rule.probability > 0.0 && !spent
    }

    /// Whether it happens this time. Chance comes first: a fault that did not strike is not one that happened.
    fn strikes(&self, draw: Draw<'_>) -> bool {
        let likely = self.rule.probability >= 1.0 || draw() < self.rule.probability;
        likely
            && self.left.as_ref().is_none_or(|left| {
                let less = |left: u64| left.checked_sub(1);
                left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok()
            })
    }
}

impl Delay {
    fn draw(self, draw: Draw<'_>) -> Duration {
        match self {
            Self::Fixed(delay) => delay,
            Self::Uniform(least, most) => least + (most - least).mul_f64(draw()),
            Self::LogNormal { median, p99 } => {
                let deviation = (p99.as_secs_f64() / median.as_secs_f64()).ln() / P99_DEVIATIONS;
                // Box and Muller: two equally likely numbers make a normal one. 1 - draw is never 0.
                let normal = (-2.0 * (1.0 - draw()).ln()).sqrt() * (std::f64::consts::TAU * draw()).cos();
                // Far beyond any p99 that a fault can have, yet a time that a timer knows.
                let most = Duration::from_secs(7 * 86_400);
                Duration::try_from_secs_f64(median.as_secs_f64() * (deviation * normal).exp())
                    .map_or(most, |delay| delay.min(most))
            }
        }
    }
}

#[cfg(test)]
mod tests;
