//! How a domain begins: the objects that every domain has, then those of its configuration.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::account::{AccountState, UAC_DISABLED, UAC_NORMAL, UAC_PASSWORD_NEVER_EXPIRES};
use super::account::{UAC_PASSWORD_NOT_REQUIRED, UAC_SERVER_TRUST, UAC_TRUSTED_FOR_DELEGATION};
use super::attributes::Attribute;
use super::builtin::{self, CONTAINERS, GROUPS, GroupScope, Place};
use super::controllers::DcId;
use super::dn::Dn;
use super::filetime::FileTime;
use super::fold::fold;
use super::generated::Generated;
use super::object::{Class, Object, ObjectId};
use super::passwords::Passwords;
use super::policy::{LockoutDuration, LockoutPolicy, PasswordSettings, Policy, resultant};
use super::settings::{DomainSettings, Lock, PasswordSet, UserSettings};
use super::sid::{FIRST_RID, Sid, guid};
use super::tree::{Key, Tree};

/// What a domain consists of from its beginning: everything but the accounts' states.
#[derive(Debug)]
pub(super) struct Structure {
    pub(super) sid: Sid,
    pub(super) tree: Tree,
    /// Containers by the GUID in `<WKGUID=…>`.
    pub(super) well_known: HashMap<String, ObjectId>,
    /// Members of groups, as configured; the primary group is no such membership.
    pub(super) members: HashMap<ObjectId, Vec<ObjectId>>,
    pub(super) password_settings: Vec<PasswordSettings>,
    pub(super) resultant: Resultant,
    /// Accounts whose pwdLastSet the configuration names: it does not move with the domain's beginning.
    pub(super) dated: HashSet<ObjectId>,
}

/// Which fine-grained policies hold, by their places among all.
#[derive(Debug, Default)]
pub(super) struct Resultant {
    /// For each named account that has one.
    pub(super) named: HashMap<ObjectId, usize>,
    /// For all generated accounts.
    pub(super) generated: Option<usize>,
}

/// Founds the domain at `now`.
pub(super) fn found(settings: &DomainSettings, now: FileTime) -> Structure {
    let mut founder = Founder::new(settings, now);
    founder.containers();
    founder.accounts();
    founder.controllers();
    founder.configuration();
    founder.units();
    founder.groups();
    founder.users();
    founder.fine_grained_policies();
    founder.resultant();
    founder.first_states();
    founder.finish()
}

struct Founder<'a> {
    settings: &'a DomainSettings,
    now: FileTime,
    founded: Structure,
    next_rid: u32,
    users: Vec<(ObjectId, &'a UserSettings)>,
}

impl<'a> Founder<'a> {
    fn new(settings: &'a DomainSettings, now: FileTime) -> Self {
        let sid = settings
            .sid
            .clone()
            .unwrap_or_else(|| Sid::of_domain(&settings.dns_name));
        let labels: Vec<_> = settings.dns_name.split('.').collect();
        let base_text = labels.iter().map(|label| format!("DC={label}")).collect::<Vec<_>>();
        let root = Object {
            guid: guid(&sid, ""),
            sid: Some(sid.clone()),
            attributes: vec![
                critical(),
                Attribute::integer("systemFlags", builtin::STAYS),
                Attribute::integer("nTMixedDomain", 0),
                // Computers that everybody may add (MS-ADTS 3.1.1.5.2.3).
                Attribute::integer("ms-DS-MachineAccountQuota", 10),
                Attribute::integer("msDS-Behavior-Version", settings.dialect.functional_level()),
            ],
            ..plain(labels.first().copied().unwrap_or_default(), None, Class::DomainDns)
        };
        let taken = |rids: Vec<Option<u32>>| rids.into_iter().flatten().map(|rid| rid.saturating_add(1)).max();
        let given = settings
            .users
            .iter()
            .map(|user| user.rid)
            .chain(settings.groups.iter().map(|group| group.rid));
        Self {
            // Behind all that are given.
            next_rid: taken(given.collect()).unwrap_or(0).max(FIRST_RID),
            founded: Structure {
                tree: Tree::new(root, base_text.join(","), settings.dialect.name_style()),
                sid,
                well_known: HashMap::new(),
                members: HashMap::new(),
                password_settings: Vec::new(),
                resultant: Resultant::default(),
                dated: HashSet::new(),
            },
            settings,
            now,
            users: Vec::new(),
        }
    }

