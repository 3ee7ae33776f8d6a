//! Controls of searches (RFC 4511 4.1.11, MS-ADTS 3.1.1.3.4.1): what each asks for, and what is told in return.

use postern_ldap::ber;

use crate::domain::dialect::Dialect;

/// Paged results (RFC 2696).
pub const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";
/// Server-side sorting (RFC 2891).
pub const SORT: &str = "1.2.840.113556.1.4.473";
/// The answer to [`SORT`].
pub const SORT_RESULT: &str = "1.2.840.113556.1.4.474";
/// Security descriptors: which of their parts are asked for. None is kept here.
pub const SD_FLAGS: &str = "1.2.840.113556.1.4.801";
/// Objects that were deleted, too. None is kept here.
pub const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
/// The same, and what was recycled.
pub const SHOW_RECYCLED: &str = "1.2.840.113556.1.4.2064";
/// Links that are not in force, too. None is kept here.
pub const SHOW_DEACTIVATED_LINK: &str = "1.2.840.113556.1.4.2065";
/// Names with GUID and identifier.
pub const EXTENDED_DN: &str = "1.2.840.113556.1.4.529";
/// No references to other naming contexts.
pub const DOMAIN_SCOPE: &str = "1.2.840.113556.1.4.1339";
/// The same, or a search of all naming contexts, by flags.
pub const SEARCH_OPTIONS: &str = "1.2.840.113556.1.4.1340";
/// A modification is sure to last. Every one is.
pub const LAZY_COMMIT: &str = "1.2.840.113556.1.4.619";
/// A modification that changes nothing is no error.
pub const PERMISSIVE_MODIFY: &str = "1.2.840.113556.1.4.1413";
/// A deletion takes what is below with it.
pub const TREE_DELETE: &str = "1.2.840.113556.1.4.805";

/// A read-only controller is being added, which is no search's concern.
pub const RODC_PROMOTION: &str = "1.2.840.113556.1.4.1341";

/// A control as it came, or as it is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Its object identifier.
    pub oid: String,
    /// Whether the request must not be carried out without it.
    pub critical: bool,
    /// Its value, undecoded.
    pub value: Option<Vec<u8>>,
}

/// A page of a paged search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Entries that the page may have.
    pub size: u32,
    /// What the page before it told; empty for the first.
    pub cookie: Vec<u8>,
}

/// By what attributes the entries are to be sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortKey {
    /// The attribute.
    pub attribute: String,
    /// From the last to the first.
    pub reverse: bool,
}

/// How [`EXTENDED_DN`] writes names (MS-ADTS 3.1.1.3.4.1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendedNames {
    /// GUID and identifier in hexadecimal digits.
    Hexadecimal,
    /// In their usual forms.
    Text,
}

/// What the controls of a search ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// One page of the entries.
    pub page: Option<Page>,
    /// Sorting, by these keys; empty: none was asked for.
    pub sort: Vec<SortKey>,
    /// Whether the search is not wanted unsorted.
    pub sort_is_critical: bool,
    /// No references to other naming contexts.
    pub no_references: bool,
    /// All naming contexts, from whatever base.
    pub everywhere: bool,
    /// Names with GUID and identifier.
    pub extended_names: Option<ExtendedNames>,
    /// A modification that changes nothing is no error.
    pub permissive_modify: bool,
    /// A critical control that Samba has no module for.
    pub of_windows: Option<String>,
}

/// A control is not offered without which the request must not be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a critical control is not offered")]
pub struct NotOffered;

/// Reads the controls of a request. Those of searches mean nothing to others and are no reason to refuse them.
///
/// # Errors
/// [`NotOffered`] for a critical one that is not known or whose value cannot be read. What is not critical and not
/// understood is left out of account (RFC 4511 4.1.11).
pub fn read(controls: impl Iterator<Item = Control>, dialect: Dialect) -> Result<Options, NotOffered> {
    let mut options = Options::default();
    for control in controls {
        if options.take(&control, dialect).is_none() && control.critical {
            return Err(NotOffered);
        }
    }
    Ok(options)
}

