//! Distinguished names (RFC 4514), as far as the names of accounts need them.
//!
//! Compared as AD compares them: attribute types and values without case, blanks around a separator meaningless, several
//! blanks as one. Multi-valued RDNs, which AD does not use in the names of objects, are not read; a value that begins with
//! `#` is taken for text, as Samba does (measured).

use std::borrow::Borrow;

use super::fold::fold;

/// Bytes of a name, of whatever form, beyond which nothing can be meant: 250 levels of 64 letters. Who asks may say
/// megabytes, and is answered before anybody takes them apart.
pub const LONGEST: usize = 16 * 1024;

/// RDNs that a name has at most. No tree of ours is nearly as deep, and a request of some MiB could have millions, each
/// with two allocations; what has more is no name.
const MOST_RDNS: usize = 256;

/// Attribute type and value, both folded.
pub(super) type Rdn = (String, String);

/// A parsed name, nearest RDN first. Equal when the names are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dn(Vec<Rdn>);

/// So that the part of a name above an RDN is looked up without a copy of it. Both hash alike, being the RDNs.
impl Borrow<[Rdn]> for Dn {
    fn borrow(&self) -> &[Rdn] {
        &self.0
    }
}

impl Dn {
    /// Reads a name; `None` when it is not one, or longer than [`LONGEST`]. The empty text is the root's name.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let mut rdns = Vec::new();
        let mut rest = Some(text).filter(|text| !text.trim().is_empty());
        while let Some(text) = rest {
            if rdns.len() == MOST_RDNS {
                return None;
            }
            let (kind, after) = text.split_once('=')?;
            let (value, remainder) = value(after)?;
            rdns.push(rdn(kind, &value)?);
            rest = remainder;
        }
        Some(Self(rdns))
    }

    /// The types of a name's RDNs as they are written, blanks before them left out, and whether a value stands behind
    /// each; `None` where it cannot be taken apart.
    pub fn types(text: &str) -> Option<Vec<(&str, bool)>> {
        let mut types = Vec::new();
        let mut rest = Some(text).filter(|text| text.len() <= LONGEST);
        while let Some(here) = rest {
            let (kind, after) = here.split_once('=')?;
            let (value, remainder) = value(after)?;
            types.push((kind.trim_start(), !value.is_empty()));
            rest = remainder;
        }
        Some(types)
    }

    /// The root's name.
    pub fn root() -> Self {
        Self(Vec::new())
    }

    /// The name below this one with the RDN `kind=value`, both in lower case.
    #[must_use]
    pub fn child(&self, kind: &str, value: &str) -> Self {
        let mut parts = Vec::with_capacity(self.0.len() + 1);
        parts.push((kind.to_owned(), value.to_owned()));
        parts.extend_from_slice(&self.0);
        Self(parts)
    }

    /// Its RDNs, nearest first.
    pub(super) fn rdns(&self) -> &[Rdn] {
        &self.0
    }

    /// Whether this is `base` or below it.
    pub fn is_within(&self, base: &Self) -> bool {
        self.0.ends_with(&base.0)
    }

    /// The DNS name of the domain that it lies in: its last parts, as far as they are `DC`.
    pub fn dns_name(&self) -> Option<String> {
        let labels = self.0.iter().rev().take_while(|(kind, _)| kind == "dc");
        let mut labels: Vec<_> = labels.map(|(_, label)| label.as_str()).collect();
        labels.reverse();
        (!labels.is_empty()).then(|| labels.join("."))
    }

    /// Number of RDNs.
    pub fn depth(&self) -> usize {
        self.0.len()
    }
}

/// How values are written in names: RFC 4514 leaves a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// A backslash before what needs it.
    Windows,
    /// `#` everywhere, and hexadecimal digits for `;` and `=`.
    Samba,
}

/// `value` as it stands in a name (RFC 4514 section 2.4).
pub fn escape(value: &str, style: Escape) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(value.len());
    for (index, letter) in value.chars().enumerate() {
        match letter {
            ';' | '=' if style == Escape::Samba => {
                escaped.push_str(if letter == ';' { "\\3B" } else { "\\3D" });
                continue;
            }
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => escaped.push('\\'),
            ' ' if index == 0 || index == last => escaped.push('\\'),
            '#' if index == 0 || style == Escape::Samba => escaped.push('\\'),
            _ => {}
        }
        escaped.push(letter);
    }
    escaped
}

/// A value as it is read, without the blanks around it. An escaped blank is no padding.
#[derive(Default)]
struct Value {
    text: String,
    /// Length up to the last letter that is no padding.
    kept: usize,
}

impl Value {
    fn plain(&mut self, letter: char) {
        match letter {
            ' ' if self.text.is_empty() => {}
            ' ' => self.text.push(' '),
            letter => self.escaped(letter),
        }
    }

    fn escaped(&mut self, letter: char) {
        self.text.push(letter);
        self.kept = self.text.len();
    }

    fn finish(mut self) -> String {
        self.text.truncate(self.kept);
        self.text
    }
}