    fn finish(mut self) -> Structure {
        let first = (self.tree().next_id(), self.next_rid, self.tree().users());
        let name = (&self.founded.sid, self.settings.dns_name.as_str());
        let generated = Generated::new(&self.settings.generated, first, name, self.now);
        self.founded.tree.set_generated(generated);
        self.founded
    }

    fn tree(&self) -> &Tree {
        &self.founded.tree
    }

    fn sid(&self, rid: u32) -> Sid {
        self.founded.sid.with_rid(rid)
    }

    /// Adds an object whose GUID follows from its place and name.
    fn add(&mut self, mut object: Object) -> ObjectId {
        if object.guid == [0; 16] {
            let above = object
                .parent
                .map_or(String::new(), |parent| self.tree().dn_text(parent));
            object.guid = guid(&self.founded.sid, &fold(&format!("{},{above}", object.name)));
        }
        self.founded.tree.add(object)
    }

    fn rid(&mut self, given: Option<u32>) -> u32 {
        given.unwrap_or_else(|| {
            let rid = self.next_rid;
            self.next_rid = rid.saturating_add(1);
            rid
        })
    }

    /// The object at a place below the root; the root where there is none, which the configuration's check rules out.
    fn place(&self, path: Option<&str>) -> ObjectId {
        let Some(path) = path else {
            return self.tree().users();
        };
        let text = match path {
            "" => self.tree().base_text().to_owned(),
            path => format!("{path},{}", self.tree().base_text()),
        };
        Dn::parse(&text)
            .and_then(|dn| self.tree().find_dn(&dn))
            .unwrap_or(ObjectId::ROOT)
    }

    fn containers(&mut self) {
        for container in CONTAINERS {
            let parent = match container.place {
                Place::Root => ObjectId::ROOT,
                Place::Below(path) => self.place(Some(path)),
            };
            let builtin = container.class == Class::BuiltinDomain;
            let mut attributes = vec![Attribute::boolean("showInAdvancedViewOnly", container.is_hidden())];
            if container.is_critical() {
                attributes.push(critical());
            }
            if container.stays() {
                attributes.push(Attribute::integer("systemFlags", builtin::STAYS));
            }
            let id = self.add(Object {
                sid: builtin.then(Sid::builtin_domain),
                attributes,
                ..plain(container.name, Some(parent), container.class)
            });
            if let Some(guid) = container.well_known {
                self.founded.well_known.insert(guid.to_owned(), id);
            }
        }
        let parent = self.place(Some("CN=ForeignSecurityPrincipals"));
        for name in builtin::FOREIGN {
            self.add(Object {
                sid: Sid::parse(name),
                attributes: vec![hidden()],
                ..plain(name, Some(parent), Class::ForeignSecurityPrincipal)
            });
        }
        for group in GROUPS {
            let (parent, sid) = match group.scope {
                GroupScope::Builtin => (self.place(Some("CN=Builtin")), Sid::builtin(group.rid)),
                _ => (self.tree().users(), self.sid(group.rid)),
            };
            let mut object = group_object(group.name, parent, sid, group.scope);
            object.attributes.push(critical());
            object.attributes.extend(protected(group.name));
            if group.scope == GroupScope::Builtin {
                object
                    .attributes
                    .push(Attribute::integer("systemFlags", builtin::STAYS));
            }
            self.add(object);
        }
    }

    fn accounts(&mut self) {
        let users = self.tree().users();
        let known = self.settings.administrator_password;
        let administrator = AccountState::new(known.map_or_else(Passwords::unknown, Passwords::new), self.now);
        let mut guest = AccountState::new(Passwords::unknown(), self.now);
        guest.credentials.pwd_last_set = FileTime::ZERO;
        guest.shared.user_account_control |= UAC_DISABLED | UAC_PASSWORD_NOT_REQUIRED | UAC_PASSWORD_NEVER_EXPIRES;
        let mut krbtgt = AccountState::new(Passwords::unknown(), self.now);
        krbtgt.shared.user_account_control |= UAC_DISABLED;
        for (sam, rid, group, state) in [
            (
                "Administrator",
                builtin::ADMINISTRATOR,
                builtin::DOMAIN_USERS,
                administrator,
            ),
            ("Guest", builtin::GUEST, builtin::DOMAIN_GUESTS, guest),
            ("krbtgt", builtin::KRBTGT, builtin::DOMAIN_USERS, krbtgt),
        ] {
            let mut attributes = vec![Attribute::integer("primaryGroupID", group), critical()];
            attributes.extend(protected(sam));
            if rid == builtin::KRBTGT {
                attributes.push(hidden());
                attributes.push(Attribute::text("servicePrincipalName", ["kadmin/changepw"]));
            }
            self.add(Object {
                sid: Some(self.sid(rid)),
                sam: Some(sam.to_owned()),
                attributes,
                initial: Some(state),
                ..plain(sam, Some(users), Class::User)
            });
        }
        for group in GROUPS {
            self.set_members(group.name, group.members.iter().copied());
        }
    }

