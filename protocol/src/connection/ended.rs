//! How connections end.

use quinn::ConnectionError;
use rustls::{AlertDescription, Error};

use crate::close::CloseCode;

/// How a connection ended, or why there was none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The other side closed it.
    #[error("closed by the other side: {reason}")]
    Closed {
        /// Its code, if this version knows it.
        code: Option<CloseCode>,
        /// Its text.
        reason: String,
    },
    /// This side closed it.
    #[error("closed by this side")]
    Here,
    /// Nothing came for as long as [`crate::transport::IDLE_TIMEOUT`], or at all.
    #[error("nothing came any more")]
    TimedOut,
    /// The other side knows of no such connection: it was started again.
    #[error("forgotten by the other side")]
    Forgotten,
    /// The other side did not accept what this side showed in the TLS handshake.
    #[error("the other side refused the handshake: {reason} (alert {alert})")]
    Refused {
        /// The TLS alert (RFC 8446, section 6).
        alert: u8,
        /// What was said with it.
        reason: String,
    },
    /// This side did not accept what the other side showed in the TLS handshake.
    #[error("the handshake failed: {reason}")]
    Distrusted {
        /// The TLS alert that the other side was sent.
        alert: u8,
        /// What is wrong.
        reason: String,
    },
    /// The two have no version of QUIC in common.
    #[error("no common version of QUIC")]
    NoVersion,
    /// One of the two broke the rules of what carries the connection.
    #[error("{0}")]
    Violation(String),
    /// Anything else.
    #[error("{0}")]
    Lost(String),
}

impl Ended {
    /// What an error of a TLS stream over TCP means.
    pub fn of_tls_stream(error: &std::io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        match tls {
            Some(Error::AlertReceived(alert)) => Self::Refused {
                alert: u8::from(*alert),
                reason: format!("{alert:?}"),
            },
            Some(Error::InvalidCertificate(certificate)) => Self::Distrusted {
                alert: u8::from(AlertDescription::from(certificate.clone())),
                reason: Error::InvalidCertificate(certificate.clone()).to_string(),
            },
            Some(Error::NoApplicationProtocol) => Self::Distrusted {
                alert: u8::from(AlertDescription::NoApplicationProtocol),
                reason: Error::NoApplicationProtocol.to_string(),
            },
            Some(error) => Self::Violation(format!("TLS: {error}")),
            None => Self::Lost(format!("the TCP connection was lost: {error}")),
        }
    }
}

impl From<ConnectionError> for Ended {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::LocallyClosed => Self::Here,
            ConnectionError::Reset => Self::Forgotten,
            ConnectionError::VersionMismatch => Self::NoVersion,
            ConnectionError::ApplicationClosed(close) => Self::Closed {
                code: CloseCode::from_number(close.error_code.into_inner()),
                reason: String::from_utf8_lossy(&close.reason).into_owned(),
            },
            ConnectionError::TransportError(error) => match tls_alert(error.code.into()) {
                Some(alert) => Self::Distrusted {
                    alert,
                    reason: error.reason,
                },
                None => Self::Violation(format!("QUIC: {error}")),
            },
            ConnectionError::ConnectionClosed(close) => match tls_alert(close.error_code.into()) {
                Some(alert) => Self::Refused {
                    alert,
                    reason: String::from_utf8_lossy(&close.reason).into_owned(),
                },
                None => Self::Lost(format!("closed by the other side's QUIC: {close}")),
            },
            ConnectionError::CidsExhausted => Self::Lost("no connection ids are left".to_owned()),
        }
    }
}

fn tls_alert(code: u64) -> Option<u8> {
    // RFC 9001, section 4.8: 0x0100 and the alert.
    (code & !0xff == 0x100).then(|| code.to_le_bytes()[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_alerts_are_taken_for_such() {
        assert_eq!(tls_alert(0x130), Some(48));
        assert_eq!(tls_alert(0x230), None);
        assert_eq!(tls_alert(0x30), None);
    }

    #[test]
    fn what_tls_over_tcp_finds_wrong_is_told_as_over_quic() {
        let of = |error: Error| Ended::of_tls_stream(&std::io::Error::new(std::io::ErrorKind::InvalidData, error));
        let refused = of(Error::AlertReceived(AlertDescription::UnknownCA));
        assert!(matches!(refused, Ended::Refused { alert: 48, .. }), "{refused:?}");
        let unknown = of(Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer));
        assert!(matches!(unknown, Ended::Distrusted { alert: 48, .. }), "{unknown:?}");
        let expired = of(Error::InvalidCertificate(rustls::CertificateError::Expired));
        assert!(matches!(expired, Ended::Distrusted { alert: 45, .. }), "{expired:?}");
        assert!(matches!(of(Error::DecryptError), Ended::Violation(_)));
        let reset = Ended::of_tls_stream(&std::io::ErrorKind::ConnectionReset.into());
        assert!(matches!(reset, Ended::Lost(_)), "{reset:?}");
    }
}
