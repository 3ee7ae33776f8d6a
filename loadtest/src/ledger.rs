//! Counts sign-ins as they end, so that a run of a day takes no more memory than one of a minute.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hdrhistogram::Histogram;
use postern_protocol::{Outcome, Verdict};

use crate::mix::Kind;
use crate::record::{Ended, Judgement, Record};
use crate::results::{Bin, Counts, KindResult, Slice};
use crate::summary::Latency;

/// The longest latency that is told apart: a minute. Nobody waits longer.
const LONGEST_US: u64 = 60_000_000;

/// Of all sign-ins latencies are kept to a thousandth, in slices of time to a hundredth.
const DIGITS: u8 = 3;
const SLICE_DIGITS: u8 = 2;

/// At the beginning a slice of time is a second long. When there are as many as this, each two become one.
const MOST_SLICES: usize = 600;

/// The distribution's bins: each bound is this many times the one before.
const BIN: f64 = 1.122_018_454_301_963_3; // 20 for each power of ten

/// Everything that is counted of a run.
#[derive(Debug)]
pub struct Ledger {
    all: Times,
    kinds: BTreeMap<Kind, OfKind>,
    slices: Vec<OfSlice>,
    slice: Duration,
}

/// Times of some sign-ins.
#[derive(Debug)]
struct Times {
    latency: Histogram<u64>,
    service: Histogram<u64>,
    lag: Histogram<u64>,
    late: u64,
}

#[derive(Debug)]
struct OfKind {
    ended: HashMap<Ended, u64>,
    counts: Counts,
    latency: Histogram<u64>,
}

/// What ended in a while, whenever it was planned: for whoever looks on.
#[derive(Debug, Default)]
pub struct Recent(OfSlice);

impl Recent {
    /// Counts one.
    pub fn add(&mut self, record: &Record) {
        add(&mut self.0.latency, record.latency);
        self.0.counts.add(record);
        *self.0.outcomes.entry(record.ended).or_default() += 1;
    }

    /// All in numbers.
    pub fn counts(&self) -> Counts {
        self.0.counts
    }

    /// From the planned time to the answer, to a hundredth.
    pub fn latency(&self) -> Latency {
        Latency::from(&self.0.latency)
    }

    /// How they ended, by name.
    pub fn outcomes(&self) -> BTreeMap<String, u64> {
        by_name(&self.0.outcomes)
    }
}

#[derive(Debug)]
struct OfSlice {
    outcomes: HashMap<Ended, u64>,
    counts: Counts,
    latency: Histogram<u64>,
}

/// Only bounds that make no sense are refused; these are constants.
fn histogram(digits: u8) -> Histogram<u64> {
    let mut histogram = Histogram::new(digits).unwrap_or_else(|_| unreachable!("digits from 0 to 5 are taken"));
    histogram.auto(true);
    histogram
}

fn add(histogram: &mut Histogram<u64>, time: Duration) {
    let micros = u64::try_from(time.as_micros())
        .unwrap_or(LONGEST_US)
        .clamp(1, LONGEST_US);
    // It grows; only what is longer than the longest would be refused.
    let _ = histogram.record(micros);
}

impl Default for Times {
    fn default() -> Self {
        Self {
            latency: histogram(DIGITS),
            service: histogram(DIGITS),
            lag: histogram(DIGITS),
            late: 0,
        }
    }
}

impl Default for OfKind {
    fn default() -> Self {
        Self {
            ended: HashMap::new(),
            counts: Counts::default(),
            latency: histogram(DIGITS),
        }
    }
}

impl Default for OfSlice {
    fn default() -> Self {
        Self {
            outcomes: HashMap::new(),
            counts: Counts::default(),
            latency: histogram(SLICE_DIGITS),
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            all: Times::default(),
            kinds: BTreeMap::new(),
            slices: Vec::new(),
            slice: Duration::from_secs(1),
        }
    }
}

impl Counts {
    fn add(&mut self, record: &Record) {
        self.sent += 1;
        self.false_successes += u64::from(record.is_false_success());
        match record.judgement() {
            Judgement::Right => self.right += 1,
            Judgement::Failed => self.failed += 1,
            Judgement::Wrong => self.wrong += 1,
        }
        // Nobody whose account is meant to be good is expected to be locked.
        let locked = record.ended == Ended::Outcome(Outcome::Verdict(Verdict::AccountLocked));
        self.locked_out += u64::from(locked && !matches!(record.attempt.kind, Kind::Listed(_)));
    }