    /// The controllers' own accounts. Nobody knows their passwords.
    fn controllers(&mut self) {
        let parent = self.place(Some("OU=Domain Controllers"));
        let settings = self.settings;
        for (rid, dc) in (builtin::FIRST_DC..).zip(&settings.dcs) {
            let name = dc.to_uppercase();
            let host = format!("{}.{}", fold(dc), settings.dns_name);
            let mut state = AccountState::new(Passwords::unknown(), self.now);
            state.shared.user_account_control =
                UAC_SERVER_TRUST | UAC_TRUSTED_FOR_DELEGATION | (state.shared.user_account_control & !UAC_NORMAL);
            self.add(Object {
                sid: Some(self.sid(rid)),
                sam: Some(format!("{name}$")),
                attributes: vec![
                    Attribute::integer("primaryGroupID", builtin::DOMAIN_CONTROLLERS),
                    critical(),
                    Attribute::text("dNSHostName", [format!("{name}.{}", settings.dns_name)]),
                    Attribute::text(
                        "servicePrincipalName",
                        [
                            format!("HOST/{name}"),
                            format!("HOST/{host}"),
                            format!("ldap/{host}"),
                            format!("ldap/{host}/{}", settings.dns_name),
                        ],
                    ),
                ],
                initial: Some(state),
                ..plain(&name, Some(parent), Class::Computer)
            });
        }
    }

    /// What clients read of the configuration: the domain's names, and its controllers by site.
    fn configuration(&mut self) {
        let settings = self.settings;
        let level = || Attribute::integer("msDS-Behavior-Version", settings.dialect.functional_level());
        let configuration = self.add(configured("Configuration", Some(ObjectId::ROOT), Class::Configuration));
        let schema = self.add(configured("Schema", Some(configuration), Class::Dmd));
        let partitions = self.add(configured("Partitions", Some(configuration), Class::CrossRefContainer));
        let base = self.tree().base_text().to_owned();
        let mut domain = configured(&settings.netbios, Some(partitions), Class::CrossRef);
        domain.attributes.extend([
            Attribute::dn("nCName", &base),
            Attribute::text("dnsRoot", [&settings.dns_name]),
            Attribute::text("nETBIOSName", [&settings.netbios]),
            // FLAG_CR_NTDS_NC and FLAG_CR_NTDS_DOMAIN (MS-ADTS 2.2.10).
            Attribute::integer("systemFlags", 3),
            Attribute::integer("nTMixedDomain", 0),
            level(),
        ]);
        self.add(domain);
        if let Some(partitions) = self.founded.tree.named_mut(partitions) {
            partitions
                .attributes
                .extend([level(), Attribute::text("uPNSuffixes", &settings.upn_suffixes)]);
            partitions.attributes.retain(|attribute| !attribute.values.is_empty());
        }
        let sites = self.add(configured("Sites", Some(configuration), Class::SitesContainer));
        let site = self.add(configured("Default-First-Site-Name", Some(sites), Class::Site));
        let servers = self.add(configured("Servers", Some(site), Class::ServersContainer));
        let mut services = Vec::new();
        for dc in &settings.dcs {
            let mut server = configured(&dc.to_uppercase(), Some(servers), Class::Server);
            let host = format!("{}.{}", dc.to_uppercase(), settings.dns_name);
            server.attributes.push(Attribute::text("dNSHostName", [host]));
            let server = self.add(server);
            let mut service = configured("NTDS Settings", Some(server), Class::NtdsDsa);
            service.attributes.push(level());
            services.push(self.add(service));
        }
        // The first controller has all roles from its installation; that of the PDC emulator may have been moved
        // (MS-ADTS 6.1.5).
        for (object, dc) in [
            (ObjectId::ROOT, settings.pdc),
            (schema, DcId::FIRST),
            (partitions, DcId::FIRST),
        ] {
            let owner = services.get(dc.place()).map(|service| self.tree().dn_text(*service));
            if let Some(object) = self.founded.tree.named_mut(object) {
                object
                    .attributes
                    .extend(owner.map(|owner| Attribute::dn("fSMORoleOwner", owner)));
            }
        }
    }

