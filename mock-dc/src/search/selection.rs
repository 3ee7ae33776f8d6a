//! Which attributes a request asks for, and which of their values (RFC 4511 4.5.1.8, MS-ADTS 3.1.1.3.1.3.3).

use super::code::{Code, Refusal};
use super::entry::Entry;
use crate::domain::attributes::Attribute;
use crate::domain::dialect::Dialect;
use crate::domain::schema;

/// What of an entry is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    all_usual: bool,
    named: Vec<Named>,
    types_only: bool,
}

/// An attribute that is asked for by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    name: String,
    range: Option<Range>,
}

/// Which of an attribute's values are asked for, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: usize,
    /// `None`: all from the first on.
    last: Option<usize>,
}

impl Selection {
    /// Reads the list of a request: empty or `*` is everything usual, `1.1` alone is nothing.
    ///
    /// # Errors
    /// When a range cannot be read.
    pub fn of(asked: &[String], types_only: bool, dialect: Dialect) -> Result<Self, Refusal> {
        let descriptions = asked
            .iter()
            .filter(|name| !matches!(name.as_str(), "*" | "+" | "1.1"))
            .map(|description| named(description, dialect))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            all_usual: asked.is_empty() || asked.iter().any(|name| name == "*"),
            named: descriptions.into_iter().flatten().collect(),
            types_only: types_only && dialect.leaves_values_out(),
        })
    }

    /// Whether an attribute is asked for by its name.
    pub fn names(&self, attribute: &str) -> bool {
        self.named
            .iter()
            .any(|named| named.name.eq_ignore_ascii_case(attribute))
    }

    /// The entry with what was asked for; without values when only types were.
    pub fn apply(&self, mut entry: Entry) -> Entry {
        entry
            .attributes
            .retain(|attribute| (self.all_usual && !attribute.on_request) || self.names(attribute.name));
        for attribute in &mut entry.attributes {
            let its = |named: &&Named| named.name.eq_ignore_ascii_case(attribute.name);
            if let Some(range) = self.named.iter().find(its).and_then(|named| named.range) {
                range.cut(attribute);
            }
            if self.types_only {
                attribute.values.clear();
            }
        }
        entry
    }
}

/// What a description asks for; `None` for an option that nothing has. Options have no case (RFC 4512 2.5).
fn named(description: &str, dialect: Dialect) -> Result<Option<Named>, Refusal> {
    const RANGE: &str = "range=";
    let (name, option) = match description.split_once(';') {
        None => (description, None),
        Some((name, option)) => (name, Some(option)),
    };
    let range = match option.map(|option| (option, option.split_at_checked(RANGE.len()))) {
        None => None,
        Some((_, Some((kind, range)))) if kind.eq_ignore_ascii_case(RANGE) => {
            let range = Range::read(range).ok_or_else(|| {
                Refusal::new(
                    Code::UnwillingToPerform,
                    "00002035: range request error: range request malformed",
                )
            })?;
            (kind == RANGE || !dialect.shows_all_of_other_ranges()).then_some(range)
        }
        Some((option, _)) if option.eq_ignore_ascii_case("binary") && dialect.knows_attribute_options() => None,
        Some(_) => return Ok(None),
    };
    // One that is named by its identifier.
    let name = schema::find(name).map_or(name, |known| known.name).to_owned();
    Ok(Some(Named { name, range }))
}

impl Range {
    /// `0-9` or `10-*`.
    fn read(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        Some(Self {
            first: first.parse().ok()?,
            last: match last {
                "*" => None,
                last => Some(last.parse().ok()?),
            },
        })
    }

    /// Leaves the values of the range, and says which they are: a star where no more follow.
    fn cut(self, attribute: &mut Attribute) {
        let count = attribute.values.len();
        let end = self.last.map_or(count, |last| last.saturating_add(1).min(count));
        let values = attribute.values.get(self.first..end).unwrap_or_default().to_vec();
        let last = match self.last {
            Some(last) if end < count && !values.is_empty() => last.to_string(),
            _ => "*".to_owned(),
        };
        attribute.range = Some(format!(";range={}-{last}", self.first));
        attribute.values = values;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(range: &str) -> (String, usize) {
        let attributes = vec![Attribute::text("member", ["a", "b", "c"])];
        let asked = [format!("member;range={range}")];
        let selection = Selection::of(&asked, false, Dialect::Windows).unwrap();
        let shown = selection.apply(Entry {
            dn: String::new(),
            attributes,
        });
        let [member] = shown.attributes.as_slice() else {
            panic!("{:?}", shown.attributes)
        };
        (member.range.clone().unwrap(), member.values.len())
    }

    #[test]
    fn a_range_tells_whether_more_values_follow() {
        for (asked, told, values) in [
            ("0-0", "0-0", 1),
            ("0-1", "0-1", 2),
            ("0-2", "0-*", 3),
            ("1-9", "1-*", 2),
            ("2-*", "2-*", 1),
            ("3-*", "3-*", 0),
            ("9-10", "9-*", 0),
            ("2-1", "2-*", 0),
            ("0-18446744073709551615", "0-*", 3),
            ("18446744073709551615-18446744073709551615", "18446744073709551615-*", 0),
        ] {
            assert_eq!(members(asked), (format!(";range={told}"), values), "{asked}");
        }
        for odd in ["x", "1", "1-x", ""] {
            let asked = [format!("member;range={odd}")];
            assert!(Selection::of(&asked, false, Dialect::Windows).is_err(), "{odd}");
        }
    }

    #[test]
    fn options_have_no_case() {
        let shown = |asked: &str, dialect| {
            let selection = Selection::of(&[asked.to_owned()], false, dialect).unwrap();
            let attributes = vec![Attribute::text("member", ["a", "b", "c"])];
            let entry = Entry {
                dn: String::new(),
                attributes,
            };
            let shown = selection.apply(entry).attributes.pop();
            shown.map(|member| (member.range.unwrap_or_default(), member.values.len()))
        };
        for asked in ["member;range=0-1", "member;Range=0-1", "MEMBER;RANGE=0-1"] {
            let cut = Some((";range=0-1".to_owned(), 2));
            assert_eq!(shown(asked, Dialect::Windows), cut, "{asked}");
        }
        for (asked, values) in [("member;binary", 3), ("member;Binary", 3), ("member;BINARY", 3)] {
            assert_eq!(shown(asked, Dialect::Windows), Some((String::new(), values)), "{asked}");
            assert_eq!(shown(asked, Dialect::Samba), None, "{asked}");
        }
        let all = Some((String::new(), 3));
        assert_eq!(shown("member;Range=0-1", Dialect::Samba), all);
        assert!(Selection::of(&["member;Range=x".to_owned()], false, Dialect::Samba).is_err());
        // One whose first bytes end within a letter.
        assert_eq!(shown("member;rangeß0-1", Dialect::Windows), None);
    }

    #[test]
    fn an_identifier_is_as_good_as_a_name() {
        let selection = Selection::of(&["2.5.4.3".to_owned()], false, Dialect::Windows).unwrap();
        assert!(selection.names("cn"));
    }
}
