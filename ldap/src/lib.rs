//! What the agent and the simulated directory have in common of LDAP: the encoding.
//!
//! Messages are each end's own: a client trusts no answer, a server no request, and neither knows the other's half.

pub mod ber;
