//! The NT hash: what a domain controller keeps of a password and compares (MS-NLMP 3.3.1).
//!
//! MD4 over UTF-16LE is no protection of a stored password; it is here because it is what Active Directory compares,
//! so that everything that follows from it (which strings are the same password) is the same. Compared in constant
//! time: how long a bind takes must not tell how much of a guess was right.

use std::fmt;

use md4::{Digest, Md4};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// MD4 of a password's UTF-16LE form. Its `Debug` form does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NtHash([u8; 16]);

impl NtHash {
    /// The hash of `password`.
    pub fn of(password: &str) -> Self {
        Self::of_units(password.encode_utf16())
    }

    /// The hash of a password that is given by its UTF-16 units.
    pub(super) fn of_units(password: impl Iterator<Item = u16>) -> Self {
        let mut hash = Md4::new();
        let mut chunk = Zeroizing::new([0u8; 64]);
        let mut used = 0;
        for unit in password {
            chunk[used..used + 2].copy_from_slice(&unit.to_le_bytes());
            used += 2;
            if used == chunk.len() {
                hash.update(chunk.as_slice());
                used = 0;
            }
        }
        hash.update(&chunk[..used]);
        chunk.zeroize();
        Self(hash.finalize().into())
    }

    /// The hash of what a client sent as a password. Bytes that are no UTF-8 are nobody's password: their hash is that of
    /// an odd number of bytes, which no password's UTF-16LE form has.
    pub fn of_bytes(password: &[u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(password) {
            return Self::of(text);
        }
        let odd: &[u8] = if password.len().is_multiple_of(2) { &[0] } else { &[] };
        Self(Md4::new().chain_update(password).chain_update(odd).finalize().into())
    }

    /// What it consists of, for a snapshot.
    pub(super) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// What [`NtHash::bytes`] told.
    pub(super) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Whether both are the hash of the same password, in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for NtHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(hash: NtHash) -> String {
        hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_published_vectors_hold() {
        // MS-NLMP 4.2.2.1.2 (NTOWFv1 of "Password") and the well-known hash of the empty password.
        assert_eq!(hex(NtHash::of("Password")), "a4f49c406510bdcab6824ee7c30fd852");
        assert_eq!(hex(NtHash::of("")), "31d6cfe0d16ae931b73c59d7e0c089c0");
    }

    #[test]
    fn composed_and_decomposed_letters_are_different_passwords() {
        assert!(!NtHash::of("P\u{e4}ss").matches(&NtHash::of("Pa\u{308}ss")));
    }

    #[test]
    fn bytes_that_are_no_utf8_are_no_password() {
        assert_eq!(NtHash::of_bytes("P\u{e4}ss".as_bytes()), NtHash::of("P\u{e4}ss"));
        for bytes in [&b"P\xe4ss"[..], b"\xff", b"\xff\xfe"] {
            let hash = NtHash::of_bytes(bytes);
            assert_ne!(hash, NtHash::of(&String::from_utf8_lossy(bytes)));
            // Read as UTF-16LE, the bytes are text; the password that it would be must not match.
            let units = bytes
                .chunks(2)
                .map(|pair| u16::from_le_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
            assert_ne!(hash, NtHash::of(&String::from_utf16_lossy(&units.collect::<Vec<_>>())));
        }
    }

    #[test]
    fn the_hash_is_not_shown() {
        assert_eq!(format!("{:?}", NtHash::of("Password")), "***");
    }

    proptest! {
        #[test]
        fn hashing_in_chunks_equals_hashing_at_once(password in ".{0,200}") {
            let whole: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let expected: [u8; 16] = Md4::digest(&whole).into();
            prop_assert_eq!(NtHash::of(&password), NtHash(expected));
        }
    }
}
