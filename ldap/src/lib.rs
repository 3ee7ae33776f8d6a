//! What the parts have in common of LDAP: the encoding ([`ber`]), and a [`client`]'s half of the messages, for the agent
//! and the load generator.
//!
//! Messages are each end's own: a client trusts no answer, a server no request, and neither knows the other's half.

pub mod ber;
pub mod client;
