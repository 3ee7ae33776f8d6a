//! One run from beginning to end: the load, what is done meanwhile, what is seen, and what it came to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use postern_protocol::Outcome;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::binds::{BindSummary, Binds};
use crate::client::Reach;
use crate::cluster::Cluster;
use crate::fault::{Fault, Mark, Player};
use crate::generator::{Generator, GeneratorReport, Pace};
use crate::hdr::Log;
use crate::ledger::{Ledger, Recent};
use crate::load::{Arrivals, Load};
use crate::mix::Kind;
use crate::people::People;
use crate::record::{Ended, Record};
use crate::require::Requirement;
use crate::results::{About, Counts, ProcessUse, Results, per_second};
use crate::sampler::{Pids, Sampler};
use crate::summary::Latency;
use crate::sync::lock;
use crate::text::told;

/// How often ended sign-ins are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// After the last answer, before the directory is asked for its record: what a frozen agent would still bind has come.
const SETTLE: Duration = Duration::from_secs(1);

/// For taking back what was done. A part that restarts may take a while.
const MEND: Duration = Duration::from_secs(60);

/// What is done this much later than it was to be has been done at another moment of the load.
const LATE_FAULT: Duration = Duration::from_secs(1);

/// Sign-ins that are kept to be compared with binds: as many as mock-dc keeps binds, unless it is told otherwise.
const KEPT: usize = 1_000_000;

/// What is to be made.
#[derive(Debug, Clone)]
pub struct Request {
    /// Scenario or arm.
    pub name: String,
    /// Where sign-ins go, and how.
    pub reach: Reach,
    /// By whom.
    pub people: Arc<People>,
    /// What calls for the next.
    pub pace: Pace,
    /// How long an answer is waited for. More than the relay's deadline.
    pub patience: Duration,
    /// When, and of which kinds.
    pub load: Load,
    /// What is tested, when it is a cluster of `postern up`.
    pub cluster: Option<Cluster>,
    /// Further processes to look at, by name.
    pub processes: Vec<(String, u32)>,
    /// What is done meanwhile.
    pub faults: Vec<Fault>,
    /// What must hold.
    pub requirements: Vec<Requirement>,
    /// Whether sign-ins go to the cluster, and its directory can tell of them.
    pub is_clusters: bool,
    /// The command, as it was typed.
    pub command: String,
    /// Where a log of HdrHistogram's is written.
    pub hdr: Option<PathBuf>,
}

/// How a run stands.
#[derive(Debug, Clone)]
pub struct Progress {
    /// From its beginning.
    pub at: Duration,
    /// What was planned.
    pub lasts: Duration,
    /// Everything so far.
    pub all: Counts,
    /// What ended since the last time, in which time.
    pub recent: Counts,
    /// See there.
    pub since: Duration,
    /// Its latencies.
    pub latency: Latency,
    /// How it ended, by name.
    pub outcomes: std::collections::BTreeMap<String, u64>,
    /// Not sent so far, though it was their time.
    pub dropped: u64,
    /// Sent and not answered.
    pub under_way: usize,
    /// Sign-ins a second that are to be sent now; 0 in a closed loop.
    pub planned_rate: f64,
}

/// Who looks on.
pub trait View {
    /// When a run begins.
    fn begin(&mut self, about: &About);
    /// A few times in a second: what has ended since.
    fn ended(&mut self, _records: &[Record]) {}
    /// Once a second.
    fn progress(&mut self, progress: &Progress);
    /// When something was done to what is tested.
    fn mark(&mut self, mark: &Mark);
    /// When a run is over, and so many of its sign-ins were not made.
    fn end(&mut self, _dropped: u64) {}
}

/// For whoever wants a run to end before its time.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// It ends with what was made up to then.
    pub early: CancellationToken,
    /// After that: it ends with nothing, as soon as what was done to what is tested is taken back.
    pub at_once: CancellationToken,
}

impl Stop {
    async fn unless_at_once<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let done = self.at_once.run_until_cancelled(work).await;
        done.unwrap_or_else(|| Err(anyhow::anyhow!("it was ended at once")))
    }
}

/// Makes a run, which `stop` ends before its time.
///
/// # Errors
/// When it cannot begin: the people do not suffice, a fault has nothing to be done to, or the log cannot be written. When
/// it was ended at once, or the generator failed.
pub async fn play(request: Request, stop: &Stop, view: &mut impl View) -> anyhow::Result<Results> {
    // What a run holds meanwhile is large, and nothing that whoever waits for it has to carry.
    Box::pin(make(request, stop, view)).await
}

