//! What somebody who searches may not read (MS-ADTS 5.1.3; the defaults of the schema's classes, as measured).

use super::entry::Entry;
use crate::domain::Domain;
use crate::domain::object::{Class, ObjectId};
use crate::modify::rights::is_administrator;

/// Of identifiers that belong to no domain only they themselves may read these.
const OF_FOREIGN: [&str; 6] = [
    "instanceType",
    "memberOf",
    "uSNChanged",
    "uSNCreated",
    "whenChanged",
    "whenCreated",
];

const AUTHENTICATED_USERS: &str = "S-1-5-11";

/// Who searches, and how they came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Client {
    /// Whether they may read everything.
    pub administrator: bool,
    /// Whether they came to the port that begins with TLS; references are to say so.
    pub ldaps: bool,
}

impl Client {
    /// Somebody who has signed in.
    pub fn new(domain: &Domain, who: ObjectId, ldaps: bool) -> Self {
        Self {
            administrator: is_administrator(domain, who),
            ldaps,
        }
    }

    /// Leaves of an entry what they may read of it, and says how much that is.
    pub(super) fn reads(self, domain: &Domain, id: ObjectId, entry: &mut Entry) -> Reads {
        if self.administrator {
            return Reads::Everything;
        }
        let object = domain.object(id);
        match object.class {
            // Policies are for administrators.
            Class::PasswordSettings if !domain.dialect().lists_what_nobody_may_read() => return Reads::Nothing,
            Class::PasswordSettings | Class::PasswordSettingsContainer => entry.attributes.clear(),
            // Everybody is one of the Authenticated Users, and may read what they are themselves.
            Class::ForeignSecurityPrincipal if object.name != AUTHENTICATED_USERS => entry
                .attributes
                .retain(|attribute| !attribute.on_request && !OF_FOREIGN.contains(&attribute.name)),
            _ => return Reads::Everything,
        }
        Reads::Part
    }
}

/// How much of an object somebody may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// Not even that it is there.
    Nothing,
    /// Some attributes or none, and none that are computed.
    Part,
    /// All of it.
    Everything,
}
