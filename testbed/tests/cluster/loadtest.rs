//! The load tester against a cluster: that it tells right from wrong, does what it says to the cluster, and keeps what it
//! has when it is ended. Rates are low: nothing here is about speed.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::harness::{Cluster, PATIENCE, Scratch, Setup};

/// A folder with the cluster's line, for runs against it.
pub(crate) struct Bench {
    cluster: Cluster,
    folder: Scratch,
}

impl Bench {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let cluster = Setup::new(arguments).start().await;
        let folder = Scratch::new();
        std::fs::write(folder.path().join("cluster.json"), &cluster.line).unwrap();
        Self { cluster, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `postern loadtest run` in the folder, against the cluster unless `arguments` say where.
    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_postern"));
        command
            .args(["loadtest", "run", "--json", "out.json"])
            .args(
                (!arguments.contains("--target"))
                    .then_some(["--cluster", "cluster.json"])
                    .into_iter()
                    .flatten(),
            )
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) async fn run(&self, arguments: &str) -> Output {
        timeout(PATIENCE * 2, self.command(arguments).output())
            .await
            .unwrap()
            .unwrap()
    }

    /// Runs it, and expects this exit code.
    async fn results(&self, arguments: &str, code: i32) -> Value {
        let output = self.run(arguments).await;
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {told}");
        serde_json::from_slice(&std::fs::read(self.path("out.json")).unwrap()).unwrap()
    }
}

/// What was said on standard error.
fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// This machine may be so busy that the generator is late; whatever else holds, the run is not valid then.
fn late_alone(results: &Value) -> bool {
    let because = results["invalid_because"].as_array().unwrap();
    because
        .iter()
        .all(|why| why.as_str().unwrap().contains("the generator was late"))
}

#[tokio::test]
async fn every_kind_of_sign_in_gets_the_answer_that_it_should_by_every_way_to_it() {
    let bench = Bench::start(&["--tls-api", "--dcs", "1"]).await;
    // None that is looked up: the directory is then asked for another name than was typed.
    let mix = "--mix right=50,wrong=10,typo=10,unknown=10,account_locked=10,password_expired=10 --rate 40 --duration 3s --connections 4";
    let ldaps = bench.cluster.about["dcs"][0]["ldaps"].as_str().unwrap().to_owned();
    let direct = format!("--cluster cluster.json --target {ldaps}");
    for way in ["", "--http2", "--sealed", &direct] {
        let output = bench.run(&format!("{mix} {way}")).await;
        let results: Value = serde_json::from_slice(&std::fs::read(bench.path("out.json")).unwrap()).unwrap();
        assert!(late_alone(&results), "{way}: {results}\n{}", said(&output));
        // The corrections of typing errors come on top.
        assert!(results["sent"].as_u64() >= Some(120), "{way}: {results}");
        assert_eq!(
            (
                &results["wrong_outcomes"],
                &results["failed"],
                &results["binds"]["users_bound_twice"]
            ),
            (&json!(0), &json!(0), &json!(0)),
            "{way}: {results}"
        );
        assert_eq!(results["binds_per_signin"], json!(1.0), "{way}: {results}");
        for outcome in ["account_locked", "password_expired", "invalid_credentials", "success"] {
            assert!(
                results["outcomes"][outcome].as_u64() > Some(0),
                "{way}: {outcome}: {results}"
            );
        }
    }
}

#[tokio::test]
async fn one_false_success_ends_the_run_as_failed_and_names_who_was_let_in() {
    let bench = Bench::start(&["--agents", "1", "--dcs", "1"]).await;
    // To be refused, as far as the load tester knows.
    std::fs::write(
        bench.path("people.csv"),
        "user000001@corp.example.com,Postern-000001\nuser000002@corp.example.com,Postern-000002,account_locked\n",
    )
    .unwrap();
    let results = bench
        .results(
            "--users people.csv --mix right=1,account_locked=1 --rate 20 --duration 60s",
            99,
        )
        .await;
    assert!(results["counts"]["false_successes"].as_u64() >= Some(1), "{results}");
    let why = results["ended_early"].as_str().unwrap();
    assert!(why.starts_with("user000002@corp.example.com was let in"), "{why}");
    assert!(results["sent"].as_u64() < Some(600), "{results}");
}

