//! Draws from a schedule's one source of chance.

use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;

/// A duration in milliseconds, to the microsecond.
pub(super) fn between(random: &mut SmallRng, from_ms: u64, to_ms: u64) -> Duration {
    Duration::from_micros(random.random_range(from_ms * 1_000..to_ms * 1_000))
}

/// Anything up to `most`.
pub(super) fn up_to(random: &mut SmallRng, most: Duration) -> Duration {
    let micros = u64::try_from(most.as_micros()).unwrap();
    Duration::from_micros(random.random_range(0..=micros))
}

/// A gap whose average is `mean`, as between things that know nothing of each other.
pub(super) fn gap(random: &mut SmallRng, mean: Duration) -> Duration {
    let even: f64 = random.random_range(f64::MIN_POSITIVE..1.0);
    mean.mul_f64(-even.ln())
}

/// One of several.
pub(super) fn one_of<T: Copy>(random: &mut SmallRng, of: &[T]) -> T {
    of[random.random_range(0..of.len())]
}
