//! Numbers as people read them: with the digits that matter, and their unit.

use std::time::Duration;

use crate::require::Threshold;
use crate::text::{duration, told};

/// What stands where there is nothing to tell.
pub(super) const NOTHING: &str = "–";

/// A count as a real number. Those of a run are far below 2^52.
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

/// How many there are of something.
pub(super) fn length(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// `14,982`
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 threshold`, `2 thresholds`
pub(super) fn some(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A share that says neither 0 nor 100 % of what is not quite that.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let share = real(part) * 100.0 / real(whole.max(1));
    match part {
        _ if whole == 0 => NOTHING.to_owned(),
        0 => "0 %".to_owned(),
        part if part == whole => "100 %".to_owned(),
        _ if share < 0.01 => "under 0.01 %".to_owned(),
        _ if share > 99.99 => "over 99.99 %".to_owned(),
        _ if (1.0..99.0).contains(&share) => format!("{share:.1} %"),
        _ => format!("{share:.2} %"),
    }
}

/// `1,234`, `56.7`, `1.23`: three digits or more.
pub(super) fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 && value > 0.0 => count(value.round() as u64),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// How many a second.
pub(super) fn rate(per_second: f64) -> String {
    format!("{}/s", digits(per_second))
}

/// A time in milliseconds.
pub(super) fn ms(ms: f64) -> String {
    Duration::try_from_secs_f64(ms / 1_000.0).map_or_else(|_| NOTHING.to_owned(), told)
}

/// A length of time in seconds.
pub(super) fn seconds(seconds: f64) -> String {
    if seconds >= 180.0 {
        return clock(seconds);
    }
    let text = format!("{seconds:.1}");
    format!("{} s", text.strip_suffix(".0").unwrap_or(&text))
}

/// `12:05` or `1:12:05`
fn clock(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    let (hours, minutes, seconds) = (whole / 3_600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Memory.
pub(super) fn bytes(bytes: f64) -> String {
    const MI: f64 = 1_048_576.0;
    match bytes {
        bytes if bytes >= 1_024.0 * MI => format!("{} GiB", digits(bytes / MI / 1_024.0)),
        bytes if bytes >= MI => format!("{} MiB", digits(bytes / MI)),
        bytes => format!("{} KiB", digits(bytes / 1_024.0)),
    }
}

/// How many times the one is the other; `None` where the other is nothing.
pub(super) fn ratio(value: f64, first: f64) -> Option<f64> {
    (first > 0.0 && value.is_finite()).then(|| value / first)
}

/// `× 1.32`
pub(super) fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 100.0 => format!("× {}", digits(ratio)),
        ratio if ratio >= 10.0 => format!("× {ratio:.1}"),
        ratio => format!("× {ratio:.2}"),
    }
}

/// With a thousandth of what is about 1: that is where a requirement's bound is.
pub(super) fn fine(value: f64) -> String {
    if value.abs() < 10.0 {
        format!("{value:.3}")
    } else {
        digits(value)
    }
}

/// What was seen of a threshold, in the unit of what was required: a share has its sign, and every time has a unit.
pub(super) fn seen(threshold: &Threshold) -> String {
    let Some(value) = threshold.value else {
        return "not seen".to_owned();
    };
    let required = threshold.expr.rsplit(['<', '>', '=']).next().unwrap_or_default().trim();
    match () {
        () if required.ends_with('%') && value > 0.0 && value < 0.001 => "under 0.001 %".to_owned(),
        () if required.ends_with('%') => format!("{} %", fine(value)),
        () if duration(required).is_ok() => ms(value),
        () if value.fract() == 0.0 && value >= 0.0 => count(value as u64),
        () => fine(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_nothing_or_all_only_where_it_is() {
        for (part, whole, text) in [
            (0, 10, "0 %"),
            (10, 10, "100 %"),
            (1, 1_000_000, "under 0.01 %"),
            (999_999, 1_000_000, "over 99.99 %"),
            (9_983, 10_000, "99.83 %"),
            (1, 3, "33.3 %"),
            (0, 0, NOTHING),
        ] {
            assert_eq!(percent(part, whole), text, "{part} of {whole}");
        }
    }

    #[test]
    fn numbers_have_the_digits_and_the_unit_that_matter() {
        assert_eq!((count(7), count(1_234_567)), ("7".to_owned(), "1,234,567".to_owned()));
        assert_eq!((rate(499.6), rate(0.25)), ("500/s".to_owned(), "0.25/s".to_owned()));
        assert_eq!(
            (seconds(30.0), seconds(4_325.0)),
            ("30 s".to_owned(), "1:12:05".to_owned())
        );
        assert_eq!(bytes(12.5 * 1_048_576.0), "12.5 MiB");
        assert_eq!((ratio(3.0, 2.0), ratio(3.0, 0.0)), (Some(1.5), None));
        assert_eq!(times(1.5), "× 1.50");
    }

    #[test]
    fn what_was_seen_of_a_threshold_has_the_unit_of_what_was_required() {
        for (expr, value, text) in [
            ("p99<50ms", Some(12.34), "12.3 ms"),
            ("failed<=0.1%", Some(0.05), "0.050 %"),
            ("failed==0", Some(1_250.0), "1,250"),
            ("binds_per_signin<=1.01", Some(1.0042), "1.004"),
            ("late_binds==0", None, "not seen"),
        ] {
            let threshold = Threshold {
                expr: expr.to_owned(),
                value,
                ok: true,
            };
            assert_eq!(seen(&threshold), text, "{expr}");
        }
    }
}
