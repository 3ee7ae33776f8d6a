//! Changes of entries over LDAP.

use super::message::{Modify, Outcome};
use crate::domain::Domain;
use crate::domain::dialect::Refused;
use crate::search::code::{Code, Refusal};

/// What a modify request of somebody who is signed in comes to.
pub(super) fn carry_out(domain: &Domain, request: &Modify<'_>) -> Outcome {
    let dialect = domain.dialect();
    let name = std::str::from_utf8(request.name).ok();
    match name.and_then(|name| domain.find_name(name).ok()) {
        None => Refusal::new(Code::InvalidDnSyntax, dialect.bad_name()).into(),
        Some(None) => Refusal::new(Code::NoSuchObject, dialect.no_such_object("")).into(),
        Some(Some(_)) => {
            // Which attributes, and no value of any.
            tracing::debug!(changes = ?request.changes, "a change is refused");
            Refused::CHANGE.into()
        }
    }
}
