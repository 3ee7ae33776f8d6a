//! Makes a load's sign-ins, each at its time, whatever becomes of those before (an open loop), or each when one before
//! is answered (a closed one).
//!
//! A thread of its own does nothing else, so that what the rest of the program does makes it late as little as possible.
//! How late it was all the same is part of what it tells.

use std::fs;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::alarm::Alarm;
use crate::client::{Client, Route};
use crate::load::{Kinds, Load};
use crate::mix::Kind;
use crate::people::{Crowd, People};
use crate::record::{Attempt, Broken, Ended, LATE, Record, Tally};
use crate::summary::Latency;
use crate::sync::lock;

/// From the answer to a mistyped password to the right one.
const CORRECTION: Duration = Duration::from_secs(2);

/// When everybody is under way or would be locked, somebody is looked for again after this.
const NOBODY: Duration = Duration::from_millis(10);

/// When sign-ins are behind their time, answers are looked at after so many.
const IN_A_ROW: u32 = 16;

/// What calls for the next sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Its time. One beyond `most_at_once` is dropped, and the run tells less than it should.
    Open {
        /// Sign-ins at once.
        most_at_once: usize,
    },
    /// The answer to one of as many before it, for as long as the stages last; their rates do not count.
    Closed {
        /// Sign-ins at once.
        at_once: usize,
    },
}

/// Who makes the sign-ins of a load, and how.
#[derive(Debug, Clone)]
pub struct Generator {
    /// Where to, and how.
    pub route: Route,
    /// By whom.
    pub people: Arc<People>,
    /// What calls for the next.
    pub pace: Pace,
    /// How long an answer is waited for, from the planned time. More than the relay's deadline.
    pub patience: Duration,
}

/// A run under way.
#[derive(Debug)]
pub struct Running {
    /// When the load began.
    pub began: Instant,
    /// The same by the wall clock.
    pub began_at: SystemTime,
    shared: Arc<Shared>,
    result: oneshot::Receiver<anyhow::Result<Duration>>,
}

/// What the generator's thread and whoever looks on have in common.
#[derive(Debug, Default)]
struct Shared {
    records: Mutex<Vec<Record>>,
    dropped: AtomicU64,
    under_way: AtomicUsize,
    stop: CancellationToken,
}

/// What a run gave.
#[derive(Debug)]
pub struct Run {
    /// When the load began, by the wall clock.
    pub began_at: SystemTime,
    /// What became of each sign-in, by planned time.
    pub records: Vec<Record>,
    /// How well the load was kept to.
    pub generator: GeneratorReport,
}

/// How well a load was kept to, and at what price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorReport {
    /// Sign-ins sent more than 5 ms after their time.
    pub late: u64,
    /// Sign-ins not sent at all: too many were under way, or everybody was.
    pub dropped: u64,
    /// 99 of 100 were sent within this of their time, in milliseconds.
    pub lag_p99_ms: f64,
    /// Processor time of the generator's thread for each sign-in, in microseconds; 0 where the system does not tell.
    pub cpu_us_each: f64,
}

impl GeneratorReport {
    /// Whether the load was what was planned: nothing dropped, and 99 of 100 sent within 5 ms of their time.
    pub fn is_valid(&self) -> bool {
        self.dropped == 0 && self.is_in_time()
    }

    /// Whether 99 of 100 were sent within 5 ms of their time. What is dropped may be the target's fault: too many waited.
    pub fn is_in_time(&self) -> bool {
        self.lag_p99_ms <= LATE.as_secs_f64() * 1_000.0
    }
}