    /// With all of these.
    pub(crate) fn add_all(&mut self, other: &Self) {
        self.sent += other.sent;
        self.right += other.right;
        self.failed += other.failed;
        self.wrong += other.wrong;
        self.false_successes += other.false_successes;
        self.locked_out += other.locked_out;
    }
}

impl Ledger {
    /// Counts one.
    pub fn add(&mut self, record: &Record) {
        add(&mut self.all.latency, record.latency);
        add(&mut self.all.service, record.service());
        add(&mut self.all.lag, record.lag);
        self.all.late += u64::from(record.is_late());
        let kind = self.kinds.entry(record.attempt.kind).or_default();
        add(&mut kind.latency, record.latency);
        kind.counts.add(record);
        *kind.ended.entry(record.ended).or_default() += 1;
        if let Some(slice) = self.slice_of(record.attempt.at) {
            add(&mut slice.latency, record.latency);
            slice.counts.add(record);
            *slice.outcomes.entry(record.ended).or_default() += 1;
        }
    }

    /// The slice that this moment is in. There are as many as it takes.
    fn slice_of(&mut self, at: Duration) -> Option<&mut OfSlice> {
        while at.as_secs_f64() / self.slice.as_secs_f64() >= MOST_SLICES as f64 {
            self.halve();
        }
        let index = usize::try_from(at.as_micros() / self.slice.as_micros().max(1)).ok()?;
        if self.slices.len() <= index {
            self.slices.resize_with(index + 1, OfSlice::default);
        }
        self.slices.get_mut(index)
    }

    /// Makes one slice of each two.
    fn halve(&mut self) {
        let mut halved: Vec<OfSlice> = Vec::new();
        for (index, slice) in std::mem::take(&mut self.slices).into_iter().enumerate() {
            match halved.last_mut() {
                Some(last) if index % 2 == 1 => last.merge(slice),
                _ => halved.push(slice),
            }
        }
        self.slices = halved;
        self.slice *= 2;
    }

    /// All in numbers.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for kind in self.kinds.values() {
            counts.add_all(&kind.counts);
        }
        counts
    }

    /// How they ended, by name.
    pub fn outcomes(&self) -> BTreeMap<String, u64> {
        let mut outcomes = HashMap::new();
        for kind in self.kinds.values() {
            merge(&mut outcomes, &kind.ended);
        }
        by_name(&outcomes)
    }

    /// From the planned time to the answer.
    pub fn latency(&self) -> Latency {
        Latency::from(&self.all.latency)
    }

    /// From the time of sending to the answer.
    pub fn service(&self) -> Latency {
        Latency::from(&self.all.service)
    }

    /// How much later than planned they were sent.
    pub fn lag(&self) -> Latency {
        Latency::from(&self.all.lag)
    }

    /// Those sent late.
    pub fn late(&self) -> u64 {
        self.all.late
    }

    /// Each kind with what was expected and what came.
    pub fn kinds(&self) -> Vec<KindResult> {
        let kinds = self.kinds.iter();
        kinds
            .map(|(kind, of_it)| KindResult {
                kind: kind.to_string(),
                expected: kind.expected().to_string(),
                actual: by_name(&of_it.ended),
                counts: of_it.counts,
                latency: Latency::from(&of_it.latency),
            })
            .collect()
    }

    /// Over time.
    pub fn slices(&self) -> Vec<Slice> {
        let slices = self.slices.iter().zip(0u32..);
        slices
            .map(|(slice, index)| Slice {
                from_s: (self.slice * index).as_secs_f64(),
                lasts_s: self.slice.as_secs_f64(),
                outcomes: by_name(&slice.outcomes),
                counts: slice.counts,
                latency: Latency::from(&slice.latency),
            })
            .collect()
    }

    /// How latencies are distributed: bins of even width on a logarithmic axis, without empty ones at the ends.
    pub fn distribution(&self) -> Vec<Bin> {
        let mut bins: Vec<Bin> = Vec::new();
        let (mut upper, mut lower) = (1.0f64, 0.0f64);
        let highest = self.all.latency.max();
        let mut values = self.all.latency.iter_recorded().peekable();
        while lower < highest as f64 {
            let mut count = 0;
            while let Some(value) = values.next_if(|value| value.value_iterated_to() as f64 <= upper) {
                count += value.count_at_value();
            }
            if count > 0 || !bins.is_empty() {
                bins.push(Bin {
                    up_to_ms: upper / 1_000.0,
                    count,
                });
            }
            lower = upper;
            upper *= BIN;
        }
        bins
    }
}

