//! One domain controller of two is of no use: it refuses, it hangs, or it takes two seconds for a bind.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::words;
use crate::prove::course::{Evidence, WHOLE, drive};
use crate::prove::goal::{Goal, Value as Seen};
use crate::prove::phases::{Moment, Window};
use crate::prove::report::Report;
use crate::prove::rig::{DEADLINE, Shape};
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
        reports.push(one(context, number, how, fault).await?);
    }
    Ok(reports)
}

async fn one(context: &Context, number: usize, how: &str, fault: Value) -> anyhow::Result<Report> {
    let mut rig = context.rig(&format!("dc-bad-{number}"), Shape::default()).await?;
    let fault_at = context.fault_at();
    let end = fault_at + context.either(10, 6);
    let (evidence, fault) = drive(&mut rig, &context.load(end), context.seed, async |rig, clock| {
        clock.until(fault_at).await;
        let moment = clock.moment(rig.faults(&[fault])).await?;
        clock.until(end + DEADLINE).await;
        // What hangs in the directory is not written down before it is let go.
        rig.faults(&[]).await?;
        Ok(moment)
    })
    .await?;
    rig.end().await?;
    let noticed = Window {
        from: fault.done + NOTICED,
        until: Duration::MAX,
    };
    let share = share_of_bad(&evidence, noticed);
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
            evidence.binds_of(WHOLE).users_bound_twice
        )],
        generator: evidence.generator,
    })
}

/// As the directory's record has it. A controller that refuses or hangs writes nothing down: then it is what is not
/// answered that would show, and none may fail.
fn share_of_bad(evidence: &Evidence, window: Window) -> f64 {
    let all: Vec<_> = evidence.binds.iter().filter(|bind| window.contains(bind.at)).collect();
    judge::share(
        judge::count(all.iter().filter(|bind| bind.dc == BAD)),
        judge::count(&all),
    )
}

fn rows(evidence: &Evidence, fault_at: Duration, fault: Moment, noticed: Window) -> Vec<crate::prove::report::Row> {
    let before = Window {
        from: WARM_UP,
        until: fault_at,
    };
    let during = Window {
        from: fault.ordered,
        until: noticed.from,
    };
    vec![
        evidence.row("before", before),
        evidence.row("first 3 s", during),
        evidence.row("then", noticed),
    ]
}
