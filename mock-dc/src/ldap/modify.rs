//! Changes of entries over LDAP: requests off the wire, and their results in the dialect's words.

use super::Controller;
use super::message::{Modify, Outcome};
use crate::domain::filetime::FileTime;
use crate::domain::object::ObjectId;
use crate::modify::{self, Asked, Change};

/// What belongs to a request beside the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// Whether the connection is encrypted.
    pub(super) encrypted: bool,
    /// Whether to add what is there, and to delete what is not, is no error.
    pub(super) permissive: bool,
}

/// What a modify request of somebody who is signed in comes to. No bind is decided meanwhile: what a request finds is what
/// it changes.
pub(super) fn carry_out(controller: &Controller, by: ObjectId, how: How, request: &Modify<'_>) -> Outcome {
    let domain = &controller.world.domain;
    let dialect = domain.dialect();
    // What is no UTF-8 is no attribute's name.
    let names: Vec<_> = request
        .changes
        .iter()
        .map(|change| String::from_utf8_lossy(change.attribute))
        .collect();
    let changes: Vec<_> = request
        .changes
        .iter()
        .zip(&names)
        .map(|(change, attribute)| Change {
            kind: change.kind,
            attribute,
            values: &change.values,
        })
        .collect();
    let changed = controller.world.in_turn(|now| {
        let asked = Asked {
            by,
            dc: controller.id,
            encrypted: how.encrypted,
            permissive: how.permissive,
            now: FileTime::from(now),
        };
        modify::carry_out(domain, asked, request.name, &changes)
    });
    let outcome = match changed {
        Ok(()) => Outcome::new(0, dialect.changed()),
        Err(refusal) => {
            let told = refusal.told(dialect);
            Outcome {
                matched_dn: told.matched_dn,
                ..Outcome::new(told.code, told.text)
            }
        }
    };
    // Which attributes, and no value of any.
    tracing::debug!(dc = &*controller.name, result = outcome.code, changes = ?request.changes, "modify");
    outcome
}

/// What adding, deleting and renaming come to: which objects there are is the configuration's.
pub(super) fn refuse(controller: &Controller, by: ObjectId) -> Outcome {
    let domain = &controller.world.domain;
    let told = modify::refuse_objects(domain, by).told(domain.dialect());
    Outcome::new(told.code, told.text)
}
