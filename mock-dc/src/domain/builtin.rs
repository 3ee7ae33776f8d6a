//! The objects that every domain has from its first minute, as far as clients look for them: containers, well-known
//! accounts and groups (MS-ADTS 6.1.1.4, MS-DTYP 2.4.2.4), and what `CN=Configuration` says of the domain.

use super::object::Class;

/// Below what an object stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The domain's root.
    Root,
    /// A container of the domain, by its name with all containers above, `CN=Policies,CN=System`.
    Below(&'static str),
}

/// A container that every domain has.
#[derive(Debug, Clone, Copy)]
pub(super) struct BuiltinContainer {
    pub(super) place: Place,
    pub(super) name: &'static str,
    pub(super) class: Class,
    /// How `<WKGUID=…,DC=…>` names it (MS-ADTS 6.1.1.4), where it can be named so.
    pub(super) well_known: Option<&'static str>,
}

impl BuiltinContainer {
    /// Whether the system needs it (isCriticalSystemObject).
    pub(super) fn is_critical(&self) -> bool {
        !matches!(
            self.name,
            "Program Data" | "Managed Service Accounts" | "Password Settings Container"
        )
    }

    /// Whether it can be neither deleted, moved nor renamed.
    pub(super) fn stays(&self) -> bool {
        self.is_critical() || self.class == Class::PasswordSettingsContainer
    }

    /// Whether people see it only when they want to see everything (showInAdvancedViewOnly).
    pub(super) fn is_hidden(&self) -> bool {
        self.place != Place::Root || matches!(self.name, "System" | "Program Data")
    }
}

/// systemFlags of what can be neither deleted, moved nor renamed: FLAG_DISALLOW_DELETE, FLAG_DOMAIN_DISALLOW_MOVE and
/// FLAG_DOMAIN_DISALLOW_RENAME (MS-ADTS 2.2.10).
pub(super) const STAYS: i32 = i32::MIN | 0x0800_0000 | 0x0400_0000;

/// Whether AdminSDHolder protects a group or account that every domain has (MS-ADTS 3.1.1.6.1).
pub(super) fn is_protected(name: &str) -> bool {
    matches!(
        name,
        "Administrator"
            | "krbtgt"
            | "Domain Admins"
            | "Domain Controllers"
            | "Schema Admins"
            | "Enterprise Admins"
            | "Read-only Domain Controllers"
            | "Administrators"
            | "Account Operators"
            | "Server Operators"
            | "Print Operators"
            | "Backup Operators"
            | "Replicator"
    )
}

const fn container(
    place: Place,
    name: &'static str,
    class: Class,
    well_known: Option<&'static str>,
) -> BuiltinContainer {
    BuiltinContainer {
        place,
        name,
        class,
        well_known,
    }
}

/// Parents before their children.
pub(super) const CONTAINERS: &[BuiltinContainer] = &[
    container(
        Place::Root,
        "Users",
        Class::Container,
        Some("a9d1ca15768811d1aded00c04fd8d5cd"),
    ),
    container(
        Place::Root,
        "Computers",
        Class::Container,
        Some("aa312825768811d1aded00c04fd8d5cd"),
    ),
    container(
        Place::Root,
        "Domain Controllers",
        Class::OrganizationalUnit,
        Some("a361b2ffffd211d1aa4b00c04fd7d83a"),
    ),
    container(Place::Root, "Builtin", Class::BuiltinDomain, None),
    container(
        Place::Root,
        "System",
        Class::Container,
        Some("ab1d30f3768811d1aded00c04fd8d5cd"),
    ),
    container(
        Place::Root,
        "ForeignSecurityPrincipals",
        Class::Container,
        Some("22b70c67d56e4efb91e9300fca3dc1aa"),
    ),
    container(
        Place::Root,
        "Program Data",
        Class::Container,
        Some("09460c08ae1e4a4ea0f64aee7daa1e5a"),
    ),
    container(
        Place::Root,
        "Managed Service Accounts",
        Class::Container,
        Some("1eb93889e40c45df9f0c64d23bbb6237"),
    ),
    container(Place::Below("CN=System"), "AdminSDHolder", Class::Container, None),
    container(
        Place::Below("CN=System"),
        "Password Settings Container",
        Class::PasswordSettingsContainer,
        None,
    ),
    container(Place::Below("CN=System"), "Policies", Class::Container, None),
];

