//! A simulated Active Directory: an LDAP server whose accounts, policies, clock and faults a test controls.

pub mod domain;
pub mod search;
