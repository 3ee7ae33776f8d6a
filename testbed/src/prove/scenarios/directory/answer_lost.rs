//! One bind in twenty is counted by the directory, and its connection closed before the answer: nobody can know what the
//! answer was. What is done then is the realm's policy, to the bind.

use std::collections::BTreeMap;

use postern_loadtest::{Bind, Ended, Judgement, Record};
use postern_protocol::{Outcome, Unavailable};
use serde_json::json;
use toml::Value;

use super::super::words;
use crate::cluster::users::generated_name;
use crate::prove::course::{WHOLE, drive};
use crate::prove::goal::Goal;
use crate::prove::report::Report;
use crate::prove::rig::{Rig, Shape};
use crate::prove::{Context, WARM_UP, phases::Window};

/// What the relay does when it is unknown whether a bind was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    RetryOnce,
    Fail,
}

/// How a sign-in did not keep to the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Breach {
    /// More binds than the policy allows.
    TooManyBinds,
    /// A further bind although the one before it was answered.
    NeedlessBind,
    /// No further bind although the policy has one.
    NotRetried,
    /// The answer was there and is not what the caller got.
    AnswerNotTold,
    /// It was unknown what the directory had said, and the caller was told something else.
    UnknownNotTold,
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
        let Some((last, earlier)) = binds.split_last() else {
            // Never bound: any failure tells so, but a verdict would be made up.
            return match record.judgement() {
                Judgement::Failed => Ok(()),
                Judgement::Right | Judgement::Wrong => Err(Breach::AnswerNotTold),
            };
        };
        if binds.len() > self.most_binds() {
            return Err(Breach::TooManyBinds);
        }
        if earlier.iter().any(|bind| bind.answered) {
            return Err(Breach::NeedlessBind);
        }
        if last.answered {
            return match record.judgement() {
                Judgement::Right => Ok(()),
                Judgement::Failed | Judgement::Wrong => Err(Breach::AnswerNotTold),
            };
        }
        if record.ended != Ended::Outcome(Outcome::Unavailable(Unavailable::Indeterminate)) {
            return Err(Breach::UnknownNotTold);
        }
        if binds.len() < self.most_binds() {
            return Err(Breach::NotRetried);
        }
        Ok(())
    }
}

/// Plays it, under each policy.
pub(in super::super) async fn play(context: &Context) -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for policy in [Policy::RetryOnce, Policy::Fail] {
        reports.push(one(context, policy).await?);
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
    let mut breaches: BTreeMap<Breach, u64> = BTreeMap::new();
    for record in &evidence.records {
        let binds = evidence.binds.of(&generated_name(record.attempt.user));
        if let Err(breach) = policy.check(record, binds) {
            *breaches.entry(breach).or_default() += 1;
        }
    }
    let binds = evidence.binds_of(WHOLE);
    let most = u64::try_from(policy.most_binds()).unwrap_or(u64::MAX);
    let mut goals = vec![
        Goal::none("sign-ins not as the policy says", breaches.values().sum()),
        Goal::count("most binds for one sign-in", most, binds.most_for_one),
    ];
    goals.extend(words::always(&evidence));
    goals.push(words::none_late(&evidence));
    let lost = evidence.binds.iter().filter(|bind| !bind.answered).count();
    let mut notes = vec![format!("{lost} binds were counted and not answered")];
    notes.extend(breaches.iter().map(|(breach, count)| format!("{breach:?}: {count}")));
    Ok(Report {
        title: format!(
            "answer-lost: one bind in twenty is counted and not answered; policy {}",
            policy.name()
        ),
        rows: vec![evidence.row(
            "under fault",
            Window {
                from: WARM_UP,
                until: lasts,
            },
        )],
        goals,
        notes,
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
    use postern_loadtest::Attempt;
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
                right: true,
            },
            lag: Duration::ZERO,
            latency: Duration::ZERO,
            ended: Ended::Outcome(outcome),
        };
        let bind = |letter| Bind {
            at: Duration::ZERO,
            dc: "dc-1".to_owned(),
            from_port: 9,
            message_id: 1,
            result: 0,
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
        assert_eq!(check("l", DOWN), Err(Breach::UnknownNotTold));
        assert_eq!(check("a", UNKNOWN), Err(Breach::AnswerNotTold));
        assert_eq!(check("", RIGHT), Err(Breach::AnswerNotTold));
        assert_eq!(check("", DOWN), Ok(()));
    }

    #[test]
    fn under_retry_once_a_second_bind_follows_a_lost_answer_and_nothing_else() {
        let check = |binds, outcome| checked(Policy::RetryOnce, binds, outcome);
        assert_eq!(check("a", RIGHT), Ok(()));
        assert_eq!(check("la", RIGHT), Ok(()));
        assert_eq!(check("ll", UNKNOWN), Ok(()));
        assert_eq!(check("l", UNKNOWN), Err(Breach::NotRetried));
        assert_eq!(check("aa", RIGHT), Err(Breach::NeedlessBind));
        assert_eq!(check("lla", RIGHT), Err(Breach::TooManyBinds));
        assert_eq!(check("ll", RIGHT), Err(Breach::UnknownNotTold));
    }
}