impl OfSlice {
    fn merge(&mut self, other: Self) {
        merge(&mut self.outcomes, &other.outcomes);
        self.counts.add_all(&other.counts);
        // Both grow as far as it takes.
        let _ = self.latency.add(&other.latency);
    }
}

fn merge(into: &mut HashMap<Ended, u64>, from: &HashMap<Ended, u64>) {
    for (ended, count) in from {
        *into.entry(*ended).or_default() += count;
    }
}

fn by_name(ended: &HashMap<Ended, u64>) -> BTreeMap<String, u64> {
    ended.iter().map(|(ended, count)| (ended.to_string(), *count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Attempt, Tally};

    fn record(at: Duration, latency: Duration, kind: Kind, verdict: Verdict) -> Record {
        Record {
            attempt: Attempt { at, user: 1, kind },
            lag: Duration::from_micros(50),
            latency,
            ended: Ended::Outcome(Outcome::Verdict(verdict)),
            binds: Tally::default(),
        }
    }

    fn right(at: Duration, latency: Duration) -> Record {
        record(at, latency, Kind::Right, Verdict::Success)
    }

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn sign_ins_are_counted_by_kind_by_outcome_and_by_second() {
        let mut ledger = Ledger::default();
        for at in [0, 500, 1_500] {
            ledger.add(&right(MS * at, MS * 2));
        }
        ledger.add(&record(MS * 1_600, MS * 30, Kind::Wrong, Verdict::Success));
        ledger.add(&record(MS * 1_700, MS * 30, Kind::Right, Verdict::AccountLocked));
        let counts = ledger.counts();
        assert_eq!(
            (counts.sent, counts.right, counts.wrong, counts.false_successes),
            (5, 3, 2, 1)
        );
        assert_eq!(counts.locked_out, 1);
        assert_eq!(ledger.outcomes()["success"], 4);
        let slices = ledger.slices();
        assert_eq!(slices.iter().map(|slice| slice.counts.sent).collect::<Vec<_>>(), [2, 3]);
        let kinds = ledger.kinds();
        assert_eq!(
            (
                kinds[0].kind.as_str(),
                kinds[0].actual["success"],
                kinds[0].counts.right
            ),
            ("right", 3, 3)
        );
        assert_eq!(
            (kinds[1].expected.as_str(), kinds[1].counts.false_successes),
            ("invalid_credentials", 1)
        );
        // From when they were sent, to a thousandth.
        let slowest = ledger.service().max.as_micros();
        assert!((29_950..=29_980).contains(&slowest), "{slowest}");
    }

    #[test]
    fn a_run_of_a_day_has_as_few_slices_as_one_of_an_hour_and_loses_nothing() {
        let mut ledger = Ledger::default();
        for minute in 0..24 * 60 {
            ledger.add(&right(SECOND * 60 * minute, MS * (minute + 1)));
        }
        let slices = ledger.slices();
        assert!(
            (MOST_SLICES / 2..=MOST_SLICES).contains(&slices.len()),
            "{}",
            slices.len()
        );
        assert_eq!(slices.iter().map(|slice| slice.counts.sent).sum::<u64>(), 24 * 60);
        assert!(slices.is_sorted_by(|one, next| one.from_s < next.from_s));
        let slowest = slices.iter().map(|slice| slice.latency.max).max().unwrap();
        assert!(slowest >= MS * 1_425 && slowest <= MS * 1_455, "{slowest:?}");
    }

    #[test]
    fn the_distribution_has_every_sign_in_in_the_bin_of_its_latency() {
        let mut ledger = Ledger::default();
        for latency in [1, 1, 10, 100] {
            ledger.add(&right(Duration::ZERO, MS * latency));
        }
        let bins = ledger.distribution();
        assert_eq!(bins.iter().map(|bin| bin.count).sum::<u64>(), 4);
        assert_eq!((bins.first().unwrap().count, bins.last().unwrap().count), (2, 1));
        assert!(bins.first().unwrap().up_to_ms < 1.13 && bins.last().unwrap().up_to_ms < 113.0);
        // 20 for each power of ten.
        assert!((40..=42).contains(&bins.len()), "{}", bins.len());
        assert!(Ledger::default().distribution().is_empty());
    }
}
