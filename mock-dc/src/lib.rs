//! A simulated Active Directory: an LDAP server whose accounts, policies, clock and faults a test controls.
//!
//! [`domain`] holds the rules and knows no socket and no clock; [`search`] answers queries about it, [`modify`] changes
//! it; [`ldap`] carries all that over the wire; [`faults`] spoils it; [`control`] lets a test look inside and change
//! things; [`journal`] keeps what was asked; [`embedded`] serves a domain inside a test's own process.

mod addresses;
pub mod clock;
pub mod config;
pub mod control;
pub mod domain;
pub mod embedded;
pub mod faults;
pub mod journal;
pub mod ldap;
pub mod metrics;
pub mod modify;
pub mod search;
mod server;
pub mod snapshot;
pub mod tls;
pub mod world;

use std::ffi::OsString;
use std::process::ExitCode;

use postern_service::program::{self, Program};

pub use addresses::{Addresses, DcAddresses};
pub use config::{Config, RawFile};
pub use embedded::MockDc;
pub use server::{Server, run};

/// The binary `postern-mock-dc`: `--config FILE [--check-config]`.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let program = Program {
        name: "postern-mock-dc",
        version: env!("CARGO_PKG_VERSION"),
        about: "A simulated Active Directory for testing sign-in",
        tools: &[],
    };
    program::run::<RawFile, _, _, _>(program, arguments, run)
}
