//! A password as `unicodePwd` carries it: UTF-16LE between quotation marks (MS-ADTS 3.1.1.3.1.5.1).
//!
//! What is between them may be any sequence of UTF-16 units, halves of letters included, and the empty one. Wiped when
//! dropped, never shown.

use std::fmt;

use zeroize::Zeroizing;

use super::nt_hash::NtHash;

const QUOTE: u16 = b'"' as u16;

/// Characters that count as special ones, those that Microsoft lists under "Password must meet complexity
/// requirements" and Samba knows too.
const SPECIAL: &str = "~!@#$%^&*_-+=`|\\(){}[]:;\"'<>,.?/";

/// What displayName is parted at, to find the names in it (MS-SAMR 3.1.1.7.2).
const NAME_SEPARATORS: [char; 7] = [',', '.', '-', '_', ' ', '#', '\t'];

/// Letters that a name needs for its being in a password to matter.
const SHORTEST_NAME: usize = 3;

/// Kinds of characters that a complex password needs.
const KINDS: usize = 3;

/// How much a directory takes for letters without case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherLetters {
    /// Letters alone, as Microsoft describes it.
    Alphabetic,
    /// Everything beyond ASCII, also what is no letter (measured at Samba).
    BeyondAscii,
}

/// A password in the clear.
pub struct Cleartext(Zeroizing<Vec<u16>>);

/// A value of `unicodePwd` that is no password in quotation marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a password in UTF-16LE between quotation marks")]
pub struct NotQuoted;

impl Cleartext {
    /// Reads a value of `unicodePwd`.
    ///
    /// # Errors
    /// [`NotQuoted`].
    pub fn from_unicode_pwd(value: &[u8]) -> Result<Self, NotQuoted> {
        let (units, []) = value.as_chunks::<2>() else {
            return Err(NotQuoted);
        };
        let [first, inside @ .., last] = units else {
            return Err(NotQuoted);
        };
        if [first, last].map(|unit| u16::from_le_bytes(*unit)) != [QUOTE; 2] {
            return Err(NotQuoted);
        }
        Ok(Self::collect(
            inside.len(),
            inside.iter().map(|unit| u16::from_le_bytes(*unit)),
        ))
    }

    fn collect(length: usize, units: impl Iterator<Item = u16>) -> Self {
        // At once as long as it gets: growing would leave copies behind.
        let mut own = Vec::with_capacity(length);
        own.extend(units);
        Self(Zeroizing::new(own))
    }

    /// Its length in UTF-16 units, which is what policies count.
    pub fn units(&self) -> usize {
        self.0.len()
    }

    /// What the directory keeps of it.
    pub fn hash(&self) -> NtHash {
        NtHash::of_units(self.0.iter().copied())
    }

    fn letters(&self) -> impl Iterator<Item = Result<char, u16>> {
        char::decode_utf16(self.0.iter().copied()).map(|letter| letter.map_err(|half| half.unpaired_surrogate()))
    }

    /// Whether it has characters of at least three kinds: upper case, lower case, digits, special ones, and letters
    /// that have no case.
    pub fn is_complex(&self, others: OtherLetters) -> bool {
        let mut seen = [false; 5];
        for letter in self.letters() {
            if let Some(kind) = kind(letter, others) {
                seen[kind as usize] = true;
            }
        }
        seen.iter().filter(|seen| **seen).count() >= KINDS
    }

    /// Whether it holds its owner's account name, or a part of the display name, in whatever case. Names of fewer than
    /// three letters are nobody's.
    pub fn holds_name(&self, sam: &str, display_name: Option<&str>) -> bool {
        let mut own = Zeroizing::new(String::with_capacity(self.units() * 4));
        own.extend(
            self.letters()
                .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
                .flat_map(char::to_lowercase),
        );
        let names = display_name.unwrap_or_default().split(NAME_SEPARATORS);
        std::iter::once(sam)
            .chain(names)
            .filter(|name| name.encode_utf16().count() >= SHORTEST_NAME)
            .any(|name| own.contains(&name.to_lowercase()))
    }
}

impl From<&str> for Cleartext {
    fn from(password: &str) -> Self {
        Self::collect(password.len(), password.encode_utf16())
    }
}

impl fmt::Debug for Cleartext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Upper,
    Lower,
    Digit,
    Special,
    Other,
}

/// The kind of a character; half a letter is one beyond ASCII. A blank is of no kind.
fn kind(letter: Result<char, u16>, others: OtherLetters) -> Option<Kind> {
    let letter = match (letter, others) {
        (Ok(letter), _) => letter,
        (Err(_), OtherLetters::BeyondAscii) => return Some(Kind::Other),
        (Err(_), OtherLetters::Alphabetic) => return None,
    };
    if letter.is_ascii() {
        return match letter {
            'A'..='Z' => Some(Kind::Upper),
            'a'..='z' => Some(Kind::Lower),
            '0'..='9' => Some(Kind::Digit),
            _ => SPECIAL.contains(letter).then_some(Kind::Special),
        };
    }
    match others {
        OtherLetters::Alphabetic if letter.is_uppercase() => Some(Kind::Upper),
        OtherLetters::Alphabetic if letter.is_lowercase() => Some(Kind::Lower),
        OtherLetters::Alphabetic => letter.is_alphabetic().then_some(Kind::Other),
        OtherLetters::BeyondAscii if is_other(letter, letter.to_lowercase()) => Some(Kind::Upper),
        OtherLetters::BeyondAscii if is_other(letter, letter.to_uppercase()) => Some(Kind::Lower),
        OtherLetters::BeyondAscii => Some(Kind::Other),
    }
}

