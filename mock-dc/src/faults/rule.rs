//! What a fault may say, in JSON and in the configuration alike, and what it comes to once it has been checked.
//!
//! The set of kinds is closed. Whatever is wrong is told at once: members that nobody knows or that do not go with the
//! kind, numbers out of their range, names of nobody.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use postern_service::config::Problems;
use serde::{Deserialize, Serialize};

use crate::domain::fold::fold;

/// Faults at once, at most: a connection remembers in one word which of them it has been exposed to.
pub const MOST: usize = 64;

/// Longest time that a fault may speak of, in ms: a day. Nobody waits longer for an answer or a test.
const LONGEST_MS: i64 = 86_400_000;

/// One fault as it is written.
///
/// Times are whole milliseconds: the timers behind them are no finer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRule {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    for_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<When>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uniform_ms: Option<(i64, i64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_normal_ms: Option<RawLogNormal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<Operations>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    which: Option<Certificate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLogNormal {
    median: i64,
    p99: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Latency,
    Limit,
    Hang,
    Close,
    Reset,
    Refuse,
    HalfOpen,
    Certificate,
    Result,
    Drip,
}

/// The moment in a connection's or a bind's life; which of them there are depends on the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    Connection,
    BeforeTls,
    AfterTls,
    Bind,
    BeforeBind,
    AfterBind,
}

/// A fault that has been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// As it was written.
    said: RawRule,
    /// What happens.
    pub fault: Fault,
    /// At which controller, by its place in the configuration; at all when `None`.
    pub dc: Option<usize>,
    /// To whose binds: sAMAccountNames, folded; to everybody's when empty.
    pub users: BTreeSet<String>,
    /// How likely it is each time that it could happen, from 0 to 1.
    pub probability: f64,
    /// How often it happens at most.
    pub times: Option<u64>,
    /// How long after it was put in force it begins.
    pub from: Duration,
    /// How long it lasts from then on; until it is replaced when `None`.
    pub lasts: Option<Duration>,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Answers are held back.
    Latency {
        /// For how long.
        delay: Delay,
        /// To which operations.
        operations: Operations,
    },
    /// So many binds are worked on at once; others wait in order.
    Limit {
        /// How many, at least one.
        binds: usize,
    },
    /// Nothing more is read and nothing more is said.
    Hang(Stage),
    /// The connection is closed (FIN).
    Close(EndWhen),
    /// The connection is reset (RST).
    Reset(EndWhen),
    /// Listeners closed, connections reset, as if the machine had gone.
    Refuse,
    /// The client's connection stays open, and nobody is at its other end any more.
    HalfOpen,
    /// TLS is offered with a certificate that is not to be trusted.
    Certificate(Certificate),
    /// A bind is answered so before anybody looks at its account.
    Result(ResultCode),
    /// Bytes are sent little by little.
    Drip {
        /// How many at a time, at least one.
        bytes: usize,
        /// How long between them.
        every: Duration,
    },
}

/// How long an answer is held back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delay {
    /// Always as long.
    Fixed(Duration),
    /// Equally likely between two bounds, the first not above the second.
    Uniform(Duration, Duration),
    /// Log-normal: mostly near the median, now and then much longer.
    LogNormal {
        /// Half are shorter.
        median: Duration,
        /// One in a hundred is longer; not below the median.
        p99: Duration,
    },
}

/// Which operations are slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operations {
    /// Binds alone.
    Binds,
    /// Searches alone.
    Searches,
    /// Every operation that has an answer.
    All,
}

/// Where a server falls silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Connections, those that there are and new ones, wherever they are.
    Connection,
    /// Before the TLS handshake.
    BeforeTls,
    /// After the TLS handshake.
    AfterTls,
    /// After a bind was received and decided: that bind is never answered.
    Bind,
}

/// When a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndWhen {
    /// At once: existing connections, and new ones when they are accepted.
    Connection,
    /// When a bind was received; nobody reads it.
    BeforeBind,
    /// When a bind was received and decided, before its answer.
    AfterBind,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificate {
    /// It was valid until yesterday.
    Expired,
    /// It is for another host.
    WrongName,
    /// Nobody knows who issued it.
    UnknownCa,
}

/// The results of RFC 4511 with which a server says that the trouble is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultCode {
    /// 51.
    Busy,
    /// 52.
    Unavailable,
    /// 80.
    Other,
}

impl ResultCode {
    /// The number on the wire.
    pub fn code(self) -> u32 {
        match self {
            Self::Busy => 51,
            Self::Unavailable => 52,
            Self::Other => 80,
        }
    }
}

/// What a fault may speak of.
pub struct Known<'a> {
    /// The controllers, by their place.
    pub dcs: &'a [&'a str],
    /// Whether somebody has this sAMAccountName.
    pub is_user: &'a dyn Fn(&str) -> bool,
    /// Whether certificates can be issued as the trusted ones are, so that one thing alone is wrong with them.
    pub can_issue: bool,
}

