//! Makes a plan's sign-ins, each at its time, whatever becomes of those before: an open loop.
//!
//! A thread of its own does nothing else, so that what the rest of the program does makes it late as little as possible.
//! How late it was all the same is part of what it tells.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::task::TaskTracker;

use crate::client::{Client, Target};
use crate::plan::Plan;
use crate::record::{Broken, Ended, Record};
use crate::summary::Latency;

/// Sent later than this after its time, a sign-in is late: the wake-ups of the runtime are 1 ms apart.
const LATE: Duration = Duration::from_millis(5);

/// Who makes the sign-ins of a plan, and how.
#[derive(Debug, Clone, Copy)]
pub struct Generator {
    /// Where to.
    pub target: Target,
    /// A user's name, by number.
    pub name: fn(u32) -> String,
    /// A user's password, by number.
    pub password: fn(u32) -> String,
    /// How long an answer is waited for, from the planned time. More than the relay's deadline.
    pub patience: Duration,
    /// Sign-ins at once, each of which takes a connection. One beyond is dropped, and the run tells less than it should.
    pub most_at_once: usize,
}

/// A run under way.
#[derive(Debug)]
pub struct Running {
    /// When the plan began.
    pub began: Instant,
    /// The same by the wall clock.
    pub began_at: SystemTime,
    result: oneshot::Receiver<Run>,
}

/// What a run gave.
#[derive(Debug)]
pub struct Run {
    /// When the plan began, by the wall clock.
    pub began_at: SystemTime,
    /// What became of each sign-in, by planned time.
    pub records: Vec<Record>,
    /// How well the plan was kept to.
    pub generator: GeneratorReport,
}

/// How well a plan was kept to, and at what price.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct GeneratorReport {
    /// Sign-ins sent more than 5 ms after their time.
    pub late: u64,
    /// Sign-ins not sent at all: too many were under way.
    pub dropped: u64,
    /// 99 of 100 were sent within this of their time, in milliseconds.
    pub lag_p99_ms: f64,
    /// Processor time of the generator's thread for each sign-in, in microseconds; 0 where the system does not tell.
    pub cpu_us_each: f64,
}

impl GeneratorReport {
    /// Whether the load was what was planned: nothing dropped, and 99 of 100 sent within 5 ms of their time.
    pub fn is_valid(&self) -> bool {
        self.dropped == 0 && self.lag_p99_ms <= LATE.as_secs_f64() * 1_000.0
    }
}

impl Generator {
    /// Begins to make the sign-ins of `plan`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(self, plan: Plan) -> anyhow::Result<Running> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the load generator")?;
        let (began, began_at) = (Instant::now(), SystemTime::now());
        let (done, result) = oneshot::channel();
        // It ends by itself: every sign-in ends within the generator's patience.
        std::thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || {
                let run = runtime.block_on(self.make(&plan, began, began_at));
                // Nobody waits any more: then it was for nothing.
                let _ = done.send(run);
            })
            .context("cannot start the load generator")?;
        Ok(Running {
            began,
            began_at,
            result,
        })
    }

    async fn make(self, plan: &Plan, began: Instant, began_at: SystemTime) -> Run {
        let cpu_before = cpu_of_thread();
        let client = Arc::new(Client::new(self.target));
        let records = Arc::new(Mutex::new(Vec::with_capacity(plan.attempts.len())));
        let tasks = TaskTracker::new();
        let mut dropped = 0;
        for &attempt in &plan.attempts {
            let planned = began + attempt.at;
            if Instant::now() < planned {
                sleep_until(planned).await;
            }
            if tasks.len() >= self.most_at_once {
                dropped += 1;
                continue;
            }
            let (client, records) = (client.clone(), records.clone());
            tasks.spawn(async move {
                let lag = planned.elapsed();
                let name = (self.name)(attempt.user);
                let password = if attempt.right {
                    (self.password)(attempt.user)
                } else {
                    format!("Wrong-{}", attempt.user)
                };
                let ended = timeout_at(planned + self.patience, client.sign_in(&name, &password)).await;
                let record = Record {
                    attempt,
                    lag,
                    latency: planned.elapsed(),
                    ended: ended.unwrap_or(Ended::Broken(Broken::NoAnswer)),
                };
                // Whole after every statement.
                records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
            });
        }
        sleep_until(began + plan.lasts).await;
        tasks.close();
        tasks.wait().await;
        let mut records = std::mem::take(&mut *records.lock().unwrap_or_else(PoisonError::into_inner));
        records.sort_by_key(|record| record.attempt.at);
        let cpu = cpu_before
            .zip(cpu_of_thread())
            .map(|(before, after)| after.saturating_sub(before));
        let generator = report(&records, dropped, cpu.unwrap_or_default());
        Run {
            began_at,
            records,
            generator,
        }
    }
}

