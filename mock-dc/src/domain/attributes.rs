//! An object's attributes as the directory shows them: schema names, AD's encodings, AD's choice of what is shown
//! without being asked for (MS-ADA, MS-ADTS 3.1.1.4.5).

use std::time::Duration;

use super::Domain;
use super::account::{AccountState, UAC_COMPUTED_LOCKED, UAC_COMPUTED_PASSWORD_EXPIRED};
use super::builtin::DOMAIN_USERS;
use super::controllers::DcId;
use super::dn::{Escape, escape};
use super::filetime::{FileTime, ticks};
use super::hex;
use super::object::{Class, Object, ObjectId};
use super::policy::{LockoutDuration, PasswordSettings, Policy};
use super::schema::Syntax;
use super::sid::{Sid, guid_text};

/// sAMAccountType of a user (SAM_USER_OBJECT).
const SAM_USER_OBJECT: u32 = 0x3000_0000;
/// sAMAccountType of a computer (SAM_MACHINE_ACCOUNT).
const SAM_MACHINE_ACCOUNT: u32 = 0x3000_0001;

/// One attribute of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name as the schema writes it.
    pub name: &'static str,
    /// How its values are compared and shown.
    pub syntax: Syntax,
    /// As they go over the wire.
    pub values: Vec<Vec<u8>>,
    /// Whether it is computed, and shown only when asked for by name.
    pub on_request: bool,
    /// What stands behind its name where only a part of its values is shown, `;range=0-9` (MS-ADTS 3.1.1.3.1.3.3).
    pub range: Option<String>,
}

impl Attribute {
    /// An attribute of text values.
    pub fn text<V: Into<String>>(name: &'static str, values: impl IntoIterator<Item = V>) -> Self {
        let values = values.into_iter().map(|value| value.into().into_bytes()).collect();
        Self {
            name,
            syntax: Syntax::Text,
            values,
            on_request: false,
            range: None,
        }
    }

    /// An attribute with one distinguished name.
    pub fn dn(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            syntax: Syntax::Dn,
            ..Self::text(name, [value])
        }
    }

    /// An attribute with one number.
    pub fn integer(name: &'static str, value: impl std::fmt::Display) -> Self {
        Self {
            syntax: Syntax::Integer,
            ..Self::text(name, [value.to_string()])
        }
    }

    /// An attribute that is true or not.
    pub fn boolean(name: &'static str, value: bool) -> Self {
        Self {
            syntax: Syntax::Boolean,
            ..Self::text(name, [if value { "TRUE" } else { "FALSE" }])
        }
    }

    /// An attribute with one identifier.
    pub fn sid(name: &'static str, value: &Sid) -> Self {
        Self::bytes(name, Syntax::Sid, value.bytes())
    }

    /// An attribute with one GUID.
    pub fn guid(name: &'static str, value: [u8; 16]) -> Self {
        Self::bytes(name, Syntax::Guid, value.to_vec())
    }

    fn bytes(name: &'static str, syntax: Syntax, value: Vec<u8>) -> Self {
        Self {
            name,
            syntax,
            values: vec![value],
            on_request: false,
            range: None,
        }
    }

    pub(super) fn on_request(self) -> Self {
        Self {
            on_request: true,
            ..self
        }
    }

    /// The values as text: GUIDs and identifiers in their usual form, other bytes in hexadecimal.
    pub fn shown(&self) -> impl Iterator<Item = String> {
        self.values.iter().map(|value| show(self.syntax, value))
    }
}

fn show(syntax: Syntax, value: &[u8]) -> String {
    let hex = || hex::encode(value);
    match syntax {
        Syntax::Text
        | Syntax::Class
        | Syntax::Boolean
        | Syntax::Integer
        | Syntax::LargeInteger
        | Syntax::Time
        | Syntax::Dn => String::from_utf8_lossy(value).into_owned(),
        Syntax::Guid => <[u8; 16]>::try_from(value).map_or_else(|_| hex(), guid_text),
        Syntax::Sid => Sid::from_bytes(value).map_or_else(hex, |sid| sid.to_string()),
        Syntax::Octets => hex(),
    }
}

/// logonHours from 42 hexadecimal digits, as [`Attribute::shown`] shows it.
pub fn logon_hours(text: &str) -> Option<[u8; 21]> {
    hex::decode(text)?.try_into().ok()
}

impl Domain {
    /// The schema's naming context.
    pub fn schema_base(&self) -> String {
        format!("CN=Schema,CN=Configuration,{}", self.base_text())
    }

    /// Distinguished name of a class or category in the schema.
    pub fn schema_dn(&self, name: &str) -> String {
        format!("CN={name},{}", self.schema_base())
    }

