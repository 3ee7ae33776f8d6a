//! From the file to a [`Config`]: every problem is noted with its key, every default has its reason.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::identity::{Identity as Named, read_certificate};
use postern_protocol::{Segment, TrustDomain};
use postern_service::config::{DEFAULT_GRACE, Problems, RawConfig};
use postern_service::telemetry::LogConfig;
use postern_service::threads;
use postern_service::tls::{self, Identity};
use rustls::RootCertStore;

use super::raw::{Raw, RawApi, RawCaller, RawQuic, RawRate, RawRelay, RawSignIn};
use super::{Api, Caller, Config, Credential, Disclose, Limits, Page, Quic, Rate, SignInConfig};
use crate::core::QueueRules;
use crate::deny::DenyList;
use tenants::{realms, tenants};

mod tenants;

/// The answer must come before a person gives up or a caller's own time-out; AD's own answer takes milliseconds.
const DEADLINE_MS: u64 = 4_000;
/// Directories differ by a few milliseconds between an unknown user and a wrong password; 25 ms covers that.
const REJECT_GRID_MS: u64 = 25;
/// RFC 7516 asks for a key per message. Within one second the plaintexts passed through the same memory anyway, and
/// the RSA cost no longer grows with the number of sign-ins.
const EPOCH_MS: u64 = 1_000;
/// At 1,000 sign-ins a second and a deadline of 4 s no more than 4,000 can be in time; beyond it they are refused.
const QUEUE_LENGTH: usize = 4_096;
/// A queued sign-in is some 1 KiB; this bounds callers' envelopes of 64 KiB.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// A person notices half a second. Whoever would wait longer hears at once that there is too much to do, and what is
/// taken on is answered soon.
const QUEUE_WAIT_MS: u64 = 500;
/// Nothing balances load on a plain machine. Behind a balancer this should be longer than its probe's interval;
/// Kubernetes takes a pod from its endpoints within a few seconds.
const DRAIN_WAIT_MS: u64 = 0;
/// Longer than this, and whatever ends the process will not wait.
const MOST_DRAIN_WAIT_MS: u64 = 600_000;
/// Load balancers keep some hundreds of connections; this leaves room and bounds memory.
const MAX_CONNECTIONS: usize = 4_096;
/// A caller is a back end that serves many people: refuse runaways, not peaks.
const PER_CALLER: Rate = Rate {
    per_second: 2_000.0,
    burst: 4_000.0,
};
/// Many people may share one address.
const PER_ADDRESS: Rate = Rate {
    per_second: 50.0,
    burst: 200.0,
};
/// Nobody types faster; slows down guessing before the directory's lockout does: thresholds of Active Directory are 5 to 10,
/// mostly, and a burst below them leaves no stranger a way to lock an account at once.
const PER_USER: Rate = Rate {
    per_second: 0.5,
    burst: 4.0,
};

impl RawConfig for Raw {
    type Config = Config;

