//! One agent of three is lost: killed, frozen, or cut off.
//!
//! The caller of an affected sign-in waits until the relay doubts the agent and another one answers. What the lost agent
//! had bound already is bound a second time, under the default policy; nothing else is.

use std::time::Duration;

use postern_loadtest::Record;
use postern_loadtest::binds::BindSummary;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::words::{self, DEALT_WITH};
use crate::prove::course::{Evidence, drive};
use crate::prove::goal::{Goal, Value as Seen};
use crate::prove::phases::{Moment, Window};
use crate::prove::report::Report;
use crate::prove::rig::{Rig, Shape};
use crate::prove::sampler::{RelaySample, fewest_ready, first};
use crate::prove::{Context, judge};

/// The one that is lost.
const LOST: &str = "agent-1";
const LOST_INDEX: usize = 0;

/// What an affected sign-in may take longer.
const EXTRA: Duration = Duration::from_millis(600);

/// An agent that was frozen or cut off serves again within this.
const BACK: Duration = Duration::from_secs(5);

/// Without a sign-in that waits for it, a silent agent is doubted and let go within these.
const DOUBTED: Duration = Duration::from_secs(2);
const CLOSED: Duration = Duration::from_secs(5);

/// Agents that the relay counts on while one is lost.
const LEFT: u64 = 2;

/// Between two looks at an idle relay. Its own gauges are renewed every 250 ms.
const LOOK: Duration = Duration::from_millis(50);

/// SIGKILL.
pub(super) async fn killed(context: &Context) -> anyhow::Result<Vec<Report>> {
    let mut rig = context.rig("agent-killed", Shape::default()).await?;
    let fault_at = context.fault_at();
    let load = context.load(fault_at + context.either(10, 5));
    let (evidence, fault) = drive(&mut rig, &load, context.seed, async |rig, clock| {
        clock.until(fault_at).await;
        clock.moment(rig.order(LOST, "kill")).await
    })
    .await?;
    rig.end().await?;
    let goals = goals(&evidence, fault_at, fault);
    Ok(vec![report(
        "agent-killed: SIGKILL of one agent of three",
        &evidence,
        fault_at,
        fault,
        goals,
    )])
}

/// SIGSTOP, and SIGCONT ten seconds later.
pub(super) async fn frozen(context: &Context) -> anyhow::Result<Vec<Report>> {
    let mut rig = context.rig("agent-frozen", Shape::default()).await?;
    let fault_at = context.fault_at();
    // Longer than any sign-in lives, also in a short run: what it had in hand must be dead when it wakes.
    let frozen_for = Duration::from_secs(10);
    let load = context.load(fault_at + frozen_for + context.either(10, 6));
    let (evidence, (fault, thaw)) = drive(&mut rig, &load, context.seed, async |rig, clock| {
        clock.until(fault_at).await;
        let fault = clock.moment(rig.order(LOST, "stop")).await?;
        clock.until(fault.done + frozen_for).await;
        Ok((fault, clock.moment(rig.order(LOST, "cont")).await?))
    })
    .await?;
    rig.end().await?;
    let mut goals = goals(&evidence, fault_at, fault);
    let back = evidence.bound_again(LOST_INDEX, thaw.done);
    goals.push(Goal::time("thawed agent binds again", BACK, back));
    Ok(vec![report(
        "agent-frozen: SIGSTOP of one agent of three, SIGCONT after 10 s",
        &evidence,
        fault_at,
        fault,
        goals,
    )])
}

/// Nothing passes between one agent and the relay.
pub(super) async fn black_hole(context: &Context) -> anyhow::Result<Vec<Report>> {
    let shape = Shape {
        net_faults: true,
        ..Shape::default()
    };
    let mut rig = context.rig("link-black-hole", shape).await?;
    let fault_at = context.fault_at();
    let load = context.load(fault_at + context.either(10, 5));
    let (evidence, fault) = drive(&mut rig, &load, context.seed, async |rig, clock| {
        clock.until(fault_at).await;
        clock.moment(rig.link(LOST, &json!({ "drop": true }))).await
    })
    .await?;
    // It was ejected for what it had in hand: only a sign-in shows that it is well again.
    let (recovered, ()) = drive(&mut rig, &context.load(BACK), context.seed, async |rig, _| {
        rig.link(LOST, &json!({})).await?;
        rig.wait_ready(shape.agents.into()).await
    })
    .await?;
    let (doubted, closed) = idle(&rig, shape.agents.into()).await?;
    rig.end().await?;
    let mut goals = goals(&evidence, fault_at, fault);
    goals.push(Goal::time("idle: agent gets no new work after", DOUBTED, doubted));
    goals.push(Goal::time("idle: connection is closed after", CLOSED, closed));
    Ok(vec![
        report(
            "link-black-hole: nothing passes between one agent of three and the relay",
            &evidence,
            fault_at,
            fault,
            goals,
        ),
        recovery(&recovered),
    ])
}

