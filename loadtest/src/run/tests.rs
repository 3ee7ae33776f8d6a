//! What makes a run valid, and what is told of it.

use super::*;
use crate::client::Target;
use crate::people::Pattern;
use axum::extract::Path;
use axum::routing::post;
use serde_json::{Value, json};
use std::sync::Mutex;

fn results() -> Results {
    Results {
        sent: 100,
        counts: Counts {
            sent: 100,
            ..Counts::default()
        },
        ..Results::default()
    }
}

/// Why a run with these results is not valid; empty where it is.
fn judged(results: &mut Results) -> Vec<String> {
    judge(results, &[]);
    assert_eq!(results.valid, results.invalid_because.is_empty());
    results.invalid_because.clone()
}

fn mark(planned_s: Option<f64>, ordered_s: f64, error: Option<&str>) -> Mark {
    Mark {
        what: "kill agent-1".to_owned(),
        planned_s,
        ordered_s,
        done_s: ordered_s,
        error: error.map(str::to_owned),
    }
}

#[test]
fn processes_that_are_not_there_are_named() {
    let wanted = [("agent-1".to_owned(), 7), ("agent-2".to_owned(), 8)].into();
    let seen = |names: &[&str]| -> Vec<ProcessUse> {
        let named = |name: &&str| ProcessUse {
            name: (*name).to_owned(),
            ..ProcessUse::default()
        };
        names.iter().map(named).collect()
    };
    assert_eq!(not_seen(&wanted, &seen(&["agent-2", "agent-1"])), None);
    let note = not_seen(&wanted, &seen(&["agent-1"])).unwrap();
    assert!(
        note.contains("agent-2 (process 8)") && !note.contains("agent-1"),
        "{note}"
    );
}

#[test]
fn a_run_is_valid_when_the_load_and_the_faults_were_what_was_planned() {
    assert!(judged(&mut results()).is_empty());
    for (spoilt, why) in [
        (Results::default(), "not a single sign-in"),
        (
            Results {
                generator: GeneratorReport {
                    dropped: 2,
                    ..GeneratorReport::default()
                },
                ..results()
            },
            "2 sign-ins were not made",
        ),
        (
            Results {
                generator: GeneratorReport {
                    lag_p99_ms: 5.1,
                    ..GeneratorReport::default()
                },
                ..results()
            },
            "more than 5.1 ms",
        ),
        (
            Results {
                ended_early: Some("it was ended".to_owned()),
                ..results()
            },
            "it was ended",
        ),
        (
            Results {
                marks: vec![mark(Some(1.0), 1.0, Some("gone"))],
                ..results()
            },
            "kill agent-1 could not be done: gone",
        ),
    ] {
        let mut spoilt = spoilt;
        let because = judged(&mut spoilt);
        assert!(because.len() == 1 && because[0].contains(why), "{because:?}");
    }
}

#[test]
fn what_was_done_late_is_told_and_what_was_taken_back_at_the_end_is_never_late() {
    let mut run = Results {
        marks: vec![
            mark(Some(10.0), 10.2, None),
            mark(Some(20.0), 23.5, None),
            mark(None, 30.0, None),
        ],
        ..results()
    };
    assert!(judged(&mut run).is_empty());
    assert_eq!(run.notes.len(), 1, "{:?}", run.notes);
    assert!(
        run.notes[0].starts_with("kill agent-1 was 3.50 s late"),
        "{:?}",
        run.notes
    );
}

#[test]
fn a_missed_threshold_leaves_a_run_valid_and_not_good() {
    let mut run = results();
    judge(&mut run, &["sent==100".parse().unwrap(), "sent>100".parse().unwrap()]);
    let held: Vec<bool> = run.thresholds.iter().map(|threshold| threshold.ok).collect();
    assert_eq!((run.valid, held, run.is_good()), (true, vec![true, false], false));
}

/// Wants an end at once when something was done.
struct Impatient(Stop);

impl View for Impatient {
    fn begin(&mut self, _: &About) {}
    fn progress(&mut self, _: &Progress) {}
    fn mark(&mut self, _: &Mark) {
        self.0.early.cancel();
        self.0.at_once.cancel();
    }
}

#[tokio::test]
async fn what_was_done_is_taken_back_when_a_run_is_ended_at_once() {
    let orders: Arc<Mutex<Vec<String>>> = Arc::default();
    let known = orders.clone();
    let order = async move |Path(part): Path<String>, body: String| {
        let body: Value = serde_json::from_str(&body).unwrap();
        lock(&known).push(format!("{} {part}", body["do"].as_str().unwrap()));
        json!({ "pid": std::process::id() }).to_string()
    };
    // Nobody is ever answered.
    let app = axum::Router::new()
        .route("/v1/sign-in", post(std::future::pending::<String>))
        .route("/children/{part}", post(order));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, app).await.unwrap() });
    let agent = json!({"name": "agent-1", "pid": std::process::id(), "log": "x", "admin": "http://127.0.0.1:1"});
    let cluster = Cluster::of(json!({
        "tenant": "t", "ca": "x", "dir": "x", "realm": "r", "control": url, "relays": [], "agents": [agent], "dcs": []
    }));
    let names = Pattern::new("user", 6, "");
    let request = Request {
        name: "run".to_owned(),
        reach: Reach::new(vec![Target::parse(&url).unwrap()]),
        people: Arc::new(People::generated(names.clone(), names, 1, 10)),
        pace: Pace::Open { most_at_once: 10 },
        patience: Duration::from_secs(60),
        load: Load {
            stages: vec!["1h 1".parse().unwrap()],
            arrivals: Arrivals::Constant,
            mix: "right=1".parse().unwrap(),
            seed: 1,
        },
        cluster: Some(cluster),
        processes: Vec::new(),
        faults: vec!["0s stop agent-1".parse().unwrap()],
        requirements: Vec::new(),
        is_clusters: false,
        command: String::new(),
        hdr: None,
    };
    let stop = Stop::default();
    let error = play(request, &stop, &mut Impatient(stop.clone())).await.unwrap_err();
    assert_eq!(error.to_string(), "it was ended at once");
    assert_eq!(*lock(&orders), ["stop agent-1", "cont agent-1"]);
}
