//! Ten times as many sign-ins as the directory can do. What it can do is done as well as before; the rest is refused at
//! once, in bounded memory; and afterwards everything is as it was.

use std::time::Duration;

use postern_loadtest::{Ended, Judgement, Latency, Record, Stage};
use postern_protocol::{Outcome, Unavailable};
use serde_json::json;

use super::words;
use crate::prove::Context;
use crate::prove::course::{Evidence, drive};
use crate::prove::goal::{Goal, Value as Seen};
use crate::prove::judge;
use crate::prove::phases::Window;
use crate::prove::report::Report;
use crate::prove::rig::{Rig, Shape};

/// A bind takes 20 ms, and each of three agents makes four at once: 600 a second. Of these 20 ms the directory waits 16:
/// with timers, TLS and the way there and back, binds come one after another every 19 to 20 ms.
const BIND_MS: u64 = 16;
const AT_ONCE: i64 = 4;
const ONCE: f64 = 600.0;
const TEN_TIMES: f64 = 6_000.0;

/// Connections to the directory are few here, and busy: what comes before they are in step is not counted.
const WARM_UP: Duration = Duration::from_secs(3);

/// What must be left of the right answers under overload.
const GOODPUT: f64 = 0.9;

/// Who is accepted does not wait longer; who is refused learns it at once.
const ACCEPTED: Duration = Duration::from_secs(1);
const REFUSED: Duration = Duration::from_millis(50);

/// Memory of the relay on top of what it had.
const MEMORY: u64 = 64 * 1024 * 1024;

/// Afterwards, all is normal within this.
const NORMAL: Duration = Duration::from_secs(5);

/// Plays it.
pub(super) async fn play(context: &Context) -> anyhow::Result<Vec<Report>> {
    let mut rig = context.rig("overload", Shape::default()).await?;
    narrow(&rig).await?;
    let (once, overload, after) = (context.either(10, 5), context.either(30, 6), context.either(10, 5));
    let stages = [
        Stage::constant(ONCE, WARM_UP + once),
        Stage::constant(TEN_TIMES, overload),
        Stage::constant(ONCE, NORMAL + after),
    ];
    let (evidence, ()) = drive(&mut rig, &stages, context.seed, async |_, _| Ok(())).await?;
    rig.end().await?;
    let before = Window::starting(WARM_UP, once);
    let during = Window::starting(before.until, overload);
    let after = Window::starting(during.until + NORMAL, after);
    let goodput = |window: Window| per_second(&evidence, window);
    let memory = |window: Window| most_memory(&evidence, window);
    let grown = memory(Window::since(during.from));
    let mut goals = words::always(&evidence);
    goals.extend([
        Goal::at_least(
            "right answers a second, of those at 1 ×",
            Seen::Share(GOODPUT),
            Some(Seen::Share(goodput(during) / goodput(before).max(1.0))),
        ),
        Goal::time(
            "p99 of those accepted",
            ACCEPTED,
            Some(accepted(&evidence.records, during).p99),
        ),
        words::at_least_one("refused at 10 ×", judge::count(refused(&evidence.records, during))),
        Goal::none(
            "neither right nor refused at 10 ×",
            judge::count(neither(&evidence.records, during)),
        ),
        Goal::time(
            "p99 of those refused",
            REFUSED,
            Some(Latency::of(refused(&evidence.records, during).map(|record| record.latency)).p99),
        ),
        Goal::at_most(
            "the relay's memory grew by",
            Seen::Bytes(MEMORY),
            grown
                .zip(memory(before))
                .map(|(most, usual)| Seen::Bytes(most.saturating_sub(usual))),
        ),
        Goal::at_least(
            "5 s later: right answers, of those before",
            Seen::Share(GOODPUT),
            Some(Seen::Share(goodput(after) / goodput(before).max(1.0))),
        ),
        words::as_fast_as_before("5 s later: p99", &evidence, before, after),
        words::none_late(&evidence),
    ]);
    Ok(vec![Report {
        title: "overload: 6,000 sign-ins/s where the directory can do 600".to_owned(),
        rows: vec![
            evidence.row("at 1 ×", before),
            evidence.row("at 10 ×", during),
            evidence.row("5 s later", after),
        ],
        goals,
        notes: vec![format!(
            "right answers a second: {:.0} at 1 ×, {:.0} at 10 ×, {:.0} 5 s later",
            goodput(before),
            goodput(during),
            goodput(after)
        )],
        generator: evidence.generator,
    }])
}

/// Makes the directory as slow and the agents' way to it as narrow as the scenario has it.
async fn narrow(rig: &Rig) -> anyhow::Result<()> {
    rig.set_connections(AT_ONCE).await?;
    rig.only_faults(&[json!({ "kind": "latency", "ms": BIND_MS })]).await
}

/// Right answers a second, by when they came.
fn per_second(evidence: &Evidence, window: Window) -> f64 {
    let right = evidence
        .records
        .iter()
        .filter(|record| record.judgement() == Judgement::Right && window.contains(record.answered_at()));
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
    let right = judge::count(right) as f64;
    right / window.length().as_secs_f64()
}

fn most_memory(evidence: &Evidence, window: Window) -> Option<u64> {
    let samples = evidence.samples.iter().filter(|sample| window.contains(sample.at));
    samples.filter_map(|sample| Some(sample.relay.as_ref()?.memory)).max()
}

fn accepted(records: &[Record], window: Window) -> Latency {
    let accepted = window
        .of(records)
        .filter(|record| record.judgement() == Judgement::Right);
    Latency::of(accepted.map(|record| record.latency))
}

fn refused(records: &[Record], window: Window) -> impl Iterator<Item = &Record> {
    window.of(records).filter(|record| is_refused(record))
}

fn is_refused(record: &Record) -> bool {
    record.ended == Ended::Outcome(Outcome::Unavailable(Unavailable::Overloaded))
}

/// Who is not told at once that there is too much to do is served.
fn neither(records: &[Record], window: Window) -> impl Iterator<Item = &Record> {
    let served = |record: &Record| record.judgement() == Judgement::Right;
    window
        .of(records)
        .filter(move |record| !is_refused(record) && !served(record))
}
