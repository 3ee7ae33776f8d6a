//! Naming contexts, and the references that tell a client of those below its base (MS-ADTS 3.1.1.3.1.3.6).

use super::request::Scope;
use crate::domain::Domain;
use crate::domain::dialect::Dialect;
use crate::domain::object::{Class, ObjectId};

/// A part of the tree that is searched by itself although its name lies within another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamingContext {
    Domain,
    Configuration,
    Schema,
}

impl NamingContext {
    /// The one that an object belongs to.
    pub(super) fn of(domain: &Domain, id: ObjectId) -> Self {
        let mut at = Some(id);
        while let Some(here) = at {
            let object = domain.object(here);
            match object.class {
                Class::Dmd => return Self::Schema,
                Class::Configuration => return Self::Configuration,
                _ => at = object.parent,
            }
        }
        Self::Domain
    }
}

/// The references that a search from `base` is answered with.
pub(super) fn below(domain: &Domain, base: ObjectId, scope: Scope, secured: bool) -> Vec<String> {
    let suffix = match scope {
        Scope::Base => return Vec::new(),
        Scope::OneLevel => "??base",
        Scope::Subtree => "",
    };
    let scheme = if secured { "ldaps" } else { "ldap" };
    let dns = domain.dns_name();
    let reference = |host: String, name: String| format!("{scheme}://{host}/{name}{suffix}");
    let class = domain.object(base).class;
    if class == Class::Configuration {
        return vec![reference(dns.to_owned(), domain.schema_base())];
    }
    if base != ObjectId::ROOT {
        return Vec::new();
    }
    let root = domain.base_text();
    let mut references = Vec::new();
    // Samba has those two only when it was told to serve DNS, too.
    if domain.dialect() == Dialect::Windows {
        for zones in ["ForestDnsZones", "DomainDnsZones"] {
            references.push(reference(format!("{zones}.{dns}"), format!("DC={zones},{root}")));
        }
    }
    references.push(reference(dns.to_owned(), format!("CN=Configuration,{root}")));
    references
}
