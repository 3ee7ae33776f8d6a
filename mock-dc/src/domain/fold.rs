//! How texts of the directory are compared.

/// A text as it is compared: without case, without blanks around it, several blanks as one. Accents stay significant,
/// and so do different encodings of one letter.
///
/// Letter by letter: a letter whose other case is several letters stays as it is, and no letter's case depends on its
/// neighbours.
pub fn fold(text: &str) -> String {
    // Nearly every name that signs in; each bind comes here more than once.
    if is_plain(text.as_bytes()) {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.extend(word.chars().map(fold_letter));
    }
    folded
}

/// A text whose parts are looked for: without case, blanks as they are.
pub fn fold_case(text: &str) -> String {
    text.chars().map(fold_letter).collect()
}

/// A text as it is ordered: as [`fold`] has it, but by upper case, which puts an underscore behind the letters. Texts
/// that compare alike stay so.
pub fn ordered(text: &str) -> String {
    fold(text)
        .chars()
        .map(|letter| single(letter.to_uppercase()).unwrap_or(letter))
        .collect()
}

/// Whether there is nothing to fold but the case of ASCII letters.
fn is_plain(text: &[u8]) -> bool {
    text.is_ascii() && !text.starts_with(b" ") && !text.ends_with(b" ") && !text.windows(2).any(|pair| pair == b"  ")
}

/// Through the upper case, so that both forms of the Greek sigma are one letter.
fn fold_letter(letter: char) -> char {
    if letter.is_ascii() {
        return letter.to_ascii_lowercase();
    }
    let upper = single(letter.to_uppercase()).unwrap_or(letter);
    single(upper.to_lowercase()).unwrap_or(upper)
}

fn single(mut letters: impl Iterator<Item = char>) -> Option<char> {
    match (letters.next(), letters.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn case_and_blanks_do_not_matter_and_accents_do() {
        assert_eq!(fold(" GOOD  Üser "), "good üser");
        for plain in ["Good User", " Good User", "Good User ", "Good  User"] {
            assert_eq!(fold(plain), "good user");
        }
        assert_eq!(fold(" "), "");
        assert_eq!(fold("ΟΔΟΣ"), fold("οδος"));
        assert_ne!(fold("zoe"), fold("zoë"));
        assert_ne!(fold("zoe\u{308}"), fold("zoë"));
        assert_eq!(fold("weiß"), "weiß");
    }

    #[test]
    fn order_is_by_upper_case_and_makes_nothing_equal_that_is_not() {
        assert!(ordered("a_b") > ordered("aZb"));
        assert_ne!(ordered("weiß"), ordered("weiss"));
        assert_ne!(ordered("ﬁn"), ordered("fin"));
        assert_eq!(fold_case(" Ä  B "), " ä  b ");
    }

    proptest! {
        #[test]
        fn texts_are_equal_in_order_exactly_where_they_are_equal_folded(
            one in "[aAßẞſsSﬁfFiIıİKkK ]{0,4}", other in "[aAßẞſsSﬁfFiIıİKkK ]{0,4}"
        ) {
            prop_assert_eq!(ordered(&one) == ordered(&other), fold(&one) == fold(&other));
        }

        #[test]
        fn folding_twice_changes_nothing(text in "\\PC{0,40}") {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }
    }
}
