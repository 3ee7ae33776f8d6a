//! The only agent of a realm is killed and started again. Nobody can answer meanwhile: what is promised is that it takes
//! no longer than the restart, and that everybody gets an answer.

use std::time::Duration;

use postern_loadtest::{Judgement, Stage};

use super::words;
use crate::prove::Context;
use crate::prove::course::drive;
use crate::prove::goal::Goal;
use crate::prove::phases::Window;
use crate::prove::report::Report;
use crate::prove::rig::Shape;

/// Few people wait for a realm with one agent.
const RATE: f64 = 20.0;

/// From the agent's readiness to the first answer: the relay learns of it, and the agent of the relay's time.
const FIRST_ANSWER: Duration = Duration::from_secs(1);

/// Plays it.
pub(super) async fn play(context: &Context) -> anyhow::Result<Vec<Report>> {
    let shape = Shape {
        agents: 1,
        ..Shape::default()
    };
    let mut rig = context.rig("lone-agent-restarted", shape).await?;
    let fault_at = context.fault_at();
    let load = [Stage::constant(RATE, fault_at + context.either(15, 10))];
    let (evidence, (kill, restart, replaced)) = drive(&mut rig, &load, context.seed, async |rig, clock| {
        clock.until(fault_at).await;
        let kill = clock.moment(rig.order("agent-1", "kill")).await?;
        let (restart, pid) = clock.timed(rig.order("agent-1", "restart")).await?;
        Ok((kill, restart, u64::from(pid != rig.agents()[0].pid)))
    })
    .await?;
    rig.end().await?;
    let answered = evidence
        .records
        .iter()
        .filter(|record| record.judgement() == Judgement::Right);
    let first_answer = answered
        .map(|record| record.answered_at())
        .filter(|&at| at > restart.done)
        .min();
    let back = Window::since(restart.done + FIRST_ANSWER);
    let before = Window::before(fault_at);
    let mut goals = words::always(&evidence);
    goals.extend([
        words::none_failed_before(&evidence, before),
        words::at_least_one("agents that are another process now", replaced),
        words::all_in_time(&evidence),
        Goal::time(
            "first answer after the agent is ready",
            FIRST_ANSWER,
            first_answer.map(|at| at - restart.done),
        ),
        words::last_failure("last failure after that", FIRST_ANSWER, &evidence, restart.done),
        words::none_late(&evidence),
    ]);
    let outage = Window::between(before.until, back.from);
    Ok(vec![Report {
        title: "lone-agent-restarted: SIGKILL of the only agent, started again at once; 20 sign-ins/s".to_owned(),
        rows: vec![
            evidence.row("before", before),
            evidence.row("during", outage),
            evidence.row("after", back),
        ],
        goals,
        notes: vec![format!(
            "the restart took {:.2} s; {} sign-ins failed meanwhile",
            (restart.done - kill.ordered).as_secs_f64(),
            evidence.summary(outage).failed
        )],
        generator: evidence.generator,
    }])
}