/// The link passes everything again, under load from the first moment.
fn recovery(evidence: &Evidence) -> Report {
    let mut goals = vec![words::none_failed(evidence)];
    goals.extend(words::always(evidence));
    goals.push(words::none_late(evidence));
    // What the agent had in hand was settled long before.
    let twice = evidence.binds_of(Window::WHOLE).users_bound_twice;
    goals.push(Goal::none("users bound twice", twice));
    let back = evidence.bound_again(LOST_INDEX, Duration::ZERO);
    Report {
        title: "link-black-hole, recovery: everything passes again".to_owned(),
        rows: vec![evidence.row("recovery", Window::WHOLE)],
        goals,
        notes: vec![format!("the agent bound again {}", told(back))],
        generator: evidence.generator,
    }
}

/// Cuts the agent off while nobody signs in; when the relay no longer counts on it, and when it gives the connection up.
async fn idle(rig: &Rig, agents: usize) -> anyhow::Result<(Option<Duration>, Option<Duration>)> {
    rig.wait_ready(agents).await?;
    rig.link(LOST, &json!({ "drop": true })).await?;
    let began = Instant::now();
    let (mut doubted, mut closed) = (None, None);
    while closed.is_none() && began.elapsed() < CLOSED * 4 {
        let relay = RelaySample::of(&rig.relay_metrics().await?);
        let now = began.elapsed();
        if relay.links < agents as u64 {
            closed = Some(now);
        }
        // Who is gone gets no work either; the gauge may follow.
        if doubted.is_none() && (relay.ready < agents as u64 || closed.is_some()) {
            doubted = Some(now);
        }
        sleep(LOOK).await;
    }
    Ok((doubted, closed))
}

fn goals(evidence: &Evidence, fault_at: Duration, fault: Moment) -> Vec<Goal> {
    let before = Window::before(fault_at);
    let usual = evidence.latency(before);
    let affected = judge::affected(&evidence.records, fault, &usual);
    let dealt_with = Window::since(fault.done + DEALT_WITH);
    let (struck, others): (Vec<&Record>, Vec<&Record>) = evidence
        .records
        .iter()
        .partition(|record| judge::is_in_flight(record, fault));
    let twice = |records: Vec<&Record>| BindSummary::of(records).users_bound_twice;
    let in_flight = judge::count(&struck);
    // Whatever else holds, it holds of a fault only if there was one.
    let lowest = fewest_ready(&evidence.samples, fault.ordered);
    let mut goals = vec![words::none_failed(evidence)];
    goals.extend(words::always(evidence));
    goals.extend([
        Goal::at_most(
            "fewest agents that the relay counted on",
            Seen::Count(LEFT),
            lowest.map(Seen::Count),
        ),
        Goal::time(
            "affected sign-ins took longer by",
            EXTRA,
            Some(judge::extra(&affected, &usual)),
        ),
        words::as_fast_as_before("p99 from 2 s after it on", evidence, before, dealt_with),
        Goal::count("users bound twice, of those in flight", in_flight, twice(struck)),
        Goal::none("users bound twice, of all others", twice(others)),
        words::none_late(evidence),
    ]);
    goals
}

fn report(title: &str, evidence: &Evidence, fault_at: Duration, fault: Moment, goals: Vec<Goal>) -> Report {
    let before = Window::before(fault_at);
    let during = Window::between(before.until, fault.done + DEALT_WITH);
    let after = Window::since(during.until);
    let usual = evidence.latency(before);
    let end = evidence
        .records
        .last()
        .map_or(Duration::ZERO, |record| record.attempt.at);
    let back = judge::back_to(&evidence.records, fault.done, end, usual.p99.mul_f64(1.2));
    let doubted = first(&evidence.samples, fault.ordered, |relay| relay.ready <= LEFT);
    let affected = judge::affected(&evidence.records, fault, &usual);
    Report {
        title: title.to_owned(),
        rows: vec![
            evidence.row("before", before),
            evidence.row("during", during),
            evidence.row("after", after),
        ],
        goals,
        notes: vec![
            format!(
                "{} sign-ins affected; {} in flight at the fault",
                affected.len(),
                judge::in_flight(&evidence.records, fault)
            ),
            format!(
                "p99 back to 1.2 × {}; the relay's count of ready agents fell {}",
                told(back),
                told(doubted)
            ),
            words::successes(evidence, before, after),
        ],
        generator: evidence.generator,
    }
}

fn told(time: Option<Duration>) -> String {
    time.map_or("never".to_owned(), |time| format!("after {:.1} s", time.as_secs_f64()))
}
