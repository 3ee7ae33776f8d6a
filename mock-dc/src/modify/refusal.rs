//! Why a change is refused, and the words for it in both dialects.
//!
//! Samba's were measured. Of Windows' the first eight digits are the error's number (MS-ERREF 2.2), which alone is
//! contractual (MS-ADTS 3.1.1.3.1.9): those of passwords are widely seen in public logs, of the others the number follows
//! from the specification and the form from what is seen of its kind. DSIDs stand for a source line and have no meaning.

use crate::domain::dialect::Dialect;
use crate::domain::password_change::NotSet;
use crate::domain::password_rules::Refusal as Rule;

/// An attribute of an object, as texts name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As the request wrote it.
    attribute: String,
    dn: String,
}

impl Place {
    pub(super) fn new(attribute: &str, dn: String) -> Self {
        Self {
            attribute: attribute.to_owned(),
            dn,
        }
    }
}

/// A request that writes to `unicodePwd` in no way that means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An add with none or several values.
    ValuesAdded,
    /// A delete with several values.
    ValuesDeleted,
    /// An add alone.
    OnlyAdded,
    /// A delete alone.
    OnlyDeleted,
    /// More than one delete and one add, or a replacement beside them.
    Several,
    /// A replacement by nothing.
    ReplacedByNothing,
}

/// Why a modify request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A change that neither adds nor deletes nor replaces.
    NoSuchKind,
    /// The name is no distinguished name.
    BadName,
    /// The RootDSE cannot be written to.
    RootDse,
    /// The request has no change in it.
    NothingToChange,
    /// Nothing has the name.
    NoSuchObject {
        /// The name.
        name: String,
        /// The nearest object that exists.
        best_match: String,
    },
    /// A value without a byte.
    EmptyValue(Place),
    /// The schema does not know the attribute.
    UnknownAttribute(Place),
    /// Passwords are not written over connections that are not encrypted.
    NotEncrypted,
    /// Whoever asks may not write this object.
    NoRight {
        /// Its name.
        dn: String,
    },
    /// Whoever asks may not write attributes that have rules of their own.
    NoRightToValidatedWrite,
    /// Whoever asks may not set the password.
    NoRightToReset,
    /// The password cannot be changed in this way, or there is none.
    NoRightToChange,
    /// Whoever asks may not add, delete or rename objects.
    NoRightToObjects,
    /// Objects, their names and memberships come from the configuration.
    Configured,
    /// It names the object, and is changed by renaming it.
    Naming(Place),
    /// It is computed.
    Constructed(Place),
    /// The directory alone writes it.
    System(Place),
    /// It is the other end of a link.
    Linked(Place),
    /// It belongs to the account's identity.
    Identity(Place),
    /// No object of this class has it.
    NotOfClass(Place),
    /// A value does not have the attribute's syntax.
    InvalidValue(Place),
    /// It has one value at most.
    SingleValued(Place),
    /// Every object of this class has it.
    Required(Place),
    /// It is set to zero instead.
    Undeletable(Place),
    /// The attribute to be deleted is not there.
    NoSuchAttribute(Place),
    /// The value to be deleted is not there.
    NoSuchValue(Place),
    /// The value to be added is there already.
    ValueExists(Place),
    /// An add without a value.
    NothingToAdd(Place),
    /// A replacement with a value that stands there twice.
    GivenTwice(Place),
    /// The object would have more values than one may have.
    TooManyValues(Place),
    /// Nothing has the name that a value gives.
    NoSuchReference(Place),
    /// Somebody else has the sAMAccountName.
    AccountNameTaken {
        /// It.
        name: String,
    },
    /// Somebody else has the userPrincipalName.
    PrincipalNameTaken {
        /// It.
        name: String,
    },
    /// pwdLastSet can be set to 0 and -1 only.
    PwdLastSet,
    /// lockoutTime can be set to 0 only.
    LockoutTime,
    /// `unicodePwd` is written in no way that means anything.
    Shape(Shape),
    /// A value of `unicodePwd` is no text in quotation marks.
    NotQuoted {
        /// It is the new password of a change.
        new_of_change: bool,
    },
    /// There is no new password.
    Password {
        /// Why.
        refused: NotSet,
        /// The present password was shown.
        is_change: bool,
    },
}

/// A result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The LDAP result code (RFC 4511 4.1.9).
    pub code: u32,
    /// The nearest object that exists, where one was looked for in vain.
    pub matched_dn: String,
    /// The diagnostic text.
    pub text: String,
}

impl Told {
    fn new(code: u32, text: impl Into<String>) -> Self {
        Self {
            code,
            matched_dn: String::new(),
            text: text.into(),
        }
    }
}