    /// What a controller shows of an object at `now`.
    pub fn attributes(&self, dc: DcId, id: ObjectId, now: FileTime) -> Vec<Attribute> {
        let object = self.object(id);
        let state = object.class.is_account().then(|| self.state(dc, id, now));
        // The number zero is before all others.
        let created = u64::from(id.0) + 1;
        let (when_changed, usn_changed) = match &state {
            Some(state) => (state.shared.when_changed, state.shared.usn_changed.max(created)),
            None => (self.created(), created),
        };
        let naming = match object.class.naming_attribute() {
            "DC" => "dc",
            "OU" => "ou",
            _ => "cn",
        };
        let mut list = vec![
            Attribute::text("objectClass", object.class.object_classes().iter().copied()),
            Attribute::text(naming, [&object.name]),
        ];
        list.extend(object.attributes.iter().cloned());
        list.extend([
            Attribute::dn("distinguishedName", self.dn_text(id)),
            Attribute::integer("instanceType", instance_type(object.class)),
            Attribute::text("whenCreated", [self.created().generalized()]),
            Attribute::text("whenChanged", [when_changed.generalized()]),
            Attribute::integer("uSNCreated", created),
            Attribute::integer("uSNChanged", usn_changed),
            Attribute::text("name", [&object.name]),
            Attribute::guid("objectGUID", object.guid),
        ]);
        list.extend(object.sid.as_ref().map(|sid| Attribute::sid("objectSid", sid)));
        list.extend(object.sam.as_ref().map(|sam| Attribute::text("sAMAccountName", [sam])));
        list.extend(
            object
                .upn
                .as_ref()
                .map(|upn| Attribute::text("userPrincipalName", [upn])),
        );
        list.push(Attribute::dn("objectCategory", self.schema_dn(object.class.category())));
        self.links(id, &mut list);
        match &state {
            Some(state) => self.account_attributes(id, &object, state, now, &mut list),
            // Not those of the configuration.
            None if self.structure.tree.is_configuration(id) => {}
            None => list.extend(self.dialect().account_attributes_of_others()),
        }
        if object.class == Class::DomainDns {
            list.extend(domain_policy(self.policy()));
        }
        if let Some(settings) = object
            .password_settings
            .and_then(|place| self.structure.password_settings.get(place))
        {
            list.extend(self.settings_attributes(settings));
        }
        list.push(Attribute::text("canonicalName", [self.canonical_name(id)]).on_request());
        list
    }

    fn links(&self, id: ObjectId, list: &mut Vec<Attribute>) {
        let names = |ids: &[ObjectId]| ids.iter().map(|id| self.dn_text(*id)).collect::<Vec<_>>();
        let several = |name, values: Vec<String>| Attribute {
            syntax: Syntax::Dn,
            ..Attribute::text(name, values)
        };
        let mut groups: Vec<_> = self
            .structure
            .members
            .iter()
            .filter(|(_, members)| members.contains(&id))
            .map(|(group, _)| *group)
            .collect();
        groups.sort_unstable();
        if !groups.is_empty() {
            list.push(several("memberOf", names(&groups)));
        }
        if let Some(members) = self.structure.members.get(&id).filter(|members| !members.is_empty()) {
            list.push(several("member", names(members)));
        }
        let applied = self
            .structure
            .password_settings
            .iter()
            .filter(|own| own.applies_to.contains(&id));
        let applied: Vec<_> = applied.map(|own| own.object).collect();
        if !applied.is_empty() {
            list.push(several("msDS-PSOApplied", names(&applied)));
        }
    }

    fn account_attributes(
        &self,
        id: ObjectId,
        object: &Object,
        state: &AccountState,
        now: FileTime,
        list: &mut Vec<Attribute>,
    ) {
        let kind = match object.class {
            Class::Computer => SAM_MACHINE_ACCOUNT,
            _ => SAM_USER_OBJECT,
        };
        list.extend([
            Attribute::integer("userAccountControl", state.shared.user_account_control),
            Attribute::integer("badPwdCount", state.counters.bad_pwd_count),
            Attribute::integer("badPasswordTime", state.counters.bad_password_time),
            Attribute::integer("lastLogon", state.counters.last_logon),
            Attribute::integer("pwdLastSet", state.credentials.pwd_last_set),
            Attribute::integer("accountExpires", state.shared.account_expires),
            Attribute::integer("sAMAccountType", kind),
        ]);
        // A simple bind never moves logonCount (measured).
        for (name, usual) in [
            ("codePage", 0),
            ("countryCode", 0),
            ("lastLogoff", 0),
            ("logonCount", 0),
            ("primaryGroupID", DOMAIN_USERS),
        ] {
            if object.texts(name).next().is_none() {
                list.push(Attribute::integer(name, usual));
            }
        }
        list.extend(
            state
                .shared
                .lockout_time
                .map(|time| Attribute::integer("lockoutTime", time)),
        );
        list.extend(
            state
                .shared
                .last_logon_timestamp
                .map(|time| Attribute::integer("lastLogonTimestamp", time)),
        );
        list.extend(
            state
                .shared
                .logon_hours
                .as_ref()
                .map(|hours| Attribute::bytes("logonHours", Syntax::Octets, hours.to_vec())),
        );
        list.extend(
            state
                .shared
                .user_workstations
                .as_ref()
                .map(|names| Attribute::text("userWorkstations", [&**names])),
        );
        list.extend([
            Attribute::integer(
                "msDS-User-Account-Control-Computed",
                self.computed_control(id, state, now),
            )
            .on_request(),
            Attribute::integer(
                "msDS-UserPasswordExpiryTimeComputed",
                state.password_expiry(self.policy_of(id).max_password_age),
            )
            .on_request(),
        ]);
        list.extend(
            self.resultant_settings(id)
                .map(|own| Attribute::dn("msDS-ResultantPSO", self.dn_text(own.object)).on_request()),
        );
    }