/// Where a group may be used, which decides groupType and sAMAccountType (MS-ADTS 2.2.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupScope {
    /// In its own domain, made by the system below `CN=Builtin`.
    Builtin,
    /// In its own domain.
    DomainLocal,
    /// In every domain, with members of its own.
    Global,
    /// In every domain, with members of every domain.
    Universal,
}

impl GroupScope {
    /// groupType of a security group of this scope.
    pub fn group_type(self) -> i32 {
        // GROUP_TYPE_SECURITY_ENABLED is the sign bit.
        i32::MIN
            | match self {
                Self::Builtin => 0x1 | 0x4,
                Self::DomainLocal => 0x4,
                Self::Global => 0x2,
                Self::Universal => 0x8,
            }
    }

    /// sAMAccountType of a security group of this scope.
    pub fn sam_account_type(self) -> u32 {
        match self {
            Self::Builtin | Self::DomainLocal => 0x2000_0000,
            Self::Global | Self::Universal => 0x1000_0000,
        }
    }
}

/// The scope of a group that every domain has, by its name in any case.
pub fn scope_of(name: &str) -> Option<GroupScope> {
    let group = GROUPS.iter().find(|group| group.name.eq_ignore_ascii_case(name))?;
    Some(group.scope)
}

/// A group that every domain has.
#[derive(Debug, Clone, Copy)]
pub(super) struct BuiltinGroup {
    pub(super) name: &'static str,
    pub(super) rid: u32,
    pub(super) scope: GroupScope,
    /// Names of accounts, groups and identifiers.
    pub(super) members: &'static [&'static str],
}