/// Result 53 to whoever may change something and asks for what is not offered here. Words of our own.
pub const CONFIGURED: &str = "this simulated directory takes objects, their names and memberships from its configuration; \
                              passwords and the attributes that sign-in reads can be changed";

impl Refusal {
    /// What a client is told.
    pub fn told(&self, dialect: Dialect) -> Told {
        match (self, dialect) {
            (Self::Configured, _) => Told::new(53, CONFIGURED),
            (Self::NoSuchObject { best_match, .. }, Dialect::Windows) => Told {
                matched_dn: best_match.clone(),
                ..Told::new(32, dialect.no_such_object(best_match))
            },
            (Self::BadName, Dialect::Windows) => Told::new(34, dialect.bad_name()),
            (_, Dialect::Windows) => self.of_windows(),
            (_, Dialect::Samba) => self.of_samba(),
        }
    }

    fn of_samba(&self) -> Told {
        let (code, text) = match self {
            Self::NoSuchKind => (2, "00002021: Protocol error. Invalid LDAP_MODIFY_* type".to_owned()),
            Self::BadName => (34, "00002032: ldb_modify: invalid dn '(null)'".to_owned()),
            Self::RootDse => (53, "00002035: rootdse_modify: unknown attribute to change!".to_owned()),
            Self::NothingToChange => (
                53,
                "00002035: objectclass: modify message must have elements/attributes!".to_owned(),
            ),
            Self::NoSuchObject { name, .. } => (32, format!("00002030: No such Base DN: {name}")),
            Self::EmptyValue(Place { attribute, dn }) => (
                21,
                format!("Element {attribute} has empty attribute in ldb message ({dn})!"),
            ),
            Self::UnknownAttribute(Place { attribute, dn }) => (
                16,
                format!("acl_modify: attribute '{attribute}' on entry '{dn}' was not found in the schema!"),
            ),
            Self::NoRight { dn } => (50, format!("00002098: Object {dn} has no write property access\n")),
            // The names that Samba puts behind it are not looked at here.
            Self::NoRightToObjects => (50, "dsdb_access: Access check failed".to_owned()),
            Self::NoRightToReset | Self::NoRightToValidatedWrite => (
                50,
                "error in module acl: insufficient access rights during LDB_MODIFY (50)".to_owned(),
            ),
            Self::NoRightToChange => (
                19,
                "error in module acl: Constraint violation during LDB_MODIFY (19)".to_owned(),
            ),
            Self::Naming(Place { attribute, dn }) if attribute.eq_ignore_ascii_case("name") => (
                67,
                format!("00002016: Modify of '{attribute}' on {dn} not permitted, must use 'rename' operation instead"),
            ),
            Self::Naming(Place { attribute, dn }) => (
                67,
                format!(
                    "00002016: Modify of RDN '{}' on {dn} not permitted, must use 'rename' operation instead",
                    attribute.to_uppercase()
                ),
            ),
            Self::Constructed(place) => (19, place.of_samba("0000202F", "is constructed!")),
            Self::System(place) => (19, place.of_samba("0000202F", "can only be modified as system")),
            Self::Linked(place) => (
                53,
                place.of_samba("00002035", "must not be modified directly, it is a linked attribute"),
            ),
            Self::Identity(Place { attribute, .. }) => {
                (53, format!("00002035: samldb: {attribute} must not be specified!"))
            }
            Self::NotOfClass(place) => (
                65,
                place.of_samba("00002014", "does not exist in the specified objectclasses!"),
            ),
            Self::InvalidValue(place) => (21, place.of_samba("0000200B", "contains at least one invalid value!")),
            Self::SingleValued(Place { attribute, dn }) => (
                20,
                format!("0000200D: SINGLE-VALUE attribute {attribute} on {dn} specified more than once"),
            ),
            Self::Required(Place { attribute, dn }) => (
                53,
                format!(
                    "00002035: objectclass_attrs: delete protected attribute '{attribute}' on entry '{dn}' missing!"
                ),
            ),
            Self::Undeletable(Place { attribute, .. }) => {
                (53, format!("00002077: samldb: '{attribute}' can't be deleted!"))
            }
            Self::NoSuchAttribute(Place { attribute, dn }) => (
                16,
                format!("attribute '{attribute}': no such attribute for delete on '{dn}'"),
            ),
            Self::NoSuchValue(Place { attribute, dn }) => (
                16,
                format!("attribute '{attribute}': no matching attribute value while deleting attribute on '{dn}'"),
            ),
            Self::ValueExists(Place { attribute, dn }) => (
                20,
                format!("attribute '{attribute}': value #0 on '{dn}' already exists"),
            ),
            Self::NothingToAdd(Place { attribute, dn }) => (
                19,
                format!("attribute '{attribute}': attribute on '{dn}' specified, but with 0 values (illegal)"),
            ),
            Self::GivenTwice(Place { attribute, dn }) => (
                20,
                format!("attribute '{attribute}': value on '{dn}' provided more than once in REPLACE"),
            ),
            // Samba has no such limit.
            Self::TooManyValues(Place { attribute, dn }) => (
                11,
                format!(
                    "attribute '{attribute}': the object {dn} would have too many values for this simulated directory"
                ),
            ),
            Self::NoSuchReference(_) => (19, SAMBA_NO_REFERENCE.to_owned()),
            Self::AccountNameTaken { name } => {
                (68, format!("00002071: samldb: samAccountName '{name}' already in use!"))
            }
            Self::PrincipalNameTaken { name } => (
                19,
                format!("0000202F: samldb: userPrincipalName '{name}' is already in use "),
            ),
            Self::PwdLastSet => (80, SAMBA_PWD_LAST_SET.to_owned()),
            Self::Shape(shape) => shape.of_samba(),
            Self::NotQuoted { new_of_change } => {
                let (code, error) = if *new_of_change {
                    (19, "0000202F")
                } else {
                    (53, "00002035")
                };
                let text = format!("{error}: setup_io: it's not allowed to set the NT hash password directly'");
                (code, text)
            }
            Self::Password { refused, .. } => (19, samba_password(refused)),
            // Samba has no such rules.
            Self::NotEncrypted | Self::LockoutTime | Self::Configured => (53, CONFIGURED.to_owned()),
        };
        Told::new(code, text)
    }

