//! Whom a bind's name means (MS-ADTS 5.1.1.1.1).
//!
//! Windows tries every form of a name in a fixed order, and the first that anything answers to decides; if more than
//! one object answers to it, the bind fails. Samba looks at the letters of the name, takes it for one form, and tries
//! no other (measured). A bare sAMAccountName is no form in either.

use super::Domain;
use super::dialect::Dialect;
use super::dn::{Dn, Escape, LONGEST, escape};
use super::fold::fold;
use super::hex;
use super::object::{Object, ObjectId};
use super::sid::{Sid, parse_guid};
use super::tree::Key;

/// Service classes that `HOST` stands for: the default of `sPNMappings` (MS-ADTS 3.1.1.1.5).
const HOST_ALIASES: &[&str] = &[
    "alerter",
    "appmgmt",
    "browser",
    "cifs",
    "cisvc",
    "clipsrv",
    "dcom",
    "dhcp",
    "dmserver",
    "dns",
    "dnscache",
    "eventlog",
    "eventsystem",
    "fax",
    "http",
    "ias",
    "iisadmin",
    "mcsvc",
    "messenger",
    "msdtc",
    "msiserver",
    "netdde",
    "netddedsm",
    "netlogon",
    "netman",
    "nmagent",
    "oakley",
    "plugplay",
    "policyagent",
    "protectedstorage",
    "rasman",
    "remoteaccess",
    "replicator",
    "rpc",
    "rpclocator",
    "rpcss",
    "rsvp",
    "samss",
    "scardsvr",
    "scesrv",
    "schedule",
    "scm",
    "seclogon",
    "snmp",
    "spooler",
    "tapisrv",
    "time",
    "trksvr",
    "trkwks",
    "ups",
    "w3svc",
    "wins",
    "www",
];

/// What Windows refuses in a sAMAccountName (MS-SAMR 3.1.1.6), and `@`, which would make it read as another form.
pub(crate) const NOT_IN_SAM: &[char] = &[
    '"', '/', '\\', '[', ']', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@',
];

/// What a name comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// This object.
    Object(ObjectId),
    /// No form of it is anybody's.
    Nobody,
    /// More than one object answers to it.
    Several,
}

impl Named {
    /// The object, if it is one.
    pub fn object(self) -> Option<ObjectId> {
        match self {
            Self::Object(id) => Some(id),
            Self::Nobody | Self::Several => None,
        }
    }

    fn of(mut found: Vec<ObjectId>) -> Self {
        found.sort_unstable();
        found.dedup();
        match found.as_slice() {
            [] => Self::Nobody,
            [only] => Self::Object(*only),
            _ => Self::Several,
        }
    }
}

/// A form of a name, as far as it is one.
type Form = fn(&Domain, &str) -> Vec<ObjectId>;

/// In the order in which they are tried.
const WINDOWS: &[Form] = &[
    by_dn,
    by_principal_name,
    by_account_name,
    by_canonical_name,
    |domain, name| {
        let guid = name.starts_with('{').then(|| parse_guid(name)).flatten();
        guid.and_then(|guid| domain.structure.tree.find_guid(guid))
            .into_iter()
            .collect()
    },
    |domain, name| domain.find(Key::DisplayName, name),
    |domain, name| domain.find(Key::Spn, name),
    by_mapped_service_name,
    |domain, name| {
        Sid::parse(name)
            .and_then(|sid| domain.structure.tree.find_sid(&sid))
            .into_iter()
            .collect()
    },
    |domain, name| {
        // The last slash of a canonical name may be a line break.
        if !name.contains('\n') {
            return Vec::new();
        }
        by_canonical_name(domain, &name.replacen('\n', "/", 1))
    },
];

impl Domain {
    /// Whom a bind's name means.
    pub fn resolve(&self, name: &str) -> Named {
        if name.len() > LONGEST {
            return Named::Nobody;
        }
        match self.dialect {
            Dialect::Windows => self.resolve_by_trial(name.trim()),
            Dialect::Samba => self.resolve_by_letters(name),
        }
    }

    fn resolve_by_trial(&self, name: &str) -> Named {
        if name.is_empty() {
            return Named::Nobody;
        }
        let tried = WINDOWS.iter().map(|form| Named::of(form(self, name)));
        tried
            .into_iter()
            .find(|named| *named != Named::Nobody)
            .unwrap_or(Named::Nobody)
    }

    fn resolve_by_letters(&self, name: &str) -> Named {
        // A C string: it ends at the first NUL.
        let name = name.split('\0').next().unwrap_or_default();
        let found = if name.contains('=') {
            by_dn(self, name)
        } else if name.contains('@') {
            by_principal_name(self, name)
        } else if name.contains('\\') {
            by_account_name(self, name)
        } else if name.contains(['\n', '/']) {
            self.by_plain_path(&name.replace('\n', "/")).into_iter().collect()
        } else {
            Sid::parse_prefix(name)
                .and_then(|(sid, _)| self.structure.tree.find_sid(&sid))
                .into_iter()
                .collect()
        };
        Named::of(found)
    }

