//! One bind in twenty is counted by the directory, and its connection closed before the answer: nobody can know what the
//! answer was. What is done then is the realm's policy, to the bind.

use postern_loadtest::{Bind, Ended, Judgement, Record};
use postern_protocol::{Outcome, Unavailable};
use serde_json::json;
use toml::Value;

use super::super::words;
use crate::cluster::users::generated_name;
use crate::prove::course::drive;
use crate::prove::goal::Goal;
use crate::prove::report::Report;
use crate::prove::rig::{Rig, Shape};
use crate::prove::{Context, WARM_UP, judge, phases::Window};

/// What the relay does when it is unknown whether a bind was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    RetryOnce,
    Fail,
}

/// How a sign-in did not keep to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breach {
    TooManyBinds,
    NotRetried,
    MadeUp,
    OtherwiseTold,
    NeedlesslyUnknown,
    NotTried,
}

impl Breach {
    const ALL: [Self; 6] = [
        Self::TooManyBinds,
        Self::NotRetried,
        Self::MadeUp,
        Self::OtherwiseTold,
        Self::NeedlesslyUnknown,
        Self::NotTried,
    ];

    /// For people.
    fn about(self) -> &'static str {
        match self {
            Self::TooManyBinds => "more binds than the policy allows",
            Self::NotRetried => "lost answers without the second bind that the policy has",
            Self::MadeUp => "verdicts that no directory gave",
            Self::OtherwiseTold => "lost answers not told as indeterminate",
            Self::NeedlesslyUnknown => "answers that were there, and were taken for lost",
            Self::NotTried => "failed without a bind",
        }
    }
}

impl Policy {
    fn name(self) -> &'static str {
        match self {
            Self::RetryOnce => "retry-once",
            Self::Fail => "fail",
        }
    }

    fn most_binds(self) -> usize {
        match self {
            Self::RetryOnce => 2,
            Self::Fail => 1,
        }
    }

    /// Whether a sign-in and its binds are as the policy says.
    fn check(self, record: &Record, binds: &[Bind]) -> Result<(), Breach> {
        let has_verdict = record.judgement() != Judgement::Failed;
        let unknown = Ended::Outcome(Outcome::Unavailable(Unavailable::Indeterminate));
        if binds.len() > self.most_binds() {
            return Err(Breach::TooManyBinds);
        }
        let Some((last, earlier)) = binds.split_last() else {
            return Err(if has_verdict { Breach::MadeUp } else { Breach::NotTried });
        };
        if earlier.iter().any(|bind| bind.answered) {
            return Err(Breach::NeedlesslyUnknown);
        }
        match (last.answered, has_verdict) {
            (true, true) => Ok(()),
            (true, false) => Err(Breach::NeedlesslyUnknown),
            (false, true) => Err(Breach::MadeUp),
            (false, false) if record.ended != unknown => Err(Breach::OtherwiseTold),
            (false, false) if binds.len() < self.most_binds() => Err(Breach::NotRetried),
            (false, false) => Ok(()),
        }
    }
}

/// Plays it, under each policy.
pub(in super::super) async fn play(context: &Context) -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for policy in [Policy::RetryOnce, Policy::Fail] {
        reports.push(Box::pin(one(context, policy)).await?);
    }
    Ok(reports)
}

async fn one(context: &Context, policy: Policy) -> anyhow::Result<Report> {
    let mut rig = context
        .rig(&format!("answer-lost-{}", policy.name()), Shape::default())
        .await?;
    set_policy(&rig, policy).await?;
    let lasts = WARM_UP + context.either(20, 8);
    let lost = json!({ "kind": "close", "when": "after_bind", "probability": 0.05 });
    rig.faults(&[lost]).await?;
    let (evidence, ()) = drive(&mut rig, &context.load(lasts), context.seed, async |_, _| Ok(())).await?;
    rig.end().await?;
    let checked = evidence.records.iter().map(|record| {
        let binds = evidence.binds.of(&generated_name(record.attempt.user));
        policy.check(record, binds)
    });
    let breaches: Vec<Breach> = checked.filter_map(Result::err).collect();
    let goal = |kind: Breach| {
        let breaches = breaches.iter().filter(|&&breach| breach == kind);
        Goal::none(kind.about(), judge::count(breaches))
    };
    let mut goals: Vec<Goal> = Breach::ALL.into_iter().map(goal).collect();
    goals.extend(words::always(&evidence));
    goals.push(words::none_late(&evidence));
    let lost = judge::count(evidence.binds.iter().filter(|bind| !bind.answered));
    goals.push(words::at_least_one("binds that were counted and not answered", lost));
    Ok(Report {
        title: format!(
            "answer-lost: one bind in twenty is counted and not answered; policy {}",
            policy.name()
        ),
        rows: vec![evidence.row("under fault", Window::between(WARM_UP, lasts))],
        goals,
        notes: Vec::new(),
        generator: evidence.generator,
    })
}

