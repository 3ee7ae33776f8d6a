//! An account's attributes as the directory shows them: schema names, AD's encodings, AD's choice of what is shown
//! without being asked for (MS-ADA, MS-ADTS 3.1.1.4.5).

use super::account::{AccountState, UAC_COMPUTED_LOCKED, UAC_COMPUTED_PASSWORD_EXPIRED};
use super::filetime::FileTime;
use super::sid::{Sid, guid, guid_text};
use super::{AccountId, Domain, dn};

/// sAMAccountType of a user (SAM_USER_OBJECT).
const SAM_USER_OBJECT: u32 = 0x3000_0000;
/// primaryGroupID of a user: Domain Users.
const DOMAIN_USERS: u32 = 513;

/// How values of an attribute are compared and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// Unicode text, compared without case.
    Text,
    /// A decimal integer of up to 64 bits.
    Integer,
    /// A distinguished name.
    Dn,
    /// 16 bytes.
    Guid,
    /// A binary security identifier.
    Sid,
    /// Other bytes.
    Octets,
}

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
        }
    }

    fn on_request(self) -> Self {
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
    let hex = || value.iter().map(|byte| format!("{byte:02x}")).collect();
    match syntax {
        Syntax::Text | Syntax::Integer | Syntax::Dn => String::from_utf8_lossy(value).into_owned(),
        Syntax::Guid => <[u8; 16]>::try_from(value).map_or_else(|_| hex(), guid_text),
        Syntax::Sid => Sid::from_bytes(value).map_or_else(hex, |sid| sid.to_string()),
        Syntax::Octets => hex(),
    }
}

/// logonHours from 42 hexadecimal digits, as [`Attribute::shown`] shows it.
pub fn logon_hours(text: &str) -> Option<[u8; 21]> {
    let mut hours = [0; 21];
    if text.len() != 42 || !text.is_ascii() {
        return None;
    }
    for (byte, digits) in hours.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16)
            .ok()
            .filter(|_| digits[0] != b'+')?;
    }
    Some(hours)
}

/// Every attribute name that [`Domain::attributes`] may show: what a filter may ask about.
pub const USER_ATTRIBUTES: &[&str] = &[
    "objectClass",
    "cn",
    "displayName",
    "distinguishedName",
    "instanceType",
    "whenCreated",
    "name",
    "objectGUID",
    "userAccountControl",
    "badPwdCount",
    "badPasswordTime",
    "lastLogoff",
    "lastLogon",
    "logonHours",
    "userWorkstations",
    "pwdLastSet",
    "primaryGroupID",
    "objectSid",
    "accountExpires",
    "logonCount",
    "sAMAccountName",
    "sAMAccountType",
    "userPrincipalName",
    "lockoutTime",
    "objectCategory",
    "mail",
    "canonicalName",
    "msDS-User-Account-Control-Computed",
    "msDS-UserPasswordExpiryTimeComputed",
];

impl Domain {
    /// Distinguished name of an account.
    pub fn dn_text(&self, id: AccountId) -> String {
        format!("CN={},CN=Users,{}", dn::escape(&self.account(id).cn), self.base_text())
    }

    /// The schema's naming context.
    pub fn schema_base(&self) -> String {
        format!("CN=Schema,CN=Configuration,{}", self.base_text())
    }

    /// Distinguished name of a class or category in the schema.
    pub fn schema_dn(&self, name: &str) -> String {
        format!("CN={name},{}", self.schema_base())
    }

    /// What the directory shows of an account at `now`.
    pub fn attributes(&self, id: AccountId, now: FileTime) -> Vec<Attribute> {
        let account = self.account(id);
        let state = self.state(id);
        let mut list = vec![
            Attribute::text("objectClass", ["top", "person", "organizationalPerson", "user"]),
            Attribute::text("cn", [&account.cn]),
        ];
        list.extend(
            account
                .display_name
                .as_ref()
                .map(|name| Attribute::text("displayName", [name])),
        );
        list.extend([
            Attribute::dn("distinguishedName", self.dn_text(id)),
            Attribute::integer("instanceType", 4),
            Attribute::text("whenCreated", [self.created().generalized()]),
            Attribute::text("name", [&account.cn]),
            Attribute::guid("objectGUID", guid(&account.sid)),
            Attribute::integer("userAccountControl", state.user_account_control),
            Attribute::integer("badPwdCount", state.bad_pwd_count),
            Attribute::integer("badPasswordTime", state.bad_password_time),
            Attribute::integer("lastLogoff", 0),
            Attribute::integer("lastLogon", state.last_logon),
            Attribute::integer("pwdLastSet", state.pwd_last_set),
            Attribute::integer("primaryGroupID", DOMAIN_USERS),
            Attribute::sid("objectSid", &account.sid),
            Attribute::integer("accountExpires", state.account_expires),
            // A simple bind never moves logonCount (measured).
            Attribute::integer("logonCount", 0),
            Attribute::text("sAMAccountName", [&account.sam]),
            Attribute::integer("sAMAccountType", SAM_USER_OBJECT),
        ]);
        list.extend(
            account
                .upn
                .as_ref()
                .map(|upn| Attribute::text("userPrincipalName", [upn])),
        );
        list.extend(state.lockout_time.map(|time| Attribute::integer("lockoutTime", time)));
        list.push(Attribute::dn("objectCategory", self.schema_dn("Person")));
        list.extend(account.mail.as_ref().map(|mail| Attribute::text("mail", [mail])));
        list.extend(
            state
                .logon_hours
                .map(|hours| Attribute::bytes("logonHours", Syntax::Octets, hours.to_vec())),
        );
        list.extend(
            state
                .user_workstations
                .as_ref()
                .map(|names| Attribute::text("userWorkstations", [names])),
        );
        list.extend([
            Attribute::text("canonicalName", [format!("{}/Users/{}", self.dns_name(), account.cn)]).on_request(),
            Attribute::integer(
                "msDS-User-Account-Control-Computed",
                self.computed_control(id, &state, now),
            )
            .on_request(),
            Attribute::integer(
                "msDS-UserPasswordExpiryTimeComputed",
                state.password_expiry(self.policy().max_password_age),
            )
            .on_request(),
        ]);
        list
    }

    /// msDS-User-Account-Control-Computed (MS-ADTS 3.1.1.4.5.17).
    fn computed_control(&self, id: AccountId, state: &AccountState, now: FileTime) -> u32 {
        let locked = if self.is_locked(id, state, now) {
            UAC_COMPUTED_LOCKED
        } else {
            0
        };
        let expired = state.password_expiry(self.policy().max_password_age) <= now;
        locked | if expired { UAC_COMPUTED_PASSWORD_EXPIRED } else { 0 }
    }
}
