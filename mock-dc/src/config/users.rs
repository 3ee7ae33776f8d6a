//! The accounts of a configuration: those in the file itself and those in a file of their own.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;

use postern_service::config::{Problems, located};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::objects::{Places, folded};
use crate::domain::attributes::{Attribute, logon_hours};
use crate::domain::builtin::{FIRST_DC, reserved_names};
use crate::domain::filetime::FileTime;
use crate::domain::fold::fold;
use crate::domain::generated::sam_of;
use crate::domain::names::NOT_IN_SAM;
use crate::domain::nt_hash::NtHash;
use crate::domain::policy::Policy;
use crate::domain::schema::{Syntax, known};
use crate::domain::settings::{Lock, PasswordSet, UserSettings};
use crate::domain::sid::{guid_text, parse_guid};

/// One account as it is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUser {
    sam: Option<String>,
    cn: Option<String>,
    upn: Option<String>,
    path: Option<String>,
    mail: Option<String>,
    display_name: Option<String>,
    /// Other attributes, by their LDAP names.
    #[serde(default)]
    attributes: BTreeMap<String, Values>,
    guid: Option<String>,
    rid: Option<u32>,
    #[serde(default, deserialize_with = "hashed")]
    password: Option<NtHash>,
    #[serde(default)]
    disabled: bool,
    #[serde(default)]
    smartcard_required: bool,
    #[serde(default)]
    user_account_control_bits: u32,
    account_expires: Option<String>,
    #[serde(default)]
    must_change: bool,
    #[serde(default)]
    password_expired: bool,
    password_last_set: Option<String>,
    #[serde(default)]
    password_never_expires: bool,
    logon_hours: Option<String>,
    workstations: Option<Vec<String>>,
    locked: Option<RawLocked>,
    #[serde(default)]
    lockout_exempt: bool,
}

/// One value or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "must be a text or an array of texts")]
enum Values {
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "must be true, false or \"until_unlocked\"")]
enum RawLocked {
    Now(bool),
    Until(Until),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Until {
    UntilUnlocked,
}

/// A users' file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUsersFile {
    #[serde(default)]
    users: Vec<RawUser>,
}

/// Keeps the hash only; the text is wiped. An empty password, which nobody can sign in with, is refused.
pub(super) fn hashed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NtHash>, D::Error> {
    deserializer.deserialize_string(HashedPassword).map(Some)
}

struct HashedPassword;

/// A password that reads as a number is no text in TOML, nor in the environment. Serde's own words on that would show it.
const NOT_A_TEXT: &str = "must be a text, in quotation marks; what is there is not shown";

