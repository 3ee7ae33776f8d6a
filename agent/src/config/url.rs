//! `ldaps://HOST[:PORT]` and `ldap://HOST[:PORT]`: a domain controller and what protects the way to it.

use super::{RelayAddress, Transport};

/// LDAP over TLS.
pub(super) const LDAPS_PORT: u16 = 636;

/// LDAP, with StartTLS or without.
const LDAP_PORT: u16 = 389;

/// Transport, host and port. `ldap://` means StartTLS.
pub(super) fn parse(url: &str) -> Result<(Transport, String, u16), String> {
    let schemes = [
        ("ldaps://", Transport::Ldaps, LDAPS_PORT),
        ("ldap://", Transport::StartTls, LDAP_PORT),
    ];
    let (rest, transport, default_port) = schemes
        .into_iter()
        .find_map(|(scheme, transport, port)| Some((url.strip_prefix(scheme)?, transport, port)))
        .ok_or_else(|| format!("{url:?} begins neither with ldaps:// nor with ldap:// (which means StartTLS)"))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    // With the default port added, it has the form of a relay's address.
    let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let text = if has_port {
        rest.to_owned()
    } else {
        format!("{rest}:{default_port}")
    };
    let RelayAddress { host, port } = text
        .parse()
        .map_err(|_| format!("{url:?} is not ldaps://HOST[:PORT] or ldap://HOST[:PORT]"))?;
    Ok((transport, host, port))
}