    fn units(&mut self) {
        let settings = self.settings;
        for unit in &settings.units {
            let parent = self.place(Some(unit.path.as_deref().unwrap_or_default()));
            self.add(plain(&unit.name, Some(parent), Class::OrganizationalUnit));
        }
    }

    fn groups(&mut self) {
        let settings = self.settings;
        for group in &settings.groups {
            let parent = self.place(group.path.as_deref());
            let rid = self.rid(group.rid);
            let sid = self.sid(rid);
            self.add(group_object(&group.name, parent, sid, group.scope));
        }
    }

    fn users(&mut self) {
        let settings = self.settings;
        for user in &settings.users {
            let parent = self.place(user.path.as_deref());
            let rid = self.rid(user.rid);
            let mut attributes = vec![Attribute::integer("primaryGroupID", builtin::DOMAIN_USERS)];
            attributes.extend(user.attributes.iter().cloned());
            let id = self.add(Object {
                guid: user.guid.unwrap_or_default(),
                sid: Some(self.sid(rid)),
                sam: Some(user.sam.clone()),
                upn: user.upn.clone(),
                attributes,
                ..plain(&user.cn, Some(parent), Class::User)
            });
            self.users.push((id, user));
        }
        for group in &settings.groups {
            self.set_members(&group.name, group.members.iter().map(String::as_str));
        }
    }

    fn set_members<'m>(&mut self, group: &str, members: impl Iterator<Item = &'m str>) {
        let Some(group) = self.tree().find(Key::Sam, group).first().copied() else {
            return;
        };
        let named = |name: &str| match self.tree().find(Key::Sam, name) {
            // What has no account name.
            none if none.is_empty() => self.tree().find(Key::Name, name),
            found => found,
        };
        let members: Vec<_> = members.flat_map(named).collect();
        self.founded.members.entry(group).or_default().extend(members);
    }

    fn fine_grained_policies(&mut self) {
        let settings = self.settings;
        for own in &settings.password_settings {
            let applies_to = own.applies_to.iter().flat_map(|name| self.tree().find(Key::Sam, name));
            let applies_to = applies_to.collect();
            self.add_password_settings(&own.name, own.precedence, own.policy, applies_to);
        }
        // Before all others: it is said of the account itself.
        for lock in [Lock::Exempt, Lock::UntilUnlocked] {
            let its = self.users.iter().filter(|(_, user)| user.lock == lock);
            let applies_to: Vec<_> = its.map(|(id, _)| *id).collect();
            let domain = settings.policy;
            let (name, lockout) = match lock {
                _ if applies_to.is_empty() => continue,
                Lock::Exempt => (
                    "Lockout exempt",
                    LockoutPolicy {
                        threshold: 0,
                        ..domain.lockout
                    },
                ),
                _ => (
                    "Locked until unlocked",
                    LockoutPolicy {
                        duration: LockoutDuration::UntilUnlocked,
                        ..domain.lockout
                    },
                ),
            };
            self.add_password_settings(name, 1, Policy { lockout, ..domain }, applies_to);
        }
    }

    fn add_password_settings(&mut self, name: &str, precedence: u32, policy: Policy, applies_to: Vec<ObjectId>) {
        let parent = self.place(Some("CN=Password Settings Container,CN=System"));
        let object = self.add(Object {
            password_settings: Some(self.founded.password_settings.len()),
            ..plain(name, Some(parent), Class::PasswordSettings)
        });
        let guid = self.tree().object(object).guid;
        self.founded.password_settings.push(PasswordSettings {
            object,
            precedence,
            guid,
            policy,
            applies_to,
        });
    }

    /// The users' states, which depend on the policies that hold for them.
    fn first_states(&mut self) {
        let founded = &mut self.founded;
        for (id, user) in &self.users {
            let own = founded.resultant.named.get(id);
            let own = own.and_then(|place| founded.password_settings.get(*place));
            let policy = own.map_or(self.settings.policy, |settings| settings.policy);
            let mut state = user.state(&policy, self.now);
            state.shared.last_logon_timestamp = (!self.settings.new_accounts).then_some(self.now);
            if let Some(object) = founded.tree.named_mut(*id) {
                object.initial = Some(state);
            }
            if matches!(user.password_set, PasswordSet::At(_)) {
                founded.dated.insert(*id);
            }
        }
    }

    fn resultant(&mut self) {
        let Structure {
            sid,
            tree,
            members,
            password_settings,
            ..
        } = &self.founded;
        let dialect = self.settings.dialect;
        let applies = |group: &ObjectId| {
            let scope = tree.named(*group).and_then(scope_of);
            scope.is_some_and(|scope| dialect.applies_policies_by(scope))
        };
        let of = |id, primary| {
            let mut groups = groups_of(members, id, primary);
            groups.retain(applies);
            resultant(password_settings, id, &groups)
        };
        let named = tree.named_objects().filter(|(_, object)| object.class.is_account());
        let named = named.filter_map(|(id, _)| Some((id, of(id, primary_group(tree, sid, id))?)));
        // They are in no group but their primary one, and no policy names one of them.
        let domain_users = tree.find_sid(&sid.with_rid(builtin::DOMAIN_USERS));
        self.founded.resultant = Resultant {
            named: named.collect(),
            generated: of(ObjectId(tree.next_id()), domain_users),
        };
    }
}