#[tokio::test]
async fn faults_are_played_at_their_times_and_taken_back_and_thresholds_decide_the_exit_code() {
    let bench = Bench::start(&["--net-faults"]).await;
    std::fs::write(
        bench.path("scenario.toml"),
        "about = \"x\"\nstages = [\"7s 40\"]\nmix = \"right=1\"\n\
         faults = [\"1s kill agent-2 for 1s\", \"4s blackhole agent-1 for 1s\", \"3s dc-slow 20ms dc-1 for 1s\"]\n\
         require = [\"failed==0\", \"wrong_outcomes==0\", \"sent==280\"]\n",
    )
    .unwrap();
    let output = bench.run("--scenario scenario.toml").await;
    let results: Value = serde_json::from_slice(&std::fs::read(bench.path("out.json")).unwrap()).unwrap();
    assert!(late_alone(&results), "{results}\n{}", said(&output));
    let kept = results["thresholds"].as_array().unwrap();
    assert!(kept.iter().all(|threshold| threshold["ok"] == true), "{kept:?}");
    let marks = results["marks"].as_array().unwrap();
    let what: Vec<&str> = marks.iter().map(|mark| mark["what"].as_str().unwrap()).collect();
    assert_eq!(what.len(), 6, "{what:?}");
    assert!(marks.iter().all(|mark| mark["error"].is_null()), "{marks:?}");
    // All is as it was: another process, a link that passes everything, a directory without faults but its own.
    let control = bench.cluster.about["control"].as_str().unwrap();
    let link = bench
        .cluster
        .http
        .get(format!("{control}/links/agent-1/relay-1"))
        .send()
        .await
        .unwrap();
    assert_eq!(link.json::<Value>().await.unwrap()["drop"], json!(false));
    let directory = bench.cluster.about["dcs"][0]["control"].as_str().unwrap();
    let faults = bench
        .cluster
        .http
        .get(format!("{directory}/faults"))
        .send()
        .await
        .unwrap();
    assert_eq!(faults.json::<Value>().await.unwrap(), json!([]));

    let missed = bench.results("--rate 20 --duration 1s --require sent==21", 99).await;
    assert_eq!(
        missed["thresholds"][0],
        json!({ "expr": "sent==21", "value": 20.0, "ok": false })
    );
}

#[tokio::test]
async fn while_it_goes_on_prometheus_is_answered_and_a_log_of_histograms_is_written() {
    let bench = Bench::start(&["--agents", "1", "--dcs", "1"]).await;
    let mut command = bench.command("--rate 50 --duration 4s --metrics 0 --hdr logs/of/mine");
    let mut running = command.args(["--fault", "1s exec true"]).spawn().unwrap();
    let mut stderr = BufReader::new(running.stderr.take().unwrap()).lines();
    let told = timeout(PATIENCE, stderr.next_line()).await.unwrap().unwrap().unwrap();
    let url = told.strip_prefix("postern-loadtest: metrics at ").unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let answered =
        "postern_loadtest_signins_total{expected=\"success\",judgement=\"right\",kind=\"right\",outcome=\"success\"}";
    let metrics = loop {
        let text = bench.cluster.http.get(&url).send().await.unwrap().text().await.unwrap();
        if text.contains(answered) && text.contains("postern_loadtest_faults_total{result=\"done\"} 1") {
            break text;
        }
    };
    for series in [
        "postern_loadtest_build_info{",
        "postern_loadtest_latency_seconds_bucket{kind=\"wrong\",le=",
        "postern_loadtest_signins_in_flight ",
        "postern_loadtest_planned_rate 50",
        "postern_loadtest_dropped_total 0",
        "postern_loadtest_late_total ",
        "postern_loadtest_runs_total 1",
    ] {
        assert!(metrics.contains(series), "{series}: {metrics}");
    }
    assert!(!metrics.contains("user0"), "{metrics}");
    // What is not read would be waited for.
    while timeout(PATIENCE, stderr.next_line()).await.unwrap().unwrap().is_some() {}
    timeout(PATIENCE, running.wait_with_output()).await.unwrap().unwrap();

    let results: Value = serde_json::from_slice(&std::fs::read(bench.path("out.json")).unwrap()).unwrap();
    let log = std::fs::read(bench.path("logs/of/mine/run.hlog")).unwrap();
    let mut sum = Histogram::<u64>::new(3).unwrap();
    let mut seconds = 0;
    for entry in IntervalLogIterator::new(&log) {
        if let LogEntry::Interval(interval) = entry.unwrap()
            && interval.tag().is_none()
        {
            let bytes = BASE64.decode(interval.encoded_histogram()).unwrap();
            sum.add(
                Deserializer::new()
                    .deserialize::<u64, _>(&mut bytes.as_slice())
                    .unwrap(),
            )
            .unwrap();
            seconds += 1;
        }
    }
    assert_eq!((seconds, Some(sum.len())), (4, results["sent"].as_u64()), "{results}");
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
        #[expect(clippy::cast_precision_loss, reason = "a minute of nanoseconds")]
        let in_log = sum.value_at_quantile(share) as f64 / 1e6;
        let told = results["latency_ms"][name].as_f64().unwrap();
        // Of microseconds the one has three digits, of nanoseconds the other.
        assert!(
            (in_log - told).abs() <= 0.002 + told * 0.002,
            "{name}: {in_log} ms, {results}"
        );
    }
}