    fn validate(self, base: &Path, problems: &mut Problems) -> Option<Config> {
        self.log.validate(problems);
        let files = self.files(base);
        let relay = problems.require("relay", self.relay).unwrap_or(RawRelay {
            name: None,
            trust_domain: None,
            replicas: Vec::new(),
            state: None,
            drain_wait_ms: None,
            threads: None,
        });
        let name = parsed::<Segment>(problems, "relay.name", relay.name);
        let trust_domain = parsed::<TrustDomain>(problems, "relay.trust_domain", relay.trust_domain);
        for (index, address) in relay.replicas.iter().enumerate() {
            let port = address
                .rsplit_once(':')
                .and_then(|(host, port)| (!host.is_empty()).then_some(port));
            if port.and_then(|port| port.parse::<u16>().ok()).is_none() {
                problems.add(
                    format!("relay.replicas[{index}]"),
                    format!("{address:?} is not HOST:PORT"),
                );
            }
        }
        let drain_wait_ms = relay.drain_wait_ms.unwrap_or(DRAIN_WAIT_MS);
        if drain_wait_ms > MOST_DRAIN_WAIT_MS {
            problems.add("relay.drain_wait_ms", format!("must be at most {MOST_DRAIN_WAIT_MS}"));
        }
        let threads = threads::configured("relay.threads", relay.threads, problems);
        let admin_listen = problems
            .require("admin", self.admin)
            .and_then(|admin| parsed(problems, "admin.listen", admin.listen));
        // By name, whether or not their anchors can be read: a realm is not to blame for that.
        let named: BTreeSet<String> = self.tenants.iter().filter_map(|tenant| tenant.name.clone()).collect();
        let tenants = tenants(self.tenants, base, problems);
        let realms = realms(self.realms, &named, problems);
        let callers = callers(self.callers, problems);
        let api = problems
            .require("api", self.api)
            .and_then(|api| validate_api(api, base, problems));
        let page = self.page.map(|page| Page {
            // Whoever reaches the page may type there, so it is public unless said otherwise.
            disclose: disclose(problems, "page.disclose", page.disclose.as_deref(), Disclose::Public),
        });
        let quic = problems
            .require("quic", self.quic)
            .and_then(|quic| validate_quic(quic, name.as_ref(), trust_domain.as_ref(), base, problems));
        let by_certificate = callers
            .iter()
            .any(|c| matches!(c.credential, Credential::CertificateName(_)));
        if by_certificate && api.as_ref().is_some_and(|api| api.client_anchors.is_none()) {
            problems.add(
                "api.client_anchors",
                "is missing: a caller has a certificate_name, and nothing to verify it against",
            );
        }
        if let (Some(api), Some(admin)) = (&api, admin_listen)
            && api.listen == admin
            && admin.port() != 0
        {
            problems.add("admin.listen", "is the same as api.listen");
        }
        if let Some(quic) = &quic {
            let others = [
                ("api.listen", api.as_ref().map(|api| api.listen)),
                ("admin.listen", admin_listen),
            ];
            for (key, other) in others {
                if let Some(other) = other {
                    check_tcp_port(quic, key, other, problems);
                }
            }
        }
        let limits = Limits {
            per_caller: rate(problems, "limits.per_caller", self.limits.per_caller, PER_CALLER),
            per_address: rate(problems, "limits.per_address", self.limits.per_address, PER_ADDRESS),
            per_user: rate(problems, "limits.per_user", self.limits.per_user, PER_USER),
        };
        let sign_in = sign_in(&self.sign_in, problems);
        let deny = DenyList::parse(&self.deny.agents, &self.deny.serials, problems);
        Some(Config {
            name: name?,
            trust_domain: trust_domain?,
            api: api?,
            page,
            quic: quic?,
            admin_listen: admin_listen?,
            tenants,
            realms,
            callers,
            limits,
            sign_in,
            deny,
            replicas: relay.replicas,
            state: relay.state.map(|folder| base.join(folder)),
            files,
            drain_wait: Duration::from_millis(drain_wait_ms),
            threads,
            log: self.log,
        })
    }

    fn log(config: &Config) -> &LogConfig {
        &config.log
    }

    fn grace(config: &Config) -> Duration {
        config.drain_wait + DEFAULT_GRACE
    }
}

fn parsed<T>(problems: &mut Problems, key: &str, text: Option<String>) -> Option<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    problems.require(key, text).and_then(|text| problems.parse(key, &text))
}

fn identity(
    problems: &mut Problems,
    base: &Path,
    section: &str,
    certificate: Option<String>,
    key: Option<String>,
) -> Option<Identity> {
    let certificate = problems.require(&format!("{section}.certificate"), certificate);
    let key = problems.require(&format!("{section}.key"), key);
    let (certificate, key) = (certificate.map(|path| base.join(path)), key.map(|path| base.join(path)));
    // Each by itself first, so that both are named when both are missing.
    let mut usable = true;
    if let Some(Err(error)) = certificate.as_deref().map(tls::load_certificates) {
        problems.add(format!("{section}.certificate"), error);
        usable = false;
    }
    if let Some(Err(error)) = key.as_deref().map(tls::load_key) {
        problems.add(format!("{section}.key"), error);
        usable = false;
    }
    let (certificate, key) = (certificate.filter(|_| usable)?, key.filter(|_| usable)?);
    match tls::load_identity(&certificate, &key) {
        Ok(identity) => Some(identity),
        Err(error) => {
            problems.add(format!("{section}.key"), error);
            None
        }
    }
}