impl Options {
    /// `None` when it is not known or cannot be read.
    fn take(&mut self, control: &Control, dialect: Dialect) -> Option<()> {
        let value = control.value.as_deref();
        // Of a control that says everything by being there.
        let no_value = || (value.is_none_or(<[u8]>::is_empty) || !dialect.refuses_needless_values()).then_some(());
        match control.oid.as_str() {
            PAGED_RESULTS => self.page = Some(page(value?)?),
            SORT => {
                self.sort = sort_keys(value?)?;
                self.sort_is_critical = control.critical;
            }
            DOMAIN_SCOPE => {
                no_value()?;
                self.no_references = true;
            }
            SEARCH_OPTIONS => {
                // SERVER_SEARCH_FLAG_DOMAIN_SCOPE and SERVER_SEARCH_FLAG_PHANTOM_ROOT.
                let flags = single_number(value?)?;
                self.no_references |= flags & 1 != 0;
                self.everywhere |= flags & 2 != 0;
            }
            EXTENDED_DN => {
                let form = value.map_or(Some(0), single_number)?;
                self.extended_names = Some(match form {
                    1 => ExtendedNames::Text,
                    _ => ExtendedNames::Hexadecimal,
                });
            }
            SD_FLAGS => drop(single_number(value?)?),
            // Nothing here is deleted or without force; the others mean something to changes alone.
            SHOW_DELETED | SHOW_RECYCLED | RODC_PROMOTION => no_value()?,
            SHOW_DEACTIVATED_LINK | LAZY_COMMIT => {
                self.of_windows = control.critical.then(|| control.oid.clone()).or(self.of_windows.take());
            }
            PERMISSIVE_MODIFY => self.permissive_modify = true,
            TREE_DELETE => {}
            _ => return None,
        }
        Some(())
    }
}

/// The one element of a value, a SEQUENCE.
fn sequence(value: &[u8]) -> Option<ber::Reader<'_>> {
    ber::Reader::new(value).expect(ber::SEQUENCE).ok().map(ber::Reader::new)
}

fn single_number(value: &[u8]) -> Option<i32> {
    number(sequence(value)?.expect(ber::INTEGER).ok()?)
}

/// At most 2^31 - 1; flags may set the sign bit.
fn number(content: &[u8]) -> Option<i32> {
    let bytes: [u8; 4] = match content {
        [] => return None,
        short @ [_] | short @ [_, _] | short @ [_, _, _] => {
            let mut bytes = [if short[0] & 0x80 == 0 { 0 } else { 0xff }; 4];
            bytes[4 - short.len()..].copy_from_slice(short);
            bytes
        }
        long => long.try_into().ok()?,
    };
    Some(i32::from_be_bytes(bytes))
}

fn page(value: &[u8]) -> Option<Page> {
    let mut parts = sequence(value)?;
    let size = number(parts.expect(ber::INTEGER).ok()?)?;
    let cookie = parts.expect(ber::OCTET_STRING).ok()?.to_vec();
    Some(Page {
        size: u32::try_from(size).ok()?,
        cookie,
    })
}

fn sort_keys(value: &[u8]) -> Option<Vec<SortKey>> {
    /// `reverseOrder`.
    const REVERSE: u8 = 0x81;
    /// `orderingRule`: every attribute has one order only.
    const RULE: u8 = 0x80;
    let mut parts = sequence(value)?;
    let mut keys = Vec::new();
    while !parts.is_empty() {
        let mut key = ber::Reader::new(parts.expect(ber::SEQUENCE).ok()?);
        let attribute = String::from_utf8(key.expect(ber::OCTET_STRING).ok()?.to_vec()).ok()?;
        key.optional(RULE).ok()?;
        let reverse = key.optional(REVERSE).ok()?.is_some_and(|truth| truth != [0]);
        keys.push(SortKey { attribute, reverse });
    }
    Some(keys).filter(|keys| !keys.is_empty())
}

