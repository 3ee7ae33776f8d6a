//! Both domain controllers refuse for a while. Nobody can answer, and that is said at once; nobody is told that a password
//! is wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use postern_loadtest::{Ended, Judgement, Record};
use postern_protocol::{Outcome, Unavailable};
use serde_json::json;

use super::super::words;
use crate::prove::course::drive;
use crate::prove::goal::Goal;
use crate::prove::phases::{Moment, Window};
use crate::prove::report::Report;
use crate::prove::rig::Shape;
use crate::prove::{Context, judge};

/// An answer that there is no directory comes within this.
const TOLD: Duration = Duration::from_secs(1);

/// Once it is back, sign-ins succeed again within this.
const RECOVERED: Duration = Duration::from_secs(3);

/// Plays it.
pub(in super::super) async fn play(context: &Context) -> anyhow::Result<Vec<Report>> {
    let mut rig = context.rig("directory-down", Shape::default()).await?;
    let fault_at = context.fault_at();
    let down_for = context.either(5, 3);
    let load = context.load(fault_at + down_for + context.either(8, 10));
    let (evidence, (gone, back)) = drive(&mut rig, &load, context.seed, async |rig, clock| {
        clock.until(fault_at).await;
        let gone = clock.moment(rig.faults(&[json!({ "kind": "refuse" })])).await?;
        clock.until(gone.done + down_for).await;
        Ok((gone, clock.moment(rig.faults(&[])).await?))
    })
    .await?;
    rig.end().await?;
    let outage = Window::between(gone.done, back.ordered);
    let recovered = Window::since(back.done + RECOVERED);
    let before = Window::before(gone.ordered);
    let slowest = struck(&evidence.records, gone, back).map(|record| record.latency).max();
    let mut goals = words::always(&evidence);
    goals.extend([
        words::none_failed_before(&evidence, before),
        words::at_least_one("sign-ins during the outage", evidence.summary(outage).sent),
        Goal::time("slowest answer, of those in flight, too", TOLD, slowest),
        Goal::none(
            "then other than directory_down",
            judge::count(unlike(&evidence.records, gone, back)),
        ),
        words::last_failure("last failure after it is back", RECOVERED, &evidence, back.done),
        words::none_late(&evidence),
    ]);
    let mut others: BTreeMap<String, u64> = BTreeMap::new();
    for record in unlike(&evidence.records, gone, back) {
        *others.entry(record.ended.to_string()).or_default() += 1;
    }
    Ok(vec![Report {
        title: "directory-down: both domain controllers refuse, and come back".to_owned(),
        rows: vec![
            evidence.row("before", before),
            evidence.row("in flight", Window::between(before.until, gone.done)),
            evidence.row("during", outage),
            evidence.row("recovery", Window::between(back.ordered, recovered.from)),
            evidence.row("after", recovered),
        ],
        goals,
        notes: others
            .into_iter()
            .map(|(outcome, count)| format!("during the outage {outcome}: {count}"))
            .collect(),
        generator: evidence.generator,
    }])
}

/// The sign-ins that the outage struck: not answered when it began, and planned before it ended.
fn struck(records: &[Record], gone: Moment, back: Moment) -> impl Iterator<Item = &Record> {
    let struck = move |record: &&Record| record.answered_at() >= gone.ordered && record.attempt.at < back.ordered;
    records.iter().filter(struck)
}

/// Those of them that were told something else than that the directory is down. Those in flight when it went may have
/// been bound: they may be told so, or what it answered. Those that were answered after it came back are none of it.
fn unlike(records: &[Record], gone: Moment, back: Moment) -> impl Iterator<Item = &Record> {
    let told = |record: &Record, reason| record.ended == Ended::Outcome(Outcome::Unavailable(reason));
    struck(records, gone, back).filter(move |record| {
        let as_bound = told(record, Unavailable::Indeterminate) || record.judgement() == Judgement::Right;
        let rightly = told(record, Unavailable::DirectoryDown) || judge::is_in_flight(record, gone) && as_bound;
        !rightly && record.answered_at() < back.ordered
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_loadtest::{Attempt, Kind, Tally};
    use postern_protocol::Verdict;

    fn record(at: u64, latency: u64, outcome: Outcome) -> Record {
        Record {
            attempt: Attempt {
                at: Duration::from_millis(at),
                user: 1,
                kind: Kind::Right,
            },
            lag: Duration::ZERO,
            latency: Duration::from_millis(latency),
            ended: Ended::Outcome(outcome),
            binds: Tally::default(),
        }
    }

    #[test]
    fn during_the_outage_only_directory_down_will_do_and_indeterminate_for_those_in_flight() {
        let gone = Moment {
            ordered: Duration::from_millis(990),
            done: Duration::from_millis(1_000),
        };
        let back = Moment {
            ordered: Duration::from_millis(5_000),
            done: Duration::from_millis(5_010),
        };
        let unavailable = Outcome::Unavailable;
        let records = [
            record(500, 600, unavailable(Unavailable::Indeterminate)),
            record(1_000, 10, unavailable(Unavailable::Indeterminate)),
            record(2_000, 10, unavailable(Unavailable::DirectoryDown)),
            record(4_990, 100, Outcome::Verdict(Verdict::Success)),
            record(500, 400, unavailable(Unavailable::Overloaded)),
            record(980, 20, Outcome::Verdict(Verdict::Success)),
            record(980, 20, unavailable(Unavailable::Timeout)),
            record(2_000, 10, unavailable(Unavailable::Indeterminate)),
            record(2_000, 10, unavailable(Unavailable::Overloaded)),
            record(2_000, 10, Outcome::Verdict(Verdict::Success)),
        ];
        let unlike: Vec<_> = unlike(&records, gone, back).collect();
        assert_eq!(unlike, records[6..].iter().collect::<Vec<_>>());
    }
}
