//! Many schedules at once, and one that failed once more, with every line of it.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::world::World;

/// How often what happened.
pub(super) type Seen = BTreeMap<String, u64>;

/// A schedule that broke a rule.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) seed: u64,
    pub(super) why: String,
    pub(super) log: String,
}

/// Runs the schedule of a seed.
pub(super) fn one(seed: u64, log_kept: bool) -> Result<(String, Seen), Failure> {
    let mut world = World::new(seed, log_kept);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    let (log, seen) = world.log.into_parts();
    let why = match outcome {
        Ok(Ok(())) => return Ok((log, seen)),
        Ok(Err(broken)) => broken.to_string(),
        Err(panic) => format!("[no-panic] {}", text(panic.as_ref())),
    };
    Err(Failure { seed, why, log })
}

/// Runs the schedules of all seeds below `count`, on all processors. Ends with the first that fails.
pub(super) fn many(count: u64) -> Result<Seen, Failure> {
    let next = AtomicU64::new(0);
    let all = Mutex::new((Seen::new(), None));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        return;
                    }
                    let outcome = one(seed, false);
                    let (seen, failure) = &mut *all.lock().unwrap();
                    match outcome {
                        Ok((_, of_one)) => {
                            for (what, times) in of_one {
                                *seen.entry(what).or_default() += times;
                            }
                        }
                        Err(found) => {
                            next.store(count, Ordering::Relaxed);
                            failure.get_or_insert(found);
                        }
                    }
                }
            });
        }
    });
    let (seen, failure) = all.into_inner().unwrap();
    match failure {
        None => Ok(seen),
        // Once more, with its log.
        Some(found) => Err(one(found.seed, true).err().unwrap_or(found)),
    }
}

/// A number from the environment.
pub(super) fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?}, and should be a number")),
    )
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}
