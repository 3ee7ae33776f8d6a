//! What a fault may say, and that whatever it may not is told at once.

use serde_json::{Value, json};

use super::*;

fn checked(raw: Value) -> Result<Vec<Rule>, String> {
    let raw: Vec<RawRule> = serde_json::from_value(raw).map_err(|error| error.to_string())?;
    let known = Known {
        dcs: &["dc-1", "dc-2"],
        is_user: &|name| name == "good",
        can_issue: true,
    };
    let mut problems = Problems::default();
    let rules = validate(raw, "faults", &known, &mut problems);
    if problems.is_empty() {
        return Ok(rules);
    }
    let told = problems.iter().map(|(key, message)| format!("{key}: {message}\n"));
    Err(told.collect())
}

fn only(raw: Value) -> Rule {
    checked(json!([raw])).expect("a valid fault").remove(0)
}

#[test]
fn every_kind_is_read_with_its_members() {
    let ms = Duration::from_millis;
    let binds = Operations::Binds;
    for (raw, fault) in [
        (
            json!({"kind": "latency", "ms": 5}),
            Fault::Latency {
                delay: Delay::Fixed(ms(5)),
                operations: binds,
            },
        ),
        (
            json!({"kind": "latency", "uniform_ms": [3, 7], "operations": "searches"}),
            Fault::Latency {
                delay: Delay::Uniform(ms(3), ms(7)),
                operations: Operations::Searches,
            },
        ),
        (
            json!({"kind": "latency", "log_normal_ms": {"median": 5, "p99": 50}, "operations": "all"}),
            Fault::Latency {
                delay: Delay::LogNormal {
                    median: ms(5),
                    p99: ms(50),
                },
                operations: Operations::All,
            },
        ),
        (json!({"kind": "limit", "binds": 8}), Fault::Limit { binds: 8 }),
        (
            json!({"kind": "hang", "when": "connection"}),
            Fault::Hang(Stage::Connection),
        ),
        (
            json!({"kind": "hang", "when": "before_tls"}),
            Fault::Hang(Stage::BeforeTls),
        ),
        (
            json!({"kind": "hang", "when": "after_tls"}),
            Fault::Hang(Stage::AfterTls),
        ),
        (json!({"kind": "hang", "when": "bind"}), Fault::Hang(Stage::Bind)),
        (
            json!({"kind": "close", "when": "before_bind"}),
            Fault::Close(EndWhen::BeforeBind),
        ),
        (
            json!({"kind": "close", "when": "after_bind"}),
            Fault::Close(EndWhen::AfterBind),
        ),
        (
            json!({"kind": "reset", "when": "connection"}),
            Fault::Reset(EndWhen::Connection),
        ),
        (json!({"kind": "refuse"}), Fault::Refuse),
        (json!({"kind": "half_open"}), Fault::HalfOpen),
        (
            json!({"kind": "certificate", "which": "wrong_name"}),
            Fault::Certificate(Certificate::WrongName),
        ),
        (json!({"kind": "result", "code": 51}), Fault::Result(ResultCode::Busy)),
        (
            json!({"kind": "drip", "bytes": 1, "every_ms": 20}),
            Fault::Drip {
                bytes: 1,
                every: ms(20),
            },
        ),
    ] {
        assert_eq!(only(raw.clone()).fault, fault, "{raw}");
        assert_eq!(
            serde_json::to_value(only(raw.clone()).said()).unwrap(),
            raw,
            "as it was written"
        );
    }
}

#[test]
fn to_whom_how_often_and_when_is_read() {
    let rule = only(json!({
        "kind": "close", "when": "after_bind", "dc": "DC-2", "users": ["good"], "probability": 0.25, "times": 3,
        "from_ms": 10, "for_ms": 20,
    }));
    assert_eq!((rule.dc, rule.probability, rule.times), (Some(1), 0.25, Some(3)));
    assert_eq!(rule.users, BTreeSet::from([fold("good")]));
    assert_eq!(
        (rule.from, rule.lasts),
        (Duration::from_millis(10), Some(Duration::from_millis(20)))
    );
}

#[test]
fn what_does_not_fit_is_named_with_its_range_and_all_of_it_at_once() {
    let told = checked(json!([
        {"dc": "dc-1"},
        {"kind": "latency", "ms": 5, "uniform_ms": [1, 2]},
        {"kind": "latency", "uniform_ms": [7, 3]},
        {"kind": "latency", "log_normal_ms": {"median": 0, "p99": 1}},
        {"kind": "latency", "ms": -1, "probability": 1.5, "times": 0, "from_ms": -1, "for_ms": 0},
        {"kind": "limit", "binds": 0, "times": 1},
        {"kind": "hang"},
        {"kind": "hang", "when": "after_bind"},
        {"kind": "refuse", "probability": 0.5, "dc": "dc-9"},
        {"kind": "certificate"},
        {"kind": "result", "code": 49, "ms": 5},
        {"kind": "drip", "bytes": 0},
        {"kind": "half_open", "users": ["good"]},
        {"kind": "latency", "ms": 5, "operations": "all", "users": ["good"]},
        {"kind": "result", "code": 80, "users": ["nobody"]},
        {"kind": "result", "code": 80, "users": []},
    ]))
    .expect_err("nothing of it is right");
    for line in [
        "faults[0].kind: is missing",
        "faults[1]: needs exactly one of ms, uniform_ms, log_normal_ms",
        "faults[2].uniform_ms: must have the smaller",
        "faults[3].log_normal_ms: must have a median",
        "faults[4].ms: must be from 0 to 86400000",
        "faults[4].probability: must be from 0 to 1",
        "faults[4].times: must be from 1 to 4294967295",
        "faults[4].from_ms: must be from 0",
        "faults[4].for_ms: must be from 1",
        "faults[5].binds: must be from 1 to 1000000",
        "faults[5].times: does not go with the kind \"limit\"",
        "faults[6].when: must be one of \"connection\", \"before_tls\", \"after_tls\", \"bind\"",
        "faults[7].when: must be one of",
        "faults[8].probability: does not go with the kind \"refuse\"",
        "faults[8].dc: there is no domain controller \"dc-9\"; there are: dc-1, dc-2",
        "faults[9].which: is missing",
        "faults[10].code: must be 51",
        "faults[10].ms: does not go with the kind \"result\"",
        "faults[11].bytes: must be from 1 to 65536",
        "faults[11].every_ms: is missing",
        "faults[12].users: go with faults of binds alone",
        "faults[13].users: go with faults of binds alone",
        "faults[14].users[0]: nobody has the sAMAccountName \"nobody\"",
        "faults[15].users: names nobody",
    ] {
        assert!(told.contains(line), "{line} is not in:\n{told}");
    }
}

#[test]
fn no_more_faults_than_a_connection_can_remember() {
    let many = vec![json!({"kind": "refuse"}); MOST + 1];
    assert!(checked(json!(many)).unwrap_err().starts_with("faults: are 65"));
    assert_eq!(checked(json!(many[..MOST])).unwrap().len(), MOST);
}

#[test]
fn certificates_that_cannot_be_issued_are_refused() {
    let raw = serde_json::from_value(json!([
        {"kind": "certificate", "which": "expired"},
        {"kind": "certificate", "which": "unknown_ca"},
    ]));
    let known = Known {
        dcs: &[],
        is_user: &|_| false,
        can_issue: false,
    };
    let mut problems = Problems::default();
    validate(raw.unwrap(), "faults", &known, &mut problems);
    let told: Vec<_> = problems.iter().map(|(key, _)| key.to_owned()).collect();
    assert_eq!(told, ["faults[0].which"]);
}
