//! The `postern` command: a development PKI.

pub mod pki;
#[cfg(test)]
mod scratch;
