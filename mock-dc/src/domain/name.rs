//! The forms of a name that a bind may use (MS-ADTS 5.1.1.1.1), in the order in which they are tried.
//!
//! DN, user principal name and `NETBIOS\name` so far. A bare sAMAccountName is none of them, in any dialect.

use super::dn::Dn;

/// One reading of a bind's name. Texts are folded for comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A distinguished name.
    Dn(Dn),
    /// `prefix@suffix`, split at the last `@`.
    Upn {
        /// The whole, to compare with explicit names.
        whole: String,
        /// Before the `@`: a sAMAccountName, when the suffix implies one.
        prefix: String,
        /// After the `@`.
        suffix: String,
    },
    /// `DOMAIN\sAMAccountName`.
    Nt4 {
        /// Before the backslash.
        domain: String,
        /// After it.
        sam: String,
    },
}

/// Every form that `name` has, first to be tried first. Blanks around it are dropped, as measured.
pub fn forms(name: &str) -> Vec<Form> {
    let name = name.trim();
    let mut forms = Vec::new();
    if let Some(dn) = Dn::parse(name).filter(|dn| dn.depth() > 0) {
        forms.push(Form::Dn(dn));
    }
    let folded = fold(name);
    if let Some((prefix, suffix)) = folded.rsplit_once('@')
        && !prefix.is_empty()
        && !suffix.is_empty()
    {
        forms.push(Form::Upn {
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
            whole: folded.clone(),
        });
    }
    if let Some((domain, sam)) = folded.split_once('\\')
        && !domain.is_empty()
        && !sam.is_empty()
    {
        forms.push(Form::Nt4 {
            domain: domain.to_owned(),
            sam: sam.to_owned(),
        });
    }
    forms
}

/// A name as it is compared: without case. Accents stay significant, and so do different encodings of one letter.
pub fn fold(text: &str) -> String {
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_account_name_has_no_form() {
        for name in [
            "good",
            "",
            "  ",
            "@corp.example.com",
            "good@",
            "\\good",
            "CORP\\",
            "CORP/good",
        ] {
            assert_eq!(forms(name), [], "{name:?}");
        }
    }

    #[test]
    fn blanks_around_and_case_do_not_matter() {
        assert_eq!(forms(" GOOD@CORP.EXAMPLE.COM "), forms("good@corp.example.com"));
        assert_eq!(forms("Corp\\Good"), forms("CORP\\good"));
    }

    #[test]
    fn the_dn_is_tried_before_the_principal_name() {
        let read = forms("o=x@corp.example.com");
        assert!(matches!(read.as_slice(), [Form::Dn(_), Form::Upn { .. }]), "{read:?}");
    }
}