    /// msDS-User-Account-Control-Computed (MS-ADTS 3.1.1.4.5.17).
    fn computed_control(&self, id: ObjectId, state: &AccountState, now: FileTime) -> u32 {
        let locked = if self.is_locked(id, state, now) {
            UAC_COMPUTED_LOCKED
        } else {
            0
        };
        let expired = state.password_expiry(self.policy_of(id).max_password_age) <= now;
        locked | if expired { UAC_COMPUTED_PASSWORD_EXPIRED } else { 0 }
    }

    /// canonicalName (MS-ADTS 3.1.1.4.5.5): names from the root down, slashes and backslashes in them escaped. Samba
    /// writes the names as they stand in a distinguished name (measured).
    fn canonical_name(&self, id: ObjectId) -> String {
        let path = self.structure.tree.path(id);
        let names = path.iter().map(|name| match self.dialect().name_style() {
            Escape::Windows => name.replace('\\', "\\\\").replace('/', "\\/"),
            Escape::Samba => escape(name, Escape::Samba),
        });
        let names: Vec<_> = names.collect();
        // The root's own ends with the slash.
        format!("{}/{}", self.dns_name(), names.join("/"))
    }

    fn settings_attributes(&self, settings: &PasswordSettings) -> Vec<Attribute> {
        let policy = &settings.policy;
        let mut list = vec![
            Attribute::integer("msDS-PasswordSettingsPrecedence", settings.precedence),
            Attribute::integer("msDS-MaximumPasswordAge", maximum_age(policy)),
            Attribute::integer("msDS-MinimumPasswordAge", interval(policy.min_password_age)),
            Attribute::integer("msDS-MinimumPasswordLength", policy.min_password_length),
            Attribute::integer("msDS-PasswordHistoryLength", policy.history),
            Attribute::boolean("msDS-PasswordComplexityEnabled", policy.complexity),
            Attribute::boolean("msDS-PasswordReversibleEncryptionEnabled", false),
            Attribute::integer("msDS-LockoutThreshold", policy.lockout.threshold),
            Attribute::integer("msDS-LockoutObservationWindow", interval(policy.lockout.window)),
            Attribute::integer("msDS-LockoutDuration", lockout_duration(policy)),
        ];
        if !settings.applies_to.is_empty() {
            let names = settings.applies_to.iter().map(|id| self.dn_text(*id));
            list.push(Attribute {
                syntax: Syntax::Dn,
                ..Attribute::text("msDS-PSOAppliesTo", names)
            });
        }
        list
    }
}

/// The domain policy as the domain's own object states it. Intervals are negative ticks.
fn domain_policy(policy: &Policy) -> [Attribute; 8] {
    [
        Attribute::integer("lockoutDuration", lockout_duration(policy)),
        Attribute::integer("lockOutObservationWindow", interval(policy.lockout.window)),
        Attribute::integer("lockoutThreshold", policy.lockout.threshold),
        Attribute::integer("maxPwdAge", maximum_age(policy)),
        Attribute::integer("minPwdAge", interval(policy.min_password_age)),
        Attribute::integer("minPwdLength", policy.min_password_length),
        // DOMAIN_PASSWORD_COMPLEX.
        Attribute::integer("pwdProperties", u8::from(policy.complexity)),
        Attribute::integer("pwdHistoryLength", policy.history),
    ]
}

fn interval(length: Duration) -> i64 {
    -ticks(length)
}

fn maximum_age(policy: &Policy) -> i64 {
    policy.max_password_age.map_or(i64::MIN, interval)
}

fn lockout_duration(policy: &Policy) -> i64 {
    match policy.lockout.duration {
        LockoutDuration::For(length) => interval(length),
        LockoutDuration::UntilUnlocked => i64::MIN,
    }
}

/// instanceType (MS-ADTS 3.1.1.2.2.3): writable, and for roots of naming contexts also that they are.
fn instance_type(class: Class) -> u32 {
    match class {
        Class::DomainDns => 5,
        Class::Configuration | Class::Dmd => 13,
        _ => 4,
    }
}
