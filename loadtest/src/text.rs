//! Times and shares as people write them: `500ms`, `30s`, `2m`, `5%`.

use std::time::Duration;

/// Units, longest names first where one ends like another.
const UNITS: [(&str, f64); 5] = [("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)];

/// Hours alone, which are too rare to be looked for each time.
const HOUR: f64 = 3_600.0;

/// A time with its unit.
///
/// # Errors
/// Words that say how it is written.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; write it as 500ms, 30s, 2m or 1h");
    let unit = UNITS.iter().chain(&[("h", HOUR)]).find_map(|(unit, seconds)| {
        let number = text.strip_suffix(unit)?;
        Some((number.trim_end().parse::<f64>().ok()?, seconds))
    });
    let (number, seconds) = unit.ok_or_else(wrong)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}

/// A share, from 0 to 1: `5%` or `0.05`.
///
/// # Errors
/// Words that say how it is written.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    let share = number.trim_end().parse::<f64>().ok().map(|number| number / whole);
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("{text:?} is no share; write it as 5% or 0.05"))
}

/// A time as short as it can be read: `1.25 s`, `3.4 ms`, `250 µs`.
pub fn told(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 10.0 {
        format!("{seconds:.1} s")
    } else if seconds >= 1.0 {
        format!("{seconds:.2} s")
    } else if seconds >= 0.1 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds >= 0.001 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{:.0} µs", seconds * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units_and_none_without() {
        for (text, micros) in [
            ("250us", 250),
            ("1.5 ms", 1_500),
            ("2s", 2_000_000),
            ("0.5m", 30_000_000),
            ("1h", 3_600_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for wrong in ["", "5", "s", "-1s", "1d", "nans"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_read_as_percent_or_part() {
        assert_eq!((share("5%"), share("0.25"), share("1")), (Ok(0.05), Ok(0.25), Ok(1.0)));
        for wrong in ["", "5", "101%", "-1%", "x"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_told_with_the_digits_that_matter() {
        for (micros, text) in [
            (250, "250 µs"),
            (3_400, "3.4 ms"),
            (120_000, "120 ms"),
            (1_250_000, "1.25 s"),
        ] {
            assert_eq!(told(Duration::from_micros(micros)), text);
        }
    }
}