/// What [`PAGED_RESULTS`] tells: how many entries there are, as far as that is told, and what the next page is asked
/// for with; no cookie: there is none.
pub(super) fn page_told(estimate: u32, cookie: &[u8]) -> Control {
    told(PAGED_RESULTS, |inner| {
        inner.number(ber::INTEGER, i32::try_from(estimate).unwrap_or(i32::MAX));
        inner.element(ber::OCTET_STRING, cookie);
    })
}

/// What [`SORT`] tells: a result code of its own (RFC 2891 1.2).
pub(super) fn sort_told(code: u8, text: Option<&str>) -> Control {
    told(SORT_RESULT, |inner| {
        inner.number(ber::ENUMERATED, i32::from(code));
        if let Some(text) = text {
            inner.element(ber::OCTET_STRING, text.as_bytes());
        }
    })
}

fn told(oid: &str, write: impl FnOnce(&mut ber::Writer)) -> Control {
    let mut writer = ber::Writer::with_capacity(64);
    writer.nest(ber::SEQUENCE, write);
    Control {
        oid: oid.to_owned(),
        critical: false,
        value: Some(writer.finish().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(oid: &str, critical: bool, value: Option<&[u8]>) -> Control {
        Control {
            oid: oid.to_owned(),
            critical,
            value: value.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn only_a_critical_control_that_is_not_understood_is_refused() {
        let code = |control| read([control].into_iter(), Dialect::Windows);
        let refused = Err(NotOffered);
        assert_eq!(code(asked("1.2.3.4", false, None)), Ok(Options::default()));
        assert_eq!(code(asked("1.2.3.4", true, None)), refused);
        assert_eq!(code(asked(PAGED_RESULTS, true, Some(b"x"))), refused);
        assert_eq!(code(asked(PAGED_RESULTS, true, None)), refused);
        assert_eq!(code(asked(SHOW_DELETED, true, None)), Ok(Options::default()));
        assert!(code(asked(PERMISSIVE_MODIFY, true, None)).is_ok_and(|options| options.permissive_modify));
    }

    #[test]
    fn a_value_where_none_belongs_is_ignored_but_for_samba() {
        for oid in [DOMAIN_SCOPE, SHOW_DELETED, SHOW_RECYCLED, RODC_PROMOTION] {
            for value in [&b"x"[..], &[0x30, 3, 2, 1, 0]] {
                let read = |critical, dialect| read([asked(oid, critical, Some(value))].into_iter(), dialect);
                let heeded = Options {
                    no_references: oid == DOMAIN_SCOPE,
                    ..Options::default()
                };
                assert_eq!(read(true, Dialect::Windows), Ok(heeded.clone()), "{oid}");
                assert_eq!(read(true, Dialect::Samba), Err(NotOffered), "{oid}");
                assert_eq!(read(false, Dialect::Samba), Ok(Options::default()), "{oid}");
                for dialect in [Dialect::Windows, Dialect::Samba] {
                    let empty = super::read([asked(oid, true, Some(b""))].into_iter(), dialect);
                    assert_eq!(empty, Ok(heeded.clone()), "{oid}");
                }
            }
        }
    }

    #[test]
    fn values_are_read() {
        let read = |oid, value: &[u8]| read([asked(oid, true, Some(value))].into_iter(), Dialect::Windows).unwrap();
        let page = read(PAGED_RESULTS, &[0x30, 6, 2, 2, 3, 0xe8, 4, 0]).page.unwrap();
        assert_eq!((page.size, page.cookie.len()), (1000, 0));
        let options = read(SEARCH_OPTIONS, &[0x30, 3, 2, 1, 3]);
        assert!(options.no_references && options.everywhere);
        let text = read(EXTENDED_DN, &[0x30, 3, 2, 1, 1]).extended_names;
        assert_eq!(text, Some(ExtendedNames::Text));
        let keys = read(SORT, &[0x30, 9, 0x30, 7, 4, 2, b'c', b'n', 0x81, 1, 0xff]).sort;
        assert_eq!(keys.len(), 1);
        assert!(keys[0].reverse && keys[0].attribute == "cn");
    }
}
