//! Token buckets: how often a caller, an address or a user name may ask. Before anything is sealed or routed.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use dashmap::DashMap;
use postern_protocol::Moment;

use crate::config::Rate;

/// Buckets of one kind at once. A bucket is 24 bytes; what is full again is dropped first.
const CAPACITY: usize = 200_000;

/// One token bucket per key. Keys are kept as keyed hashes only. The rate comes with each question, so that it can change
/// and nobody's bucket is full again by that.
#[derive(Debug, Default)]
pub struct Buckets {
    hasher: RandomState,
    buckets: DashMap<u64, Bucket>,
}

/// One token bucket.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    tokens: f64,
    at: Moment,
}

impl Bucket {
    /// A full one.
    pub fn full(rate: Rate, now: Moment) -> Self {
        Self {
            tokens: rate.burst,
            at: now,
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub fn take(&mut self, now: Moment, rate: Rate) -> Result<(), Duration> {
        self.refill(now, rate);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / rate.per_second))
    }

    fn refill(&mut self, now: Moment, rate: Rate) {
        let came_back = now.since(self.at).as_secs_f64() * rate.per_second;
        self.tokens = (self.tokens + came_back).min(rate.burst);
        self.at = self.at.max(now);
    }
}

impl Buckets {
    /// Takes a token of `key`, of which there are as many as `rate` says.
    ///
    /// # Errors
    /// How long to wait until there is one.
    pub fn take(&self, now: Moment, rate: Rate, key: impl Hash) -> Result<(), Duration> {
        let mut hash = self.hasher.hash_one(key);
        if self.buckets.len() >= CAPACITY && !self.buckets.contains_key(&hash) {
            self.drop_full(now, rate);
            if self.buckets.len() >= CAPACITY {
                // So many at once are an attack: newcomers share one bucket, and those known are not touched.
                hash = 0;
            }
        }
        let mut bucket = self.buckets.entry(hash).or_insert_with(|| Bucket::full(rate, now));
        bucket.take(now, rate)
    }

    /// Forgets keys whose bucket is full again: a new one would be the same.
    fn drop_full(&self, now: Moment, rate: Rate) {
        self.buckets.retain(|_, bucket| {
            bucket.refill(now, rate);
            bucket.tokens < rate.burst
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 2.0,
        burst: 3.0,
    };

    fn second(n: u64) -> Moment {
        Moment(n * 1_000_000)
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let buckets = Buckets::default();
        assert_eq!((0..5).filter(|_| buckets.take(second(0), RATE, "a").is_ok()).count(), 3);
        assert_eq!(buckets.take(second(0), RATE, "a"), Err(Duration::from_millis(500)));
        assert_eq!((0..5).filter(|_| buckets.take(second(1), RATE, "a").is_ok()).count(), 2);
        assert_eq!(
            (0..9).filter(|_| buckets.take(second(100), RATE, "a").is_ok()).count(),
            3
        );
    }

    #[test]
    fn a_changed_rate_counts_at_once_and_fills_no_bucket() {
        let buckets = Buckets::default();
        while buckets.take(second(0), RATE, "a").is_ok() {}
        let more = Rate {
            per_second: 2.0,
            burst: 300.0,
        };
        assert!(buckets.take(second(0), more, "a").is_err());
        assert_eq!(
            (0..500)
                .filter(|_| buckets.take(second(100), more, "a").is_ok())
                .count(),
            200
        );
        assert_eq!(
            (0..500)
                .filter(|_| buckets.take(second(200), RATE, "a").is_ok())
                .count(),
            3
        );
    }

    #[test]
    fn keys_do_not_share_a_bucket() {
        let buckets = Buckets::default();
        while buckets.take(second(0), RATE, "a").is_ok() {}
        assert!(buckets.take(second(0), RATE, "b").is_ok());
    }

    #[test]
    fn a_flood_of_keys_takes_bounded_memory_and_does_not_lock_out_those_known() {
        let buckets = Buckets::default();
        assert!(buckets.take(second(0), RATE, "honest").is_ok());
        for key in 0..CAPACITY + 1_000 {
            let _ = buckets.take(second(0), RATE, key);
        }
        assert!(buckets.buckets.len() <= CAPACITY + 1);
        assert!(buckets.take(second(0), RATE, "honest").is_ok());
        assert!(
            buckets.take(second(2), RATE, "newcomer").is_ok(),
            "full buckets are dropped for newcomers"
        );
        assert!(buckets.buckets.len() < 10);
    }
}
