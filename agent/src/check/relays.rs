//! The doctor at the relays: name, UDP, both certificates, version, clock. Each address is looked at by itself, since
//! replicas may differ.

use std::sync::Arc;

use futures_util::future::join_all;
use rustls_pki_types::ServerName;

use super::certificate;
use super::report::{Name, Step, in_two};
use crate::config::{Config, RelayAddress, literal};
use crate::link::dial::{Dialer, Dialled, Spot};
use crate::link::explain::{Trouble, TroubleKind};
use crate::link::probe::{Seen, probe};
use crate::link::{certificate_name, look_up};
use crate::network::Sockets;
use crate::opener::CLOCK_ALLOWANCE;

/// What is looked at over one connection, in this order.
const STEPS: [Name; 5] = [
    Name::RelayUdp,
    Name::RelayCertificate,
    Name::RelayAdmission,
    Name::RelayVersion,
    Name::RelayClock,
];

/// Clocks that differ by more are told of before they do harm. Time services keep them within milliseconds.
const CLOCK_NOTICE_MS: u64 = 5_000;

/// How far a look got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The handshake.
    Handshake,
    /// The greeting after it.
    Greeting,
}

/// Looks at every configured relay at the same time. `usable` is whether this agent's own certificate is valid.
pub(super) async fn check(config: &Config, usable: bool, now: i64) -> Vec<Step> {
    let dialer = match Dialer::new(Arc::new(Sockets), config) {
        Ok(dialer) => dialer,
        Err(error) => {
            return vec![Step::failed(
                Name::RelayUdp,
                "this machine",
                error.to_string(),
                "agent.key: check it",
            )];
        }
    };
    let looks = config.relays.addresses.iter().map(|address| {
        let name = certificate_name(&config.relays, address);
        at_address(&dialer, address, name, usable, now)
    });
    let steps = join_all(looks).await.into_iter().flatten().collect();
    dialer.close().await;
    steps
}

async fn at_address(
    dialer: &Dialer,
    address: &RelayAddress,
    name: Option<ServerName<'static>>,
    usable: bool,
    now: i64,
) -> Vec<Step> {
    let label = address.to_string();
    let Some(name) = name else {
        let advice = "relays.server_name: set it to a name that the relay's certificate has";
        return vec![Step::failed(
            Name::RelayResolves,
            &label,
            "no certificate can be for this name",
            advice,
        )];
    };
    if let Some(literal) = literal(address) {
        return at(dialer, &label, &Spot::Address(literal), &name, usable, now).await;
    }
    let found = match look_up(address).await {
        Ok(found) => found,
        Err(trouble) if dialer.proxy().is_some() => {
            let (what, _) = in_two(&trouble.text);
            let detail = format!("{what}, so it is left to the proxy, and only TCP can be used");
            let advice = "this machine's DNS: if it knew the relay's name, UDP could be tried";
            let named = Spot::Named(address.clone());
            let mut steps = vec![Step::warning(Name::RelayResolves, &label, detail, advice)];
            steps.extend(at(dialer, &label, &named, &name, usable, now).await);
            return steps;
        }
        Err(trouble) => {
            let mut steps = vec![failed(Name::RelayResolves, &label, &trouble)];
            steps.extend(STEPS.map(|step| Step::skipped(step, &label, "the relay's name does not resolve")));
            return steps;
        }
    };
    let addresses: Vec<String> = found.iter().map(|found| found.ip().to_string()).collect();
    let resolved = Step::ok(
        Name::RelayResolves,
        &label,
        format!("resolves to {}", addresses.join(", ")),
    );
    let looks = found.into_iter().map(async |socket| {
        let target = format!("{label} ({})", socket.ip());
        at(dialer, &target, &Spot::Address(socket), &name, usable, now).await
    });
    let steps = join_all(looks).await.into_iter().flatten();
    std::iter::once(resolved).chain(steps).collect()
}

async fn at(
    dialer: &Dialer,
    target: &str,
    spot: &Spot,
    name: &ServerName<'static>,
    usable: bool,
    now: i64,
) -> Vec<Step> {
    let (dialled, carrier) = match dial(dialer, target, spot, name).await {
        Ok(dialled) => dialled,
        Err(trouble) => {
            let certificate = Step::ok(
                Name::RelayCertificate,
                target,
                format!("it is for {} and from an authority in relays.anchors", name.to_str()),
            );
            return after(&trouble, Until::Handshake, target, certificate, usable);
        }
    };
    let what = format!("it is {}, whose certificate", dialled.relay);
    let advice = "the relay's quic.certificate: renew it";
    let certificate = certificate::until(Name::RelayCertificate, target, &what, dialled.not_after, now, advice);
    match probe(dialer, &dialled.connection).await {
        Err(trouble) => after(&trouble, Until::Greeting, target, certificate, usable),
        Ok(seen) => vec![
            carrier,
            certificate,
            Step::ok(Name::RelayAdmission, target, "the relay takes this agent's certificate"),
            Step::ok(
                Name::RelayVersion,
                target,
                format!(
                    "protocol {}.{}, software {}",
                    seen.probed.major, seen.probed.minor, seen.probed.software
                ),
            ),
            clock(target, &seen),
        ],
    }
}

