//! The objects of the tree: what each is, where it stands, and what does not change while the domain runs.

use super::account::AccountState;
use super::attributes::Attribute;
use super::sid::Sid;

/// An object's place in the domain: the named ones first, then the generated accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub(super) u32);

impl ObjectId {
    /// The domain's own object, which is always the first.
    pub const ROOT: Self = Self(0);

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

impl From<u32> for ObjectId {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<ObjectId> for u32 {
    fn from(id: ObjectId) -> Self {
        id.0
    }
}

/// Where a security principal's name belongs: a bind can be made by accounts only, and each other kind is refused in
/// its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// A user or computer, which has a password.
    Account,
    /// The domain itself, or a group of it.
    OfDomain,
    /// A group of the built-in domain `S-1-5-32`.
    Builtin,
    /// No security principal at all: a container.
    None,
}

/// Structural class of an object (MS-ADSC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The root of the domain.
    DomainDns,
    /// `CN=Builtin`.
    BuiltinDomain,
    /// A container.
    Container,
    /// An organizational unit.
    OrganizationalUnit,
    /// A person's or service's account.
    User,
    /// A machine's account.
    Computer,
    /// A group.
    Group,
    /// An identifier that belongs to no domain, in `CN=ForeignSecurityPrincipals`.
    ForeignSecurityPrincipal,
    /// `CN=Password Settings Container`.
    PasswordSettingsContainer,
    /// A fine-grained password policy.
    PasswordSettings,
    /// The root of the configuration naming context.
    Configuration,
    /// The root of the schema naming context.
    Dmd,
    /// `CN=Partitions`.
    CrossRefContainer,
    /// A naming context as `CN=Partitions` describes it.
    CrossRef,
    /// `CN=Sites`.
    SitesContainer,
    /// A site.
    Site,
    /// The servers of a site.
    ServersContainer,
    /// A domain controller in its site.
    Server,
    /// The directory service on a domain controller.
    NtdsDsa,
}

