//! Attributes that are constructed when they are asked for by name (MS-ADTS 3.1.1.4.5), as far as they follow from
//! others and from the tree.

use super::selection::Selection;
use crate::domain::Domain;
use crate::domain::attributes::Attribute;
use crate::domain::object::{Class, ObjectId};
use crate::domain::schema::Syntax;

/// The identifiers of all groups that somebody is in, by attribute; and whether only of those that every domain knows
/// (MS-ADTS 3.1.1.4.5.19, 3.1.1.4.5.20).
const TOKENS: [(&str, bool); 3] = [
    ("tokenGroups", false),
    ("tokenGroupsNoGCAcceptable", false),
    ("tokenGroupsGlobalAndUniversal", true),
];

/// Whether `selection` asks for what is computed of the base of a search alone.
pub(super) fn wants_tokens(selection: &Selection) -> Option<&'static str> {
    TOKENS
        .map(|(name, _)| name)
        .into_iter()
        .find(|name| selection.names(name))
}

fn tokens(domain: &Domain, id: ObjectId, name: &'static str, everywhere: bool) -> Attribute {
    // ADS_GROUP_TYPE_DOMAIN_LOCAL_GROUP.
    let is_local = |group: ObjectId| {
        let object = domain.object(group);
        let kind = object
            .texts("groupType")
            .next()
            .and_then(|text| text.parse::<i32>().ok());
        kind.is_some_and(|kind| kind & 0x4 != 0)
    };
    let groups = domain.groups_of(id).into_iter();
    let sids = groups
        .filter(|group| !(everywhere && is_local(*group)))
        .filter_map(|group| Some(domain.object(group).sid.as_ref()?.bytes()));
    Attribute {
        syntax: Syntax::Sid,
        values: sids.collect(),
        ..Attribute::text(name, [""; 0])
    }
}

/// Adds what `selection` asks for.
pub(super) fn add(domain: &Domain, id: ObjectId, selection: &Selection, attributes: &mut Vec<Attribute>) {
    let value = |name: &str| {
        let attribute = attributes.iter().find(|attribute| attribute.name == name)?;
        Some(attribute.values.clone())
    };
    let mut more = Vec::new();
    for (name, source, syntax) in [
        ("createTimeStamp", "whenCreated", Syntax::Time),
        ("modifyTimeStamp", "whenChanged", Syntax::Time),
        ("structuralObjectClass", "objectClass", Syntax::Class),
    ] {
        if let Some(values) = selection.names(name).then(|| value(source)).flatten() {
            more.push(Attribute {
                syntax,
                values,
                ..Attribute::text(name, [""; 0])
            });
        }
    }
    if selection.names("subSchemaSubEntry") {
        more.push(Attribute::dn("subSchemaSubEntry", domain.schema_dn("Aggregate")));
    }
    let object = domain.object(id);
    let rid = object
        .sid
        .as_ref()
        .and_then(|sid| sid.bytes().last_chunk().copied())
        .map(u32::from_le_bytes);
    if let Some(rid) = rid.filter(|_| object.class == Class::Group && selection.names("primaryGroupToken")) {
        more.push(Attribute::integer("primaryGroupToken", rid));
    }
    if let Some(parent) = object.parent.filter(|_| selection.names("parentGUID")) {
        more.push(Attribute::guid("parentGUID", domain.object(parent).guid));
    }
    if object.class.is_account() {
        for (name, everywhere) in TOKENS {
            if selection.names(name) {
                more.push(tokens(domain, id, name, everywhere));
            }
        }
    }
    attributes.append(&mut more);
}