impl Visitor<'_> for HashedPassword {
    type Value = NtHash;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, password: &str) -> Result<NtHash, E> {
        if password.is_empty() {
            return Err(E::custom(
                "must not be empty: nobody can sign in with an empty password",
            ));
        }
        Ok(NtHash::of(password))
    }

    fn visit_string<E: Error>(self, password: String) -> Result<NtHash, E> {
        self.visit_str(&Zeroizing::new(password))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<NtHash, E> {
        Err(E::custom(NOT_A_TEXT))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<NtHash, E> {
        Err(E::custom(NOT_A_TEXT))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<NtHash, E> {
        Err(E::custom(NOT_A_TEXT))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<NtHash, E> {
        Err(E::custom(NOT_A_TEXT))
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<NtHash, E> {
        Err(E::custom(NOT_A_TEXT))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<NtHash, E> {
        Err(E::custom(NOT_A_TEXT))
    }
}

/// Collects accounts and notes names that are claimed twice.
pub(super) struct Users<'a> {
    dns_name: &'a str,
    policy: &'a Policy,
    /// Whether any policy lets passwords expire.
    expires: bool,
    places: &'a Places,
    generated: u32,
    settings: Vec<UserSettings>,
    /// Claimed names by kind, and the key that claimed each first.
    claimed: HashMap<(&'static str, String), String>,
}

impl<'a> Users<'a> {
    pub(super) fn new(
        dns_name: &'a str,
        policy: &'a Policy,
        expires: bool,
        places: &'a Places,
        generated: u32,
    ) -> Self {
        let builtin = reserved_names().map(|name| (("sam", fold(name)), "every domain".to_owned()));
        Self {
            dns_name,
            policy,
            expires,
            places,
            generated,
            settings: Vec::new(),
            claimed: builtin.collect(),
        }
    }

    /// Whether an account or group has this sAMAccountName.
    pub(super) fn is_known(&self, sam: &str) -> bool {
        let sam = fold(sam);
        is_generated(&sam, self.generated) || self.claimed.contains_key(&("sam", sam))
    }

    /// Takes a name for what `key` describes.
    pub(super) fn claim(&mut self, key: &str, kind: &'static str, name: &str, problems: &mut Problems) {
        if kind == "sam" {
            self.check_generated(key, name, problems);
        }
        match self.claimed.entry((kind, fold(name))) {
            Entry::Vacant(place) => {
                place.insert(key.to_owned());
            }
            Entry::Occupied(first) => problems.add(key, format!("{name:?} is taken by {}", first.get())),
        }
    }

    /// Takes the place of an object in the tree.
    pub(super) fn claim_place(&mut self, key: &str, path: Option<&str>, cn: &str, problems: &mut Problems) {
        if is_beside_generated(path) {
            self.check_generated(key, cn, problems);
        }
        match self.claimed.entry(("cn", fold(&place(path, cn)))) {
            Entry::Vacant(place) => {
                place.insert(key.to_owned());
            }
            Entry::Occupied(first) => problems.add(
                key,
                format!("{cn:?} has its place in the tree taken by {}", first.get()),
            ),
        }
    }

    /// Generated accounts have their names whether anybody claims them or not.
    fn check_generated(&self, key: &str, name: &str, problems: &mut Problems) {
        if is_generated(&fold(name), self.generated) {
            problems.add(key, format!("{name:?} is the name of a generated account"));
        }
    }

    pub(super) fn add_file(&mut self, path: &Path, problems: &mut Problems) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) => return problems.add("users_file", format!("{}: {error}", path.display())),
        };
        match toml::from_str::<RawUsersFile>(&text) {
            Ok(file) => self.add(&format!("{}: users", path.display()), file.users, problems),
            Err(error) => problems.add("users_file", format!("{}, {}", path.display(), located(&error, &text))),
        }
    }

    pub(super) fn add(&mut self, key: &str, users: Vec<RawUser>, problems: &mut Problems) {
        for (index, user) in users.into_iter().enumerate() {
            let key = format!("{key}[{index}]");
            if let Some(settings) = self.read(&key, user, problems) {
                self.claim_names(&key, &settings, problems);
                self.settings.push(settings);
            }
        }
    }

    pub(super) fn into_settings(self) -> Vec<UserSettings> {
        self.settings
    }

    fn read(&self, key: &str, user: RawUser, problems: &mut Problems) -> Option<UserSettings> {
        let at = |member: &str| format!("{key}.{member}");
        let nt_hash = problems.require(&at("password"), user.password);
        let account_expires = moment(&at("account_expires"), user.account_expires.as_deref(), problems);
        let logon_hours = user
            .logon_hours
            .as_deref()
            .and_then(|text| hours(&at("logon_hours"), text, problems));
        self.places.check(&at("path"), user.path.as_deref(), problems);
        let guid = user.guid.as_deref().and_then(|text| {
            let guid = parse_guid(text);
            if guid.is_none() {
                problems.add(at("guid"), format!("{text:?} is not a GUID"));
            }
            guid
        });
        let mut attributes = attributes(&at("attributes"), &user.attributes, problems);
        attributes.extend(user.mail.as_ref().map(|mail| Attribute::text("mail", [mail])));
        attributes.extend(
            user.display_name
                .as_ref()
                .map(|name| Attribute::text("displayName", [name])),
        );
        let password_set = self.password_set(key, &user, problems);
        let lock = self.lock(key, &user, problems);
        let sam = problems.require(&at("sam"), user.sam)?;
        if sam.trim().is_empty() || sam.contains(NOT_IN_SAM) || sam.contains(char::is_control) {
            problems.add(
                at("sam"),
                format!("{sam:?} is empty or holds one of {}", String::from_iter(NOT_IN_SAM)),
            );
        }
        // Some directories' users have no principal name of their own; the empty text says so.
        let upn = user.upn.unwrap_or_else(|| format!("{sam}@{}", self.dns_name));
        if !upn.is_empty()
            && upn
                .rsplit_once('@')
                .is_none_or(|(name, suffix)| name.is_empty() || suffix.is_empty())
        {
            problems.add(at("upn"), format!("{upn:?} is not name@suffix"));
        }
        Some(UserSettings {
            cn: user.cn.filter(|cn| !cn.is_empty()).unwrap_or_else(|| sam.clone()),
            upn: Some(upn).filter(|upn| !upn.is_empty()),
            path: user.path,
            attributes,
            guid,
            rid: user.rid,
            nt_hash: nt_hash?,
            disabled: user.disabled,
            smartcard_required: user.smartcard_required,
            control_bits: user.user_account_control_bits,
            account_expires: account_expires.unwrap_or(FileTime::NEVER),
            password_set,
            password_never_expires: user.password_never_expires,
            logon_hours,
            workstations: user
                .workstations
                .map(|names| names.join(","))
                .filter(|names| !names.is_empty()),
            lock,
            sam,
        })
    }

    fn password_set(&self, key: &str, user: &RawUser, problems: &mut Problems) -> PasswordSet {
        let last_set = moment(
            &format!("{key}.password_last_set"),
            user.password_last_set.as_deref(),
            problems,
        );
        if usize::from(user.must_change)
            + usize::from(user.password_expired)
            + usize::from(user.password_last_set.is_some())
            > 1
        {
            problems.add(
                key,
                "has more than one of must_change, password_expired and password_last_set",
            );
        }
        if user.password_expired && !self.expires {
            problems.add(
                format!("{key}.password_expired"),
                "no password expires: max_password_age_days is 0 in every policy",
            );
        }
        match last_set {
            _ if user.must_change => PasswordSet::MustChange,
            _ if user.password_expired => PasswordSet::TooLongAgo,
            Some(moment) => PasswordSet::At(moment),
            None => PasswordSet::Now,
        }
    }

    fn lock(&self, key: &str, user: &RawUser, problems: &mut Problems) -> Lock {
        let lock = match user.locked {
            None | Some(RawLocked::Now(false)) if user.lockout_exempt => return Lock::Exempt,
            None | Some(RawLocked::Now(false)) => return Lock::Open,
            Some(RawLocked::Now(true)) => Lock::Locked,
            Some(RawLocked::Until(Until::UntilUnlocked)) => Lock::UntilUnlocked,
        };
        if user.lockout_exempt {
            problems.add(format!("{key}.locked"), "is not possible together with lockout_exempt");
        }
        if self.policy.lockout.threshold == 0 {
            problems.add(format!("{key}.locked"), "nothing locks: policy.lockout_threshold is 0");
        }
        lock
    }

    /// No two objects have one objectGUID or objectSid.
    pub(super) fn claim_identifiers(
        &mut self,
        key: &str,
        guid: Option<[u8; 16]>,
        rid: Option<u32>,
        problems: &mut Problems,
    ) {
        if let Some(guid) = guid {
            self.claim(&format!("{key}.guid"), "guid", &guid_text(guid), problems);
        }
        match rid {
            Some(rid) if rid < FIRST_DC => problems.add(
                format!("{key}.rid"),
                format!("{rid} is one of those below {FIRST_DC}, which are the domain's own"),
            ),
            Some(rid) => self.claim(&format!("{key}.rid"), "rid", &rid.to_string(), problems),
            None => {}
        }
    }

    /// AD refuses a second account with the same sAMAccountName, place in the tree, or explicit or implied principal
    /// name; so do we.
    fn claim_names(&mut self, key: &str, user: &UserSettings, problems: &mut Problems) {
        let implied = format!("{}@{}", user.sam, self.dns_name);
        let explicit = user.upn.iter().filter(|upn| fold(upn) != fold(&implied));
        // Places are compared within one container.
        let place = place(user.path.as_deref(), &user.cn);
        self.claim_identifiers(key, user.guid, user.rid, problems);
        let names = [("sam", &user.sam), ("cn", &place), ("upn", &implied)];
        for (kind, name) in names.into_iter().chain(explicit.map(|upn| ("upn", upn))) {
            let shown = if kind == "cn" { &user.cn } else { name };
            match self.claimed.entry((kind, fold(name))) {
                Entry::Vacant(place) => {
                    place.insert(key.to_owned());
                }
                Entry::Occupied(first) => {
                    problems.add(
                        format!("{key}.{kind}"),
                        format!("{shown:?} is taken by {}", first.get()),
                    );
                }
            }
            if kind == "sam" || (kind == "cn" && is_beside_generated(user.path.as_deref())) {
                self.check_generated(&format!("{key}.{kind}"), shown, problems);
            }
        }
    }
}

/// Attributes that an account may have beside those that follow from its place, names and state.
fn attributes(key: &str, given: &BTreeMap<String, Values>, problems: &mut Problems) -> Vec<Attribute> {
    let mut attributes = Vec::new();
    for (name, values) in given {
        let own = format!("{key}.{name}");
        match known(name) {
            Some((known, Syntax::Text)) if !OF_THE_DIRECTORY.contains(&known) => {
                let values = match values {
                    Values::One(value) => vec![value.clone()],
                    Values::Several(values) => values.clone(),
                };
                attributes.push(Attribute::text(known, values));
            }
            Some(_) => problems.add(own, "follows from the account's place, names and state"),
            None => problems.add(own, "is not an attribute that this directory knows"),
        }
    }
    attributes
}

/// Texts that cannot be given as other attributes: they have keys of their own, or nobody chooses them.
const OF_THE_DIRECTORY: &[&str] = &[
    "objectClass",
    "cn",
    "ou",
    "dc",
    "name",
    "whenCreated",
    "whenChanged",
    "userWorkstations",
    "sAMAccountName",
    "userPrincipalName",
    "canonicalName",
    "mail",
    "displayName",
];

/// Whether an object stands where the generated accounts stand.
fn is_beside_generated(path: Option<&str>) -> bool {
    place(path, "") == place(None, "")
}

/// Where an object of this name stands, as places are compared.
pub(super) fn place(path: Option<&str>, cn: &str) -> String {
    format!("{}/{cn}", folded(path.unwrap_or("CN=Users")))
}

fn is_generated(name: &str, count: u32) -> bool {
    let number = name.strip_prefix("user").and_then(|digits| digits.parse().ok());
    number.is_some_and(|number| (1..=count).contains(&number) && name == sam_of(number))
}

fn moment(key: &str, text: Option<&str>, problems: &mut Problems) -> Option<FileTime> {
    let text = text?;
    match OffsetDateTime::parse(text, &Rfc3339) {
        Ok(moment) => Some(FileTime::from(moment)),
        Err(_) => {
            problems.add(
                key,
                format!("{text:?} is not a moment like \"2030-01-31T18:00:00Z\" (RFC 3339, in quotes)"),
            );
            None
        }
    }
}

/// 21 bytes as hexadecimal digits, or `none` for no hour at all.
fn hours(key: &str, text: &str, problems: &mut Problems) -> Option<[u8; 21]> {
    let read = if text == "none" {
        Some([0; 21])
    } else {
        logon_hours(text)
    };
    if read.is_none() {
        problems.add(
            key,
            "is neither \"none\" nor 42 hexadecimal digits (21 bytes, Sunday 00:00 UTC first)",
        );
    }
    read
}