fn anchors(problems: &mut Problems, base: &Path, key: &str, path: &str) -> Option<Arc<RootCertStore>> {
    match tls::load_anchors(&base.join(path)) {
        Ok(store) => Some(Arc::new(store)),
        Err(error) => {
            problems.add(key, error);
            None
        }
    }
}

fn callers(raw: Vec<RawCaller>, problems: &mut Problems) -> Vec<Caller> {
    let mut callers = Vec::<Caller>::new();
    for (index, caller) in raw.into_iter().enumerate() {
        let key = format!("callers[{index}]");
        let name = problems.require(&format!("{key}.name"), caller.name.filter(|name| !name.is_empty()));
        let credential = match (caller.token_sha256, caller.certificate_name) {
            (Some(hash), None) => sha256(&hash).map(Credential::TokenSha256).or_else(|| {
                problems.add(
                    format!("{key}.token_sha256"),
                    "is not a SHA-256 in 64 hexadecimal digits (printf %s TOKEN | sha256sum)",
                );
                None
            }),
            (None, Some(name)) => Some(Credential::CertificateName(name)),
            _ => {
                problems.add(&key, "needs exactly one of token_sha256 and certificate_name");
                None
            }
        };
        let disclose = disclose(
            problems,
            &format!("{key}.disclose"),
            caller.disclose.as_deref(),
            Disclose::Public,
        );
        if let (Some(name), Some(credential)) = (name, credential) {
            if callers.iter().any(|other| other.credential == credential) {
                problems.add(&key, "has the same credential as another caller");
            }
            callers.push(Caller {
                name,
                credential,
                disclose,
            });
        }
    }
    callers
}

fn validate_api(raw: RawApi, base: &Path, problems: &mut Problems) -> Option<Api> {
    let listen = parsed::<SocketAddr>(problems, "api.listen", raw.listen);
    let has_tls = raw.tls.is_some();
    let tls = raw
        .tls
        .and_then(|tls| identity(problems, base, "api.tls", tls.certificate, tls.key));
    if listen.is_some_and(|listen| !listen.ip().is_loopback()) && !has_tls && !raw.insecure_http {
        problems.add(
            "api.tls",
            "is missing, and api.listen is not a loopback address: passwords would cross the network in the clear. \
             Set api.tls, or api.insecure_http = true where a proxy beside the relay ends TLS",
        );
    }
    let client_anchors = raw
        .client_anchors
        .as_deref()
        .and_then(|path| anchors(problems, base, "api.client_anchors", path));
    if raw.client_anchors.is_some() && !has_tls {
        problems.add(
            "api.client_anchors",
            "needs api.tls: there are no client certificates without TLS",
        );
    }
    let trusted_proxies = raw
        .trusted_proxies
        .iter()
        .enumerate()
        .filter_map(|(index, text)| problems.parse::<IpAddr>(&format!("api.trusted_proxies[{index}]"), text))
        .collect();
    let disclose = disclose(problems, "api.disclose", raw.disclose.as_deref(), Disclose::Public);
    let max_connections = raw.max_connections.unwrap_or(MAX_CONNECTIONS);
    if max_connections == 0 {
        problems.add("api.max_connections", "must be at least 1");
    }
    Some(Api {
        listen: listen?,
        tls,
        client_anchors,
        trusted_proxies,
        disclose,
        max_connections,
    })
}