impl Class {
    /// objectClass, most general first.
    pub fn object_classes(self) -> &'static [&'static str] {
        match self {
            Self::DomainDns => &["top", "domain", "domainDNS"],
            Self::BuiltinDomain => &["top", "builtinDomain"],
            Self::Container => &["top", "container"],
            Self::OrganizationalUnit => &["top", "organizationalUnit"],
            Self::User => &["top", "person", "organizationalPerson", "user"],
            Self::Computer => &["top", "person", "organizationalPerson", "user", "computer"],
            Self::Group => &["top", "group"],
            Self::ForeignSecurityPrincipal => &["top", "foreignSecurityPrincipal"],
            Self::PasswordSettingsContainer => &["top", "msDS-PasswordSettingsContainer"],
            Self::PasswordSettings => &["top", "msDS-PasswordSettings"],
            Self::Configuration => &["top", "configuration"],
            Self::Dmd => &["top", "dMD"],
            Self::CrossRefContainer => &["top", "crossRefContainer"],
            Self::CrossRef => &["top", "crossRef"],
            Self::SitesContainer => &["top", "sitesContainer"],
            Self::Site => &["top", "site"],
            Self::ServersContainer => &["top", "serversContainer"],
            Self::Server => &["top", "server"],
            Self::NtdsDsa => &["top", "applicationSettings", "nTDSDSA"],
        }
    }

    /// The class's name in the schema, as objectCategory points to it.
    pub fn category(self) -> &'static str {
        match self {
            Self::DomainDns => "Domain-DNS",
            Self::BuiltinDomain => "Builtin-Domain",
            Self::Container => "Container",
            Self::OrganizationalUnit => "Organizational-Unit",
            Self::User => "Person",
            Self::Computer => "Computer",
            Self::Group => "Group",
            Self::ForeignSecurityPrincipal => "Foreign-Security-Principal",
            Self::PasswordSettingsContainer => "ms-DS-Password-Settings-Container",
            Self::PasswordSettings => "ms-DS-Password-Settings",
            Self::Configuration => "Configuration",
            Self::Dmd => "DMD",
            Self::CrossRefContainer => "Cross-Ref-Container",
            Self::CrossRef => "Cross-Ref",
            Self::SitesContainer => "Sites-Container",
            Self::Site => "Site",
            Self::ServersContainer => "Servers-Container",
            Self::Server => "Server",
            Self::NtdsDsa => "NTDS-DSA",
        }
    }

    /// The category that a short name in a filter stands for, as in `(objectCategory=person)`: the class's
    /// defaultObjectCategory (MS-ADTS 3.1.1.3.1.3.5).
    pub fn category_named(name: &str) -> Option<&'static str> {
        // `user` has the category of `person`; all others have their own.
        let person = ["user", "person", "organizationalPerson"];
        if person.iter().any(|class| class.eq_ignore_ascii_case(name)) {
            return Some(Self::User.category());
        }
        Self::ALL
            .iter()
            .find(|class| {
                class
                    .object_classes()
                    .last()
                    .is_some_and(|own| own.eq_ignore_ascii_case(name))
                    || class.category().eq_ignore_ascii_case(name)
            })
            .map(|class| class.category())
    }

    /// The attribute that names an object of this class in its distinguished name.
    pub fn naming_attribute(self) -> &'static str {
        match self {
            Self::DomainDns => "DC",
            Self::OrganizationalUnit => "OU",
            _ => "CN",
        }
    }

    /// Whether objects of this class sign in.
    pub fn is_account(self) -> bool {
        matches!(self, Self::User | Self::Computer)
    }

    const ALL: [Self; 19] = [
        Self::DomainDns,
        Self::BuiltinDomain,
        Self::Container,
        Self::OrganizationalUnit,
        Self::User,
        Self::Computer,
        Self::Group,
        Self::ForeignSecurityPrincipal,
        Self::PasswordSettingsContainer,
        Self::PasswordSettings,
        Self::Configuration,
        Self::Dmd,
        Self::CrossRefContainer,
        Self::CrossRef,
        Self::SitesContainer,
        Self::Site,
        Self::ServersContainer,
        Self::Server,
        Self::NtdsDsa,
    ];
}

/// An object as the domain began with it.
#[derive(Debug, Clone)]
pub struct Object {
    /// The value of its naming attribute.
    pub name: String,
    /// The object above; `None` for the root of a naming context.
    pub parent: Option<ObjectId>,
    /// What it is.
    pub class: Class,
    /// objectGUID, in the mixed byte order that AD stores.
    pub guid: [u8; 16],
    /// objectSid, where it is a security principal.
    pub sid: Option<Sid>,
    /// sAMAccountName of accounts and groups.
    pub sam: Option<String>,
    /// userPrincipalName, where it has one of its own.
    pub upn: Option<String>,
    /// What else is known of it: attributes that follow neither from its class and place nor from its state.
    pub attributes: Vec<Attribute>,
    /// Whose password settings object it is, by its place among them.
    pub password_settings: Option<usize>,
    /// What signing in reads and writes, as it began; accounts only.
    pub initial: Option<AccountState>,
}

impl Object {
    /// The values of one of [`Object::attributes`] as text.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.attributes
            .iter()
            .filter(move |attribute| attribute.name.eq_ignore_ascii_case(name))
            .flat_map(|attribute| &attribute.values)
            .filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// What a name that turns out to be this object's means to a bind.
    pub fn principal(&self) -> Principal {
        match &self.sid {
            _ if self.class.is_account() => Principal::Account,
            Some(sid) if sid.is_builtin() && self.class == Class::Group => Principal::Builtin,
            Some(_) if matches!(self.class, Class::DomainDns | Class::Group) => Principal::OfDomain,
            _ => Principal::None,
        }
    }
}