    /// The object that a distinguished name means, also by `<GUID=…>`, `<SID=…>` or `<WKGUID=…,…>` (MS-ADTS
    /// 3.1.1.3.1.2.4).
    ///
    /// # Errors
    /// When the text is no such name.
    pub fn find_name(&self, text: &str) -> Result<Option<ObjectId>, NotAName> {
        let trimmed = text.trim();
        let Some(rest) = trimmed.strip_prefix('<') else {
            return Dn::parse(trimmed)
                .ok_or(NotAName)
                .map(|dn| self.structure.tree.find_dn(&dn));
        };
        // What follows the bracket is the name that belongs to it, and is not looked at.
        let (inside, _) = rest.split_once('>').ok_or(NotAName)?;
        let (kind, value) = inside.split_once('=').ok_or(NotAName)?;
        match kind.to_ascii_uppercase().as_str() {
            // Each may also be written in hexadecimal digits (MS-ADTS 3.1.1.3.1.2.4).
            "GUID" => {
                let guid = parse_guid(value).or_else(|| hex::decode(value)?.try_into().ok());
                Ok(self.structure.tree.find_guid(guid.ok_or(NotAName)?))
            }
            "SID" => {
                let sid = Sid::parse(value).or_else(|| Sid::from_bytes(&hex::decode(value)?));
                Ok(self.structure.tree.find_sid(&sid.ok_or(NotAName)?))
            }
            "WKGUID" => {
                let (guid, base) = value.split_once(',').ok_or(NotAName)?;
                let base = Dn::parse(base).ok_or(NotAName)?;
                let known = (base == *self.structure.tree.base())
                    .then(|| self.structure.well_known.get(&guid.to_ascii_lowercase()).copied())
                    .flatten();
                Ok(known)
            }
            _ => Err(NotAName),
        }
    }

    /// A canonical name without escapes: from the domain's DNS name down.
    fn by_plain_path(&self, name: &str) -> Option<ObjectId> {
        let (domain, path) = name.split_once('/')?;
        if fold(domain) != fold(&self.dns_name) {
            return None;
        }
        match path {
            "" => Some(ObjectId::ROOT),
            path => self.structure.tree.find_path(path.split('/')),
        }
    }

    /// Whether a suffix may stand behind a sAMAccountName.
    fn implies(&self, suffix: &str) -> bool {
        let suffix = fold(suffix);
        self.implied_suffixes.contains(&suffix)
    }
}

/// A text that is no distinguished name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a distinguished name")]
pub struct NotAName;

fn by_dn(domain: &Domain, name: &str) -> Vec<ObjectId> {
    // The empty name is the RootDSE's.
    domain.find_name(name).ok().flatten().into_iter().collect()
}

/// An explicit name goes before one that follows from a sAMAccountName.
fn by_principal_name(domain: &Domain, name: &str) -> Vec<ObjectId> {
    let explicit = domain.find(Key::Upn, name);
    if !explicit.is_empty() {
        return explicit;
    }
    match name.rsplit_once('@') {
        Some((sam, suffix)) if !sam.trim().is_empty() && domain.implies(suffix) => domain.accounts_named(sam),
        _ => Vec::new(),
    }
}

fn by_account_name(domain: &Domain, name: &str) -> Vec<ObjectId> {
    match name.split_once('\\') {
        Some((netbios, sam)) if fold(netbios) == fold(&domain.netbios) => match fold(sam).as_str() {
            // The domain's own name.
            "" => vec![ObjectId::ROOT],
            sam => domain.find(Key::Sam, sam),
        },
        _ => Vec::new(),
    }
}

fn by_canonical_name(domain: &Domain, name: &str) -> Vec<ObjectId> {
    let read = || {
        let (dns_name, path) = name.split_once('/')?;
        if fold(dns_name) != fold(&domain.dns_name) {
            return None;
        }
        let backslashes = path.bytes().rev().take_while(|byte| *byte == b'\\');
        if backslashes.count() % 2 == 1 {
            // The last one stands before nothing.
            return None;
        }
        domain
            .structure
            .tree
            .find_path(unescaped(path))
            .or_else(|| escaped_as_in_a_dn(domain, path))
    };
    read().into_iter().collect()
}

/// The parts of a canonical name, each when it is asked for: a name may have millions, and the first that nothing has
/// ends the search. A backslash stands before a slash or backslash that belongs to one.
fn unescaped(path: &str) -> impl Iterator<Item = String> {
    let mut rest = Some(path.chars());
    std::iter::from_fn(move || {
        let mut letters = rest.take()?;
        let mut name = String::new();
        while let Some(letter) = letters.next() {
            match letter {
                '/' => {
                    rest = Some(letters);
                    break;
                }
                '\\' => name.extend(letters.next()),
                letter => name.push(letter),
            }
        }
        Some(name)
    })
}

/// Samba writes the last part of a canonical name as it stands in a distinguished name; names that its tools told are
/// understood too. The last part may have slashes: one way down, and whatever follows at each level may be it.
fn escaped_as_in_a_dn(domain: &Domain, path: &str) -> Option<ObjectId> {
    let tree = &domain.structure.tree;
    let (mut parent, mut rest) = (ObjectId::ROOT, path);
    while let Some((name, below)) = rest.split_once('/') {
        parent = tree.child(parent, name)?;
        let last = fold(below);
        let is_it = |object: &Object| fold(&escape(&object.name, Escape::Samba)) == last;
        let found = tree
            .children(parent)
            .find(|child| tree.named(*child).is_some_and(is_it));
        if found.is_some() {
            return found;
        }
        rest = below;
    }
    None
}

fn by_mapped_service_name(domain: &Domain, name: &str) -> Vec<ObjectId> {
    match name.split_once('/') {
        Some((class, rest)) if HOST_ALIASES.contains(&fold(class).as_str()) => {
            domain.find(Key::Spn, &format!("host/{rest}"))
        }
        _ => Vec::new(),
    }
}
