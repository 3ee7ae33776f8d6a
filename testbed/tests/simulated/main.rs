//! Relay and agents in simulation: no process, no socket, no real time. What happens is decided by a seed, and the same
//! seed gives the same run again.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests themselves may"
)]

mod network;
mod schedules;
