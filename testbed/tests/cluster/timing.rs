//! An unknown user and a wrong password cannot be told apart: not by the text, not by the headers, not by the time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_testbed::cluster::{MAIL_SUFFIX, REALM};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::harness::{Answer, Cluster, Setup};

/// Of each kind.
const SAMPLES: usize = 2_000;

/// Few enough that waiting for a core is not what is measured.
const AT_ONCE: usize = 8;

/// The probability that one of `a` is greater than one of `b`, ties counted half: the area under the ROC curve.
fn area(a: &[Duration], b: &[Duration]) -> f64 {
    let mut sorted = b.to_vec();
    sorted.sort_unstable();
    let half_wins: usize = a
        .iter()
        .map(|value| {
            let below = sorted.partition_point(|other| other < value);
            let not_above = sorted.partition_point(|other| other <= value);
            below + not_above
        })
        .sum();
    half_wins as f64 / (2 * a.len() * b.len()) as f64
}

#[test]
fn the_area_under_the_curve_tells_what_differs_and_what_does_not() {
    let ms = |range: std::ops::Range<u64>| range.map(Duration::from_millis).collect::<Vec<_>>();
    assert!((area(&ms(0..100), &ms(0..100)) - 0.5).abs() < 1e-9);
    assert!((area(&ms(100..200), &ms(0..100)) - 1.0).abs() < 1e-9);
    assert!(area(&ms(0..100), &ms(20..120)) < 0.4);
}

/// Everything of an answer that may tell, less what differs in every answer.
fn visible(answer: &Answer) -> String {
    let mut body = answer.body.clone();
    body["request_id"] = serde_json::Value::Null;
    let headers: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id" && *name != "date")
        .collect();
    format!("{} {headers:?} {body}", answer.status)
}

async fn measure(cluster: &Cluster, name: &str) -> (Duration, String) {
    let begun = Instant::now();
    let answer = cluster.sign_in(name, "Certainly-Wrong-1").await;
    (begun.elapsed(), visible(&answer))
}

/// Whether those of one suffix can be told from those that are not there.
async fn known_and_unknown_answer_alike(suffix: &str) {
    let cluster = Arc::new(Setup::new(&["--users", "2000"]).start().await);
    // The same length, so that the request does not differ either.
    let known = |number: usize| format!("user{number:06}@{suffix}");
    let unknown = |number: usize| format!("nobd{number:06}@{suffix}");
    let (_, expected) = measure(&cluster, &known(1)).await;
    assert!(expected.contains("\"invalid_credentials\""), "{expected}");
    // What really differs differs in both rounds; what the machine did meanwhile does not. A third would lock them.
    let mut areas = Vec::new();
    for _ in 0..2 {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        for number in 0..2 * SAMPLES {
            let (wrong, user) = (number % 2 == 0, number / 2 + 1);
            let name = if wrong { known(user) } else { unknown(user) };
            let (cluster, slot) = (cluster.clone(), slots.clone().acquire_owned().await.unwrap());
            tasks.spawn(async move {
                let (took, seen) = measure(&cluster, &name).await;
                drop(slot);
                (wrong, took, seen)
            });
        }
        let (mut wrong, mut unknown) = (Vec::new(), Vec::new());
        while let Some(measured) = tasks.join_next().await {
            let (is_wrong, took, seen) = measured.unwrap();
            assert_eq!(seen, expected);
            if is_wrong { wrong.push(took) } else { unknown.push(took) }
        }
        assert_eq!((wrong.len(), unknown.len()), (SAMPLES, SAMPLES));
        areas.push(area(&wrong, &unknown));
        if areas.iter().any(|area| (0.45..=0.55).contains(area)) {
            break;
        }
    }
    // The known ones were found, and each one's password was checked.
    let binds = cluster.binds().await;
    let bound: BTreeSet<_> = binds.iter().filter_map(|bind| bind["user"].as_str()).collect();
    let generated = bound.iter().filter(|user| user.starts_with("user")).count();
    assert_eq!(generated, SAMPLES);
    assert!(
        areas.iter().any(|area| (0.45..=0.55).contains(area)),
        "the time tells them apart: areas under the curve {areas:.3?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_user_and_a_wrong_password_answer_alike_in_text_headers_and_time() {
    known_and_unknown_answer_alike(REALM).await;
}

/// A wrong password is a search and a bind; where nobody is found there are a search and the read of somebody who is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_alternate_id_and_a_wrong_password_of_a_known_one_answer_alike() {
    known_and_unknown_answer_alike(MAIL_SUFFIX).await;
}