async fn make(request: Request, stop: &Stop, view: &mut impl View) -> anyhow::Result<Results> {
    let Request {
        name,
        reach,
        people,
        pace,
        patience,
        load,
        cluster,
        processes,
        faults,
        requirements,
        is_clusters,
        command,
        hdr,
    } = request;
    people.suffice(&load.mix, load.expected())?;
    let targets = reach.targets.iter().map(ToString::to_string).collect();
    let generator = Generator {
        route: stop.unless_at_once(Box::pin(reach.prepare())).await?,
        people: people.clone(),
        pace,
        patience,
    };
    let pids: Pids = Arc::default();
    let mut unknown = None;
    if let Some(cluster) = &cluster {
        let present = stop
            .unless_at_once(async { Ok(cluster.present_processes().await) })
            .await?;
        let present = present.unwrap_or_else(|error| {
            unknown = Some(format!(
                "whether parts of the cluster were restarted is not known: {error:#}"
            ));
            cluster.processes()
        });
        lock(&pids).extend(present);
    }
    lock(&pids).extend(processes);
    let player = Player::new(cluster.clone(), pids.clone(), &faults);
    let player = stop.unless_at_once(player).await?;
    let about = About {
        targets,
        ..about(name, pace, &load, command)
    };
    let lasts = load.lasts();
    let mut log = hdr.map(|path| Log::create(&path, patience)).transpose()?;
    // A closed loop has no rate.
    let planned = matches!(pace, Pace::Open { .. }).then(|| load.clone());
    let planned = |at| planned.as_ref().map_or(0.0, |load| load.rate_at(at));

    view.begin(&about);
    let mut running = stop.unless_at_once(generator.start(load)).await?;
    let began = running.began;
    let began_at = OffsetDateTime::from(running.began_at)
        .format(&Rfc3339)
        .unwrap_or_default();
    if let Some(log) = &mut log {
        log.begin(&about.name, running.began_at, &began_at)?;
    }
    let sampler = Sampler::start(cluster.as_ref(), pids.clone(), began);
    let (sender, mut marked) = mpsc::unbounded_channel();
    let mut playing = JoinSet::new();
    let over = CancellationToken::new();
    playing.spawn(player.play(began, over.clone(), move |mark| {
        // Nobody looks at what is done after the end.
        let _ = sender.send(mark);
    }));

    let tells = cluster.as_ref().is_some_and(|cluster| cluster.directory().is_ok());
    let mut seen = Seen::new(is_clusters && tells, log);
    let mut tick = interval(LOOK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut last_told, mut stopped) = (began, false);
    let cpu = loop {
        tokio::select! {
            biased;
            () = stop.early.cancelled(), if !stopped => {
                stopped = true;
                seen.ended_early = Some(format!("it was ended after {} of {}", told(began.elapsed()), told(lasts)));
                running.stop();
            }
            Some(mark) = marked.recv() => {
                view.mark(&mark);
                seen.marks.push(mark);
            }
            cpu = stop.unless_at_once(running.wait()) => break cpu,
            _ = tick.tick() => {
                seen.add(running.take_records(), began.elapsed(), view);
                if !stopped && let Some(false_success) = seen.false_success.take() {
                    stopped = true;
                    let name = people.name(false_success.attempt.kind, false_success.attempt.user);
                    seen.ended_early = Some(format!(
                        "{name} was let in with a password of the kind {}, after {}",
                        false_success.attempt.kind,
                        told(began.elapsed())
                    ));
                    running.stop();
                }
                let now = Instant::now();
                if now - last_told >= Duration::from_secs(1) {
                    view.progress(&Progress {
                        dropped: running.dropped(),
                        under_way: running.under_way(),
                        planned_rate: planned(now - began),
                        ..seen.progress(now - began, lasts, now - last_told)
                    });
                    last_told = now;
                }
            }
        }
    };
    let lasted = began.elapsed();
    seen.add(running.take_records(), lasted, view);
    let sent = seen.ledger.counts().sent;
    let (processes, agents) = sampler.stop(sent, &pids, lasted);
    // What was done to what is tested is taken back, however the run ended: else it would be there in the next one.
    over.cancel();
    let mended = timeout(MEND, playing.join_next()).await.is_ok();
    while let Ok(mark) = marked.try_recv() {
        view.mark(&mark);
        seen.marks.push(mark);
    }
    view.end(running.dropped());
    let cpu = cpu?;

    let mut results = Results {
        generator: GeneratorReport {
            late: seen.ledger.late(),
            dropped: running.dropped(),
            lag_p99_ms: seen.ledger.lag().p99.as_secs_f64() * 1_000.0,
            cpu_us_each: match sent {
                0 => 0.0,
                sent => cpu.as_secs_f64() * 1e6 / per_second(sent, 1.0),
            },
        },
        about: About {
            began_at,
            lasted_s: lasted.as_secs_f64(),
            planned_s: lasts.as_secs_f64(),
            ..about
        },
        processes,
        agents,
        ..seen.results()
    };
    results.notes.extend(unknown);
    results.notes.extend(not_seen(&lock(&pids), &results.processes));
    let corrections = results
        .kinds
        .iter()
        .filter(|kind| kind.kind == Kind::Corrected.to_string());
    match corrections.map(|kind| kind.counts.sent).sum() {
        0 => {}
        corrections => results.notes.push(format!(
            "{corrections} of the sign-ins correct a typing error; they come on top of the planned rate"
        )),
    }
    if let Some(cluster) = &cluster
        && seen.keeps
    {
        let asked = async {
            sleep(SETTLE).await;
            binds(cluster, running.began_at, &mut seen.kept, &people).await
        };
        // Who has ended the load early waits for this; who has not, and wants an end now, does not.
        let not_waited_for = if stopped { &stop.at_once } else { &stop.early };
        let asked = not_waited_for.run_until_cancelled(asked).await;
        let asked = asked.unwrap_or_else(|| Err(anyhow::anyhow!("it was not waited for")));
        match asked {
            Ok((binds, without)) => {
                if without > 0 {
                    results.notes.push(format!(
                        "{without} sign-ins have a verdict and no bind with their name: names that are looked up, or a \
                         directory that was restarted and began its record anew"
                    ));
                }
                results.binds_per_signin = Some(match sent {
                    0 => 0.0,
                    sent => per_second(binds.binds, 1.0) / per_second(sent, 1.0),
                });
                results.binds = Some(binds);
            }
            Err(error) => results
                .notes
                .push(format!("what the directory did is not known: {error:#}")),
        }
    }
    judge(&mut results, &requirements);
    if !mended {
        results.valid = false;
        let why = format!(
            "what was done to what is tested could not be taken back within {}",
            told(MEND)
        );
        results.invalid_because.push(why);
    }
    Ok(results)
}

