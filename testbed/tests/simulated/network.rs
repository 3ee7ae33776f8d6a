//! Real quinn and real TLS on simulated sockets: the relay's own sessions, driver and core, the agents' own links and way
//! of a sign-in, and mock-dc's own domain, on a network that loses, delays, overtakes, doubles and parts as a seed says.
//!
//! The same seed gives the same run, datagram for datagram: every process has a runtime of its own on the test's thread,
//! whose time moves in ticks ([`process`]); QUIC draws from the seed; nothing is decided by the content of a packet.

mod cluster;
mod directory;
mod faults;
mod lossy;
mod machine;
mod mix;
mod pki;
mod plan;
mod process;
mod repeat;
mod report;
mod timeline;
mod udp;