fn validate_quic(
    raw: RawQuic,
    name: Option<&Segment>,
    trust_domain: Option<&TrustDomain>,
    base: &Path,
    problems: &mut Problems,
) -> Option<Quic> {
    let listen = parsed(problems, "quic.listen", raw.listen);
    let identity = identity(problems, base, "quic", raw.certificate, raw.key)?;
    // Agents would refuse it; better said here than in every agent's log.
    if let (Some(trust_domain), Some(leaf)) = (trust_domain, identity.chain.first()) {
        match read_certificate(leaf, trust_domain).map(|facts| facts.identity) {
            Ok(Named::Relay(named)) if name.is_none_or(|name| *name == named) => {}
            Ok(Named::Relay(named)) => {
                problems.add(
                    "quic.certificate",
                    format!("is for the relay {named}, and relay.name is another"),
                );
            }
            Ok(Named::Agent(agent)) => {
                problems.add("quic.certificate", format!("is for the agent {agent}, not for a relay"))
            }
            Err(error) => problems.add("quic.certificate", error),
        }
    }
    Some(Quic {
        listen: listen?,
        tcp: raw.tcp.unwrap_or(true),
        identity,
    })
}

/// Agents' TCP port is the number of their UDP port, which another listener may have.
fn check_tcp_port(quic: &Quic, key: &str, other: SocketAddr, problems: &mut Problems) {
    let (ours, theirs) = (quic.listen.ip(), other.ip());
    let same_place = ours == theirs || ours.is_unspecified() || theirs.is_unspecified();
    if quic.tcp && same_place && quic.listen.port() == other.port() && other.port() != 0 {
        problems.add(
            key,
            "has the port of quic.listen, where agents connect by TCP if no UDP passes; choose another port, or set \
             quic.tcp = false",
        );
    }
}

fn rate(problems: &mut Problems, key: &str, raw: Option<RawRate>, default: Rate) -> Rate {
    let Some(raw) = raw else { return default };
    let rate = Rate {
        per_second: raw.per_second.unwrap_or(default.per_second),
        burst: raw.burst.unwrap_or(default.burst),
    };
    if !(0.001..=1e9).contains(&rate.per_second) {
        problems.add(format!("{key}.per_second"), "must be from 0.001 to 1000000000");
    }
    if !(1.0..=1e9).contains(&rate.burst) {
        problems.add(
            format!("{key}.burst"),
            "must be at least 1: a bucket that never holds a token lets nobody in",
        );
    }
    rate
}

fn sign_in(raw: &RawSignIn, problems: &mut Problems) -> SignInConfig {
    let mut between = |key: &str, value: u64, least: u64, most: u64| {
        if !(least..=most).contains(&value) {
            problems.add(format!("sign_in.{key}"), format!("must be from {least} to {most}"));
        }
        Duration::from_millis(value)
    };
    let config = SignInConfig {
        deadline: between("deadline_ms", raw.deadline_ms.unwrap_or(DEADLINE_MS), 500, 60_000),
        reject_grid: between("reject_grid_ms", raw.reject_grid_ms.unwrap_or(REJECT_GRID_MS), 0, 1_000),
        epoch: between("epoch_ms", raw.epoch_ms.unwrap_or(EPOCH_MS), 0, 1_000),
        queue: QueueRules {
            length: raw.queue_length.unwrap_or(QUEUE_LENGTH),
            bytes: raw.queue_bytes.unwrap_or(QUEUE_BYTES),
            wait: between("queue_wait_ms", raw.queue_wait_ms.unwrap_or(QUEUE_WAIT_MS), 1, 60_000),
        },
    };
    if config.queue.length == 0 {
        problems.add("sign_in.queue_length", "must be at least 1");
    }
    if config.queue.bytes < 64 * 1024 {
        problems.add(
            "sign_in.queue_bytes",
            "must be at least 65536, the size of one large envelope",
        );
    }
    config
}

fn disclose(problems: &mut Problems, key: &str, text: Option<&str>, default: Disclose) -> Disclose {
    match text {
        None => default,
        Some("full") => Disclose::Full,
        Some("public") => Disclose::Public,
        Some(other) => {
            problems.add(key, format!("{other:?} is neither \"full\" nor \"public\""));
            default
        }
    }
}

fn sha256(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    let mut hash = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests;
