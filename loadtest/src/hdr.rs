//! A run's latencies as a log of HdrHistogram's, for its tools: a histogram for each second and, tagged, for each kind
//! of sign-in in it.
//!
//! Latencies count from the planned time, in nanoseconds, as those tools take them unless they are told otherwise; a
//! second has the sign-ins that were planned in it. It is written when all of them must have ended, so that the log can
//! be read while the run goes on and a run of a day takes no more memory than one of a minute. It is no more than the
//! log: what it came to is counted by the ledger.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use crate::mix::Kind;
use crate::record::Record;

/// Latencies are kept to a thousandth, up to a minute. Nobody waits longer.
const DIGITS: u8 = 3;
const LONGEST_NS: u64 = 60_000_000_000;

/// The largest value of an interval stands beside it in milliseconds.
const NS_IN_MS: f64 = 1e6;

/// Answers are taken from the generator a few times in a second.
const SLACK: Duration = Duration::from_secs(1);

/// The name of a run's log.
pub fn file_name(run: &str) -> String {
    let fit = |c: char| {
        if c.is_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = run.chars().map(fit).collect();
    // No file is hidden, or none.
    format!("{}.hlog", name.trim_matches(['.', '-']))
}

/// A log that is being written.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    out: BufWriter<File>,
    /// Sign-ins end within this of their time.
    patience: Duration,
    /// Seconds that are not written yet.
    open: BTreeMap<u64, Interval>,
    /// The first of them.
    next: u64,
}

#[derive(Debug, Default)]
struct Interval {
    all: Option<Histogram<u64>>,
    kinds: BTreeMap<Kind, Histogram<u64>>,
}

impl Log {
    /// Makes the file, before there is anything to write.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path, patience: Duration) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            out: BufWriter::new(file),
            patience,
            open: BTreeMap::new(),
            next: 0,
        })
    }

    /// Writes what stands at the beginning. `began_at_text` is the same time for people.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(&mut self, name: &str, began_at: SystemTime, began_at_text: &str) -> anyhow::Result<()> {
        let began = began_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        // What is no word of one line would end the comment.
        let name = name.replace(char::is_control, " ");
        let version = env!("CARGO_PKG_VERSION");
        let head = format!(
            "#[Logged with postern-loadtest {version}: {name}; nanoseconds from the planned time to the answer]\n\
             #[Histogram log format version 1.3]\n\
             #[StartTime: {began:.3} (seconds since epoch), {began_at_text}]\n\
             #[BaseTime: {began:.3} (seconds since epoch)]\n\
             \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
        );
        self.out.write_all(head.as_bytes()).with_context(|| self.cannot())
    }

    /// Adds sign-ins that have ended.
    pub fn add(&mut self, records: &[Record]) {
        for record in records {
            // What comes when its second is written would be later than anything can be; it is not to be lost.
            let second = record.attempt.at.as_secs().max(self.next);
            let interval = self.open.entry(second).or_default();
            let ns = u64::try_from(record.latency.as_nanos()).unwrap_or(LONGEST_NS);
            let ns = ns.clamp(1, LONGEST_NS);
            let kind = interval.kinds.entry(record.attempt.kind).or_insert_with(histogram);
            for histogram in [interval.all.get_or_insert_with(histogram), kind] {
                // It grows as far as it takes.
                let _ = histogram.record(ns);
            }
        }
    }

    /// Writes the seconds that nothing can be added to any more. `at` is now, from the beginning of the run.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write_up_to(&mut self, at: Duration) -> anyhow::Result<()> {
        let done = at.saturating_sub(self.patience + SLACK).as_secs();
        if done > self.next {
            self.write_before(done)?;
        }
        Ok(())
    }

    /// Writes all that is left.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(mut self) -> anyhow::Result<()> {
        self.write_before(u64::MAX)
    }

    fn write_before(&mut self, second: u64) -> anyhow::Result<()> {
        self.next = second;
        let later = self.open.split_off(&second);
        let (mut text, mut serializer) = (String::new(), V2DeflateSerializer::new());
        for (second, interval) in std::mem::replace(&mut self.open, later) {
            let kinds = interval.kinds.iter();
            let kinds = kinds.map(|(kind, histogram)| (format!("Tag={kind},"), histogram));
            let all = interval.all.iter().map(|all| (String::new(), all));
            for (tag, histogram) in all.chain(kinds) {
                let mut bytes = Vec::new();
                let serialized = serializer.serialize(histogram, &mut bytes);
                serialized.with_context(|| self.cannot())?;
                #[expect(clippy::cast_precision_loss, reason = "a minute of nanoseconds is far below 2^52")]
                let max = histogram.max() as f64 / NS_IN_MS;
                text += &format!("{tag}{second}.000,1.000,{max:.3},{}\n", STANDARD.encode(&bytes));
            }
        }
        let written = self.out.write_all(text.as_bytes());
        written.and_then(|()| self.out.flush()).with_context(|| self.cannot())
    }

    fn cannot(&self) -> String {
        format!("cannot write {}", self.path.display())
    }
}

