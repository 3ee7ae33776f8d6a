//! The whole cluster as real processes: what `postern up` promises, and what a sign-in through it promises.
//!
//! Every test brings up a cluster of its own on ports that are free, and ends it by its process id. Nothing but
//! loopback is used.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as the tests themselves may"
)]

mod alternate_ids;
mod bad_input;
mod callers;
mod contract;
mod directories;
mod doctor;
mod envelopes;
mod existing;
mod faults;
mod harness;
mod loadtest;
mod many_links;
mod net_faults;
mod page;
mod people;
mod pki;
mod prompt;
mod prove;
mod scenarios;
mod secrets;
mod sign_ins;
mod supervision;
mod timing;