impl Running {
    /// Waits until all of the plan is done.
    ///
    /// # Errors
    /// When the generator's thread ended without a result.
    pub async fn end(self) -> anyhow::Result<Run> {
        self.result.await.context("the load generator ended in the middle")
    }
}

fn report(records: &[Record], dropped: u64, cpu: Duration) -> GeneratorReport {
    let late = records.iter().filter(|record| record.lag > LATE).count();
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
    use crate::plan::Stage;
    use crate::record::Judgement;
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::post;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    const RIGHT: &str = r#"{"outcome":"success"}"#;
    const WRONG: (StatusCode, &str) = (StatusCode::UNAUTHORIZED, r#"{"outcome":"invalid_credentials"}"#);

    /// Serves `app` and makes the sign-ins of a second there.
    async fn run(app: Router, most_at_once: usize, patience: Duration) -> Run {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let generator = Generator {
            target,
            name: |number| format!("user{number}@example"),
            password: |number| format!("Right-{number}"),
            patience,
            most_at_once,
        };
        let stage = Stage {
            per_second: 200.0,
            lasts: Duration::from_secs(1),
        };
        let plan = Plan::new(&[stage], 1, 0.3, 7);
        generator.start(plan).unwrap().end().await.unwrap()
    }

    #[tokio::test]
    async fn every_sign_in_is_made_once_with_its_own_password_and_judged_by_what_was_expected() {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = made.clone();
        let answer = move |body: String| async move {
            counted.fetch_add(1, Ordering::Relaxed);
            if body.contains("Right-") {
                (StatusCode::OK, RIGHT)
            } else {
                WRONG
            }
        };
        let run = run(
            Router::new().route("/v1/sign-in", post(answer)),
            100,
            Duration::from_secs(60),
        )
        .await;
        assert_eq!((made.load(Ordering::Relaxed), run.records.len()), (200, 200));
        assert!(run.records.iter().all(|record| record.judgement() == Judgement::Right));
        assert_eq!(run.generator.dropped, 0);
        assert!(run.records.is_sorted_by_key(|record| record.attempt.at));
    }

    #[tokio::test]
    async fn a_server_that_hangs_slows_no_arrival_and_what_is_beyond_the_bound_is_dropped() {
        let answer = || async { std::future::pending::<&str>().await };
        let app = Router::new().route("/v1/sign-in", post(answer));
        let run = run(app, 50, Duration::from_secs(2)).await;
        // The first fifty are given up after the last was planned.
        assert_eq!((run.records.len(), run.generator.dropped), (50, 150));
        assert!(!run.generator.is_valid());
        assert!(
            run.records
                .iter()
                .all(|record| record.ended == Ended::Broken(Broken::NoAnswer))
        );
    }

    #[tokio::test]
    async fn latency_counts_from_the_planned_time() {
        let answer = || async { RIGHT };
        let run = run(
            Router::new().route("/v1/sign-in", post(answer)),
            100,
            Duration::from_secs(60),
        )
        .await;
        assert!(run.records.iter().all(|record| record.latency >= record.lag));
    }
}