#[tokio::test]
async fn ended_by_a_signal_it_reports_what_was_done() {
    let bench = Bench::start(&["--agents", "1", "--dcs", "1"]).await;
    let running = bench.command("--rate 50 --duration 10m").spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(running.id().unwrap()).unwrap()).unwrap();
    // Until the directory was asked, which it is only when sign-ins are made.
    let directory = bench.cluster.about["dcs"][0]["control"].as_str().unwrap();
    loop {
        let binds = bench
            .cluster
            .http
            .get(format!("{directory}/binds/counts"))
            .send()
            .await
            .unwrap();
        if binds.json::<Value>().await.unwrap().as_object().unwrap().len() > 5 {
            break;
        }
    }
    kill_process(pid, Signal::INT).unwrap();
    let output = timeout(PATIENCE, running.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(99), "{}", said(&output));
    let results: Value = serde_json::from_slice(&std::fs::read(bench.path("out.json")).unwrap()).unwrap();
    assert!(
        results["sent"].as_u64() > Some(0) && results["failed"] == 0,
        "{results}"
    );
    assert!(
        results["ended_early"].as_str().unwrap().contains("of 600.0 s"),
        "{results}"
    );
}

#[tokio::test]
async fn what_cannot_be_is_told_before_any_load_with_what_to_do() {
    let bench = Bench::start(&["--tls-api", "--agents", "1", "--dcs", "1"]).await;
    let api = bench.cluster.about["relays"][0]["api"].as_str().unwrap().to_owned();
    let ldaps = bench.cluster.about["dcs"][0]["ldaps"].as_str().unwrap().to_owned();
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = port.local_addr().unwrap().to_string();
    let patterns = "--user user%06d@corp.example.com --password Postern-%06d --rate 5 --duration 1s";
    for (arguments, code, words) in [
        ("--rate 5".to_owned(), 64, "say how much"),
        (
            "--rate 5 --duration 1s --scenario nothing".to_owned(),
            64,
            "smoke, steady",
        ),
        (
            "--rate 5 --duration 1s --require p99<5".to_owned(),
            64,
            "a time needs its unit",
        ),
        ("--rate 5 --duration 1s --json /nowhere/x.json".to_owned(), 64, "cannot"),
        ("--rate 5 --duration 1s --fault 1s_kill_x".to_owned(), 64, "faults are"),
        (
            "--rate 50 --duration 100s --mix wrong=1".to_owned(),
            1,
            "accounts would be locked",
        ),
        (
            "--rate 5 --duration 1s --require outcome(sucess)>1".to_owned(),
            64,
            "there is no outcome",
        ),
        (
            "--rate 5 --duration 1s --mix right=1 --require p99(wrong)<1s".to_owned(),
            64,
            "no sign-ins of the kind",
        ),
        (
            "--rate 5 --duration 1s --arm a=relay".to_owned(),
            64,
            "compared with nothing",
        ),
        (
            "--rate 5 --duration 1s --arm a=relay --arm a=directory".to_owned(),
            64,
            "two arms of the name a",
        ),
        ("--find-max --up-to 100".to_owned(), 64, "--up-to 100 is below 500"),
        (
            "--rate 5 --duration 1s --hdr /dev/null/x".to_owned(),
            64,
            "cannot write into",
        ),
        (format!("--rate 5 --duration 1s --metrics {taken}"), 1, taken.as_str()),
        (format!("--target http://127.0.0.1:1 {patterns}"), 1, "127.0.0.1:1"),
        (format!("--target {api} {patterns}"), 1, "authorit"),
        (
            format!("--cluster cluster.json --target {ldaps} --mix empty=1 --rate 5 --duration 1s"),
            64,
            "anonymous",
        ),
    ] {
        let output = bench.run(&arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments}: {}", said(&output));
        assert!(!bench.path("out.json").exists(), "{arguments}");
    }
}
