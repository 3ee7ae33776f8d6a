//! Every agent in turn is replaced, as a rolling upgrade does: SIGTERM, and a new process with the same name.

use std::time::Duration;

use super::words;
use crate::prove::course::{Clock, drive};
use crate::prove::goal::{Goal, Value as Seen};
use crate::prove::phases::{Moment, Window};
use crate::prove::report::Report;
use crate::prove::rig::{Rig, Shape};
use crate::prove::{Context, WARM_UP};

/// For three agents, with time to spare: each needs a second or two.
const LASTS: Duration = Duration::from_secs(20);

/// Plays it.
pub(super) async fn play(context: &Context) -> anyhow::Result<Vec<Report>> {
    let mut rig = context.rig("agents-upgraded", Shape::default()).await?;
    let begin = context.fault_at();
    let (evidence, (upgrade, replaced, ambiguous)) = drive(
        &mut rig,
        &context.load(begin + LASTS),
        context.seed,
        async |rig, clock| {
            clock.until(begin).await;
            let (upgrade, replaced) = clock.timed(replace_all(rig)).await?;
            Ok((
                upgrade,
                replaced,
                ambiguous_at_the_end(rig, clock, begin + LASTS).await?,
            ))
        },
    )
    .await?;
    rig.end().await?;
    let Moment { done, .. } = upgrade;
    let before = Window::between(WARM_UP, begin);
    let agents = Shape::default().agents.into();
    let twice = evidence.binds_of(Window::WHOLE).users_bound_twice;
    let mut goals = vec![
        words::none_failed(&evidence),
        Goal::none("ambiguous attempts", ambiguous),
        Goal::none("users bound twice", twice),
        Goal::at_least(
            "agents that are another process now",
            Seen::Count(agents),
            Some(Seen::Count(replaced)),
        ),
    ];
    goals.extend(words::always(&evidence));
    goals.push(words::none_late(&evidence));
    goals.push(Goal::time("every agent is replaced after", LASTS, Some(done - begin)));
    Ok(vec![Report {
        title: "agents-upgraded: SIGTERM of each of three agents, and a new process of the same name".to_owned(),
        rows: vec![
            evidence.row("before", before),
            evidence.row("during", Window::between(begin, done)),
            evidence.row("after", Window::since(done)),
        ],
        goals,
        notes: Vec::new(),
        generator: evidence.generator,
    }])
}

/// How many are another process now.
async fn replace_all(rig: &Rig) -> anyhow::Result<u64> {
    let agents = rig.agents();
    let mut replaced = 0;
    for agent in agents {
        let pid = rig.order(&agent.name, "restart").await?;
        replaced += u64::from(pid != agent.pid);
        // As an upgrade does that waits for the new one to serve.
        rig.wait_ready(agents.len()).await?;
    }
    Ok(replaced)
}

async fn ambiguous_at_the_end(rig: &Rig, clock: &Clock, end: Duration) -> anyhow::Result<u64> {
    clock.until(end).await;
    let metrics = rig.relay_metrics().await?;
    Ok(metrics.count("postern_relay_ambiguous_total", &[]))
}
