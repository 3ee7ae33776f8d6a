//! Security identifiers and GUIDs of a domain that stores neither: both follow from names.
//!
//! A domain with the same configuration so shows the same ones after every start, and a million accounts need no
//! memory for theirs.

use md4::{Digest, Md4};

/// Relative identifiers below are for built-in objects and domain controllers; a new domain's first own account gets
/// about this one.
pub const FIRST_RID: u32 = 1103;

/// SECURITY_BUILTIN_DOMAIN_RID.
const BUILTIN: u32 = 32;

/// A security identifier (MS-DTYP 2.4.2): authority 5 and its sub-authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sid(Vec<u32>);

impl Sid {
    /// The domain's identifier, `S-1-5-21-…`.
    pub fn of_domain(dns_name: &str) -> Self {
        let digest: [u8; 16] = Md4::digest(dns_name.to_lowercase()).into();
        let part = |at: usize| u32::from_le_bytes([digest[at], digest[at + 1], digest[at + 2], digest[at + 3]]);
        Self(vec![21, part(0), part(4), part(8)])
    }

    /// The identifier with this relative identifier in the domain.
    #[must_use]
    pub fn with_rid(&self, rid: u32) -> Self {
        Self(self.0.iter().copied().chain([rid]).collect())
    }

    /// An identifier of the built-in domain, `S-1-5-32-…`.
    pub fn builtin(rid: u32) -> Self {
        Self(vec![BUILTIN, rid])
    }

    /// The built-in domain's own identifier, `S-1-5-32`.
    pub fn builtin_domain() -> Self {
        Self(vec![BUILTIN])
    }

    /// Whether it belongs to the built-in domain.
    pub fn is_builtin(&self) -> bool {
        self.0.first() == Some(&BUILTIN)
    }

    /// Whether it can be a domain's: `S-1-5-21-` and three numbers.
    pub fn is_of_a_domain(&self) -> bool {
        matches!(self.0.as_slice(), [21, _, _, _])
    }

    /// The relative identifier, if this is one of `domain`.
    pub fn rid_in(&self, domain: &Self) -> Option<u32> {
        match self.0.strip_prefix(domain.0.as_slice()) {
            Some([rid]) => Some(*rid),
            _ => None,
        }
    }

    /// Reads `S-1-5-…`, in either case of the letter, and what follows it.
    pub fn parse_prefix(text: &str) -> Option<(Self, &str)> {
        let rest = text.strip_prefix("S-1-5").or_else(|| text.strip_prefix("s-1-5"))?;
        let mut parts = Vec::new();
        let mut rest = rest;
        while let Some(after) = rest.strip_prefix('-') {
            let digits = after.len() - after.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
            let Ok(part) = after[..digits].parse() else { break };
            parts.push(part);
            rest = &after[digits..];
        }
        // MS-DTYP 2.4.2: fifteen sub-authorities at most.
        (1..=15).contains(&parts.len()).then_some((Self(parts), rest))
    }

    /// Reads `S-1-5-…` and nothing beside it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_prefix(text).and_then(|(sid, rest)| rest.is_empty().then_some(sid))
    }

    /// Reads what [`Sid::bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (header, parts) = bytes.split_at_checked(8)?;
        let count = usize::from(*header.get(1)?);
        (header[0] == 1 && header[2..] == [0, 0, 0, 0, 0, 5] && parts.len() == 4 * count).then(|| {
            Self(
                parts
                    .chunks_exact(4)
                    .map(|part| u32::from_le_bytes([part[0], part[1], part[2], part[3]]))
                    .collect(),
            )
        })
    }

    /// As `objectSid` holds it (MS-DTYP 2.4.2.2).
    pub fn bytes(&self) -> Vec<u8> {
        let count = u8::try_from(self.0.len()).unwrap_or(u8::MAX);
        let mut bytes = vec![1, count, 0, 0, 0, 0, 0, 5];
        bytes.extend(self.0.iter().flat_map(|part| part.to_le_bytes()));
        bytes
    }
}

impl std::fmt::Display for Sid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("S-1-5")?;
        self.0.iter().try_for_each(|part| write!(f, "-{part}"))
    }
}

