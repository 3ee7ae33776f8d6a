//! Security identifiers and GUIDs of a domain that stores neither: both follow from names.
//!
//! A domain with the same configuration so shows the same ones after every start, and a million accounts need no
//! memory for theirs.

use md4::{Digest, Md4};

/// Relative identifiers below are for built-in objects; a new domain's first own account gets about this one.
const FIRST_RID: u32 = 1103;

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

    /// The identifier of the domain's `index`-th account.
    #[must_use]
    pub fn account(&self, index: u32) -> Self {
        Self(
            self.0
                .iter()
                .copied()
                .chain([FIRST_RID.saturating_add(index)])
                .collect(),
        )
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

/// The objectGUID of the object with this identifier, in the mixed byte order that AD stores.
pub fn guid(sid: &Sid) -> [u8; 16] {
    let mut guid: [u8; 16] = Md4::digest(sid.bytes()).into();
    // Version 8 (of one's own making) and the RFC 9562 variant, at their places in that byte order.
    guid[7] = guid[7] & 0x0f | 0x80;
    guid[8] = guid[8] & 0x3f | 0x80;
    guid
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
    fn the_same_account_has_the_same_guid_and_others_have_others() {
        let domain = Sid::of_domain("corp.example.com");
        assert_eq!(
            guid(&domain.account(0)),
            guid(&Sid::of_domain("CORP.example.com").account(0))
        );
        assert_ne!(guid(&domain.account(0)), guid(&domain.account(1)));
        assert_eq!(uuid::Uuid::from_bytes_le(guid(&domain.account(7))).get_version_num(), 8);
    }
}
