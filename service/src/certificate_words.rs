//! What is wrong with somebody's certificate, in words: what is the same whoever showed it.

use rustls::CertificateError;

/// More of a certificate's names are not told.
const MAX_NAMES: usize = 8;

/// Why it is not valid at this time, where that is what is wrong.
pub fn outside_validity(problem: &CertificateError) -> Option<&'static str> {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Some("its certificate has expired by this machine's clock; renew it, or set the clock")
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Some("its certificate is not valid yet by this machine's clock; set the clock")
        }
        _ => None,
    }
}

/// The names that it is for, of what rustls tells of one for other names than the one asked for. Those of kinds that are
/// not compared are left out.
pub fn names(presented: &[String]) -> Vec<String> {
    let names = presented.iter().take(MAX_NAMES);
    names.filter_map(|name| plain(name)).collect()
}

/// The name in what rustls tells: `DnsName("dc-1.example.com")`, `IpAddress(192.0.2.1)`. No others are compared.
fn plain(told: &str) -> Option<String> {
    let rest = told
        .strip_prefix("DnsName(")
        .or_else(|| told.strip_prefix("IpAddress("))?;
    let name = rest.trim_end_matches(')').trim_matches('"');
    Some(name.chars().filter(|c| !c.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_certificates_names_those_are_told_that_could_have_been_the_right_one() {
        assert_eq!(
            plain("DnsName(\"dc-1.example.com\")").as_deref(),
            Some("dc-1.example.com")
        );
        assert_eq!(plain("DnsName(\"*.example.com\")").as_deref(), Some("*.example.com"));
        assert_eq!(plain("IpAddress(192.0.2.1)").as_deref(), Some("192.0.2.1"));
        assert_eq!(plain("DnsName(\"a\n\u{1b}b\")").as_deref(), Some("ab"));
        for other in [
            "UniformResourceIdentifier(\"https://x\")",
            "Unsupported(0x00)",
            "DirectoryName",
            "",
        ] {
            assert_eq!(plain(other), None, "{other}");
        }
    }
}