    fn of_windows(&self) -> Told {
        let unicode_pwd = |error| {
            att(
                "DSID-03190F80",
                error,
                1005,
                "CONSTRAINT_ATT_TYPE",
                "9005a (unicodePwd)",
            )
        };
        let constraint = |error, place: &Place| (19, place.of_windows(error, 1005, "CONSTRAINT_ATT_TYPE"));
        let missing = |place: &Place| (16, place.of_windows("00002085", 1001, "NO_ATTRIBUTE_OR_VAL"));
        let exists = |place: &Place| (20, place.of_windows("00002083", 1006, "ATT_OR_VALUE_EXISTS"));
        let (code, text) = match self {
            Self::NoSuchKind => (2, ldap_error("00000057", "Error decoding ldap message")),
            Self::RootDse | Self::NothingToChange => (53, service("00002035")),
            Self::UnknownAttribute(_) => (16, ldap_error("00000057", "Error in attribute conversion operation")),
            Self::NotEncrypted | Self::NotQuoted { .. } => (53, service("0000001F")),
            Self::NoRight { .. } | Self::NoRightToValidatedWrite => (50, security("00002098")),
            Self::NoRightToReset | Self::NoRightToChange | Self::NoRightToObjects => (50, security("00000005")),
            Self::Naming(_) => (67, update("00002016", 6004, "CANT_ON_RDN")),
            Self::Constructed(place) | Self::System(place) => constraint("000020B1", place),
            Self::Linked(_) | Self::Identity(_) | Self::Undeletable(_) | Self::Required(_) => (53, service("0000209A")),
            Self::NotOfClass(_) => (65, update("0000207D", 6002, "OBJ_CLASS_VIOLATION")),
            Self::EmptyValue(place) | Self::InvalidValue(place) => {
                (21, place.of_windows("0000200B", 1002, "INVALID_ATT_SYNTAX"))
            }
            Self::SingleValued(place) => constraint("00002081", place),
            Self::TooManyValues(_) => (11, wont_perform("00002024", 5008, "ADMIN_LIMIT_EXCEEDED")),
            Self::NoSuchReference(place) => constraint("000020B5", place),
            Self::AccountNameTaken { .. } => (68, update("00000524", 6005, "ENTRY_EXISTS")),
            // ERROR_DS_UPN_VALUE_NOT_UNIQUE_IN_FOREST, since Windows Server 2012 R2.
            Self::PrincipalNameTaken { .. } => (
                19,
                att(
                    "DSID-03190F80",
                    "000021C8",
                    1005,
                    "CONSTRAINT_ATT_TYPE",
                    "90290 (userPrincipalName)",
                ),
            ),
            Self::NoSuchAttribute(place) | Self::NoSuchValue(place) => missing(place),
            Self::ValueExists(place) | Self::GivenTwice(place) => exists(place),
            Self::NothingToAdd(place) => constraint("00002082", place),
            Self::PwdLastSet | Self::LockoutTime => (53, service("00000057")),
            Self::Shape(_) => (53, service("00000005")),
            Self::Password { refused, is_change } => match (refused, is_change) {
                (NotSet::Locked, _) => (19, unicode_pwd("00000775")),
                (NotSet::OldIsWrong, _) => (19, unicode_pwd("00000056")),
                (NotSet::Rule(_), true) => (19, unicode_pwd("0000052D")),
                (NotSet::Rule(_), false) => (53, service("0000052D")),
            },
            Self::BadName | Self::NoSuchObject { .. } | Self::Configured => (53, CONFIGURED.to_owned()),
        };
        Told::new(code, text)
    }
}