/// As an agent would: over TCP where UDP does not pass. With what is to be said of that.
async fn dial(
    dialer: &Dialer,
    target: &str,
    spot: &Spot,
    name: &ServerName<'static>,
) -> Result<(Dialled, Step), Trouble> {
    let no_udp = match spot {
        Spot::Named(_) => None,
        Spot::Address(address) => match dialer.quic(*address, name).await {
            Ok(dialled) => return Ok((dialled, Step::ok(Name::RelayUdp, target, "answers"))),
            Err(trouble) if trouble.kind != TroubleKind::NoUdp => return Err(trouble),
            Err(trouble) => Some(trouble),
        },
    };
    match (dialer.tcp(spot, name).await, no_udp) {
        (Ok(dialled), _) => {
            let way = dialer
                .proxy()
                .map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
            let detail = format!(
                "no answer over UDP, but over TCP{way}: sign-ins will go over TCP, and wait for each other where packets are lost"
            );
            let advice = "the firewall: let UDP out to the relay's port, and its answers in";
            Ok((dialled, Step::warning(Name::RelayUdp, target, detail, advice)))
        }
        // Without a proxy nothing more is known by TCP's silence; what a proxy says is said.
        (Err(no_tcp), Some(no_udp)) if no_tcp.kind == TroubleKind::NoTcp && dialer.proxy().is_none() => Err(no_udp),
        (Err(trouble), _) => Err(trouble),
    }
}

/// The steps of a look that ended with a trouble. `certificate` is what is known of the relay's, if anything is.
fn after(trouble: &Trouble, until: Until, target: &str, certificate: Step, usable: bool) -> Vec<Step> {
    let at = place(trouble.kind, until);
    let expired = trouble.kind == TroubleKind::AgentCertificateTime && !usable;
    let certificate_known = until == Until::Greeting || at == Name::RelayAdmission;
    let admitted = trouble.kind == TroubleKind::Version && until == Until::Greeting;
    let mut before = true;
    let step = |name| {
        if name == at {
            before = false;
            if expired {
                return Step::skipped(name, target, "this agent's own certificate is not valid now");
            }
            return failed(name, target, trouble);
        }
        match name {
            Name::RelayUdp if before => Step::ok(name, target, "answers"),
            Name::RelayCertificate if before && certificate_known => certificate.clone(),
            Name::RelayAdmission if before && admitted => {
                Step::ok(name, target, "the relay takes this agent's certificate")
            }
            _ => Step::skipped(name, target, format!("not reached: {}", in_two(&trouble.text).0)),
        }
    };
    STEPS.map(step).into()
}

/// Which step a trouble belongs to.
fn place(kind: TroubleKind, until: Until) -> Name {
    match (kind, until) {
        (TroubleKind::Resolve, _) => Name::RelayResolves,
        (TroubleKind::NoUdp | TroubleKind::NoTcp | TroubleKind::Local, Until::Handshake) => Name::RelayUdp,
        (
            TroubleKind::RelayCa
            | TroubleKind::RelayCertificateTime
            | TroubleKind::RelayName
            | TroubleKind::RelayIdentity,
            _,
        ) => Name::RelayCertificate,
        (
            TroubleKind::AgentCa | TroubleKind::AgentCertificateTime | TroubleKind::AgentIdentity | TroubleKind::Denied,
            _,
        ) => Name::RelayAdmission,
        (TroubleKind::Version, _) | (_, Until::Greeting) => Name::RelayVersion,
        (_, Until::Handshake) => Name::RelayCertificate,
    }
}

fn failed(name: Name, target: &str, trouble: &Trouble) -> Step {
    Step::failed(name, target, in_two(&trouble.text).0, advice(trouble.kind))
}

