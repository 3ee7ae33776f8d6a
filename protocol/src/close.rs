//! Why a session was closed: QUIC application error codes (RFC 9000, section 20.2), each with a text for people.

/// The code of a `CONNECTION_CLOSE`. The text beside it says the particulars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum CloseCode {
    /// Ended in order: drained, or replaced.
    Done = 0,
    /// The other side speaks a major version that is not understood here; the text names both.
    Version = 1,
    /// The certificate names nobody who may connect: wrong form, trust domain, tenant or realm.
    Identity = 2,
    /// The agent or its certificate is on the deny list.
    Denied = 3,
    /// The certificate's validity has ended.
    CertificateExpired = 4,
    /// A frame that is malformed, too long or out of order.
    Protocol = 5,
    /// This session was replaced by a newer one of the same agent, or is a second one of the same instance.
    Superseded = 6,
    /// Something that should have come did not come in time.
    Silent = 7,
    /// The process ends without waiting.
    Stopping = 8,
}

impl CloseCode {
    const ALL: [Self; 9] = [
        Self::Done,
        Self::Version,
        Self::Identity,
        Self::Denied,
        Self::CertificateExpired,
        Self::Protocol,
        Self::Superseded,
        Self::Silent,
        Self::Stopping,
    ];

    /// As QUIC carries it.
    pub fn to_varint(self) -> quinn::VarInt {
        quinn::VarInt::from_u32(self as u32)
    }

    /// The code of a close that came from the other side; `None` for a number of a later version.
    pub fn from_number(code: u64) -> Option<Self> {
        usize::try_from(code)
            .ok()
            .and_then(|index| Self::ALL.get(index))
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_and_unknown_ones_are_none() {
        assert!(
            CloseCode::ALL
                .iter()
                .all(|&code| CloseCode::from_number(code.to_varint().into_inner()) == Some(code))
        );
        assert_eq!(CloseCode::from_number(4711), None);
    }
}
