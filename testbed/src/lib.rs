//! The `postern` command: a whole cluster on one machine as real processes, and a development PKI.
//!
//! `postern up` finds ports ([`cluster`]), writes a configuration file for every part, starts this same program once
//! for each ([`supervisor`]), waits until all are ready and says so ([`report`]). No child is left behind, however it
//! ends.

pub mod cli;
pub mod cluster;
pub mod control;
pub mod directory;
pub mod links;
pub mod many_links;
pub mod pki;
pub mod prove;
pub mod report;
#[cfg(test)]
mod scratch;
pub mod supervisor;
pub mod up;