impl Generator {
    /// Opens the route's connections, and then begins to make the sign-ins of `load`.
    ///
    /// # Errors
    /// When a connection cannot be opened, or no thread started.
    pub async fn start(self, load: Load) -> anyhow::Result<Running> {
        const CANNOT: &str = "cannot start the load generator";
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context(CANNOT)?;
        let alarm = {
            let _entered = runtime.enter();
            Alarm::new().context(CANNOT)?
        };
        let client = Client::new(&self.route)?;
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let (tell, told) = oneshot::channel();
        let (done, result) = oneshot::channel();
        // It ends by itself: every sign-in ends within the generator's patience.
        std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || {
                let opened = runtime.block_on(client.open());
                let began = Instant::now();
                let is_open = opened.is_ok();
                // Or nobody waits any more.
                if tell.send(opened.map(|()| (began, SystemTime::now()))).is_err() || !is_open {
                    return;
                }
                let cpu_before = cpu_of_thread();
                let made = runtime.block_on(self.make(&load, client, began, alarm, own));
                let cpu = cpu_before.zip(cpu_of_thread());
                let cpu = cpu.map_or(Duration::ZERO, |(before, after)| after.saturating_sub(before));
                // Nobody waits any more: then it was for nothing.
                let _ = done.send(made.map(|()| cpu));
            })
            .context(CANNOT)?;
        let (began, began_at) = told.await.context(CANNOT)??;
        Ok(Running {
            began,
            began_at,
            shared,
            result,
        })
    }

    async fn make(
        self,
        load: &Load,
        client: Client,
        began: Instant,
        alarm: Alarm,
        shared: Arc<Shared>,
    ) -> anyhow::Result<()> {
        let stop = shared.stop.clone();
        let desk = Arc::new(Desk {
            client,
            crowd: Mutex::new(Crowd::new(&self.people)),
            people: self.people,
            patience: self.patience,
            began,
            shared,
        });
        let tasks = TaskTracker::new();
        let end = began + load.lasts();
        match self.pace {
            Pace::Open { most_at_once } => {
                let arrivals = desk.arrivals(load, alarm, most_at_once, &tasks);
                if let Some(result) = stop.run_until_cancelled(arrivals).await {
                    result.context("cannot keep the time")?;
                }
            }
            Pace::Closed { at_once } => {
                let kinds = Arc::new(Mutex::new(load.kinds()));
                for _ in 0..at_once {
                    tasks.spawn(desk.clone().go_on(kinds.clone(), end));
                }
            }
        }
        stop.run_until_cancelled(sleep_until(end)).await;
        tasks.close();
        tasks.wait().await;
        Ok(())
    }
}
/// Where one sign-in after another is made.
#[derive(Debug)]
struct Desk {
    client: Client,
    people: Arc<People>,
    crowd: Mutex<Crowd>,
    patience: Duration,
    began: Instant,
    shared: Arc<Shared>,
}

