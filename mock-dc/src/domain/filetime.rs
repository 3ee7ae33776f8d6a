//! FILETIME: how a directory stores a moment.
//!
//! 100-nanosecond ticks since 1601-01-01 UTC (MS-DTYP 2.3.3). Zero and the largest value carry meanings of their own
//! ("not set", "never"), which the attributes that use them explain.

use std::time::Duration;

use time::OffsetDateTime;

/// Ticks in a second.
const SECOND: i64 = 10_000_000;
/// 1970-01-01 in ticks.
const UNIX_EPOCH: i64 = 116_444_736_000_000_000;

/// A moment in 100 ns ticks since 1601-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime(pub i64);

impl FileTime {
    /// "Not set": no lockout, no bad password yet, no expiry, password must change.
    pub const ZERO: Self = Self(0);
    /// "Never", as `accountExpires` and the computed expiry time show it.
    pub const NEVER: Self = Self(i64::MAX);

    /// Before every moment: known for good, also should the clock be set back.
    pub(super) const LONG_AGO: Self = Self(i64::MIN);

    /// The moment `length` later; stays at the largest value instead of wrapping.
    #[must_use]
    pub fn after(self, length: Duration) -> Self {
        Self(self.0.saturating_add(ticks(length)))
    }

    /// The moment `length` earlier; stays at the smallest value instead of wrapping.
    #[must_use]
    pub fn before(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(ticks(length)))
    }

    /// Hour of the week in UTC, 0 being Sunday 00:00 to 01:00, as `logonHours` counts.
    pub fn hour_of_week(self) -> usize {
        // 1601-01-01 was a Monday.
        let hours = self.0.div_euclid(3600 * SECOND) + 24;
        usize::try_from(hours.rem_euclid(168)).unwrap_or(0)
    }

    /// As `whenCreated` shows it: `20261122091234.0Z` (X.680 GeneralizedTime).
    pub fn generalized(self) -> String {
        let t = OffsetDateTime::from(self);
        let (date, time) = (t.date(), t.time());
        format!(
            "{:04}{:02}{:02}{:02}{:02}{:02}.0Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second()
        )
    }
}

/// A length in ticks; lengths beyond 29,000 years are that.
pub fn ticks(length: Duration) -> i64 {
    i64::try_from(length.as_nanos() / 100).unwrap_or(i64::MAX)
}

impl From<OffsetDateTime> for FileTime {
    fn from(time: OffsetDateTime) -> Self {
        let ticks = time.unix_timestamp_nanos() / 100 + i128::from(UNIX_EPOCH);
        Self(i64::try_from(ticks).unwrap_or(i64::MAX))
    }
}

impl From<FileTime> for OffsetDateTime {
    /// Moments that the calendar of the `time` crate does not reach are shown as 1970.
    fn from(time: FileTime) -> Self {
        let nanos = (i128::from(time.0) - i128::from(UNIX_EPOCH)) * 100;
        Self::from_unix_timestamp_nanos(nanos).unwrap_or(Self::UNIX_EPOCH)
    }
}

impl std::fmt::Display for FileTime {
    /// The decimal string that an attribute of syntax LargeInteger shows.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_known_moment_has_its_known_ticks() {
        // pwdLastSet 134398123548652020 was written on 2026-11-22 at 09:12:34.865 UTC.
        let time = FileTime(134_398_123_548_652_020);
        let shown = OffsetDateTime::from(time);
        assert_eq!(FileTime::from(shown), time);
        assert_eq!(FileTime::from(datetime!(1970-01-01 00:00 UTC)), FileTime(UNIX_EPOCH));
        assert_eq!(
            FileTime::from(datetime!(2026-11-22 09:12:34 UTC)).generalized(),
            "20261122091234.0Z"
        );
    }

    #[test]
    fn the_week_begins_on_sunday_at_midnight_utc() {
        assert_eq!(FileTime::from(datetime!(2026-11-22 00:00 UTC)).hour_of_week(), 0);
        assert_eq!(FileTime::from(datetime!(2026-11-22 23:59:59 UTC)).hour_of_week(), 23);
        assert_eq!(FileTime::from(datetime!(2026-11-28 23:00 UTC)).hour_of_week(), 167);
    }

    #[test]
    fn never_stays_never_however_much_is_added() {
        assert_eq!(FileTime::NEVER.after(Duration::from_secs(1)), FileTime::NEVER);
    }
}
