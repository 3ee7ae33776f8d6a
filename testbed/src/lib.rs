//! The `postern` command: a whole cluster on one machine as real processes, and a development PKI.

pub mod cluster;
pub mod pki;
#[cfg(test)]
mod scratch;
pub mod supervisor;
