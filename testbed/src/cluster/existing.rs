//! A directory that somebody has already, as the cluster is put in front of it: the configuration's raw material.
//!
//! What the directory says of itself, and what it takes to look people up in it, is found out by
//! [`crate::directory`].

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context;
use postern_protocol::Password;
use rustls_pki_types::ServerName;

/// A directory in front of which the cluster is put.
#[derive(Debug)]
pub struct Existing {
    /// Its domain controllers; at least one, their names differ.
    pub servers: Vec<Server>,
    /// The authorities that issued their certificates (PEM, absolute path); the system's when `None`.
    pub anchors: Option<PathBuf>,
    /// How people are looked up, where they are.
    pub look_up: Option<LookUp>,
    /// What else people are known by, where that is set up.
    pub alternate_id: Option<AlternateId>,
}

/// One domain controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// In logs and metrics: its host, and the port too where another has the same host.
    pub name: String,
    /// Where it is.
    pub url: ServerUrl,
}

/// How people are looked up.
#[derive(Debug)]
pub struct LookUp {
    /// Who looks; anonymous when `None`.
    pub account: Option<Account>,
    /// What the part of a name before `@` or after `\` is looked up by, in a directory that binds by DN alone.
    pub attribute: Option<String>,
}

/// The account that people are looked up with.
#[derive(Debug)]
pub struct Account {
    /// As it binds: a user principal name, `DOMAIN\name` or a distinguished name.
    pub name: String,
    /// Where the agents read its password.
    pub password: PasswordFile,
}

/// An attribute that people are looked up by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlternateId {
    /// The attribute.
    pub attribute: String,
    /// What of a typed name it holds.
    pub value: AlternateValue,
}

/// What of a typed name an attribute holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlternateValue {
    /// All of it.
    Typed,
    /// The part before the `@`.
    Name,
}

impl AlternateValue {
    /// As it stands in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Typed => "typed",
            Self::Name => "name",
        }
    }
}

/// A password in a file that nobody else can read, and that is gone when this is dropped.
#[derive(Debug)]
pub struct PasswordFile(PathBuf);

impl PasswordFile {
    /// Writes it, in the place of one that a run which was killed has left there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(path: PathBuf, password: &Password) -> anyhow::Result<Self> {
        let cannot = || format!("cannot write {}", path.display());
        if path.exists() {
            std::fs::remove_file(&path).with_context(cannot)?;
        }
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = options.with_context(cannot)?;
        let written = Self(path.clone());
        file.write_all(password.expose().as_bytes()).with_context(cannot)?;
        Ok(written)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PasswordFile {
    fn drop(&mut self) {
        // Whoever removed it before did what this is for.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// How LDAP is encrypted. Nothing here leads to LDAP in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// TLS from the first byte.
    Ldaps,
    /// LDAP that begins with StartTLS.
    StartTls,
}

impl Scheme {
    fn prefix(self) -> &'static str {
        match self {
            Self::Ldaps => "ldaps://",
            Self::StartTls => "ldap://",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Ldaps => 636,
            Self::StartTls => 389,
        }
    }
}

/// `ldaps://HOST[:PORT]` or `ldap://HOST[:PORT]`; shown without the port where it is the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// How it is encrypted.
    pub scheme: Scheme,
    /// A DNS name or an address, IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl FromStr for ServerUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "not ldaps://HOST[:PORT], nor ldap://HOST[:PORT] for StartTLS";
        let split = [Scheme::Ldaps, Scheme::StartTls]
            .into_iter()
            .find_map(|scheme| Some((scheme, text.strip_prefix(scheme.prefix())?)));
        let (scheme, rest) = split.ok_or(FORM)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| FORM)?),
            _ => (rest, scheme.default_port()),
        };
        let host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => inner,
            None if host.contains(':') => return Err("an IPv6 address needs brackets: ldaps://[2001:db8::7]:636"),
            None => host,
        };
        if port == 0 || ServerName::try_from(host).is_err() {
            return Err(FORM);
        }
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme.prefix())?;
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        match self.port == self.scheme.default_port() {
            true => Ok(()),
            false => write!(f, ":{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_url_is_shown_as_typed_less_what_goes_without_saying() {
        for (typed, shown) in [
            ("ldaps://dc1.corp.example.com", "ldaps://dc1.corp.example.com"),
            ("ldaps://dc1.corp.example.com:636/", "ldaps://dc1.corp.example.com"),
            ("ldap://dc1.corp.example.com:3890", "ldap://dc1.corp.example.com:3890"),
            ("ldap://192.0.2.7:389", "ldap://192.0.2.7"),
            ("ldaps://[2001:db8::7]", "ldaps://[2001:db8::7]"),
            ("ldaps://[2001:db8::7]:1636", "ldaps://[2001:db8::7]:1636"),
        ] {
            assert_eq!(typed.parse::<ServerUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_url_of_a_directory_is_refused() {
        for typed in [
            "dc1.corp.example.com",
            "https://dc1.corp.example.com",
            "ldaps://",
            "ldaps://:636",
            "ldaps://dc1:port",
            "ldaps://dc1:0",
            "ldaps://dc1/dc=corp",
            "ldaps://user@dc1",
            "ldaps://2001:db8::7",
            "LDAPS",
        ] {
            assert!(typed.parse::<ServerUrl>().is_err(), "{typed}");
        }
    }

    #[test]
    fn a_password_is_for_its_owner_and_for_as_long_as_it_is_needed() {
        let scratch = Scratch::new();
        let path = scratch.path().join("service-password");
        // Left by a run that was killed, and readable by everybody.
        std::fs::write(&path, "an older one").unwrap();
        let password = Password::new("Pässwörd 1".to_owned().into()).unwrap();
        let written = PasswordFile::write(path.clone(), &password).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "Pässwörd 1");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(written);
        assert!(!path.exists());
    }
}