/// The policy is the realm's, in the relay's configuration.
async fn set_policy(rig: &Rig, policy: Policy) -> anyhow::Result<()> {
    let relay = rig.relay()?.name.clone();
    rig.reconfigure(&relay, |file| {
        let realms = file.get_mut("realms").and_then(Value::as_array_mut);
        for realm in realms.into_iter().flatten().filter_map(Value::as_table_mut) {
            realm.insert("ambiguous".to_owned(), policy.name().into());
        }
    })
    .await?;
    rig.wait_ready(rig.agents().len()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_loadtest::{Attempt, Kind, Tally};
    use postern_protocol::Verdict;
    use std::time::Duration;

    const RIGHT: Outcome = Outcome::Verdict(Verdict::Success);
    const UNKNOWN: Outcome = Outcome::Unavailable(Unavailable::Indeterminate);
    const DOWN: Outcome = Outcome::Unavailable(Unavailable::DirectoryDown);

    /// One letter for each bind: `a`nswered or `l`ost.
    fn checked(policy: Policy, binds: &str, outcome: Outcome) -> Result<(), Breach> {
        let record = Record {
            attempt: Attempt {
                at: Duration::ZERO,
                user: 1,
                kind: Kind::Right,
            },
            lag: Duration::ZERO,
            latency: Duration::ZERO,
            ended: Ended::Outcome(outcome),
            binds: Tally::default(),
        };
        let bind = |letter| Bind {
            at: Duration::ZERO,
            dc: "dc-1".to_owned(),
            from_port: 9,
            message_id: 1,
            result: 0,
            is_bad_password: false,
            answered: letter == 'a',
        };
        policy.check(&record, &binds.chars().map(bind).collect::<Vec<_>>())
    }

    #[test]
    fn under_fail_there_is_one_bind_and_what_is_unknown_is_said_to_be() {
        let check = |binds, outcome| checked(Policy::Fail, binds, outcome);
        assert_eq!(check("a", RIGHT), Ok(()));
        assert_eq!(check("l", UNKNOWN), Ok(()));
        assert_eq!(check("la", RIGHT), Err(Breach::TooManyBinds));
        assert_eq!(check("l", DOWN), Err(Breach::OtherwiseTold));
        assert_eq!(check("l", RIGHT), Err(Breach::MadeUp));
        assert_eq!(check("a", UNKNOWN), Err(Breach::NeedlesslyUnknown));
        assert_eq!(check("", RIGHT), Err(Breach::MadeUp));
        assert_eq!(check("", DOWN), Err(Breach::NotTried));
    }

    #[test]
    fn under_retry_once_a_second_bind_follows_a_lost_answer_and_nothing_else() {
        let check = |binds, outcome| checked(Policy::RetryOnce, binds, outcome);
        assert_eq!(check("a", RIGHT), Ok(()));
        assert_eq!(check("la", RIGHT), Ok(()));
        assert_eq!(check("ll", UNKNOWN), Ok(()));
        assert_eq!(check("l", UNKNOWN), Err(Breach::NotRetried));
        assert_eq!(check("aa", RIGHT), Err(Breach::NeedlesslyUnknown));
        assert_eq!(check("lla", RIGHT), Err(Breach::TooManyBinds));
        assert_eq!(check("ll", RIGHT), Err(Breach::MadeUp));
    }
}