const fn group(name: &'static str, rid: u32, scope: GroupScope, members: &'static [&'static str]) -> BuiltinGroup {
    BuiltinGroup {
        name,
        rid,
        scope,
        members,
    }
}

/// Those of the scope [`GroupScope::Builtin`] stand below `CN=Builtin`, all others below `CN=Users`.
pub(super) const GROUPS: &[BuiltinGroup] = &[
    group("Domain Admins", 512, GroupScope::Global, &["Administrator"]),
    group("Domain Users", 513, GroupScope::Global, &[]),
    group("Domain Guests", 514, GroupScope::Global, &[]),
    group("Domain Computers", 515, GroupScope::Global, &[]),
    group("Domain Controllers", 516, GroupScope::Global, &[]),
    group("Cert Publishers", 517, GroupScope::DomainLocal, &[]),
    group("Schema Admins", 518, GroupScope::Universal, &["Administrator"]),
    group("Enterprise Admins", 519, GroupScope::Universal, &["Administrator"]),
    group(
        "Group Policy Creator Owners",
        520,
        GroupScope::Global,
        &["Administrator"],
    ),
    group("Read-only Domain Controllers", 521, GroupScope::Global, &[]),
    group(
        "Enterprise Read-only Domain Controllers",
        498,
        GroupScope::Universal,
        &[],
    ),
    group("Protected Users", 525, GroupScope::Global, &[]),
    group("RAS and IAS Servers", 553, GroupScope::DomainLocal, &[]),
    group(
        "Allowed RODC Password Replication Group",
        571,
        GroupScope::DomainLocal,
        &[],
    ),
    group(
        "Denied RODC Password Replication Group",
        572,
        GroupScope::DomainLocal,
        &[
            "krbtgt",
            "Domain Admins",
            "Domain Controllers",
            "Cert Publishers",
            "Schema Admins",
            "Enterprise Admins",
            "Group Policy Creator Owners",
            "Read-only Domain Controllers",
        ],
    ),
    group(
        "Administrators",
        544,
        GroupScope::Builtin,
        &["Administrator", "Domain Admins", "Enterprise Admins"],
    ),
    group(
        "Users",
        545,
        GroupScope::Builtin,
        &["Domain Users", "S-1-5-4", "S-1-5-11"],
    ),
    group("Guests", 546, GroupScope::Builtin, &["Guest", "Domain Guests"]),
    group("Account Operators", 548, GroupScope::Builtin, &[]),
    group("Server Operators", 549, GroupScope::Builtin, &[]),
    group("Print Operators", 550, GroupScope::Builtin, &[]),
    group("Backup Operators", 551, GroupScope::Builtin, &[]),
    group("Replicator", 552, GroupScope::Builtin, &[]),
    group(
        "Pre-Windows 2000 Compatible Access",
        554,
        GroupScope::Builtin,
        &["S-1-5-11"],
    ),
    group("Remote Desktop Users", 555, GroupScope::Builtin, &[]),
    group("Network Configuration Operators", 556, GroupScope::Builtin, &[]),
    group("Incoming Forest Trust Builders", 557, GroupScope::Builtin, &[]),
    group("Performance Monitor Users", 558, GroupScope::Builtin, &[]),
    group("Performance Log Users", 559, GroupScope::Builtin, &[]),
    group(
        "Windows Authorization Access Group",
        560,
        GroupScope::Builtin,
        &["S-1-5-9"],
    ),
    group("Terminal Server License Servers", 561, GroupScope::Builtin, &[]),
    group("Distributed COM Users", 562, GroupScope::Builtin, &[]),
    group("IIS_IUSRS", 568, GroupScope::Builtin, &["S-1-5-17"]),
    group("Cryptographic Operators", 569, GroupScope::Builtin, &[]),
    group("Event Log Readers", 573, GroupScope::Builtin, &[]),
    group("Certificate Service DCOM Access", 574, GroupScope::Builtin, &[]),
];

/// Identifiers that belong to no domain and are members of groups: Interactive, Enterprise Domain Controllers,
/// Authenticated Users, IUSR (MS-DTYP 2.4.2.4).
pub(super) const FOREIGN: [&str; 4] = ["S-1-5-4", "S-1-5-9", "S-1-5-11", "S-1-5-17"];

/// Relative identifiers of the accounts that every domain has.
pub(crate) const ADMINISTRATOR: u32 = 500;
pub(super) const GUEST: u32 = 501;
pub(crate) const KRBTGT: u32 = 502;
/// The first domain controller's account; the others follow.
pub(crate) const FIRST_DC: u32 = 1000;

/// Relative identifier of `Domain Admins`.
pub const DOMAIN_ADMINS: u32 = 512;
/// Relative identifier of `Enterprise Admins`.
pub const ENTERPRISE_ADMINS: u32 = 519;
/// Relative identifier of `Administrators` in the built-in domain.
pub const ADMINISTRATORS: u32 = 544;
/// Relative identifier of `Account Operators` in the built-in domain.
pub const ACCOUNT_OPERATORS: u32 = 548;
/// Relative identifier of `Schema Admins`.
pub const SCHEMA_ADMINS: u32 = 518;
/// Relative identifier of `Read-only Domain Controllers`.
pub const READ_ONLY_DOMAIN_CONTROLLERS: u32 = 521;
/// Relative identifiers of `Server Operators`, `Print Operators`, `Backup Operators` and `Replicator` in the built-in
/// domain.
pub const OPERATORS: [u32; 4] = [549, 550, 551, 552];
/// primaryGroupID: Domain Users.
pub const DOMAIN_USERS: u32 = 513;
/// primaryGroupID: Domain Guests.
pub const DOMAIN_GUESTS: u32 = 514;
/// primaryGroupID: Domain Computers.
pub const DOMAIN_COMPUTERS: u32 = 515;
/// primaryGroupID: Domain Controllers.
pub const DOMAIN_CONTROLLERS: u32 = 516;

/// Where the containers stand that every domain has, below the root.
pub fn container_paths() -> impl Iterator<Item = String> {
    CONTAINERS.iter().map(|container| {
        let own = format!("{}={}", container.class.naming_attribute(), container.name);
        match container.place {
            Place::Root => own,
            Place::Below(above) => format!("{own},{above}"),
        }
    })
}

/// Relative identifiers of the groups that AdminSDHolder protects: those of the domain, and those of the built-in domain.
pub fn protected_groups() -> (Vec<u32>, Vec<u32>) {
    let protected = GROUPS.iter().filter(|group| is_protected(group.name));
    let (builtin, of_domain): (Vec<_>, Vec<_>) = protected.partition(|group| group.scope == GroupScope::Builtin);
    let rids = |groups: Vec<&BuiltinGroup>| groups.into_iter().map(|group| group.rid).collect();
    (rids(of_domain), rids(builtin))
}

/// The sAMAccountNames of groups and accounts that every domain has.
pub fn reserved_names() -> impl Iterator<Item = &'static str> {
    let groups = GROUPS.iter().map(|group| group.name);
    groups.chain(["Administrator", "Guest", "krbtgt"])
}
