//! Ambiguous name resolution (MS-ADTS 3.1.1.3.1.3.3): `(anr=text)` finds whoever is called something like it.

use super::entry::Entry;
use crate::domain::fold::fold;

/// The attributes that the schema marks for it (fANR), as far as objects here have them. `mail` is none of them.
const NAMES: [&str; 8] = [
    "displayName",
    "givenName",
    "legacyExchangeDN",
    "msDS-AdditionalSamAccountName",
    "name",
    "physicalDeliveryOfficeName",
    "proxyAddresses",
    "sn",
];

/// Whether a filter's attribute asks for it.
pub(super) fn is_meant(attribute: &str) -> bool {
    attribute.eq_ignore_ascii_case("anr")
}

/// Whether one of the entry's names begins with `value`; or is it, if that begins with an equals sign. Of two words one
/// may be the given name and the other the surname.
pub(super) fn matches(value: &[u8], entry: &Entry) -> Option<bool> {
    let text = std::str::from_utf8(value).ok()?;
    let (exactly, text) = match text.strip_prefix('=') {
        Some(rest) => (true, fold(rest)),
        None => (false, fold(text)),
    };
    if text.is_empty() {
        return None;
    }
    let has = |name: &str, wanted: &str| {
        let values = entry.get(name).map(|attribute| attribute.values.as_slice());
        let texts = values
            .unwrap_or_default()
            .iter()
            .filter_map(|value| std::str::from_utf8(value).ok());
        texts.map(fold).any(|value| match exactly {
            true => value == wanted,
            false => value.starts_with(wanted),
        })
    };
    let both = |given: &str, surname: &str| has("givenName", given) && has("sn", surname);
    let by_two_words = text
        .split_once(' ')
        .is_some_and(|(first, second)| both(first, second) || both(second, first));
    Some(by_two_words || NAMES.iter().chain(&["sAMAccountName"]).any(|name| has(name, &text)))
}