/// The objectGUID of the object that `key` names within the domain, in the mixed byte order that AD stores.
pub fn guid(domain: &Sid, key: &str) -> [u8; 16] {
    let mut seed = domain.bytes();
    seed.extend_from_slice(key.as_bytes());
    let mut guid: [u8; 16] = Md4::digest(&seed).into();
    // Version 8 (of one's own making) and the RFC 9562 variant, at their places in that byte order.
    guid[7] = guid[7] & 0x0f | 0x80;
    guid[8] = guid[8] & 0x3f | 0x80;
    guid
}

/// The objectGUID of the `number`-th generated account. Its first part is the number, so that the account is found by
/// it without an index of a million.
pub fn numbered_guid(domain: &Sid, number: u32) -> [u8; 16] {
    let mut guid = guid(domain, "generated");
    guid[..4].copy_from_slice(&number.to_le_bytes());
    guid
}

/// The number that [`numbered_guid`] was given.
pub fn number_of(domain: &Sid, guid: [u8; 16]) -> Option<u32> {
    let number = u32::from_le_bytes([guid[0], guid[1], guid[2], guid[3]]);
    (numbered_guid(domain, number) == guid).then_some(number)
}

/// A GUID from text, with or without braces, in the mixed byte order that AD stores.
pub fn parse_guid(text: &str) -> Option<[u8; 16]> {
    // The library reads more forms than AD does: without hyphens, as a URN.
    let plain = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(text);
    let guid = (plain.len() == 36).then(|| uuid::Uuid::try_parse(plain).ok())??;
    Some(guid.to_bytes_le())
}

/// A GUID as text, from the mixed byte order that AD stores.
pub fn guid_text(guid: [u8; 16]) -> String {
    uuid::Uuid::from_bytes_le(guid).hyphenated().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_are_one_identifier() {
        let sid = Sid(vec![21, 2_243_451_479, 1_127_713_479, 2_001_278_513, 1102]);
        assert_eq!(sid.to_string(), "S-1-5-21-2243451479-1127713479-2001278513-1102");
        let bytes = sid.bytes();
        assert_eq!(bytes.len(), 28);
        assert_eq!(bytes[..8], [1, 5, 0, 0, 0, 0, 0, 5]);
        assert_eq!(bytes[24..], 1102u32.to_le_bytes());
        assert_eq!(Sid::from_bytes(&bytes), Some(sid));
        assert_eq!(Sid::from_bytes(&bytes[..27]), None);
    }

    #[test]
    fn text_is_read_back_and_what_follows_is_told() {
        let text = "S-1-5-21-2243451479-1127713479-2001278513-1102";
        let sid = Sid::parse(text).unwrap();
        assert_eq!(sid.to_string(), text);
        let domain = Sid::parse("S-1-5-21-2243451479-1127713479-2001278513").unwrap();
        assert_eq!(sid.rid_in(&domain), Some(1102));
        assert_eq!(domain.with_rid(1102), sid);
        assert_eq!(sid.rid_in(&Sid::builtin(544)), None);
        assert_eq!(Sid::parse_prefix("S-1-5-32-544x"), Some((Sid::builtin(544), "x")));
        for other in [
            "S-1-5",
            "S-1-5-",
            "S-1-5-x",
            "S-1-6-1",
            "1-5-21",
            "S-1-5-21-4294967296",
            "S-1-5-21x",
        ] {
            assert_eq!(Sid::parse(other), None, "{other}");
        }
    }

    #[test]
    fn an_object_keeps_its_guid_and_no_other_has_it() {
        let domain = Sid::of_domain("corp.example.com");
        assert_eq!(guid(&domain, "good"), guid(&Sid::of_domain("CORP.example.com"), "good"));
        assert_ne!(guid(&domain, "good"), guid(&domain, "other"));
        assert_eq!(uuid::Uuid::from_bytes_le(guid(&domain, "good")).get_version_num(), 8);
    }

    #[test]
    fn a_generated_account_is_found_by_its_guid() {
        let domain = Sid::of_domain("corp.example.com");
        for number in [1, 7, 1_000_000] {
            let guid = numbered_guid(&domain, number);
            assert_eq!(number_of(&domain, guid), Some(number));
            assert_eq!(parse_guid(&guid_text(guid)), Some(guid));
            assert_eq!(parse_guid(&format!("{{{}}}", guid_text(guid))), Some(guid));
        }
        assert_eq!(number_of(&domain, guid(&domain, "good")), None);
        assert_eq!(parse_guid("ce3ced4e10324a818e6e2f4216f12e2c"), None);
    }
}
