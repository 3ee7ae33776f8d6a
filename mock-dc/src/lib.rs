//! A simulated Active Directory: an LDAP server whose accounts, policies, clock and faults a test controls.

pub mod clock;
pub mod config;
pub mod domain;
pub mod faults;
pub mod journal;
pub mod ldap;
pub mod metrics;
pub mod search;
pub mod tls;
pub mod world;