impl Rule {
    /// The fault as it was written.
    pub fn said(&self) -> &RawRule {
        &self.said
    }
}

/// Checks all faults that are to be in force together. `key` is what they are called in a message.
pub fn validate(raw: Vec<RawRule>, key: &str, known: &Known<'_>, problems: &mut Problems) -> Vec<Rule> {
    if raw.len() > MOST {
        problems.add(key, format!("are {}; there may be {MOST} at once", raw.len()));
    }
    let rules = raw.into_iter().enumerate().filter_map(|(index, raw)| {
        let said = raw.clone();
        let mut reading = Reading {
            raw,
            key: format!("{key}[{index}]"),
            problems: &mut *problems,
        };
        reading.rule(said, known)
    });
    rules.collect()
}

/// One fault being checked: members are taken out as they are read, so that what is left is what does not belong.
struct Reading<'a> {
    raw: RawRule,
    key: String,
    problems: &'a mut Problems,
}

impl Reading<'_> {
    fn rule(&mut self, said: RawRule, known: &Known<'_>) -> Option<Rule> {
        let key = self.key("kind");
        let kind = self.problems.require(&key, self.raw.kind.take())?;
        let fault = self.fault(kind, known);
        let dc = self.raw.dc.take().and_then(|name| self.dc(&name, known));
        let users = self.users(fault, known);
        // Whether a listener is open, or how many may enter, is so or not so: nothing that happens now and then.
        let happens = !matches!(kind, Kind::Refuse | Kind::Limit);
        let mut probability = 1.0;
        let mut times = None;
        if happens {
            probability = self.raw.probability.take().unwrap_or(1.0);
            if !(0.0..=1.0).contains(&probability) {
                self.problem("probability", "must be from 0 to 1");
            }
            let given = self.raw.times.take();
            times = given.map(|times| self.number("times", times, 1..=i64::from(u32::MAX)));
        }
        let from = self.raw.from_ms.take();
        let from = from.map_or(0, |from| self.number("from_ms", from, 0..=LONGEST_MS));
        let lasts = self.raw.for_ms.take();
        let lasts = lasts.map(|lasts| Duration::from_millis(self.number("for_ms", lasts, 1..=LONGEST_MS)));
        self.refuse_the_rest(kind);
        Some(Rule {
            said,
            fault: fault?,
            dc,
            users,
            probability,
            times,
            from: Duration::from_millis(from),
            lasts,
        })
    }

    fn fault(&mut self, kind: Kind, known: &Known<'_>) -> Option<Fault> {
        Some(match kind {
            Kind::Latency => {
                let operations = self.raw.operations.take().unwrap_or(Operations::Binds);
                Fault::Latency {
                    delay: self.delay()?,
                    operations,
                }
            }
            Kind::Limit => Fault::Limit {
                binds: self.required("binds", |raw| raw.binds.take(), 1..=1_000_000)?,
            },
            Kind::Hang => Fault::Hang(self.when(&[
                ("connection", When::Connection, Stage::Connection),
                ("before_tls", When::BeforeTls, Stage::BeforeTls),
                ("after_tls", When::AfterTls, Stage::AfterTls),
                ("bind", When::Bind, Stage::Bind),
            ])?),
            Kind::Close => Fault::Close(self.end()?),
            Kind::Reset => Fault::Reset(self.end()?),
            Kind::Refuse => Fault::Refuse,
            Kind::HalfOpen => Fault::HalfOpen,
            Kind::Certificate => {
                let key = self.key("which");
                let which = self.problems.require(&key, self.raw.which.take())?;
                if !known.can_issue && which != Certificate::UnknownCa {
                    self.problem(
                        "which",
                        "only \"unknown_ca\" can be shown where [tls] gives the certificate: others would be of an \
                         unknown CA as well",
                    );
                }
                Fault::Certificate(which)
            }
            Kind::Result => {
                let key = self.key("code");
                match self.problems.require(&key, self.raw.code.take())? {
                    51 => Fault::Result(ResultCode::Busy),
                    52 => Fault::Result(ResultCode::Unavailable),
                    80 => Fault::Result(ResultCode::Other),
                    _ => {
                        self.problem("code", "must be 51 (busy), 52 (unavailable) or 80 (other)");
                        return None;
                    }
                }
            }
            Kind::Drip => {
                let bytes = self.required("bytes", |raw| raw.bytes.take(), 1..=65_536);
                let every = self.required("every_ms", |raw| raw.every_ms.take(), 1..=LONGEST_MS);
                Fault::Drip {
                    bytes: bytes?,
                    every: Duration::from_millis(every?),
                }
            }
        })
    }

    fn delay(&mut self) -> Option<Delay> {
        let given = (
            self.raw.ms.take(),
            self.raw.uniform_ms.take(),
            self.raw.log_normal_ms.take(),
        );
        let mut ms = |member: &str, value| Duration::from_millis(self.number(member, value, 0..=LONGEST_MS));
        match given {
            (Some(fixed), None, None) => Some(Delay::Fixed(ms("ms", fixed))),
            (None, Some((least, most)), None) => {
                let (low, high) = (ms("uniform_ms[0]", least), ms("uniform_ms[1]", most));
                if least > most {
                    self.problem("uniform_ms", "must have the smaller bound first");
                }
                Some(Delay::Uniform(low, high))
            }
            (None, None, Some(RawLogNormal { median, p99 })) => {
                let delay = Delay::LogNormal {
                    median: ms("log_normal_ms.median", median),
                    p99: ms("log_normal_ms.p99", p99),
                };
                if median < 1 || median > p99 {
                    self.problem(
                        "log_normal_ms",
                        "must have a median from 1 on, and a p99 that is not below it",
                    );
                }
                Some(delay)
            }
            _ => {
                let key = self.key.clone();
                self.problems
                    .add(key, "needs exactly one of ms, uniform_ms, log_normal_ms");
                None
            }
        }
    }

    fn end(&mut self) -> Option<EndWhen> {
        self.when(&[
            ("connection", When::Connection, EndWhen::Connection),
            ("before_bind", When::BeforeBind, EndWhen::BeforeBind),
            ("after_bind", When::AfterBind, EndWhen::AfterBind),
        ])
    }

    fn when<T: Copy>(&mut self, known: &[(&str, When, T)]) -> Option<T> {
        let said = self.raw.when.take();
        let found = known.iter().find(|(_, when, _)| Some(*when) == said);
        if found.is_none() {
            let names: Vec<_> = known.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
            self.problem("when", &format!("must be one of {}", names.join(", ")));
        }
        found.map(|(.., value)| *value)
    }

    fn dc(&mut self, name: &str, known: &Known<'_>) -> Option<usize> {
        let place = known.dcs.iter().position(|dc| dc.eq_ignore_ascii_case(name));
        if place.is_none() {
            let there = known.dcs.join(", ");
            self.problem(
                "dc",
                &format!("there is no domain controller {name:?}; there are: {there}"),
            );
        }
        place
    }

    fn users(&mut self, fault: Option<Fault>, known: &Known<'_>) -> BTreeSet<String> {
        let strikes_binds = match fault {
            // Of a fault that cannot be read nobody knows what it strikes: that it cannot be read is told already.
            None => true,
            Some(Fault::Latency { operations, .. }) => operations == Operations::Binds,
            Some(Fault::Hang(stage)) => stage == Stage::Bind,
            Some(Fault::Close(when) | Fault::Reset(when)) => when != EndWhen::Connection,
            Some(Fault::Result(_)) => true,
            Some(
                Fault::Limit { .. } | Fault::Refuse | Fault::HalfOpen | Fault::Certificate(_) | Fault::Drip { .. },
            ) => false,
        };
        let Some(users) = self.raw.users.take() else {
            return BTreeSet::new();
        };
        if !strikes_binds {
            self.problem(
                "users",
                "go with faults of binds alone: others do not know whose they are",
            );
        }
        if users.is_empty() {
            self.problem("users", "names nobody; leave it out to mean everybody");
        }
        for (index, name) in users.iter().enumerate() {
            if !(known.is_user)(name) {
                self.problem(
                    &format!("users[{index}]"),
                    &format!("nobody has the sAMAccountName {name:?}"),
                );
            }
        }
        users.iter().map(|name| fold(name)).collect()
    }

    fn required<T: TryFrom<u64> + Default>(
        &mut self,
        member: &str,
        take: impl FnOnce(&mut RawRule) -> Option<i64>,
        range: RangeInclusive<i64>,
    ) -> Option<T> {
        let value = take(&mut self.raw);
        let key = self.key(member);
        let value = self.problems.require(&key, value)?;
        T::try_from(self.number(member, value, range)).ok()
    }

    /// A number within its range, which is told where it is not.
    fn number(&mut self, member: &str, value: i64, range: RangeInclusive<i64>) -> u64 {
        if !range.contains(&value) {
            self.problem(member, &format!("must be from {} to {}", range.start(), range.end()));
        }
        value.clamp(*range.start(), *range.end()).unsigned_abs()
    }

    /// Whatever has not been read by now is none of this kind's members.
    fn refuse_the_rest(&mut self, kind: Kind) {
        // Names and numbers: there is nothing in it that cannot become JSON.
        let name = |value: &Kind| serde_json::to_value(value).unwrap_or_default();
        let rest = serde_json::to_value(&self.raw).unwrap_or_default();
        for member in rest.as_object().into_iter().flat_map(|rest| rest.keys()) {
            let message = format!("does not go with the kind {}", name(&kind));
            self.problem(member, &message);
        }
    }

    fn key(&self, member: &str) -> String {
        format!("{}.{member}", self.key)
    }

    fn problem(&mut self, member: &str, message: &str) {
        let key = self.key(member);
        self.problems.add(key, message);
    }
}

#[cfg(test)]
mod tests;
