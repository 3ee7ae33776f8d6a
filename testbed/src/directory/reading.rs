//! What follows from what a directory says of itself. No directory is asked in here.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use postern_protocol::UserName;
use postern_protocol::identity::Segment;

use crate::cluster::Domain;
use crate::cluster::existing::{AlternateId, AlternateValue};

/// NetBIOS names have no more, and Active Directory cuts the same way when it proposes one.
const NETBIOS_LETTERS: usize = 15;

/// `DC=corp,DC=example,DC=com` is the domain `corp.example.com` (RFC 2247).
pub(super) fn realm_of(context: Option<&str>) -> anyhow::Result<String> {
    let context = context.context("the directory does not say what it holds; name its realm with --directory-realm")?;
    let labels: Option<Vec<&str>> = context
        .split(',')
        .map(|part| {
            let (kind, label) = part.split_once('=')?;
            kind.trim().eq_ignore_ascii_case("dc").then(|| label.trim())
        })
        .collect();
    let realm = labels.map(|labels| labels.join(".").to_lowercase());
    realm.filter(|realm| realm.parse::<Segment>().is_ok()).with_context(|| {
        format!("the directory's {context} is no domain's name; name its realm with --directory-realm")
    })
}

/// What a domain is called unless somebody chose otherwise: the first label, in upper case.
pub(super) fn netbios_of(realm: &str) -> String {
    let label = realm.split('.').next().unwrap_or(realm);
    label.to_uppercase().chars().take(NETBIOS_LETTERS).collect()
}

/// How people are looked up by `attribute`, and the suffixes of the names that are: `chosen`, or else those that its
/// `values` have. Values without one get a suffix of their own: `4711@employeeid.corp.example.com`.
pub(super) fn alternate_id(
    attribute: &str,
    values: &[String],
    chosen: &[String],
    domain: &Domain,
) -> anyhow::Result<(AlternateId, Vec<String>)> {
    if values.is_empty() {
        bail!(
            "nobody in the directory has the attribute {attribute}, or the service account may not read it; check \
             --alternate-id and the account's rights"
        );
    }
    let suffixes: BTreeSet<String> = values.iter().filter_map(|value| suffix_of(value)).collect();
    let value = match suffixes.is_empty() {
        true => AlternateValue::Name,
        false => AlternateValue::Typed,
    };
    let alternate = AlternateId {
        attribute: attribute.to_owned(),
        value,
    };
    if !chosen.is_empty() {
        return Ok((alternate, chosen.to_vec()));
    }
    if value == AlternateValue::Name {
        let own = format!("{}.{}", attribute.to_lowercase(), domain.realm.to_lowercase());
        return Ok((alternate, vec![own]));
    }
    let known = |suffix: &String| domain.upn_suffixes.iter().any(|known| known.to_lowercase() == *suffix);
    let (taken, free): (Vec<String>, Vec<String>) = suffixes.into_iter().partition(known);
    if free.is_empty() {
        bail!(
            "every {attribute} in the directory ends in @{}, as the names do that the directory knows itself; to have \
             such names looked up by {attribute}, say --alternate-suffix {0}",
            taken.join(", @")
        );
    }
    Ok((alternate, free))
}

/// In lower case; `None` where the value could not be typed as a name.
fn suffix_of(value: &str) -> Option<String> {
    let (_, suffix) = value.rsplit_once('@')?;
    // Relay and agent take no white space in a suffix, and one odd value must not end the whole cluster.
    if suffix.contains(char::is_whitespace) {
        return None;
    }
    UserName::parse(&format!("x@{suffix}")).ok()?;
    Some(suffix.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(attribute: &str, values: &[&str], chosen: &[&str]) -> anyhow::Result<(AlternateValue, Vec<String>)> {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let domain = Domain {
            display_name: "Example".to_owned(),
            realm: "corp.example.com".to_owned(),
            netbios: "CORP".to_owned(),
            upn_suffixes: owned(&["corp.example.com"]),
            alternate_suffixes: Vec::new(),
        };
        let (alternate, suffixes) = alternate_id(attribute, &owned(values), &owned(chosen), &domain)?;
        assert_eq!(alternate.attribute, attribute);
        Ok((alternate.value, suffixes))
    }

    #[test]
    fn the_realm_is_the_domain_components_of_what_the_directory_holds() {
        for (context, realm) in [
            ("DC=corp,DC=example,DC=com", "corp.example.com"),
            ("dc=Example, dc=ORG", "example.org"),
        ] {
            assert_eq!(realm_of(Some(context)).unwrap(), realm);
        }
        for context in [None, Some("o=Example,c=DE"), Some(""), Some("DC=a b,DC=example")] {
            let error = realm_of(context).unwrap_err().to_string();
            assert!(error.contains("--directory-realm"), "{error}");
        }
    }

    #[test]
    fn the_netbios_name_is_the_first_label_as_far_as_netbios_goes() {
        assert_eq!(netbios_of("corp.example.com"), "CORP");
        assert_eq!(netbios_of("a-very-long-domain-name.example"), "A-VERY-LONG-DOM");
    }

    #[test]
    fn addresses_are_looked_up_by_the_suffixes_that_they_have_beside_the_directorys_own() {
        let mails = [
            "a@mail.example.org",
            "b@Mail.Example.Org",
            "c@corp.example.com",
            "d@x.example",
            "e",
            "f@x.example ",
            "g@an other.example",
        ];
        assert_eq!(
            of("mail", &mails, &[]).unwrap(),
            (
                AlternateValue::Typed,
                vec!["mail.example.org".into(), "x.example".into()]
            )
        );
        let (value, suffixes) = of("mail", &["c@corp.example.com"], &["corp.example.com"]).unwrap();
        assert_eq!(
            (value, suffixes),
            (AlternateValue::Typed, vec!["corp.example.com".into()])
        );
        let error = of("mail", &["c@corp.example.com"], &[]).unwrap_err().to_string();
        assert!(error.contains("--alternate-suffix corp.example.com"), "{error}");
    }

    #[test]
    fn numbers_are_typed_with_a_suffix_that_says_what_they_are() {
        let (value, suffixes) = of("employeeID", &["4711", "4712"], &[]).unwrap();
        assert_eq!(
            (value, suffixes),
            (AlternateValue::Name, vec!["employeeid.corp.example.com".into()])
        );
        let (value, suffixes) = of("employeeID", &["4711"], &["id.example.org"]).unwrap();
        assert_eq!((value, suffixes), (AlternateValue::Name, vec!["id.example.org".into()]));
    }

    #[test]
    fn an_attribute_that_nobody_has_is_told() {
        let error = of("mial", &[], &["example.org"]).unwrap_err().to_string();
        assert!(error.contains("mial"), "{error}");
    }
}