impl Desk {
    /// Sends every sign-in at its time.
    async fn arrivals(
        self: &Arc<Self>,
        load: &Load,
        mut alarm: Alarm,
        most_at_once: usize,
        tasks: &TaskTracker,
    ) -> std::io::Result<()> {
        let mut in_a_row = 0;
        for arrival in load {
            let planned = self.began + arrival.at;
            if Instant::now() < planned {
                in_a_row = 0;
                alarm.until(planned).await?;
            } else {
                in_a_row += 1;
                if in_a_row % IN_A_ROW == 0 {
                    tokio::task::yield_now().await;
                }
            }
            let free = tasks.len() < most_at_once;
            let user = free.then(|| lock(&self.crowd).take(arrival.kind)).flatten();
            let Some(user) = user else {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            tasks.spawn(self.clone().serve(user, arrival.kind, planned));
        }
        Ok(())
    }

    /// Makes one sign-in after another, until `end`.
    async fn go_on(self: Arc<Self>, kinds: Arc<Mutex<Kinds>>, end: Instant) {
        while Instant::now() < end && !self.shared.stop.is_cancelled() {
            let Some(kind) = lock(&kinds).next() else { return };
            let user = lock(&self.crowd).take(kind);
            let Some(user) = user else {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                sleep(NOBODY).await;
                continue;
            };
            let ended = self.clone().serve(user, kind, Instant::now()).await;
            if ended == Ended::Broken(Broken::Connection) {
                // Nobody is there: that is soon said, and not to be asked tens of thousands of times a second.
                sleep(NOBODY).await;
            }
        }
    }

    /// A sign-in, and the second one where the first was a mistake.
    async fn serve(self: Arc<Self>, user: u32, kind: Kind, planned: Instant) -> Ended {
        let ended = self.sign_in(user, kind, planned).await;
        if kind == Kind::Typo && !self.shared.stop.is_cancelled() {
            let corrected = Instant::now() + CORRECTION;
            sleep_until(corrected).await;
            return self.sign_in(user, Kind::Corrected, corrected).await;
        }
        ended
    }

    async fn sign_in(&self, user: u32, kind: Kind, planned: Instant) -> Ended {
        let (name, password) = (self.people.name(kind, user), self.people.password(kind, user));
        self.shared.under_way.fetch_add(1, Ordering::Relaxed);
        let lag = planned.elapsed();
        let ended = timeout_at(planned + self.patience, self.client.sign_in(&name, &password)).await;
        let latency = planned.elapsed();
        let ended = ended.unwrap_or(Ended::Broken(Broken::NoAnswer));
        self.shared.under_way.fetch_sub(1, Ordering::Relaxed);
        lock(&self.crowd).ended(kind, user, ended);
        lock(&self.shared.records).push(Record {
            attempt: Attempt {
                at: planned.saturating_duration_since(self.began),
                user,
                kind,
            },
            lag,
            latency,
            ended,
            binds: Tally::default(),
        });
        ended
    }
}

impl Running {
    /// What has become of sign-ins since this was last asked, in the order in which they ended. What is taken is not in
    /// [`Run::records`] again.
    pub fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut *lock(&self.shared.records))
    }

    /// Sign-ins not sent so far, though it was their time.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Sign-ins sent and not answered yet.
    pub fn under_way(&self) -> usize {
        self.shared.under_way.load(Ordering::Relaxed)
    }

    /// Sends nothing more. What is under way goes on to its end.
    pub fn stop(&self) {
        self.shared.stop.cancel();
    }

    /// Waits until all of the load is done. What the generator's thread used of a processor.
    ///
    /// # Errors
    /// When the thread ended without a result.
    pub async fn wait(&mut self) -> anyhow::Result<Duration> {
        let result = (&mut self.result).await;
        result.context("the load generator ended in the middle")?
    }

    /// Waits until all of the load is done.
    ///
    /// # Errors
    /// As [`Running::wait`].
    pub async fn end(mut self) -> anyhow::Result<Run> {
        let cpu = self.wait().await?;
        let mut records = std::mem::take(&mut *lock(&self.shared.records));
        records.sort_by_key(|record| record.attempt.at);
        let generator = report(&records, self.shared.dropped.load(Ordering::Relaxed), cpu);
        Ok(Run {
            began_at: self.began_at,
            records,
            generator,
        })
    }
}

fn report(records: &[Record], dropped: u64, cpu: Duration) -> GeneratorReport {
    let late = records.iter().filter(|record| record.is_late()).count();
    let lag = Latency::of(records.iter().map(|record| record.lag));
    let each = u32::try_from(records.len()).unwrap_or(u32::MAX).max(1);
    GeneratorReport {
        late: u64::try_from(late).unwrap_or(u64::MAX),
        dropped,
        lag_p99_ms: lag.p99.as_secs_f64() * 1_000.0,
        cpu_us_each: (cpu / each).as_secs_f64() * 1_000_000.0,
    }
}