/// Only bounds that make no sense are refused; these are constants.
fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(DIGITS).unwrap_or_else(|_| unreachable!("digits from 0 to 5 are taken"));
    histogram.auto(true);
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;
    use crate::record::{Attempt, Ended, Tally};
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    use postern_protocol::{Outcome, Verdict};

    const MS: Duration = Duration::from_millis(1);

    fn record(at: Duration, kind: Kind, latency: Duration) -> Record {
        Record {
            attempt: Attempt { at, user: 1, kind },
            lag: Duration::ZERO,
            latency,
            ended: Ended::Outcome(Outcome::Verdict(Verdict::Success)),
            binds: Tally::default(),
        }
    }

    /// Each interval with its tag, its beginning and its histogram.
    fn read(log: &[u8]) -> Vec<(String, u64, Histogram<u64>)> {
        let mut intervals = Vec::new();
        for entry in IntervalLogIterator::new(log) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let bytes = STANDARD.decode(interval.encoded_histogram()).unwrap();
                let tag = interval.tag().map_or("", |tag| tag.as_str()).to_owned();
                assert_eq!(interval.duration(), Duration::from_secs(1));
                let histogram = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                intervals.push((tag, interval.start_timestamp().as_secs(), histogram));
            }
        }
        intervals
    }

    #[test]
    fn a_log_read_back_has_every_sign_in_in_its_second_and_the_percentiles_that_the_ledger_has() {
        let path = std::env::temp_dir().join(format!("postern-loadtest-{}.hlog", std::process::id()));
        let mut log = Log::create(&path, Duration::from_secs(6)).unwrap();
        log.begin("a\nb", UNIX_EPOCH + Duration::from_millis(1_500), "1970")
            .unwrap();
        let mut ledger = Ledger::default();
        for number in 0..1_000u32 {
            let kind = if number % 4 == 0 { Kind::Wrong } else { Kind::Right };
            // Five seconds, and those of a second are not in order.
            let record = record(MS * (number * 7_919 % 5_000), kind, MS * (number + 1) / 10);
            ledger.add(&record);
            log.add(&[record]);
        }
        log.write_up_to(Duration::from_secs(9)).unwrap();
        let early = read(&std::fs::read(&path).unwrap());
        assert_eq!(
            early.last().unwrap().1,
            1,
            "seconds 0 and 1 are written, and none later"
        );
        log.end().unwrap();

        let text = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text.starts_with(b"#[Logged with postern-loadtest"));
        let starts = IntervalLogIterator::new(&text).filter_map(Result::ok).next();
        assert_eq!(starts, Some(LogEntry::StartTime(MS * 1_500)));
        let intervals = read(&text);
        assert!(intervals.is_sorted_by_key(|(_, second, _)| *second));
        let sum = |wanted: &str| {
            let mut sum = histogram();
            for (_, _, histogram) in intervals.iter().filter(|(tag, ..)| tag == wanted) {
                sum.add(histogram).unwrap();
            }
            sum
        };
        let all = sum("");
        assert_eq!((all.len(), sum("right").len(), sum("wrong").len()), (1_000, 750, 250));
        let latency = ledger.latency();
        for (share, of_ledger) in [(0.5, latency.p50), (0.99, latency.p99), (1.0, latency.max)] {
            #[expect(clippy::cast_precision_loss, reason = "a second of nanoseconds")]
            let ratio = all.value_at_quantile(share) as f64 / 1e9 / of_ledger.as_secs_f64();
            assert!((0.998..1.002).contains(&ratio), "{share}: {ratio}");
        }
    }

    #[test]
    fn what_comes_after_its_second_was_written_is_in_the_next_one() {
        let path = std::env::temp_dir().join(format!("postern-loadtest-late-{}.hlog", std::process::id()));
        let mut log = Log::create(&path, Duration::ZERO).unwrap();
        log.write_up_to(Duration::from_secs(4)).unwrap();
        log.add(&[record(MS, Kind::Right, MS)]);
        log.end().unwrap();
        let intervals = read(&std::fs::read(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            intervals.iter().map(|(_, second, _)| *second).collect::<Vec<_>>(),
            [3, 3]
        );
    }

    #[test]
    fn any_name_of_a_run_becomes_that_of_a_file() {
        assert_eq!(file_name("steady"), "steady.hlog");
        assert_eq!(file_name("../a b/ü"), "a-b-ü.hlog");
    }
}
