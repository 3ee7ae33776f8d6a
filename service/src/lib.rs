//! What every Postern process does in the same way: read its configuration, log, count, serve HTTP, end.
//!
//! Nothing in here knows what a sign-in is. A binary is a [`program::Program`] with a typed configuration and one
//! `run(config, shutdown)`; the rest (arguments, environment, signals, the admin listener, refusing core dumps) is
//! here once, so that relay, agent and mock-dc cannot differ in it.

pub mod admin;
pub mod certificate_words;
pub mod config;
pub mod harden;
pub mod http;
pub mod metrics;
pub mod net;
pub mod open_files;
pub mod program;
pub mod prompt;
pub mod reload;
pub mod shutdown;
pub mod telemetry;
pub mod threads;
pub mod tls;