/// What to do, with the key that it concerns.
fn advice(kind: TroubleKind) -> &'static str {
    match kind {
        TroubleKind::Resolve => "relays.addresses: check the name, and this machine's DNS",
        TroubleKind::NoUdp => {
            "relays.addresses: check address and port, that the relay runs, and that the firewall lets UDP out to it and \
             its answers in"
        }
        TroubleKind::NoTcp => "relays.addresses: check address and port, and that the firewall lets TCP out to it",
        TroubleKind::RelayCa => "relays.anchors: add the certificate of the authority that issued the relay's",
        TroubleKind::RelayCertificateTime => "the relay's quic.certificate: renew it, or set this machine's clock",
        TroubleKind::RelayName => "relays.server_name: set it to a name that the relay's certificate has",
        TroubleKind::RelayIdentity => {
            "relays.addresses, agent.trust_domain: a relay's certificate has the URI spiffe://<trust domain>/relay/<name>"
        }
        TroubleKind::AgentCa => {
            "agent.certificate: it must come from an authority in tenants.anchors of the relay's configuration"
        }
        TroubleKind::AgentCertificateTime => "agent.certificate: renew it, or set the clocks of both machines",
        TroubleKind::AgentIdentity => {
            "agent.certificate: tenant and realm that it names must be in the relay's configuration (tenants, realms)"
        }
        TroubleKind::Denied => {
            "deny.agents, deny.serials of the relay's configuration: take this agent off, or replace \
                                agent.certificate"
        }
        TroubleKind::Version => "update the older of relay and agent; relays.addresses: is it a relay's address?",
        TroubleKind::Local => "relays.addresses: can this machine reach such an address?",
        TroubleKind::Silent
        | TroubleKind::Protocol
        | TroubleKind::Duplicate
        | TroubleKind::Ended
        | TroubleKind::Other => "relays.addresses: is it a relay's address? If it is, the relay's log says more",
    }
}

/// Whether this machine's wall clock agrees with the relay's.
fn clock(target: &str, seen: &Seen) -> Step {
    let (sent, received) = seen.between;
    // What the way there and back may have taken is no difference.
    let relay = seen.probed.unix_ms;
    let (off, ahead) = match (relay.checked_sub(received), sent.checked_sub(relay)) {
        (Some(off), _) if off > 0 => (off, false),
        (_, Some(off)) => (off, true),
        _ => (0, false),
    };
    let side = if ahead { "ahead of" } else { "behind" };
    let detail = format!("this machine's clock is {:.1} s {side} the relay's", seconds(off));
    let advice = "set this machine's clock, or the relay's: keep both with a time service (NTP)";
    let allowed = u64::try_from(CLOCK_ALLOWANCE.as_millis()).unwrap_or(u64::MAX);
    if off > allowed {
        let detail = format!("{detail}; more than {CLOCK_ALLOWANCE:?}, and passwords that callers seal are refused");
        Step::failed(Name::RelayClock, target, detail, advice)
    } else if off > CLOCK_NOTICE_MS {
        Step::warning(Name::RelayClock, target, detail, advice)
    } else {
        Step::ok(Name::RelayClock, target, "this machine's clock and the relay's agree")
    }
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::report::Status;
    use postern_protocol::frame::Probed;

    fn clock_at(relay: u64) -> Status {
        let probed = Probed {
            major: 1,
            minor: 1,
            software: String::new(),
            unix_ms: relay,
        };
        let between = (1_000_000, 1_000_400);
        clock("", &Seen { probed, between }).status
    }

    #[test]
    fn a_clock_is_off_only_by_what_the_way_does_not_explain() {
        for agrees in [1_000_000, 1_000_400, 995_000, 1_005_400] {
            assert_eq!(clock_at(agrees), Status::Ok, "{agrees}");
        }
        for notice in [994_999, 1_005_401, 970_000, 1_030_400] {
            assert_eq!(clock_at(notice), Status::Warning, "{notice}");
        }
        for off in [969_999, 1_030_401, 0, u64::MAX] {
            assert_eq!(clock_at(off), Status::Failed, "{off}");
        }
    }

    #[test]
    fn what_was_not_reached_is_skipped_and_nothing_is_called_well_that_was_not_seen() {
        let certificate = || Step::ok(Name::RelayCertificate, "r", "");
        let statuses = |kind, until, usable| {
            let steps = after(
                &Trouble::new(kind, "x; y".to_owned()),
                until,
                "r",
                certificate(),
                usable,
            );
            steps.iter().map(|step| step.status).collect::<Vec<_>>()
        };
        use Status::{Failed, Ok, Skipped};
        use Until::{Greeting, Handshake};
        for (kind, until, expected) in [
            (
                TroubleKind::NoUdp,
                Handshake,
                [Failed, Skipped, Skipped, Skipped, Skipped],
            ),
            (TroubleKind::RelayCa, Handshake, [Ok, Failed, Skipped, Skipped, Skipped]),
            (TroubleKind::AgentCa, Handshake, [Ok, Ok, Failed, Skipped, Skipped]),
            (TroubleKind::Denied, Greeting, [Ok, Ok, Failed, Skipped, Skipped]),
            (TroubleKind::Version, Handshake, [Ok, Skipped, Skipped, Failed, Skipped]),
            (TroubleKind::Version, Greeting, [Ok, Ok, Ok, Failed, Skipped]),
            (TroubleKind::NoUdp, Greeting, [Ok, Ok, Skipped, Failed, Skipped]),
        ] {
            assert_eq!(statuses(kind, until, true), expected, "{kind:?}");
        }
        let expired = statuses(TroubleKind::AgentCertificateTime, Greeting, false);
        assert_eq!(expired, [Ok, Ok, Skipped, Skipped, Skipped]);
    }
}
