//! Requirements as they are written, checked and judged.

use super::*;
use crate::binds::BindSummary;
use crate::results::{About, Slice};

fn latency(ms: u64) -> Latency {
    Latency::of([Duration::from_millis(ms)])
}

fn counts(sent: u64, failed: u64) -> Counts {
    Counts {
        sent,
        right: sent - failed,
        failed,
        ..Counts::default()
    }
}

fn results() -> Results {
    let slice = |from: u32, failed, ms| Slice {
        from_s: from.into(),
        lasts_s: 1.0,
        outcomes: std::collections::BTreeMap::new(),
        counts: counts(100, failed),
        latency: latency(ms),
    };
    Results {
        sent: 300,
        counts: counts(300, 3),
        latency_ms: latency(40),
        about: About {
            planned_s: 3.0,
            lasted_s: 3.0,
            ..About::default()
        },
        outcomes: [("success".to_owned(), 297)].into(),
        timeline: vec![slice(0, 0, 10), slice(1, 3, 400), slice(2, 0, 12)],
        binds: Some(BindSummary {
            binds: 301,
            ..BindSummary::default()
        }),
        ..Results::default()
    }
}

fn judged(text: &str) -> (Option<f64>, bool) {
    let threshold = text.parse::<Requirement>().unwrap().judge(&results());
    (threshold.value, threshold.ok)
}

#[test]
fn a_requirement_holds_by_what_was_seen() {
    for (text, value, ok) in [
        ("p99<50ms", 40.0, true),
        ("p99 < 0.04s", 40.0, false),
        ("p99<=40ms", 40.0, true),
        ("max[0s..1s]<=10ms", 10.0, true),
        ("p99[1s..]<=12ms", 400.0, false),
        ("p99[2s..]<=12ms", 12.0, true),
        ("failed==0", 3.0, false),
        ("failed[..1s]==0", 0.0, true),
        ("failed<=1%", 1.0, true),
        ("failed<1%", 1.0, false),
        ("failed[1s..2s]<3%", 3.0, false),
        ("wrong_outcomes==0", 0.0, true),
        ("sent>=300", 300.0, true),
        ("rate>98", 99.0, true),
        ("rate[2s..3s]==100", 100.0, true),
        ("outcome(success)!=297", 297.0, false),
        ("outcome(unavailable/timeout)==0", 0.0, true),
        ("bound_twice==0", 0.0, true),
    ] {
        assert_eq!(judged(text), (Some(value), ok), "{text}");
    }
}

#[test]
fn what_was_not_seen_does_not_hold() {
    for text in [
        "failed[9s..]==0",
        "failed[1200ms..1900ms]==0",
        "rate[9s..]<5",
        "binds_per_signin<=1",
        "p99(wrong)<1s",
        "cpu_us<100",
        "p99[9s..]<1s",
        "failed[9s..]<1%",
    ] {
        assert_eq!(judged(text), (None, false), "{text}");
    }
}

#[test]
fn what_a_run_cannot_see_is_refused_before_it() {
    let scope = Scope {
        kinds: vec![Kind::Right, Kind::Typo],
        processes: vec!["relay-1".to_owned()],
        lasts: Duration::from_secs(10),
    };
    let check = |text: &str| text.parse::<Requirement>().unwrap().check(&scope);
    for text in [
        "p99(right)<1s",
        "p99(corrected)<1s",
        "outcome(unavailable/timeout)==0",
        "outcome(no answer)==0",
        "cpu_us(relay-1)<100",
        "failed[9s..]==0",
        "cpu_us<100",
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
    }
    for (text, why) in [
        ("p99(wrong)<1s", "there are: right, typo, corrected"),
        ("p99(rihgt)<1s", "no sign-ins of the kind \"rihgt\""),
        (
            "outcome(sucess)>0",
            "there is no outcome \"sucess\"; there are: success",
        ),
        ("cpu_us(relay-2)<100", "there are: relay-1"),
        ("failed[10s..]==0", "the load is over after 10.0 s"),
    ] {
        let error = check(text).unwrap_err();
        assert!(error.contains(why) && error.contains(text), "{text}: {error}");
    }
}

#[test]
fn of_a_run_in_less_time_stretches_are_shorter_and_so_written() {
    for (text, shorter) in [
        ("p99[12s..20s]<150ms", "p99[3s..5s]<150ms"),
        ("failed[30s..]==0", "failed[7.5s..]==0"),
        ("max<2s", "max<2s"),
    ] {
        let stretched = text.parse::<Requirement>().unwrap().stretched(0.25);
        assert_eq!(stretched.to_string(), shorter);
        assert_eq!(Ok(stretched), shorter.parse());
    }
}

#[test]
fn what_is_no_requirement_says_why_and_what_there_is() {
    for (text, why) in [
        ("p99", "there is no comparison"),
        ("p99=5ms", "there is no comparison"),
        ("p98<5ms", r#""p98" is no measure"#),
        ("p99<5", "a time needs its unit"),
        ("failed<5ms", "another unit"),
        ("rate>5%", "another unit"),
        ("outcome==0", "in brackets"),
        ("failed(x)==0", "in brackets"),
        ("late[1s..]==0", "not kept over time"),
        ("p99[2s..1s]<5ms", "ends before it begins"),
        ("p99[2s<5ms", "a bracket is open"),
        ("p99<soon", "is no time"),
        ("failed<nan", "is no time"),
        ("rate>inf", "is no time"),
        ("failed<nan%", "is no share"),
    ] {
        let error = text.parse::<Requirement>().unwrap_err();
        assert!(error.contains(why) && error.contains(HELP), "{text}: {error}");
    }
}