async fn binds(
    cluster: &Cluster,
    began_at: std::time::SystemTime,
    records: &mut [Record],
    people: &People,
) -> anyhow::Result<(BindSummary, usize)> {
    anyhow::ensure!(records.len() < KEPT, "there were more than {KEPT} sign-ins");
    let binds = Binds::read(&cluster.new_binds().await?, began_at).context("mock-dc's record of binds")?;
    binds.attribute(records, people);
    let verdict = |record: &&Record| matches!(record.ended, Ended::Outcome(Outcome::Verdict(_)));
    let without = records
        .iter()
        .filter(verdict)
        .filter(|record| record.binds.all == 0)
        .count();
    // One in twenty may be looked up; of more, too much is not known.
    anyhow::ensure!(
        without * 20 <= records.len(),
        "of {} sign-ins {without} have a verdict and no bind; was the directory restarted?",
        records.len()
    );
    Ok((BindSummary::of(&*records), without))
}

/// Which processes were to be looked at and were not there.
fn not_seen(wanted: &BTreeMap<String, u32>, seen: &[ProcessUse]) -> Option<String> {
    let missing: Vec<String> = wanted
        .iter()
        .filter(|(name, _)| seen.iter().all(|process| process.name != **name))
        .map(|(name, pid)| format!("{name} (process {pid})"))
        .collect();
    (!missing.is_empty()).then(|| {
        format!(
            "what these use is not known, since there are no such processes on this machine: {}",
            missing.join(", ")
        )
    })
}