/// One value up to an unescaped separator, and what follows that separator.
fn value(text: &str) -> Option<(String, Option<&str>)> {
    let mut value = Value::default();
    let mut chars = text.char_indices().peekable();
    if let Some(quoted) = text.trim_start().strip_prefix('"') {
        return self::quoted(quoted);
    }
    while let Some((at, letter)) = chars.next() {
        match letter {
            ',' => return Some((value.finish(), Some(&text[at + 1..]))),
            '\\' => {
                let (_, next) = chars.next()?;
                if !next.is_ascii_hexdigit() {
                    value.escaped(next);
                    continue;
                }
                // Hex pairs are bytes of UTF-8: collect the whole run before decoding.
                let mut bytes = vec![byte(next, chars.next()?.1)?];
                while chars.peek().is_some_and(|(_, letter)| *letter == '\\') {
                    let mut ahead = chars.clone();
                    ahead.next();
                    let (Some((_, high)), Some((_, low))) = (ahead.next(), ahead.next()) else {
                        break;
                    };
                    let Some(byte) = byte(high, low) else { break };
                    bytes.push(byte);
                    chars = ahead;
                }
                String::from_utf8(bytes)
                    .ok()?
                    .chars()
                    .for_each(|letter| value.escaped(letter));
            }
            ';' | '+' | '"' | '<' | '>' | '=' => return None,
            plain => value.plain(plain),
        }
    }
    Some((value.finish(), None))
}

/// A value in quotes, as RFC 2253 still had it, from behind the first one.
fn quoted(text: &str) -> Option<(String, Option<&str>)> {
    let (value, after) = text.split_once('"')?;
    if value.contains('\\') {
        return None;
    }
    match after.trim_start() {
        "" => Some((value.to_owned(), None)),
        rest => rest.strip_prefix(',').map(|rest| (value.to_owned(), Some(rest))),
    }
}

fn byte(high: char, low: char) -> Option<u8> {
    u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok()
}

fn rdn(kind: &str, value: &str) -> Option<Rdn> {
    let kind = kind.trim();
    let is_type = !kind.is_empty()
        && kind
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.');
    (is_type && !value.is_empty()).then(|| (kind.to_ascii_lowercase(), fold(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_and_blanks_around_separators_do_not_matter() {
        let name = Dn::parse("CN=Good User,OU=Test,DC=corp,DC=example,DC=com");
        assert!(name.is_some());
        for same in [
            "cn=good user,ou=test,dc=corp,dc=example,dc=com",
            "CN=Good User, OU=Test, DC=corp, DC=example, DC=com",
            "CN = Good  User ,OU=Test,DC=corp,DC=example,DC=com",
            "CN=\"Good User\",OU=Test,DC=corp,DC=example,DC=com",
            "CN=Good\\ User,OU=Test,DC=corp,DC=example,DC=com",
            "CN=\\47ood User,OU=Test,DC=corp,DC=example,DC=com",
        ] {
            assert_eq!(Dn::parse(same), name, "{same}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "CN=Good User,,DC=corp",
            "good",
            "CN=a,",
            "=a",
            "CN=a+OU=b",
            "CN=\\",
            "CN=\\4",
            "CN=a=b",
            "CN=Good User;OU=Test",
            "CN=\"Good User,OU=Test",
            "CN=\\ff",
        ] {
            assert_eq!(Dn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_of_more_rdns_than_any_tree_is_deep_is_none() {
        let name = |rdns| "a=b,".repeat(rdns - 1) + "a=b";
        assert_eq!(Dn::parse(&name(MOST_RDNS)).map(|dn| dn.depth()), Some(MOST_RDNS));
        assert_eq!(Dn::parse(&name(MOST_RDNS + 1)), None);
        // Nothing behind them is looked at.
        assert_eq!(Dn::parse(&(name(MOST_RDNS) + ",no name")), None);
    }

    #[test]
    fn escaped_blanks_belong_to_a_value_and_others_around_it_do_not() {
        let value = |text: &str| Some(value(text)?.0);
        assert_eq!(value("  a  b  ").as_deref(), Some("a  b"));
        assert_eq!(value("\\  a \\20 ").as_deref(), Some("  a  "));
        assert_eq!(value("   ").as_deref(), Some(""));
        assert_eq!(value(" \" a \" ").as_deref(), Some(" a "));
    }

    #[test]
    fn the_measured_special_name_is_read() {
        let text = "CN=Spe\\,cial \\\"Ch\\+ars\\\" \\#1 \\<x\\>\\3B\\\\ \\3D/\\ ,DC=corp";
        let dn = Dn::parse(text).unwrap();
        let (_, value) = dn.rdns().first().unwrap();
        assert_eq!(value, "spe,cial \"ch+ars\" #1 <x>;\\ =/");
    }

    #[test]
    fn a_name_is_within_itself_and_its_ancestors() {
        let (user, base) = (Dn::parse("CN=a,DC=corp").unwrap(), Dn::parse("DC=corp").unwrap());
        assert!(user.is_within(&base) && base.is_within(&base) && !base.is_within(&user));
    }

    proptest! {
        #[test]
        fn an_escaped_value_reads_back(value in "\\PC{1,40}") {
            let dn = Dn::parse(&format!("CN={},DC=corp", escape(&value, Escape::Windows))).expect("a name");
            let samba = Dn::parse(&format!("CN={},DC=corp", escape(&value, Escape::Samba)));
            prop_assert_eq!(samba.as_ref(), Some(&dn));
            let (_, read) = dn.rdns().first().expect("an RDN");
            prop_assert_eq!(read, &fold(&value));
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,60}") {
            let _ = Dn::parse(&text);
        }
    }
}
