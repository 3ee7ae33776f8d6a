//! One agent has a good certificate and bad manners. It may lose its connection, or its share of the sign-ins; nobody
//! else may notice.
//!
//! What a compromised agent says of the sign-ins that it is sent is believed (see the threat notes in ARCHITECTURE.md).
//! So where it answers for itself, those answers are its own; every other sign-in must come out right.

use std::sync::Arc;
use std::time::Duration;

use postern_loadtest::{Ended, Judgement, Record};
use postern_protocol::Outcome;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::words::{self, DEALT_WITH};
use crate::prove::course::{Evidence, drive};
use crate::prove::goal::{Goal, Value as Seen};
use crate::prove::phases::Window;
use crate::prove::report::Report;
use crate::prove::rig::Shape;
use crate::prove::{Context, WARM_UP, judge};
use villain::{CROWD, Mischief, Tally, Villain};

mod villain;

/// A peer that breaks the protocol is sent away within this.
const SENT_AWAY: Duration = Duration::from_secs(1);

/// From when on an agent that does nothing must have as good as no share, and how much that is.
const KNOWN: Duration = Duration::from_secs(3);
const AS_GOOD_AS_NONE: f64 = 0.05;

/// What one of four agents has that attracts nothing.
const EVEN: f64 = 0.25;
const BY_CHANCE: f64 = 1.2;

/// Sessions that one certificate has room for: an old process, its successor, and both once more.
const MOST_SESSIONS: u64 = 4;

/// Plays it, once for each kind of mischief.
pub(super) async fn play(context: &Context) -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    for mischief in Mischief::ALL {
        reports.push(Box::pin(one(context, mischief)).await?);
    }
    Ok(reports)
}

async fn one(context: &Context, mischief: Mischief) -> anyhow::Result<Report> {
    let mut rig = context
        .rig(&format!("hostile-agent-{}", mischief.name()), Shape::default())
        .await?;
    let fault_at = context.fault_at();
    let load = context.load(fault_at + context.either(10, 6));
    let villain = Arc::new(Villain::new(&rig)?);
    let mut at_work = JoinSet::new();
    let (evidence, begin) = drive(&mut rig, &load, context.seed, async |_, clock| {
        clock.until(fault_at).await;
        let began = clock.now();
        villain.clone().begin(mischief, &mut at_work);
        Ok(began)
    })
    .await?;
    // Before its tasks end: a session that is open now was never closed to it.
    let (tally, seen_at) = (villain.tally(), Instant::now());
    at_work.shutdown().await;
    rig.end().await?;
    let (before, during) = (Window::between(WARM_UP, begin), Window::since(begin));
    let mut goals = goals(&evidence, mischief, &tally, before, during);
    goals.extend(its_own(&evidence, mischief, &tally, seen_at, during));
    Ok(Report {
        title: format!("hostile-agent: {}", mischief.about()),
        rows: vec![evidence.row("before", before), evidence.row("during", during)],
        goals,
        notes: vec![format!(
            "it opened {} sessions, {} of which were closed to it, and got {} requests",
            tally.sessions.len(),
            tally.closed(),
            tally.requests.len()
        )],
        generator: evidence.generator,
    })
}

/// What everybody else has of it: nothing.
fn goals(evidence: &Evidence, mischief: Mischief, tally: &Tally, before: Window, during: Window) -> Vec<Goal> {
    // What it makes up itself can be told from everything else.
    let own = Ended::Outcome(Outcome::Verdict(villain::MADE_UP));
    let wrong = evidence
        .records
        .iter()
        .filter(|record| record.judgement() == Judgement::Wrong);
    let (made_up, wrong): (Vec<&Record>, Vec<&Record>) = wrong.partition(|record| record.ended == own);
    let own_answers = match mischief {
        Mischief::InstantAnswers => judge::count(&tally.requests),
        _ => 0,
    };
    let dealt_with = Window::since(during.from + DEALT_WITH);
    vec![
        words::none_failed(evidence),
        Goal::none("wrong verdicts beside its own", judge::count(wrong)),
        Goal::count(
            "wrong verdicts of its own, of what it was asked",
            own_answers,
            judge::count(made_up),
        ),
        words::none_unanswered(evidence),
        words::none_dropped(evidence),
        words::as_fast_as_before("p99 from 2 s after it on", evidence, before, dealt_with),
        words::none_late(evidence),
    ]
}

/// What it got. That it was there at all comes first: without it everything else holds by itself.
fn its_own(evidence: &Evidence, mischief: Mischief, tally: &Tally, now: Instant, during: Window) -> Vec<Goal> {
    let mut goals = vec![words::at_least_one(
        "sessions that it opened",
        judge::count(&tally.sessions),
    )];
    if mischief.wants_work() {
        goals.push(words::at_least_one(
            "requests that it got",
            judge::count(&tally.requests),
        ));
    }
    let known = tally.requests.iter().filter(|&&after| after >= KNOWN);
    let later = Window::since(during.from + KNOWN);
    let share_later = judge::share(judge::count(known), evidence.summary(later).sent);
    match mischief {
        Mischief::Garbage | Mischief::ForeignVerdicts => {
            let longest = tally.longest(now);
            goals.push(Goal::time("longest life of a session of its", SENT_AWAY, longest));
        }
        Mischief::StartedForever => goals.push(Goal::at_most(
            "its share of requests from 3 s on",
            Seen::Share(AS_GOOD_AS_NONE),
            Some(Seen::Share(share_later)),
        )),
        Mischief::ManySessions => {
            let asked = Some(Seen::Count(judge::count(&tally.asked)));
            goals.push(Goal::at_least("sessions that it asked for", Seen::Count(CROWD), asked));
            goals.push(Goal::count(
                "most sessions of its at once",
                MOST_SESSIONS,
                tally.most_at_once,
            ));
        }
        Mischief::InstantAnswers => goals.push(Goal::at_most(
            "its share of requests from 3 s on",
            Seen::Share(EVEN * BY_CHANCE),
            Some(Seen::Share(share_later)),
        )),
    }
    goals
}
