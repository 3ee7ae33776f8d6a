//! What the directory really did: mock-dc's record of binds, and how often each sign-in's password was tried.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::people::People;
use crate::record::{Record, Tally};

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
    /// Whether the directory took the password, or the name, for a wrong one; not whatever else keeps somebody out.
    pub is_bad_password: bool,
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
    sub_code: Option<String>,
    answered: Option<bool>,
}

/// All binds of a run, by the name that was sent.
#[derive(Debug, Default)]
pub struct Binds {
    by_name: HashMap<String, Vec<Bind>>,
}

/// Binds of some sign-ins in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindSummary {
    /// Binds in all.
    pub binds: u64,
    /// Sign-ins with more than one.
    pub users_bound_twice: u64,
    /// The most of any.
    pub most_for_one: u64,
    /// Wrong passwords that were counted beyond those that were sent, over all sign-ins.
    pub extra_bad_passwords: u64,
    /// Binds after the sign-in was answered.
    pub late_binds: u64,
}

impl Binds {
    /// Reads what `GET /binds` gave. `began_at` is when the run began; binds before it are left out.
    ///
    /// # Errors
    /// When a line is none of mock-dc's, or binds of the run may be missing because its record was full.
    pub fn read(text: &str, began_at: SystemTime) -> anyhow::Result<Self> {
        let began = OffsetDateTime::from(began_at);
        let (mut binds, mut dropped) = (Self::default(), 0);
        for text in text.lines() {
            let line: Line = serde_json::from_str(text).with_context(|| format!("no bind: {text}"))?;
            if line.dropped > 0 {
                dropped += line.dropped;
                continue;
            }
            let (Some(time), Some(name)) = (line.time, line.name) else {
                bail!("no bind: {text}");
            };
            let time = OffsetDateTime::parse(&time, &Rfc3339).with_context(|| format!("no time: {time}"))?;
            // Binds before the run, as of the agents' own service account, have a negative distance.
            let Ok(at) = Duration::try_from(time - began) else {
                // They are in order: what was dropped before this one is older still, and none of the run's.
                dropped = 0;
                continue;
            };
            if dropped > 0 {
                break;
            }
            binds.by_name.entry(name).or_default().push(Bind {
                at,
                dc: line.dc.unwrap_or_default(),
                from_port: line.peer.map_or(0, |peer| peer.port()),
                message_id: line.msgid.unwrap_or_default(),
                result: line.result.unwrap_or_default(),
                is_bad_password: line.result == Some(49)
                    && line.sub_code.is_none_or(|code| matches!(code.as_str(), "52e" | "525")),
                answered: line.answered.unwrap_or_default(),
            });
        }
        if dropped > 0 {
            bail!("mock-dc no longer has {dropped} of the binds; make fewer sign-ins");
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

    /// Tells each sign-in which binds were made for it: those with its name that came after it was sent and before the
    /// same user's next one was. Where several of one user were under way, as of accounts that there are few of, each is
    /// given one before any is given a second.
    pub fn attribute(&self, records: &mut [Record], people: &People) {
        let mut by_name: HashMap<String, Vec<&mut Record>> = HashMap::new();
        for record in records {
            record.binds = Tally::default();
            let name = people.name(record.attempt.kind, record.attempt.user);
            by_name.entry(name).or_default().push(record);
        }
        for (name, mut records) in by_name {
            records.sort_by_key(|record| record.sent_at());
            for bind in self.of(&name) {
                // The first sign-in also gets what seems to come before it: the two clocks are not read at one time.
                let sent = records.partition_point(|record| record.sent_at() <= bind.at).max(1);
                let waits = |record: &Record| record.binds.all == 0 && !is_late(bind, record);
                let waiting = records.iter().take(sent).position(|record| waits(record));
                let Some(record) = records.get_mut(waiting.unwrap_or(sent - 1)) else {
                    continue;
                };
                record.binds.all += 1;
                record.binds.bad += u32::from(bind.is_bad_password);
                record.binds.late += u32::from(is_late(bind, record));
            }
        }
    }
}

impl BindSummary {
    /// Of these sign-ins, which know their binds.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut summary = Self::default();
        for record in records {
            let binds = record.binds;
            summary.binds += u64::from(binds.all);
            summary.users_bound_twice += u64::from(binds.all > 1);
            summary.most_for_one = summary.most_for_one.max(u64::from(binds.all));
            let expected = u32::from(record.attempt.kind.is_refused_by_the_directory());
            summary.extra_bad_passwords += u64::from(binds.bad.saturating_sub(expected));
            summary.late_binds += u64::from(binds.late);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::Kind;
    use crate::people::Pattern;
    use crate::record::{Attempt, Ended};
    use postern_protocol::{Outcome, Verdict};

    fn line(ms: u64, name: &str, result: u32, answered: bool) -> String {
        let time = (OffsetDateTime::UNIX_EPOCH + Duration::from_millis(ms))
            .format(&Rfc3339)
            .unwrap();
        format!(
            r#"{{"seq":1,"time":"{time}","dc":"dc-1","conn":1,"peer":"127.0.0.1:9","msgid":2,"name":"{name}","user":null,"result":{result},"sub_code":null,"answered":{answered}}}"#
        )
    }

    /// Of users `u1` and so on.
    fn summary(binds: &Binds, records: &mut [Record]) -> BindSummary {
        let pattern: Pattern = "u%d".parse().unwrap();
        binds.attribute(records, &People::generated(pattern.clone(), pattern, 1, 10));
        BindSummary::of(&*records)
    }

    /// A sign-in at second 1 that was answered 100 ms later.
    fn record(user: u32) -> Record {
        Record {
            attempt: Attempt {
                at: Duration::from_secs(1),
                user,
                kind: Kind::Wrong,
            },
            lag: Duration::ZERO,
            latency: Duration::from_millis(100),
            ended: Ended::Outcome(Outcome::Verdict(Verdict::InvalidCredentials)),
            binds: Tally::default(),
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
        let summary = summary(&binds, &mut [record(1), record(2), record(3)]);
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
    fn a_wrong_password_counted_for_a_right_one_is_one_too_many_and_what_else_keeps_out_is_none() {
        let locked = line(1_050, "u2", 49, true).replace(r#""sub_code":null"#, r#""sub_code":"775""#);
        let binds = read(&[line(1_050, "u1", 49, true), locked]);
        let mut right = [record(1), record(2)];
        for record in &mut right {
            record.attempt.kind = Kind::Right;
        }
        assert_eq!(summary(&binds, &mut right).extra_bad_passwords, 1);
        assert_eq!(summary(&binds, &mut [record(1), record(2)]).extra_bad_passwords, 0);
    }

    #[test]
    fn a_bind_after_the_answer_is_late() {
        let binds = read(&[
            line(1_050, "u1", 49, true),
            line(1_101, "u1", 49, true),
            line(11_000, "u2", 49, true),
        ]);
        let summary = summary(&binds, &mut [record(1), record(2)]);
        assert_eq!(summary.late_binds, 2);
    }

    #[test]
    fn of_a_user_who_signs_in_again_each_bind_belongs_to_the_sign_in_that_was_under_way() {
        let binds = read(&[
            line(1_050, "u1", 49, true),
            line(2_050, "u1", 49, true),
            line(2_060, "u1", 49, true),
        ]);
        let mut again = record(1);
        again.attempt.at = Duration::from_secs(2);
        // Not in order: answers are not.
        let mut records = [again, record(1)];
        assert_eq!(summary(&binds, &mut records).users_bound_twice, 1);
        assert_eq!((records[0].binds.all, records[1].binds.all), (2, 1));
    }

    #[test]
    fn of_a_user_who_is_in_two_sign_ins_at_once_each_has_one_bind() {
        let binds = read(&[line(1_050, "u1", 49, true), line(1_060, "u1", 49, true)]);
        let mut beside = record(1);
        beside.attempt.at += Duration::from_millis(10);
        let mut records = [record(1), beside];
        assert_eq!(summary(&binds, &mut records).users_bound_twice, 0);
        assert_eq!((records[0].binds.all, records[1].binds.all), (1, 1));
    }

    #[test]
    fn what_was_dropped_does_not_matter_when_it_was_before_the_run() {
        const DROPPED: &str = r#"{"dropped":5}"#;
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(2);
        let read = |lines: &[&str]| Binds::read(&lines.join("\n"), began).map(|binds| binds.iter().count());
        let (before, within) = (line(1_999, "u1", 0, true), line(2_001, "u1", 0, true));
        assert_eq!(read(&[DROPPED, &before, &within]).unwrap(), 1);
        for of_the_run in [
            &[DROPPED, &within][..],
            &[&before, DROPPED, &within],
            &[&within, DROPPED],
        ] {
            let error = read(of_the_run).unwrap_err().to_string();
            assert!(error.contains("no longer has 5 of the binds"), "{error}");
        }
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