/// What the thread that asks has used, as Linux counts it.
fn cpu_of_thread() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Reach, Target};
    use crate::load::{Arrivals, Stage};
    use crate::mix::Mix;
    use crate::people::Pattern;
    use crate::record::Judgement;
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    const RIGHT: &str = r#"{"outcome":"success"}"#;
    const WRONG: (StatusCode, &str) = (StatusCode::UNAUTHORIZED, r#"{"outcome":"invalid_credentials"}"#);

    const OPEN: Pace = Pace::Open { most_at_once: 100 };
    const PATIENT: Duration = Duration::from_mins(1);

    /// Serves `app` and makes the sign-ins of a second there.
    async fn run(app: Router, mix: Mix, pace: Pace, patience: Duration) -> Run {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let pattern = |text: &str| text.parse::<Pattern>().unwrap();
        let generator = Generator {
            route: Reach::new(vec![target]).prepare().await.unwrap(),
            people: Arc::new(People::generated(
                pattern("user%d@example"),
                pattern("Right-%d"),
                1,
                10_000,
            )),
            pace,
            patience,
        };
        let load = Load {
            stages: vec![Stage::constant(200.0, Duration::from_secs(1))],
            arrivals: Arrivals::Constant,
            mix,
            seed: 7,
        };
        generator.start(load).await.unwrap().end().await.unwrap()
    }

    /// A directory in which everybody has the password `Right-…`.
    async fn answer(body: String) -> (StatusCode, &'static str) {
        if body.contains("Right-") && !body.contains("q\"") {
            (StatusCode::OK, RIGHT)
        } else {
            WRONG
        }
    }

    #[tokio::test]
    async fn every_sign_in_is_made_once_with_its_own_password_and_judged_by_what_was_expected() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = made.clone();
        let answer = move |body: String| {
            counted.fetch_add(1, Ordering::Relaxed);
            answer(body)
        };
        let app = Router::new().route("/v1/sign-in", post(answer));
        let run = run(app, Mix::wrong(0.3), OPEN, PATIENT).await;
        assert_eq!((made.load(Ordering::Relaxed), run.records.len()), (200, 200));
        assert!(run.records.iter().all(|record| record.judgement() == Judgement::Right));
        assert!(run.records.iter().any(|record| record.attempt.kind == Kind::Wrong));
        assert_eq!(run.generator.dropped, 0);
        assert!(run.records.is_sorted_by_key(|record| record.attempt.at));
        assert!(run.records.iter().all(|record| record.latency >= record.lag));
    }

    #[tokio::test]
    async fn a_typing_error_is_followed_by_the_right_password_of_the_same_user() {
        let app = Router::new().route("/v1/sign-in", post(answer));
        let run = run(app, "typo=1".parse().unwrap(), OPEN, PATIENT).await;
        // Those that correct themselves are still there, so of two hundred the second half is dropped.
        let of = |kind| run.records.iter().filter(move |record| record.attempt.kind == kind);
        assert_eq!((of(Kind::Typo).count(), of(Kind::Corrected).count()), (100, 100));
        for first in of(Kind::Typo) {
            let mut second = of(Kind::Corrected).filter(|record| record.attempt.user == first.attempt.user);
            let second = second.next().unwrap();
            assert!(second.attempt.at >= first.answered_at() + CORRECTION);
            assert_eq!(
                (first.judgement(), second.judgement()),
                (Judgement::Right, Judgement::Right)
            );
        }
    }

    #[tokio::test]
    async fn a_server_that_hangs_slows_no_arrival_and_what_is_beyond_the_bound_is_dropped() {
        let answer = || async { std::future::pending::<&str>().await };
        let app = Router::new().route("/v1/sign-in", post(answer));
        let pace = Pace::Open { most_at_once: 50 };
        let run = run(app, Mix::wrong(0.3), pace, Duration::from_secs(2)).await;
        // The first fifty are given up after the last was planned.
        assert_eq!((run.records.len(), run.generator.dropped), (50, 150));
        assert!(!run.generator.is_valid());
        let given_up = |record: &Record| record.ended == Ended::Broken(Broken::NoAnswer);
        assert!(run.records.iter().all(given_up));
    }

    #[tokio::test]
    async fn a_closed_loop_has_as_many_sign_ins_under_way_as_asked_for_and_no_more() {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (own_now, own_most) = (now.clone(), most.clone());
        let answer = move |body: String| {
            let (now, most) = (own_now.clone(), own_most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                answer(body).await
            }
        };
        let app = Router::new().route("/v1/sign-in", post(answer));
        let run = run(app, Mix::wrong(0.3), Pace::Closed { at_once: 3 }, PATIENT).await;
        assert!(most.load(Ordering::SeqCst) <= 3);
        // Another number than the stages' rate would give, and by far.
        assert!(run.records.len() > 300, "{}", run.records.len());
        assert!(run.records.iter().all(|record| record.judgement() == Judgement::Right));
    }
}
