//! The agent's decisions, apart from everything that happens.
//!
//! No task, no socket, no file, no clock and no entropy in here: moments and random numbers are arguments, so every
//! rule can be tested without waiting. A test reads the sources and fails when one creeps in.

pub(crate) mod backoff;
pub mod fence;
pub(crate) mod kind;
pub(crate) mod lease;
pub(crate) mod locator;
pub(crate) mod names;
pub(crate) mod pace;
pub(crate) mod service_account;
pub(crate) mod slots;
pub(crate) mod suspicion;
pub(crate) mod tiers;
pub(crate) mod upgrade;

#[cfg(test)]
mod tests;
