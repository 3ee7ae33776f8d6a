//! The QUIC and TLS settings that both ends share.
//!
//! TLS 1.3 only, both sides with certificates, X25519MLKEM768 preferred: what is captured today must not be readable
//! when somebody has a quantum computer, since people keep their passwords for years.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use quinn::{IdleTimeout, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use rustls::crypto::CryptoProvider;
use zeroize::ZeroizeOnDrop;

use crate::congestion::ThinLink;

/// The ALPN name. The major version is in it, and in [`crate::frame::Hello`] for a text that names both versions.
pub const ALPN: &[u8] = b"postern/1";

/// Time between an agent's pings. Three of them fit into [`IDLE_TIMEOUT`], and QUIC repeats each that is lost after two
/// round trips or so. What a link costs at rest is the pings' cost: with twice as many, each of 1,000 links cost the relay 72 µs
/// of CPU a second and not 40.
pub const PING_INTERVAL: Duration = Duration::from_secs(1);

/// Without a packet for this long the connection is lost.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// What a peer may send on one stream, and on all of one connection, before it is read, in bytes. A stream carries
/// frames of at most 16 KiB. quinn's defaults would let a hostile agent fill gigabytes.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// The round trip that is assumed before the first was measured: a continent's. A packet of the handshake that was lost
/// is so repeated after 300 ms and not after a second (RFC 9002, section 6.2.2, recommends 333 ms for paths of which
/// nothing is known), and an agent is back in session sooner: on simulated links that lose 5 % and reorder, three agents
/// took 490 ms on average in place of 560, and 770 ms in place of 990 in one case of twenty. On a longer path the first
/// packets are sent twice in vain.
pub(crate) const INITIAL_RTT: Duration = Duration::from_millis(100);

/// UDP socket buffer to ask for: 2 MiB hold some 1,500 full datagrams, 100 ms of the fastest link planned for.
pub const UDP_BUFFER: usize = 2 * 1024 * 1024;

/// The number of bidirectional streams that a peer may open beyond what its slots need. Capacity is counted by the
/// relay; this is a guard that is never reached. At least 256: QUIC tells of new room after each eighth of the limit, in a
/// packet of its own, and with the least limit that slots would need that was one packet for every seven sign-ins.
pub fn stream_limit(slots: u32) -> u32 {
    slots.saturating_mul(2).saturating_add(16).max(256)
}

/// Transport settings of both ends; `streams` is how many bidirectional streams the other side may have open.
pub fn transport_config(streams: u32) -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(streams))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(IdleTimeout::try_from(IDLE_TIMEOUT).ok())
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(u64::from(CONNECTION_WINDOW))
        .datagram_receive_buffer_size(None)
        .initial_rtt(INITIAL_RTT)
        .congestion_controller_factory(Arc::new(ThinLink));
    config
}

/// aws-lc-rs with its default groups, of which X25519MLKEM768 is the first.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Bytes of a [`ResetSecret`].
pub const RESET_SECRET_BYTES: usize = 64;

/// What a server's connection ids and reset tokens are made from. Kept over a restart, it lets the server tell peers of
/// connections that it knows nothing of any more that these are over (RFC 9000, section 10.3).
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct ResetSecret([u8; RESET_SECRET_BYTES]);

impl From<[u8; RESET_SECRET_BYTES]> for ResetSecret {
    fn from(secret: [u8; RESET_SECRET_BYTES]) -> Self {
        Self(secret)
    }
}

impl std::fmt::Debug for ResetSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ResetSecret")
    }
}

/// Between two resets that are sent. Each is shorter than what it answers, so they amplify nothing; and after a restart
/// thousands of agents ask for one within half a second.
const RESET_INTERVAL: Duration = Duration::from_millis(1);

/// A server's endpoint, which resets what it made with the same secret before it was restarted.
pub fn endpoint_config(secret: &ResetSecret) -> quinn::EndpointConfig {
    let derive = |purpose: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret.0);
        hmac::sign(&key, purpose)
    };
    let reset_key = hmac::Key::new(hmac::HMAC_SHA256, derive(b"reset token").as_ref());
    // A reset is sent only for an id that the generator knows as its own.
    let mut id_key = [0; 8];
    id_key.copy_from_slice(&derive(b"connection id").as_ref()[..8]);
    let id_key = u64::from_be_bytes(id_key);
    let mut config = quinn::EndpointConfig::new(Arc::new(reset_key));
    config
        .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id_key)))
        .min_reset_interval(RESET_INTERVAL);
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::NamedGroup;

    #[test]
    fn the_hybrid_group_is_preferred() {
        let first = crypto_provider().kx_groups.first().map(|group| group.name());
        assert_eq!(first, Some(NamedGroup::X25519MLKEM768));
    }
}
