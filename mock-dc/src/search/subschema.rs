//! The subschema (RFC 4512 4.2, MS-ADTS 3.1.1.3.1.1.1): which attributes and classes there are, in LDAP's own words, for
//! clients that want to know before they ask.

use super::classes;
use super::entry::Entry;
use super::request::{Scope, SearchRequest};
use crate::domain::Domain;
use crate::domain::attributes::Attribute;
use crate::domain::dn::Dn;
use crate::domain::schema;

/// Whether a search asks for it: it answers to its name alone, and is part of no other search.
pub(super) fn is_meant(domain: &Domain, request: &SearchRequest) -> bool {
    let asked = || Dn::parse(std::str::from_utf8(&request.base).ok()?);
    request.scope == Scope::Base && asked().is_some_and(|asked| Some(asked) == Dn::parse(&name(domain)))
}

/// Its name, as subschemaSubentry tells it.
pub(super) fn name(domain: &Domain) -> String {
    domain.schema_dn("Aggregate")
}

/// The entry. What makes it long is shown on request only.
pub(super) fn entry(domain: &Domain) -> Entry {
    let on_request = |attribute: Attribute| Attribute {
        on_request: true,
        ..attribute
    };
    let created = domain.created().generalized();
    // To be written only; clients that check before they send have to know it.
    let unicode_pwd = "( 1.2.840.113556.1.4.90 NAME 'unicodePwd' SYNTAX '1.3.6.1.4.1.1466.115.121.1.40' SINGLE-VALUE )";
    let attribute_types = schema::ALL.iter().map(|known| {
        format!(
            "( {} NAME '{}' SYNTAX '{}' {}{})",
            known.oid,
            known.name,
            known.syntax.oid(),
            if known.single { "SINGLE-VALUE " } else { "" },
            if known.constructed { "NO-USER-MODIFICATION " } else { "" },
        )
    });
    let attribute_types = attribute_types.chain([unicode_pwd.to_owned()]);
    let object_classes = classes::ALL.iter().map(classes::ClassType::described);
    Entry {
        dn: name(domain),
        attributes: vec![
            Attribute::text("objectClass", ["top", "subSchema"]),
            Attribute::text("cn", ["Aggregate"]),
            Attribute::dn("distinguishedName", name(domain)),
            Attribute::integer("instanceType", 4),
            Attribute::text("whenCreated", [&created]),
            Attribute::text("whenChanged", [&created]),
            Attribute::text("name", ["Aggregate"]),
            Attribute::dn("objectCategory", domain.schema_dn("SubSchema")),
            on_request(Attribute::text("modifyTimeStamp", [created])),
            on_request(Attribute::text("attributeTypes", attribute_types)),
            on_request(Attribute::text("objectClasses", object_classes)),
        ],
    }
}
