//! Names with the GUID and identifier of their objects before them (MS-ADTS 3.1.1.3.4.1.5).

use std::fmt::Write;

use super::controls::ExtendedNames;
use super::entry::Entry;
use crate::domain::Domain;
use crate::domain::object::ObjectId;
use crate::domain::schema::{self, Syntax};
use crate::domain::sid::guid_text;

/// Writes the entry's name and all names among its values so.
pub(super) fn extend(domain: &Domain, entry: &mut Entry, id: ObjectId, form: ExtendedNames) {
    entry.dn = extended(domain, id, &entry.dn, form);
    for attribute in &mut entry.attributes {
        if schema::find(attribute.name).is_none_or(|known| known.syntax != Syntax::Dn) {
            continue;
        }
        for value in &mut attribute.values {
            let text = String::from_utf8_lossy(value).into_owned();
            if let Ok(Some(id)) = domain.find_name(&text) {
                *value = extended(domain, id, &text, form).into_bytes();
            }
        }
    }
}

fn extended(domain: &Domain, id: ObjectId, name: &str, form: ExtendedNames) -> String {
    let object = domain.object(id);
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    let guid = match form {
        ExtendedNames::Hexadecimal => hex(&object.guid),
        ExtendedNames::Text => guid_text(object.guid),
    };
    let sid = object.sid.as_ref().map(|sid| match form {
        ExtendedNames::Hexadecimal => hex(&sid.bytes()),
        ExtendedNames::Text => sid.to_string(),
    });
    let sid = sid.map(|sid| format!("<SID={sid}>;")).unwrap_or_default();
    format!("<GUID={guid}>;{sid}{name}")
}
