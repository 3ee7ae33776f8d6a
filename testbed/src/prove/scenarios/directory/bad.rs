//! One domain controller of two is of no use: it refuses, it hangs, or it takes two seconds for a bind.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::words;
use crate::prove::course::{Evidence, drive};
use crate::prove::goal::{Goal, Value as Seen};
use crate::prove::phases::{Moment, Window};
use crate::prove::report::Report;
use crate::prove::rig::{DEADLINE, Rig, Shape};
use crate::prove::{Context, WARM_UP, judge};

const BAD: &str = "dc-1";

/// After this the bad controller has as good as no share.
const NOTICED: Duration = Duration::from_secs(3);
const SHARE: f64 = 0.05;

/// Plays it, three times.
pub(in super::super) async fn play(context: &Context) -> anyhow::Result<Vec<Report>> {
    let kinds = [
        ("refuses", json!({ "kind": "refuse", "dc": BAD })),
        ("hangs", json!({ "kind": "hang", "when": "connection", "dc": BAD })),
        ("takes 2 s", json!({ "kind": "latency", "ms": 2_000, "dc": BAD })),
    ];
    let mut reports = Vec::new();
    for (number, (how, fault)) in kinds.into_iter().enumerate() {
        reports.push(Box::pin(one(context, number, how, fault)).await?);
    }
    Ok(reports)
}

async fn one(context: &Context, number: usize, how: &str, fault: Value) -> anyhow::Result<Report> {
    let mut rig = context.rig(&format!("dc-bad-{number}"), Shape::default()).await?;
    let fault_at = context.fault_at();
    let end = fault_at + context.either(10, 6);
    let (evidence, (fault, share)) = drive(&mut rig, &context.load(end), context.seed, async |rig, clock| {
        clock.until(fault_at).await;
        let moment = clock.moment(rig.faults(&[fault])).await?;
        clock.until(moment.done + NOTICED).await;
        let before = Sent::read(rig).await?;
        clock.until(end + DEADLINE).await;
        let share = Sent::read(rig).await?.share_since(before);
        // What hangs in the directory is not written down before it is let go.
        rig.faults(&[]).await?;
        Ok((moment, share))
    })
    .await?;
    rig.end().await?;
    let noticed = Window::since(fault.done + NOTICED);
    let mut goals = vec![words::none_failed(&evidence)];
    goals.extend(words::always(&evidence));
    goals.push(Goal::at_most(
        "the bad one's share of binds from 3 s on",
        Seen::Share(SHARE),
        Some(Seen::Share(share)),
    ));
    Ok(Report {
        title: format!("dc-bad: one domain controller of two {how}"),
        rows: rows(&evidence, fault_at, fault, noticed),
        goals,
        notes: vec![format!(
            "users bound twice: {}",
            evidence.binds_of(Window::WHOLE).users_bound_twice
        )],
        generator: evidence.generator,
    })
}

/// Binds that the agents sent so far. The directory's own record would not do: a controller that hangs writes nothing
/// down.
#[derive(Debug, Clone, Copy)]
struct Sent {
    to_bad: u64,
    to_all: u64,
}

impl Sent {
    async fn read(rig: &Rig) -> anyhow::Result<Self> {
        const SENT: &str = "postern_agent_binds_total";
        Ok(Self {
            to_bad: rig.agents_count(SENT, &[("dc", BAD)]).await?,
            to_all: rig.agents_count(SENT, &[]).await?,
        })
    }

    fn share_since(self, before: Self) -> f64 {
        let since = |now: u64, before| now.saturating_sub(before);
        judge::share(since(self.to_bad, before.to_bad), since(self.to_all, before.to_all))
    }
}

fn rows(evidence: &Evidence, fault_at: Duration, fault: Moment, noticed: Window) -> Vec<crate::prove::report::Row> {
    let before = Window::between(WARM_UP, fault_at);
    let during = Window::between(fault.ordered, noticed.from);
    vec![
        evidence.row("before", before),
        evidence.row("first 3 s", during),
        evidence.row("then", noticed),
    ]
}
