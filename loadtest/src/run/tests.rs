//! What makes a run valid, and what is told of it.

use super::*;

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
