//! The configuration file: what may stand in it, and what it comes to once everything has been checked.

mod objects;
mod policy;
mod start;
mod users;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postern_service::config::{Problems, RawConfig};
use postern_service::telemetry::LogConfig;
use postern_service::threads;
use postern_service::tls::load_identity;
use serde::Deserialize;

use crate::domain::OLD_PASSWORD_ALLOWED;
use crate::domain::builtin::FIRST_DC;
use crate::domain::controllers::{DcId, REPLICATION_DELAY};
use crate::domain::dialect::Dialect;
use crate::domain::nt_hash::NtHash;
use crate::domain::settings::{DomainSettings, GeneratedSettings};
use crate::domain::sid::Sid;
use crate::faults::rule::{self, Known, RawRule, Rule};
use crate::tls::Source;
use crate::world::Start;
use objects::{Places, RawGroup, RawUnit};
use policy::{RawPasswordSettings, RawPolicy};
use start::{RawClock, RawSnapshot};
use users::{RawUser, hashed};

/// Numbered accounts at most: their sixth-digit names and relative identifiers stay well formed.
const MAX_GENERATED: u32 = 10_000_000;

/// Lengths in a policy, at most: a hundred years, so that no sum leaves FILETIME's range.
const MAX_SECONDS: u64 = 100 * 365 * 86_400;

/// A checked configuration.
#[derive(Debug)]
pub struct Config {
    /// The domain with its accounts.
    pub domain: DomainSettings,
    /// Its controllers; at least one, no name twice.
    pub dcs: Vec<DcConfig>,
    /// What they show over TLS.
    pub tls: Source,
    /// Where the control interface listens.
    pub control: SocketAddr,
    /// Where metrics and health are served; on the control listener when `None`.
    pub admin: Option<SocketAddr>,
    /// Faults that are in force from the start.
    pub faults: Vec<Rule>,
    /// What the clock shows first, and the state that the domain begins in.
    pub start: Start,
    /// Threads that serve.
    pub threads: NonZeroUsize,
    /// Logging.
    pub log: LogConfig,
}

/// One controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DcConfig {
    /// Its name.
    pub name: String,
    /// LDAP and StartTLS.
    pub ldap: Option<SocketAddr>,
    /// LDAPS.
    pub ldaps: Option<SocketAddr>,
}

