//! Attributes that are constructed when they are asked for by name (MS-ADTS 3.1.1.4.5), as far as they follow from
//! others and from the tree.

use super::entry::Selection;
use crate::domain::Domain;
use crate::domain::attributes::Attribute;
use crate::domain::object::{Class, ObjectId};
use crate::domain::schema::Syntax;

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
    if object.class.is_account() && selection.names("tokenGroups") {
        let groups = domain.groups_of(id);
        let sids = groups
            .iter()
            .filter_map(|group| Some(domain.object(*group).sid.as_ref()?.bytes()));
        more.push(Attribute {
            syntax: Syntax::Sid,
            values: sids.collect(),
            ..Attribute::text("tokenGroups", [""; 0])
        });
    }
    attributes.append(&mut more);
}
