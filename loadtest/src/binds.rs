//! What the directory really did: mock-dc's record of binds, and how often each sign-in's password was tried.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::record::Record;

/// One bind, as far as it is of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// When, from the beginning of the run.
    pub at: Duration,
    /// The domain controller.
    pub dc: String,
    /// The port that it came from: one connection of an agent.
    pub from_port: u16,
    /// LDAP message id: with the port, the bind's name in the logs of whoever made it.
    pub message_id: i32,
    /// LDAP result code.
    pub result: u32,
    /// Whether the answer was handed to the connection.
    pub answered: bool,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    dropped: u64,
    time: Option<String>,
    dc: Option<String>,
    peer: Option<SocketAddr>,
    msgid: Option<i32>,
    name: Option<String>,
    result: Option<u32>,
    answered: Option<bool>,
}

/// All binds of a run, by the name that was sent.
#[derive(Debug, Default)]
pub struct Binds {
    by_name: HashMap<String, Vec<Bind>>,
}

/// Binds of some sign-ins in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BindSummary {
    /// Binds in all.
    pub binds: u64,
    /// Sign-ins with more than one: the directory counted their password more than once.
    pub users_bound_twice: u64,
    /// The most of any.
    pub most_for_one: u64,
    /// Wrong passwords that were counted beyond the first time, over all users.
    pub extra_bad_passwords: u64,
    /// Binds after the sign-in was answered.
    pub late_binds: u64,
}

impl Binds {
    /// Reads what `GET /binds` gave. `began_at` is when the run began; binds before it are left out.
    ///
    /// # Errors
    /// When a line is none of mock-dc's, or binds are missing because its record was full.
    pub fn read(text: &str, began_at: SystemTime) -> anyhow::Result<Self> {
        let began = OffsetDateTime::from(began_at);
        let mut binds = Self::default();
        for text in text.lines() {
            let line: Line = serde_json::from_str(text).with_context(|| format!("no bind: {text}"))?;
            if line.dropped > 0 {
                bail!(
                    "mock-dc no longer has {} of the binds; make fewer sign-ins",
                    line.dropped
                );
            }
            let (Some(time), Some(name)) = (line.time, line.name) else {
                bail!("no bind: {text}");
            };
            let time = OffsetDateTime::parse(&time, &Rfc3339).with_context(|| format!("no time: {time}"))?;
            // Binds before the run, as of the agents' own service account, have a negative distance.
            let Ok(at) = Duration::try_from(time - began) else {
                continue;
            };
            binds.by_name.entry(name).or_default().push(Bind {
                at,
                dc: line.dc.unwrap_or_default(),
                from_port: line.peer.map_or(0, |peer| peer.port()),
                message_id: line.msgid.unwrap_or_default(),
                result: line.result.unwrap_or_default(),
                answered: line.answered.unwrap_or_default(),
            });
        }
        Ok(binds)
    }

    /// Those with this name, in order.
    pub fn of(&self, name: &str) -> &[Bind] {
        self.by_name.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Bind> {
        self.by_name.values().flatten()
    }

    /// The binds of these sign-ins; `name` names a user by number.
    pub fn summary<'a>(&self, records: impl IntoIterator<Item = &'a Record>, name: fn(u32) -> String) -> BindSummary {
        let mut summary = BindSummary::default();
        for record in records {
            let binds = self.of(&name(record.attempt.user));
            let count = number(binds.len());
            summary.binds += count;
            summary.users_bound_twice += u64::from(count > 1);
            summary.most_for_one = summary.most_for_one.max(count);
            let bad = number(binds.iter().filter(|bind| bind.result == 49).count());
            summary.extra_bad_passwords += bad.saturating_sub(1);
            summary.late_binds += number(binds.iter().filter(|bind| is_late(bind, record)).count());
        }
        summary
    }
}

/// Whether a bind came after its sign-in was answered: nobody waited for it any more. Since every sign-in is answered by
/// its deadline, that is also a bind after the deadline, as the relay counts it from when it had the request. Both times
/// are of one machine's clock, and a bind is written down before its answer can be on its way.
pub fn is_late(bind: &Bind, record: &Record) -> bool {
    bind.at > record.answered_at()
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Attempt;
    use crate::record::Ended;
    use postern_protocol::{Outcome, Verdict};

    fn line(ms: u64, name: &str, result: u32, answered: bool) -> String {
        let time = (OffsetDateTime::UNIX_EPOCH + Duration::from_millis(ms))
            .format(&Rfc3339)
            .unwrap();
        format!(
            r#"{{"seq":1,"time":"{time}","dc":"dc-1","conn":1,"peer":"127.0.0.1:9","msgid":2,"name":"{name}","user":null,"result":{result},"sub_code":null,"answered":{answered}}}"#
        )
    }

    fn name(number: u32) -> String {
        format!("u{number}")
    }

    /// A sign-in at second 1 that was answered 100 ms later.
    fn record(user: u32) -> Record {
        Record {
            attempt: Attempt {
                at: Duration::from_secs(1),
                user,
                right: false,
            },
            lag: Duration::ZERO,
            latency: Duration::from_millis(100),
            ended: Ended::Outcome(Outcome::Verdict(Verdict::InvalidCredentials)),
        }
    }

    fn read(lines: &[String]) -> Binds {
        Binds::read(&lines.join("\n"), SystemTime::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn binds_are_joined_with_sign_ins_by_name() {
        let binds = read(&[
            line(1_005, "u1", 49, false),
            line(1_050, "u1", 49, true),
            line(1_005, "u2", 49, true),
            line(1_006, "svc", 0, true),
        ]);
        let summary = binds.summary(&[record(1), record(2), record(3)], name);
        let expected = BindSummary {
            binds: 3,
            users_bound_twice: 1,
            most_for_one: 2,
            extra_bad_passwords: 1,
            late_binds: 0,
        };
        assert_eq!(summary, expected);
        assert_eq!((binds.of("u1")[0].answered, binds.of("u1")[0].from_port), (false, 9));
    }

    #[test]
    fn a_bind_after_the_answer_is_late() {
        let binds = read(&[
            line(1_050, "u1", 49, true),
            line(1_101, "u1", 49, true),
            line(11_000, "u2", 49, true),
        ]);
        let summary = binds.summary(&[record(1), record(2)], name);
        assert_eq!(summary.late_binds, 2);
    }

    #[test]
    fn binds_from_before_the_run_are_left_out_and_a_hole_in_the_record_is_an_error() {
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(2);
        let binds = Binds::read(&line(1_000, "u1", 0, true), began).unwrap();
        assert_eq!(binds.iter().count(), 0);
        for broken in [r#"{"dropped":5}"#, "{}", "nonsense"] {
            assert!(Binds::read(broken, began).is_err(), "{broken}");
        }
    }
}
