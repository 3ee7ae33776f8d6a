//! Active Directory's own code for why a bind failed, which only the diagnostic text has.

/// The hexadecimal number after the word `data` (MS-ADTS section 3.1.1.3.1.9 promises less, and says nothing else of the
/// text). Windows ends the text with a NUL, other builds write other texts around it; only the number counts.
pub fn sub_code(text: &str) -> Option<u32> {
    text.match_indices("data ").find_map(|(at, word)| {
        let a_word_of_its_own = !text[..at].ends_with(|c: char| c.is_alphanumeric());
        let rest = &text[at + word.len()..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len();
        let ends = !rest[digits..].starts_with(|c: char| c.is_alphanumeric());
        (a_word_of_its_own && ends)
            .then(|| u32::from_str_radix(&rest[..digits], 16).ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_after_a_word_of_its_own_is_a_sub_code() {
        let windows = "80090308: LdapErr: DSID-0C090549, comment: AcceptSecurityContext error, data 52e, v65f4\0";
        assert_eq!(sub_code(windows), Some(0x52e));
        assert_eq!(sub_code("data 0"), Some(0));
        for text in ["", "metadata 775", "data 775x", "data ", "data", "data 123456789"] {
            assert_eq!(sub_code(text), None, "{text:?}");
        }
    }
}
