//! Agents' sessions: from a QUIC handshake to an agent that the core can send sign-ins to.
//!
//! [`listener`] accepts and shakes hands, [`verifier`] decides whose certificate counts, [`entry`] who may be in session,
//! `greeting` takes in, [`registry`] knows who is in session, [`link`] serves one session, [`sign_in`] one sign-in on it.

pub mod entry;
mod greeting;
pub mod link;
pub mod listener;
pub mod registry;
pub mod sign_in;
pub mod verifier;
