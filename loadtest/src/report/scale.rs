//! Axes: where a value lies on one, and which values are named beside it.

use super::numbers;

/// An axis from one value to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    logarithmic: bool,
}

/// What is spread more than so many times is read on a logarithmic axis only.
const WIDE: f64 = 30.0;

impl Scale {
    /// From one value to another, with nothing beyond.
    pub(super) fn between(from: f64, to: f64) -> Self {
        Self {
            from,
            to: if to > from { to } else { from + 1.0 },
            logarithmic: false,
        }
    }

    /// From 0 to a round number above all values.
    pub(super) fn up_to(most: f64) -> Self {
        let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
        let step = round_step(most / 4.0);
        Self::between(0.0, (most / step - 1e-9).ceil() * step)
    }

    /// Logarithmic, from a round number below all values to one above.
    pub(super) fn logarithmic(least: f64, most: f64) -> Self {
        let least = if least.is_finite() && least > 0.0 { least } else { 1.0 };
        let from = round_down(least);
        Self {
            from,
            to: round_step(most.max(from * 2.0)),
            logarithmic: true,
        }
    }

    /// What suits these values: logarithmic where they are far apart.
    pub(super) fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let most = values.clone().fold(0.0, f64::max);
        let least = values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        if least.is_finite() && most > least * WIDE {
            Self::logarithmic(least, most)
        } else {
            Self::up_to(most)
        }
    }

    /// Whether equal distances are equal ratios.
    pub(super) fn is_logarithmic(self) -> bool {
        self.logarithmic
    }

    /// Where a value lies: 0 is the axis's beginning, 1 its end, and nothing is outside.
    pub(super) fn at(self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        share.clamp(0.0, 1.0)
    }

    /// Values to name, a handful.
    pub(super) fn ticks(self) -> Vec<f64> {
        if self.logarithmic {
            return self.logarithmic_ticks();
        }
        self.ticks_by(round_step((self.to - self.from) / 4.0))
    }

    /// The same of an axis of time, in seconds.
    pub(super) fn time_ticks(self) -> Vec<f64> {
        const STEPS: [f64; 14] = [
            5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 43_200.0,
        ];
        let length = self.to - self.from;
        let step = if length < 20.0 {
            round_step(length / 5.0)
        } else {
            let found = STEPS.into_iter().find(|step| length / step < 7.0);
            found.unwrap_or_else(|| (length / 6.0 / 86_400.0).ceil() * 86_400.0)
        };
        self.ticks_by(step)
    }

    fn ticks_by(self, step: f64) -> Vec<f64> {
        let first = (self.from / step - 1e-9).ceil();
        let steps = ((self.to / step + 1e-9).floor() - first).clamp(0.0, 100.0) as u32;
        (0..=steps).map(|index| (first + f64::from(index)) * step).collect()
    }

    fn logarithmic_ticks(self) -> Vec<f64> {
        let decades = (self.to / self.from).log10();
        let (first, last) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
        // Each power of ten, or only every second one and so on.
        let every = (decades / 6.0).ceil().max(1.0) as i32;
        let steps: &[f64] = if decades <= 2.1 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let powers = (first..=last).filter(|power| power.rem_euclid(every) == 0);
        let all = powers.flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        let within = self.from * 0.999..=self.to * 1.001;
        all.filter(|value| within.contains(value)).collect()
    }
}

/// A power of ten, twice or five times one: the first from this on.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let mut steps = [1.0, 2.0, 5.0].into_iter().map(|times| times * power);
    steps.find(|round| *round >= step * 0.999_999).unwrap_or(10.0 * power)
}

/// The last of them up to this.
fn round_down(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let mut steps = [5.0, 2.0].into_iter().map(|times| times * power);
    steps.find(|round| *round <= value).unwrap_or(power)
}

/// A time on an axis, in milliseconds: `500 µs`, `2 ms`, `10 s`.
pub(super) fn tick_ms(ms: f64) -> String {
    let (value, unit) = match ms {
        0.0 => (0.0, "ms"),
        ms if ms >= 999.9 => (ms / 1_000.0, "s"),
        ms if ms >= 0.999 => (ms, "ms"),
        ms => (ms * 1_000.0, "µs"),
    };
    format!("{} {unit}", trimmed(value))
}

/// A number on an axis.
pub(super) fn tick(value: f64) -> String {
    if value >= 1_000.0 {
        numbers::count(value.round() as u64)
    } else {
        trimmed(value)
    }
}

/// Without noughts at its end.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_round_numbers_and_names_a_handful() {
        for most in [0.0, 0.003, 1.0, 7.3, 499.6, 500.0, 123_456.0] {
            let scale = Scale::up_to(most);
            let ticks = scale.ticks();
            assert!((3..=6).contains(&ticks.len()), "{most}: {ticks:?}");
            assert!(scale.to >= most && ticks.first() == Some(&0.0), "{most}: {scale:?}");
            assert!((ticks.last().unwrap() - scale.to).abs() < scale.to * 1e-6, "{ticks:?}");
        }
        assert_eq!(Scale::up_to(500.0).ticks().last(), Some(&600.0));
    }

    #[test]
    fn a_logarithmic_axis_holds_all_values_and_names_powers_of_ten() {
        for (least, most) in [(0.25, 30_000.0), (3.0, 3.0), (0.001, 60_000.0), (1.0, 12.0)] {
            let scale = Scale::logarithmic(least, most);
            let ticks = scale.ticks();
            assert!(scale.from <= least * 1.001 && scale.to >= most, "{scale:?}");
            assert!((2..=9).contains(&ticks.len()), "{least} to {most}: {ticks:?}");
        }
        assert!(Scale::of([1.0, 31.0].into_iter()).is_logarithmic());
        assert!(!Scale::of([0.0, 1.0, 29.0].into_iter()).is_logarithmic());
    }

    #[test]
    fn time_is_named_at_seconds_and_minutes() {
        assert_eq!(
            Scale::between(0.0, 30.0).time_ticks(),
            [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]
        );
        assert_eq!(Scale::between(0.0, 86_400.0).time_ticks().len(), 7);
        for length in [0.5, 7.0, 100.0, 1_000.0, 1e7] {
            let ticks = Scale::between(0.0, length).time_ticks().len();
            assert!((2..=8).contains(&ticks), "{length}: {ticks}");
        }
    }

    #[test]
    fn nothing_lies_outside_of_an_axis() {
        let scale = Scale::logarithmic(1.0, 100.0);
        for (value, at) in [(0.0, 0.0), (10.0, 0.5), (1e9, 1.0)] {
            assert!((scale.at(value) - at).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn ticks_have_units_and_no_idle_digits() {
        assert_eq!([0.05, 2.0, 10_000.0].map(tick_ms), ["50 µs", "2 ms", "10 s"]);
        assert_eq!([0.0, 0.25, 1_500.0].map(tick), ["0", "0.25", "1,500"]);
    }
}
