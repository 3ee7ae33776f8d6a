//! Distinguished names (RFC 4514), as far as the names of accounts need them.
//!
//! Compared as AD compares them: attribute types and values without case, blanks around a separator meaningless, several
//! blanks as one. Multi-valued RDNs, which AD does not use in the names of objects, are not read; a value that begins with
//! `#` is taken for text, as Samba does (measured).

use super::fold::fold;

/// Bytes of a name, of whatever form, beyond which nothing can be meant: 250 levels of 64 letters. Who asks may say
/// megabytes, and is answered before anybody takes them apart.
pub const LONGEST: usize = 16 * 1024;

/// A parsed name, nearest RDN first. Equal when the names are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dn(Vec<(String, String)>);

impl Dn {
    /// Reads a name; `None` when it is not one, or longer than [`LONGEST`]. The empty text is the root's name.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        if text.trim().is_empty() {
            return Some(Self(Vec::new()));
        }
        split(text)?
            .into_iter()
            .map(|part| rdn(&part))
            .collect::<Option<_>>()
            .map(Self)
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

    /// The name one level up, and the RDN that was taken off; `None` for the root.
    pub fn split_first(&self) -> Option<((&str, &str), Self)> {
        let ((kind, value), rest) = self.0.split_first()?;
        Some(((kind, value), Self(rest.to_vec())))
    }

    /// The name that so many of its last RDNs are; itself, where it has no more.
    #[must_use]
    pub fn last(&self, depth: usize) -> Self {
        let first = self.0.len().saturating_sub(depth);
        Self(self.0[first..].to_vec())
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

/// Text and whether each letter was escaped: an escaped blank is no padding.
type Letters = Vec<(char, bool)>;

/// The RDNs, unescaped, each split at its `=`.
fn split(text: &str) -> Option<Vec<(String, Letters)>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (kind, after) = rest.split_once('=')?;
        let (value, remainder) = value(after)?;
        parts.push((kind.trim().to_lowercase(), value));
        match remainder {
            Some(next) => rest = next,
            None => return Some(parts),
        }
    }
}

/// One value up to an unescaped separator, and what follows that separator.
fn value(text: &str) -> Option<(Letters, Option<&str>)> {
    let mut letters = Letters::new();
    let mut chars = text.char_indices().peekable();
    if let Some(quoted) = text.trim_start().strip_prefix('"') {
        return self::quoted(quoted);
    }
    while let Some((at, letter)) = chars.next() {
        match letter {
            ',' => return Some((letters, Some(&text[at + 1..]))),
            '\\' => {
                let (_, next) = chars.next()?;
                if !next.is_ascii_hexdigit() {
                    letters.push((next, true));
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
                letters.extend(String::from_utf8(bytes).ok()?.chars().map(|letter| (letter, true)));
            }
            ';' | '+' | '"' | '<' | '>' | '=' => return None,
            plain => letters.push((plain, false)),
        }
    }
    Some((letters, None))
}

/// A value in quotes, as RFC 2253 still had it, from behind the first one.
fn quoted(text: &str) -> Option<(Letters, Option<&str>)> {
    let (value, after) = text.split_once('"')?;
    if value.contains('\\') {
        return None;
    }
    let letters = value.chars().map(|letter| (letter, true)).collect();
    match after.trim_start() {
        "" => Some((letters, None)),
        rest => rest.strip_prefix(',').map(|rest| (letters, Some(rest))),
    }
}

fn byte(high: char, low: char) -> Option<u8> {
    u8::try_from(high.to_digit(16)? * 16 + low.to_digit(16)?).ok()
}

fn rdn((kind, letters): &(String, Letters)) -> Option<(String, String)> {
    let is_type = !kind.is_empty()
        && kind
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.');
    let padding = |(letter, escaped): &&(char, bool)| *letter == ' ' && !escaped;
    let leading = letters.iter().take_while(padding).count();
    let trailing = letters[leading..].iter().rev().take_while(padding).count();
    let value: String = letters[leading..letters.len() - trailing]
        .iter()
        .map(|(letter, _)| *letter)
        .collect();
    (is_type && !value.is_empty()).then(|| (kind.clone(), fold(&value)))
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
    fn the_measured_special_name_is_read() {
        let text = "CN=Spe\\,cial \\\"Ch\\+ars\\\" \\#1 \\<x\\>\\3B\\\\ \\3D/\\ ,DC=corp";
        let ((_, value), _) = Dn::parse(text)
            .unwrap()
            .split_first()
            .map(|((k, v), d)| ((k.to_owned(), v.to_owned()), d))
            .unwrap();
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
            let ((_, read), _) = dn.split_first().expect("an RDN");
            prop_assert_eq!(read, fold(&value));
        }

        #[test]
        fn reading_never_panics(text in "\\PC{0,60}") {
            let _ = Dn::parse(&text);
        }
    }
}
