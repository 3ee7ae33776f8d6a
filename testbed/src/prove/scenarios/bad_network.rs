//! Every link loses one datagram in twenty and takes up to 50 ms, each way. In one run datagrams keep their order, in the
//! other they overtake each other.

use std::time::Duration;

use serde_json::json;

use super::words;
use crate::prove::course::drive;
use crate::prove::goal::{Goal, Value as Seen};
use crate::prove::phases::Window;
use crate::prove::report::Report;
use crate::prove::rig::{Rig, Shape};
use crate::prove::{Context, WARM_UP};

/// What sign-ins may take longer: a lost datagram is sent again after a round trip or two.
const EXTRA: Duration = Duration::from_millis(250);

/// What half of them take longer at least, or the links were not bad: a datagram is on its way for 25 ms more on average,
/// and a sign-in takes one each way.
const FELT: Duration = Duration::from_millis(10);

/// Connections to the directory of each agent. A sign-in has one from being sent to being answered, 0.1 s here and more
/// where a datagram is lost: 500 a second need 50 to 100.
const CONNECTIONS: i64 = 64;

/// Plays it, in order and reordering.
pub(super) async fn play(context: &Context) -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for reorder in [false, true] {
        reports.push(Box::pin(one(context, reorder)).await?);
    }
    Ok(reports)
}

async fn one(context: &Context, reorder: bool) -> anyhow::Result<Report> {
    let shape = Shape {
        net_faults: true,
        ..Shape::default()
    };
    let how = if reorder { "reordering" } else { "in order" };
    let mut rig = context.rig(&format!("bad-network-{reorder}"), shape).await?;
    rig.set_connections(CONNECTIONS).await?;
    let fault_at = context.fault_at();
    let load = context.load(fault_at + context.either(10, 6));
    let (evidence, fault) = drive(&mut rig, &load, context.seed, async |rig, clock| {
        clock.until(fault_at).await;
        clock.moment(make_bad(rig, reorder)).await
    })
    .await?;
    rig.end().await?;
    let (before, bad) = (Window::between(WARM_UP, fault.ordered), Window::since(fault.done));
    let (usual, now) = (evidence.latency(before), evidence.latency(bad));
    let mut goals = vec![words::none_failed(&evidence)];
    goals.extend(words::always(&evidence));
    goals.extend([
        Goal::at_least(
            "median on bad links",
            Seen::Time(usual.p50 + FELT),
            Some(Seen::Time(now.p50)),
        ),
        Goal::time("p99 on bad links", usual.p99 + EXTRA, Some(now.p99)),
        // Nothing is lost for good here, so a second bind would be for lateness alone.
        Goal::none("users bound twice", evidence.binds_of(Window::WHOLE).users_bound_twice),
        words::none_late(&evidence),
    ]);
    Ok(Report {
        title: format!("bad-network: 5 % loss and 50 ms of jitter each way, {how}"),
        rows: vec![evidence.row("before", before), evidence.row("bad links", bad)],
        goals,
        notes: vec![words::successes(&evidence, before, bad)],
        generator: evidence.generator,
    })
}

async fn make_bad(rig: &Rig, reorder: bool) -> anyhow::Result<()> {
    for agent in rig.agents() {
        let bad = json!({ "loss": 0.05, "delay_ms": [0, 50], "reorder": reorder });
        rig.link(&agent.name, &bad).await?;
    }
    Ok(())
}
