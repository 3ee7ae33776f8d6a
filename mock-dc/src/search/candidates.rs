//! Which objects a filter can mean at most, where it names them: those are looked up, and no other is looked at.

use super::request::Filter;
use super::value::text;
use crate::domain::object::ObjectId;
use crate::domain::sid::{Sid, parse_guid};
use crate::domain::{Domain, Key};

/// The objects that a filter can match at most; `None` where it does not name them.
pub(super) fn named_objects(filter: &Filter, domain: &Domain) -> Option<Vec<ObjectId>> {
    let mut ids = match filter {
        Filter::And(parts) => {
            return parts
                .iter()
                .filter_map(|part| named_objects(part, domain))
                .min_by_key(Vec::len);
        }
        Filter::Or(parts) => parts
            .iter()
            .map(|part| named_objects(part, domain))
            .collect::<Option<Vec<_>>>()?
            .concat(),
        Filter::Equality(name, value) => with_value(name, value, domain)?,
        // What is not evaluated cannot be left out either.
        Filter::Approx(name, value) if domain.dialect().approximates() => with_value(name, value, domain)?,
        _ => return None,
    };
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}

fn with_value(name: &str, value: &[u8], domain: &Domain) -> Option<Vec<ObjectId>> {
    let text = text(value, domain.dialect());
    let key = match name.to_ascii_lowercase().as_str() {
        "samaccountname" => Key::Sam,
        "userprincipalname" => Key::Upn,
        "cn" | "name" => Key::Name,
        "mail" => Key::Mail,
        "displayname" => Key::DisplayName,
        "serviceprincipalname" => Key::Spn,
        "distinguishedname" => {
            let named = domain.find_name(text?).ok().flatten();
            return Some(named.into_iter().collect());
        }
        "objectguid" => {
            let guid = text.and_then(parse_guid).or_else(|| value.try_into().ok());
            return Some(guid.and_then(|guid| domain.find_guid(guid)).into_iter().collect());
        }
        "objectsid" => {
            let sid = text.and_then(Sid::parse).or_else(|| Sid::from_bytes(value));
            return Some(sid.and_then(|sid| domain.find_sid(&sid)).into_iter().collect());
        }
        _ => return None,
    };
    Some(text.map(|text| domain.find(key, text)).unwrap_or_default())
}