/// The group that an account is in without being among its members.
pub(super) fn primary_group(tree: &Tree, domain: &Sid, id: ObjectId) -> Option<ObjectId> {
    let object = tree.object(id);
    if !object.class.is_account() {
        return None;
    }
    let configured = object.texts("primaryGroupID").next().and_then(|text| text.parse().ok());
    tree.find_sid(&domain.with_rid(configured.unwrap_or(builtin::DOMAIN_USERS)))
}

/// All groups that somebody is in, also by way of other groups. `primary` is the group that no membership tells of.
pub(super) fn groups_of(
    members: &HashMap<ObjectId, Vec<ObjectId>>,
    member: ObjectId,
    primary: Option<ObjectId>,
) -> Vec<ObjectId> {
    let mut groups: Vec<ObjectId> = primary.into_iter().collect();
    let mut of = vec![member];
    of.extend(primary);
    while let Some(member) = of.pop() {
        for (group, members) in members {
            if members.contains(&member) && !groups.contains(group) {
                groups.push(*group);
                of.push(*group);
            }
        }
    }
    groups
}

/// Of a group, as its groupType says it.
fn scope_of(group: &Object) -> Option<GroupScope> {
    let kind = group.texts("groupType").next()?;
    let all = [
        GroupScope::Builtin,
        GroupScope::DomainLocal,
        GroupScope::Global,
        GroupScope::Universal,
    ];
    all.into_iter().find(|scope| scope.group_type().to_string() == kind)
}

/// isCriticalSystemObject.
fn critical() -> Attribute {
    Attribute::boolean("isCriticalSystemObject", true)
}

/// showInAdvancedViewOnly.
fn hidden() -> Attribute {
    Attribute::boolean("showInAdvancedViewOnly", true)
}

/// adminCount, of those that are protected.
fn protected(name: &str) -> Option<Attribute> {
    builtin::is_protected(name).then(|| Attribute::integer("adminCount", 1))
}

/// An object of the configuration: people do not look for them.
fn configured(name: &str, parent: Option<ObjectId>, class: Class) -> Object {
    Object {
        attributes: vec![hidden()],
        ..plain(name, parent, class)
    }
}

fn plain(name: &str, parent: Option<ObjectId>, class: Class) -> Object {
    Object {
        name: name.to_owned(),
        parent,
        class,
        guid: [0; 16],
        sid: None,
        sam: None,
        upn: None,
        attributes: Vec::new(),
        password_settings: None,
        initial: None,
    }
}

fn group_object(name: &str, parent: ObjectId, sid: Sid, scope: GroupScope) -> Object {
    Object {
        sid: Some(sid),
        sam: Some(name.to_owned()),
        attributes: vec![
            Attribute::integer("groupType", scope.group_type()),
            Attribute::integer("sAMAccountType", scope.sam_account_type()),
        ],
        ..plain(name, Some(parent), Class::Group)
    }
}

/// How long the password before the present one signs in unless the configuration says otherwise:
/// OldPasswordAllowedPeriod's 60 minutes (Microsoft KB 906305), which Samba has too (measured).
pub const OLD_PASSWORD_ALLOWED: Duration = Duration::from_secs(3600);
