//! A relay in this process, over real QUIC and TLS, against agents that the tests play themselves.

#![expect(clippy::unwrap_used, reason = "tests stop at what must not happen")]

mod envelopes;
mod key_exchange;
mod page;
mod reload;
mod rig;
mod sessions;
mod sign_ins;
mod tcp;