/// Samba takes a letter for one with a case where a single other letter is its other case: the sharp s has none
/// (measured).
fn is_other(letter: char, mut cased: impl Iterator<Item = char>) -> bool {
    matches!((cased.next(), cased.next()), (Some(only), None) if only != letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(units: &[u16]) -> Vec<u8> {
        let all = std::iter::once(QUOTE).chain(units.iter().copied()).chain([QUOTE]);
        all.flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn a_password_stands_between_quotation_marks_in_utf_16() {
        let value = quoted(&"Pä\"ss".encode_utf16().collect::<Vec<_>>());
        let read = Cleartext::from_unicode_pwd(&value).unwrap();
        assert!(read.hash().matches(&NtHash::of("Pä\"ss")));
        assert_eq!(read.units(), 5);
        assert_eq!(format!("{read:?}"), "***");
        assert_eq!(Cleartext::from_unicode_pwd(&quoted(&[])).unwrap().units(), 0);
    }

    #[test]
    fn whatever_else_the_value_is_it_is_no_password() {
        let whole = quoted(&[0x61; 8]);
        let unquoted: Vec<u8> = "abcdefgh".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for value in [
            &[][..],
            &whole[..2],
            &whole[..whole.len() - 1],
            &whole[..whole.len() - 2],
            &whole[2..],
            &unquoted,
            b"\"New-Passw0rd-1\"",
        ] {
            assert_eq!(Cleartext::from_unicode_pwd(value).unwrap_err(), NotQuoted, "{value:?}");
        }
    }

    #[test]
    fn three_of_five_kinds_of_characters_make_a_password_complex() {
        // Whether Windows, as documented, and Samba, as measured, take it.
        for (password, windows, samba) in [
            ("lowercaseonly", false, false),
            ("lower123", false, false),
            ("UPPER123", false, false),
            ("Lower123", true, true),
            ("lower-12", true, true),
            ("Upper-lower", true, true),
            ("12345-AB", true, true),
            ("ÄÖü12345", true, true),
            ("日本語テキスト12", false, false),
            ("aaa日111", true, true),
            ("aaaא11", true, true),
            ("aaaAAA ", false, false),
            ("aaaAAA\t", false, false),
            ("aaaA\u{7f}", false, false),
            ("aaaßAAA", false, true),
            ("aaaAAª", false, true),
            ("aaaa1111€", false, true),
            ("aaaAA£", false, true),
            ("aaaAA²", false, true),
            ("aaaAA💥", false, true),
        ] {
            let password_of = Cleartext::from(password);
            assert_eq!(
                password_of.is_complex(OtherLetters::Alphabetic),
                windows,
                "{password:?}"
            );
            assert_eq!(password_of.is_complex(OtherLetters::BeyondAscii), samba, "{password:?}");
        }
        let half = Cleartext::from_unicode_pwd(&quoted(&[0x61, 0x41, 0xd800])).unwrap();
        assert!(half.is_complex(OtherLetters::BeyondAscii) && !half.is_complex(OtherLetters::Alphabetic));
    }

    #[test]
    fn names_in_a_password_count_from_three_letters_on_in_any_case() {
        let display_name = Some("John Averylong, Smith-Jones\tJr #7");
        let holds = |password: &str, sam: &str| Cleartext::from(password).holds_name(sam, display_name);
        for password in ["xxJSMITHxx1", "Averylong1", "averyLONG1x", "12jones34", "JohnX-1"] {
            assert!(holds(password, "jsmith"), "{password}");
        }
        for password in ["averylon1", "Jr7Jr7Jr", "smit-jone", "j_smyth", "Al-123456"] {
            assert!(!holds(password, "jsmith"), "{password}");
        }
        assert!(!holds("Al-123456", "al"), "it has two letters");
        assert!(Cleartext::from("xxZOËxx").holds_name("zoë", None));
        assert!(!Cleartext::from("anything").holds_name("", None));
    }

    proptest! {
        #[test]
        fn any_units_in_quotation_marks_are_a_password(units in prop::collection::vec(any::<u16>(), 0..40)) {
            let read = Cleartext::from_unicode_pwd(&quoted(&units)).unwrap();
            prop_assert_eq!(read.units(), units.len());
            prop_assert!(read.hash().matches(&NtHash::of_units(units.into_iter())));
        }

        #[test]
        fn reading_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Cleartext::from_unicode_pwd(&bytes);
        }

        #[test]
        fn whoever_has_their_own_name_in_it_is_told(
            name in "[a-zA-Zäöü]{3,8}", before in "[0-9]{0,4}", after in "[0-9]{0,4}"
        ) {
            let password = Cleartext::from(format!("{before}{}{after}", name.to_uppercase()).as_str());
            prop_assert!(password.holds_name(&name, None));
            let display_name = format!("Dr. {name}");
            prop_assert!(password.holds_name("x", Some(&display_name)));
        }
    }
}
