//! Loads: our own generator's and wrk's, and what they came to.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::cluster::{Cluster, POSTERN};
use crate::say;

/// Figures by name.
pub(crate) type Figures = BTreeMap<String, f64>;

/// Plays `postern loadtest run` with these arguments (`CLUSTER` stands for the cluster's file) and gives its figures: `rate`,
/// `p50`, `p99` (ms), `generator` and `cpu` (µs for each sign-in), and the CPU of each process of the cluster. Every answer must
/// have been the right one.
pub(crate) fn run(cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<Figures> {
    let out = cluster.file.with_extension("run.json");
    let output = Command::new(POSTERN)
        .args(["loadtest", "run"])
        .args(arguments.iter().map(|argument| match *argument {
            "CLUSTER" => cluster.file.as_os_str().to_owned(),
            other => other.into(),
        }))
        .arg("--json")
        .arg(&out)
        .output()
        .context("cannot start the load test")?;
    let read = fs::read_to_string(&out).with_context(|| said(&output.stderr))?;
    fs::remove_file(&out)?;
    let result: Value = serde_json::from_str(&read)?;
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let sent = number(&result["sent"]);
    ensure!(
        number(&result["wrong_outcomes"]) == 0.0 && number(&result["failed"]) == 0.0,
        "not every answer was right: {}",
        result["outcomes"]
    );
    let seconds: f64 = number(&result["about"]["lasted_s"]);
    let mut figures = Figures::from([
        ("rate".to_owned(), sent / seconds),
        ("p50".to_owned(), number(&result["latency_ms"]["p50"])),
        ("p99".to_owned(), number(&result["latency_ms"]["p99"])),
        ("generator".to_owned(), number(&result["generator"]["cpu_us_each"])),
        ("lag p99".to_owned(), number(&result["generator"]["lag_p99_ms"])),
    ]);
    let mut cpu = 0.0;
    for process in result["processes"].as_array().into_iter().flatten() {
        let each = number(&process["cpu_s"]) * 1e6 / sent;
        let name = process["name"].as_str().unwrap_or_default();
        let kind = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
        *figures.entry(kind.to_owned()).or_default() += each;
        cpu += each;
    }
    figures.insert("cpu".to_owned(), cpu);
    Ok(figures)
}

/// Plays wrk with `connections` for `seconds` against the cluster's relay: `rate`, `p50`, `p99`, CPU of the cluster's processes,
/// `generator` for wrk's own.
pub(crate) fn wrk(cluster: &Cluster, connections: u32, seconds: u32) -> anyhow::Result<Figures> {
    let before = cluster.cpu();
    let (mut figures, requests) = wrk_at(cluster.api(), &[], connections, seconds)?;
    let each = cluster.cpu().since(&before).each(requests);
    figures.insert("cpu".to_owned(), each.values().sum());
    figures.extend(each.into_iter().map(|(kind, each)| (kind.to_owned(), each)));
    Ok(figures)
}

/// The same against any server, and how many requests there were.
pub(crate) fn wrk_at(url: &str, more: &[&str], connections: u32, seconds: u32) -> anyhow::Result<(Figures, f64)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/speed/sign-ins.lua");
    let (connections, seconds) = (format!("-c{connections}"), format!("-d{seconds}s"));
    // wrk does not tell what it used; bash does, of what it waited for.
    let output = Command::new("bash")
        .args(["-c", r#"TIMEFORMAT='cpu %U %S'; time "$@""#, "bash", "wrk", "-t1"])
        .args([&connections, &seconds])
        .args(["--latency", "-s"])
        .arg(script)
        .arg(url)
        .args(more)
        .output()
        .context("cannot start bash")?;
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), said(&output.stderr));
    if errors.contains("not found") {
        bail!("wrk is not installed (Debian: apt-get install wrk)");
    }
    ensure!(!told.contains("Non-2xx"), "not every answer was a success:\n{told}");
    let after = |label: &str| {
        let rest = told.split_once(label).map(|(_, rest)| rest);
        let word = rest.and_then(|rest| rest.split_whitespace().next());
        word.and_then(quantity)
            .with_context(|| format!("wrk did not tell {label}:\n{told}{errors}"))
    };
    let requests: f64 = told
        .lines()
        .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
        .with_context(|| format!("wrk did not tell how many requests it made:\n{told}{errors}"))?;
    let cpu: f64 = errors
        .lines()
        .find_map(|line| line.strip_prefix("cpu "))
        .map(|line| {
            line.split_whitespace()
                .filter_map(|word| word.parse::<f64>().ok())
                .sum()
        })
        .context("bash did not tell what wrk used")?;
    let figures = Figures::from([
        ("rate".to_owned(), after("Requests/sec:")?),
        ("p50".to_owned(), after(" 50%")?),
        ("p99".to_owned(), after(" 99%")?),
        ("generator".to_owned(), cpu * 1e6 / requests),
    ]);
    Ok((figures, requests))
}

/// "1.63ms", "603.00us", "18165.21": milliseconds, or the number itself.
fn quantity(word: &str) -> Option<f64> {
    let at = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
    let number: f64 = word[..at].parse().ok()?;
    match &word[at..] {
        "" | "ms" => Some(number),
        "us" => Some(number / 1e3),
        "s" => Some(number * 1e3),
        _ => None,
    }
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

/// Plays `round` so often and gives the median of each figure.
pub(crate) fn medians(rounds: u32, mut round: impl FnMut() -> anyhow::Result<Figures>) -> anyhow::Result<Figures> {
    let mut seen: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds {
        for (name, figure) in round()? {
            seen.entry(name).or_default().push(figure);
        }
    }
    let median = |mut figures: Vec<f64>| {
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    Ok(seen
        .into_iter()
        .map(|(name, figures)| (name, median(figures)))
        .collect())
}

/// Tells figures, a line for each kind.
pub(crate) fn tell(what: &str, figures: &Figures) {
    let of = |name: &str| figures.get(name).copied().unwrap_or(f64::NAN);
    let parts: Vec<String> = ["relay", "agent", "dc", "mock-dc", "haproxy", "lloadd"]
        .iter()
        .filter_map(|kind| Some(format!("{kind} {:.1}", figures.get(*kind)?)))
        .collect();
    say(&format!(
        "{what}: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms; CPU each {:.1} µs ({}), generator {:.1} µs",
        of("rate"),
        of("p50"),
        of("p99"),
        of("cpu"),
        parts.join(", "),
        of("generator"),
    ));
}