/// The file as it is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFile {
    domain: Option<RawDomain>,
    #[serde(default)]
    policy: RawPolicy,
    #[serde(default)]
    generated: RawGenerated,
    tls: Option<RawTls>,
    control: Option<RawControl>,
    admin: Option<RawAdmin>,
    #[serde(default)]
    server: RawServer,
    #[serde(default)]
    clock: RawClock,
    snapshot: Option<RawSnapshot>,
    #[serde(default)]
    dcs: Vec<RawDc>,
    #[serde(default)]
    users: Vec<RawUser>,
    users_file: Option<PathBuf>,
    #[serde(default)]
    organizational_units: Vec<RawUnit>,
    #[serde(default)]
    groups: Vec<RawGroup>,
    #[serde(default)]
    password_settings: Vec<RawPasswordSettings>,
    #[serde(default)]
    faults: Vec<RawRule>,
    #[serde(default)]
    log: LogConfig,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDomain {
    name: Option<String>,
    netbios: Option<String>,
    #[serde(default)]
    dialect: RawDialect,
    // A Windows Server before 2025 takes passwords in the clear unless it is told not to.
    #[serde(default)]
    strong_auth: bool,
    #[serde(default)]
    upn_suffixes: Vec<String>,
    sid: Option<String>,
    #[serde(default, deserialize_with = "hashed")]
    administrator_password: Option<NtHash>,
    old_password_allowed_s: Option<u64>,
    #[serde(default)]
    new_accounts: bool,
    pdc: Option<String>,
    replication_delay_ms: Option<i64>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawDialect {
    #[default]
    Windows,
    Samba,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawGenerated {
    count: u32,
    password: String,
    mail_suffix: Option<String>,
}

impl Default for RawGenerated {
    fn default() -> Self {
        // None unless asked for; the password pattern is the one that every example of Postern uses.
        Self {
            count: 0,
            password: "Postern-{n}".to_owned(),
            mail_suffix: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawControl {
    listen: Option<String>,
    #[serde(default)]
    allow_remote: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAdmin {
    listen: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDc {
    name: Option<String>,
    ldap: Option<String>,
    ldaps: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    threads: Option<usize>,
}

impl RawConfig for RawFile {
    type Config = Config;

    fn validate(self, base: &Path, problems: &mut Problems) -> Option<Config> {
        self.log.validate(problems);
        let threads = threads::configured("server.threads", self.server.threads, problems);
        let generated = self.generated.validate(problems);
        let tls = tls(self.tls, self.domain.as_ref(), base, problems);
        let control = control(self.control, problems);
        let admin = self.admin.map(|admin| address("admin.listen", admin.listen, problems));
        let dcs = dcs(self.dcs, problems);
        let names: Vec<&str> = dcs.iter().map(|dc| dc.name.as_str()).collect();
        let can_issue = !matches!(tls, Some(Source::Configured(_)));
        listeners(&dcs, control, admin.flatten(), problems);
        let dialect = match self.domain.as_ref().map(|domain| domain.dialect) {
            None | Some(RawDialect::Windows) => Dialect::Windows,
            Some(RawDialect::Samba) => Dialect::Samba,
        };
        let policy = self.policy.validate(dialect, problems);
        let domain = problems.require("domain", self.domain)?;
        let (dns_name, netbios) = domain.names(problems);
        let (sid, old_password_allowed) = (domain.sid(problems), domain.old_password_allowed(problems));
        let (pdc, replication_delay) = (domain.pdc(&dcs, problems), domain.replication_delay(problems));
        let dns_name = dns_name?;
        let mut places = Places::new();
        let units = places.units(self.organizational_units, problems);
        let expires =
            policy.max_password_age.is_some() || self.password_settings.iter().any(RawPasswordSettings::expires);
        let mut people = users::Users::new(&dns_name, &policy, expires, &places, generated.count);
        for dc in &dcs {
            people.claim("dcs", "sam", &format!("{}$", dc.name), problems);
        }
        for (rid, _) in (FIRST_DC..).zip(&dcs) {
            people.claim("dcs", "rid", &rid.to_string(), problems);
        }
        people.add("users", self.users, problems);
        if let Some(file) = self.users_file {
            people.add_file(&base.join(file), problems);
        }
        for (index, suffix) in domain.upn_suffixes.iter().enumerate() {
            if !is_dns_name(suffix) {
                problems.add(
                    format!("domain.upn_suffixes[{index}]"),
                    format!("{suffix:?} is not a DNS name"),
                );
            }
        }
        let groups = objects::groups(self.groups, &places, &mut people, problems);
        let whom = policy::Whom {
            is_known: &|name| people.is_known(name),
            scope: &|name| objects::scope_of(&groups, name),
        };
        let password_settings = policy::password_settings(self.password_settings, &policy, dialect, &whom, problems);
        let known = Known {
            dcs: &names,
            // As over the control interface: nobody signs in as a group.
            is_user: &|name| people.is_known(name) && objects::scope_of(&groups, name).is_none(),
            can_issue,
        };
        let faults = rule::validate(self.faults, "faults", &known, problems);
        let users = people.into_settings();
        let domain = DomainSettings {
            dns_name,
            netbios: netbios?,
            upn_suffixes: domain.upn_suffixes,
            dialect,
            strong_auth: domain.strong_auth,
            sid,
            dcs: dcs.iter().map(|dc| dc.name.clone()).collect(),
            pdc,
            replication_delay,
            administrator_password: domain.administrator_password,
            old_password_allowed,
            new_accounts: domain.new_accounts,
            policy,
            units,
            groups,
            password_settings,
            users,
            generated,
        };
        let clock = self.clock.validate(self.snapshot.is_some(), problems);
        let snapshot = self.snapshot.map(|snapshot| snapshot.read(base, &domain, problems));
        let start = Start {
            clock,
            snapshot: snapshot.flatten(),
        };
        // `admin` is either not asked for, or an address.
        let admin = match admin {
            None => None,
            Some(address) => Some(address?),
        };
        Some(Config {
            domain,
            dcs,
            tls: tls?,
            control: control?,
            admin,
            faults,
            start,
            threads,
            log: self.log,
        })
    }

    fn log(config: &Config) -> &LogConfig {
        &config.log
    }
}

impl RawDomain {
    fn names(&self, problems: &mut Problems) -> (Option<String>, Option<String>) {
        let name = problems.require("domain.name", self.name.clone()).filter(|name| {
            let valid = is_dns_name(name);
            if !valid {
                problems.add("domain.name", format!("{name:?} is not a DNS name"));
            }
            valid
        });
        let netbios = problems.require("domain.netbios", self.netbios.clone()).filter(|name| {
            let valid = (1..=15).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !valid {
                problems.add(
                    "domain.netbios",
                    format!("{name:?} is not 1 to 15 letters, digits and hyphens"),
                );
            }
            valid
        });
        (name, netbios)
    }
}

impl RawDomain {
    fn sid(&self, problems: &mut Problems) -> Option<Sid> {
        let text = self.sid.as_deref()?;
        let sid = Sid::parse(text).filter(Sid::is_of_a_domain);
        if sid.is_none() {
            problems.add(
                "domain.sid",
                format!("{text:?} is not a domain's identifier like \"S-1-5-21-1-2-3\""),
            );
        }
        sid
    }

    fn pdc(&self, dcs: &[DcConfig], problems: &mut Problems) -> DcId {
        let Some(name) = &self.pdc else { return DcId::FIRST };
        let place = dcs.iter().position(|dc| dc.name.eq_ignore_ascii_case(name));
        if place.is_none() {
            let known: Vec<_> = dcs.iter().map(|dc| dc.name.as_str()).collect();
            problems.add(
                "domain.pdc",
                format!(
                    "{name:?} is not the name of one of the dcs; there are: {}",
                    known.join(", ")
                ),
            );
        }
        place.map_or(DcId::FIRST, DcId::at)
    }

    fn replication_delay(&self, problems: &mut Problems) -> Duration {
        let Some(length) = self.replication_delay_ms else {
            return REPLICATION_DELAY;
        };
        let length = u64::try_from(length).map(Duration::from_millis);
        match length {
            Ok(length) if length.as_secs() <= MAX_SECONDS => length,
            Ok(_) => {
                problems.add("domain.replication_delay_ms", "is more than a hundred years");
                REPLICATION_DELAY
            }
            Err(_) => {
                problems.add("domain.replication_delay_ms", "must not be negative");
                REPLICATION_DELAY
            }
        }
    }

    fn old_password_allowed(&self, problems: &mut Problems) -> Duration {
        let Some(seconds) = self.old_password_allowed_s else {
            return OLD_PASSWORD_ALLOWED;
        };
        if seconds > MAX_SECONDS {
            problems.add("domain.old_password_allowed_s", "is more than a hundred years");
        }
        Duration::from_secs(seconds.min(MAX_SECONDS))
    }
}

impl RawGenerated {
    fn validate(self, problems: &mut Problems) -> GeneratedSettings {
        if self.count > MAX_GENERATED {
            problems.add("generated.count", format!("must be at most {MAX_GENERATED}"));
        }
        if self.password.is_empty() {
            problems.add(
                "generated.password",
                "must not be empty: nobody can sign in with an empty password",
            );
        }
        if let Some(suffix) = self.mail_suffix.as_ref().filter(|suffix| !is_dns_name(suffix)) {
            problems.add("generated.mail_suffix", format!("{suffix:?} is not a DNS name"));
        }
        GeneratedSettings {
            count: self.count.min(MAX_GENERATED),
            password: self.password,
            mail_suffix: self.mail_suffix,
        }
    }
}

fn tls(raw: Option<RawTls>, domain: Option<&RawDomain>, base: &Path, problems: &mut Problems) -> Option<Source> {
    let Some(raw) = raw else {
        let name = domain
            .and_then(|domain| domain.name.as_deref())
            .filter(|name| is_dns_name(name))?;
        return Some(Source::Made {
            ca_file: base.join(format!("{name}-ca.pem")),
        });
    };
    let certificate = problems.require("tls.certificate", raw.certificate);
    let key = problems.require("tls.key", raw.key);
    match load_identity(&base.join(certificate?), &base.join(key?)) {
        Ok(identity) => Some(Source::Configured(identity)),
        Err(error) => {
            problems.add("tls", error);
            None
        }
    }
}

fn control(raw: Option<RawControl>, problems: &mut Problems) -> Option<SocketAddr> {
    let raw = problems.require("control", raw)?;
    let address = address("control.listen", raw.listen, problems)?;
    if !address.ip().is_loopback() && !raw.allow_remote {
        problems.add(
            "control.listen",
            format!(
                "{address} is not a loopback address, and whoever reaches the control interface can change every \
                 account; set control.allow_remote = true if that is meant"
            ),
        );
    }
    Some(address)
}

fn dcs(raw: Vec<RawDc>, problems: &mut Problems) -> Vec<DcConfig> {
    if raw.is_empty() {
        problems.add(
            "dcs",
            "names no domain controller; add a [[dcs]] with name and ldap or ldaps",
        );
    }
    if raw.len() > DcId::MOST {
        problems.add("dcs", format!("must be at most {}", DcId::MOST));
    }
    let mut names = BTreeSet::new();
    let mut dcs = Vec::new();
    for (index, dc) in raw.into_iter().enumerate() {
        let key = format!("dcs[{index}]");
        let name = problems.require(&format!("{key}.name"), dc.name).unwrap_or_default();
        if !name.is_empty() && !is_label(&name) {
            problems.add(
                format!("{key}.name"),
                format!("{name:?} is not a host name without dots"),
            );
        }
        if !name.is_empty() && !names.insert(name.to_lowercase()) {
            problems.add(format!("{key}.name"), format!("{name:?} is there twice"));
        }
        if dc.ldap.is_none() && dc.ldaps.is_none() {
            problems.add(&key, "has neither ldap nor ldaps");
        }
        let ldap = dc.ldap.and_then(|text| problems.parse(&format!("{key}.ldap"), &text));
        let ldaps = dc.ldaps.and_then(|text| problems.parse(&format!("{key}.ldaps"), &text));
        dcs.push(DcConfig { name, ldap, ldaps });
    }
    dcs
}

/// No two may listen where only one can; port 0 is another one each time.
fn listeners(dcs: &[DcConfig], control: Option<SocketAddr>, admin: Option<SocketAddr>, problems: &mut Problems) {
    let of_dcs = dcs.iter().enumerate().flat_map(|(index, dc)| {
        let (ldap, ldaps) = (format!("dcs[{index}].ldap"), format!("dcs[{index}].ldaps"));
        [(ldap, dc.ldap), (ldaps, dc.ldaps)]
    });
    let others = [
        ("control.listen".to_owned(), control),
        ("admin.listen".to_owned(), admin),
    ];
    let mut taken: Vec<(String, SocketAddr)> = Vec::new();
    for (key, address) in others.into_iter().chain(of_dcs) {
        let Some(address) = address.filter(|address| address.port() != 0) else {
            continue;
        };
        if let Some((first, _)) = taken.iter().find(|(_, other)| is_same_place(*other, address)) {
            problems.add(&key, format!("{address} is taken by {first}"));
        }
        taken.push((key, address));
    }
}

/// A listener on all addresses takes the port on each of them, and one for IPv6 that of IPv4, too.
fn is_same_place(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |all: SocketAddr, one: SocketAddr| all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    one.port() == other.port() && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
}

fn address(key: &str, text: Option<String>, problems: &mut Problems) -> Option<SocketAddr> {
    let text = problems.require(key, text)?;
    problems.parse(key, &text)
}

/// Whether a text is the name of a host or a domain (RFC 1123 2.1).
pub(crate) fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests;