/// Whether the load was what was planned, and whether what was required holds.
fn judge(results: &mut Results, requirements: &[Requirement]) {
    let GeneratorReport {
        dropped, lag_p99_ms, ..
    } = results.generator;
    let mut invalid = Vec::new();
    if dropped > 0 {
        invalid.push(format!(
            "{} not made: too many were under way (--at-once allows more), or there was nobody left who is in none and would not be \
             locked by another wrong password (more users: --user-count, or a longer file)",
            match dropped {
                1 => "1 sign-in was".to_owned(),
                dropped => format!("{dropped} sign-ins were"),
            }
        ));
    }
    if !results.generator.is_valid() && dropped == 0 {
        invalid.push(format!(
            "the generator was late: one sign-in in a hundred by more than {lag_p99_ms:.1} ms; this machine is too busy for \
             the rate"
        ));
    }
    if results.sent == 0 {
        invalid.push("not a single sign-in was made".to_owned());
    }
    if let Some(why) = &results.ended_early {
        invalid.push(why.clone());
    }
    let failed = results
        .marks
        .iter()
        .filter_map(|mark| Some((&mark.what, mark.error.as_ref()?)));
    invalid.extend(failed.map(|(what, error)| format!("{what} could not be done: {error}")));
    results.valid = invalid.is_empty();
    results.invalid_because = invalid;
    let late = results.marks.iter().filter_map(|mark| Some((mark, mark.late()?)));
    let late = late.filter(|(_, late)| *late > LATE_FAULT).map(|(mark, late)| {
        let what = &mark.what;
        format!(
            "{what} was {} late: what was to be done before it took so long",
            told(late)
        )
    });
    results.notes.extend(late.collect::<Vec<_>>());
    results.thresholds = requirements
        .iter()
        .map(|requirement| requirement.judge(results))
        .collect();
}

/// What is seen of a run while it goes on.
struct Seen {
    ledger: Ledger,
    recent: Recent,
    /// Whether sign-ins are kept, to be compared with binds.
    keeps: bool,
    kept: Vec<Record>,
    false_success: Option<Record>,
    marks: Vec<Mark>,
    ended_early: Option<String>,
    log: Option<Log>,
    log_error: Option<String>,
}

impl Seen {
    fn new(keeps: bool, log: Option<Log>) -> Self {
        Self {
            ledger: Ledger::default(),
            recent: Recent::default(),
            keeps,
            kept: Vec::new(),
            false_success: None,
            marks: Vec::new(),
            ended_early: None,
            log,
            log_error: None,
        }
    }

    /// What has ended up to `at`.
    fn add(&mut self, records: Vec<Record>, at: Duration, view: &mut impl View) {
        view.ended(&records);
        self.write(|log| {
            log.add(&records);
            log.write_up_to(at)
        });
        for record in records {
            self.ledger.add(&record);
            self.recent.add(&record);
            if record.is_false_success() {
                self.false_success.get_or_insert(record);
            }
            if self.keeps && self.kept.len() < KEPT {
                self.kept.push(record);
            }
        }
    }

    /// Does something with the log, which ends with the first that cannot be written.
    fn write(&mut self, write: impl FnOnce(&mut Log) -> anyhow::Result<()>) {
        if let Some(Err(error)) = self.log.as_mut().map(write) {
            self.log = None;
            self.log_error = Some(format!("{error:#}"));
        }
    }

    fn progress(&mut self, at: Duration, lasts: Duration, since: Duration) -> Progress {
        let recent = std::mem::take(&mut self.recent);
        Progress {
            at,
            lasts,
            all: self.ledger.counts(),
            recent: recent.counts(),
            since,
            latency: recent.latency(),
            outcomes: recent.outcomes(),
            dropped: 0,
            under_way: 0,
            planned_rate: 0.0,
        }
    }

    fn results(&mut self) -> Results {
        if let Some(Err(error)) = self.log.take().map(Log::end) {
            self.log_error = Some(format!("{error:#}"));
        }
        let (ledger, counts) = (&self.ledger, self.ledger.counts());
        Results {
            sent: counts.sent,
            outcomes: ledger.outcomes(),
            wrong_outcomes: counts.wrong,
            failed: counts.failed,
            latency_ms: ledger.latency(),
            ended_early: self.ended_early.clone(),
            log_error: self.log_error.clone(),
            counts,
            service_ms: ledger.service(),
            kinds: ledger.kinds(),
            marks: self.marks.clone(),
            timeline: ledger.slices(),
            distribution: ledger.distribution(),
            ..Results::default()
        }
    }
}

fn about(name: String, pace: Pace, load: &Load, command: String) -> About {
    let arrivals = match (pace, load.arrivals) {
        (Pace::Closed { at_once }, _) => format!("closed loop, {at_once} at once, for {}", told(load.lasts())),
        (Pace::Open { .. }, arrivals) => {
            let stages: Vec<String> = load.stages.iter().map(ToString::to_string).collect();
            let spread = match arrivals {
                Arrivals::Constant => "evenly",
                Arrivals::Poisson => "as a Poisson process",
            };
            format!("{}; {spread}", stages.join(", "))
        }
    };
    About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name,
        load: arrivals,
        mix: load.mix.to_string(),
        seed: load.seed,
        command,
        processors: std::thread::available_parallelism().map_or(0, usize::from),
        ..About::default()
    }
}

#[cfg(test)]
mod tests;