const SAMBA_NO_REFERENCE: &str = "000020B5: Referenced object not found at \
                                  ../../source4/dsdb/samdb/ldb_modules/extended_dn_store.c:357:extended_replace_callback";

const SAMBA_PWD_LAST_SET: &str = "00000057: setup_last_set_field: pwdLastSet must be 0 or -1 only! at \
                                  ../../source4/dsdb/samdb/ldb_modules/password_hash.c:2436:setup_last_set_field";

fn samba_password(refused: &NotSet) -> String {
    let refusal = match refused {
        NotSet::Locked => {
            return "00000775: Password change not permitted, account locked out! at \
                    ../../source4/dsdb/samdb/ldb_modules/password_hash.c:3929:setup_io"
                .to_owned();
        }
        NotSet::OldIsWrong => {
            return "00000056: Constraint violation - check_password_restrictions: The old password specified doesn't \
                    match!"
                .to_owned();
        }
        NotSet::Rule(refusal) => refusal,
    };
    let reason = match refusal {
        Rule::TooYoung => "password is too young to change!".to_owned(),
        Rule::TooShort { least } => {
            format!("the password is too short. It should be equal or longer than {least} characters!")
        }
        Rule::NotComplex | Rule::TooLong => "the password does not meet the complexity criteria!".to_owned(),
        Rule::Present => "the password was already used (previous password)!".to_owned(),
        Rule::InHistory => "the password was already used (in history)!".to_owned(),
    };
    format!("0000052D: Constraint violation - check_password_restrictions: {reason}")
}

impl Shape {
    fn of_samba(self) -> (u32, String) {
        let (code, text) = match self {
            Self::ValuesAdded => (
                19,
                "0000202F: 'unicodePwd' attribute must have exactly one value on add operations!",
            ),
            Self::ValuesDeleted => (
                19,
                "0000202F: 'unicodePwd' attribute must have zero or one value(s) on delete operations!",
            ),
            Self::OnlyAdded => (53, "00002035: Only the add action for a password change specified!"),
            Self::OnlyDeleted => (
                53,
                "00002035: setup_io: It's not possible to delete the password (changes using the LAN Manager hash \
                 alone could be deactivated)!",
            ),
            Self::Several => (
                53,
                "00002035: Only one delete and one add action for a password change allowed!",
            ),
            Self::ReplacedByNothing => (
                53,
                "00002035: setup_io: it's only allowed to set the old password once!",
            ),
        };
        (code, text.to_owned())
    }
}

impl Place {
    fn of_samba(&self, error: &str, what: &str) -> String {
        let Self { attribute, dn } = self;
        format!("{error}: objectclass_attrs: attribute '{attribute}' on entry '{dn}' {what}")
    }

    fn of_windows(&self, error: &str, problem: u32, name: &str) -> String {
        // The attribute's number within the schema is not known here.
        let attribute = format!("0 ({})", self.attribute);
        att("DSID-03190F80", error, problem, name, &attribute)
    }
}

fn att(dsid: &str, error: &str, problem: u32, name: &str, attribute: &str) -> String {
    format!(
        "{error}: AtrErr: {dsid}, #1:\n\t0: {error}: {dsid}, problem {problem} ({name}), data 0, Att {attribute}\n\0"
    )
}

fn service(error: &str) -> String {
    wont_perform(error, 5003, "WILL_NOT_PERFORM")
}

fn wont_perform(error: &str, problem: u32, name: &str) -> String {
    format!("{error}: SvcErr: DSID-031A12D2, problem {problem} ({name}), data 0\n\0")
}

fn security(error: &str) -> String {
    format!("{error}: SecErr: DSID-031A11CE, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0\n\0")
}

fn update(error: &str, problem: u32, name: &str) -> String {
    format!("{error}: UpdErr: DSID-031A1253, problem {problem} ({name}), data 0\n\0")
}

fn ldap_error(error: &str, comment: &str) -> String {
    format!("{error}: LdapErr: DSID-0C090D8A, comment: {comment}, data 0, v4f7c\0")
}
