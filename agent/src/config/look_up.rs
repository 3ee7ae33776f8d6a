//! `[directory.look_up]` and `[directory.alternate_id]`: which names are looked up, by what, and as whom.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use postern_protocol::Password;
use postern_service::config::Problems;
use postern_service::harden;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::core::kind::Kind;
use crate::core::names::{AlternateId, Names, ValueOf};

/// Longer files are read no further: a password has at most 1,024 bytes, and a line's end.
const MAX_PASSWORD_FILE_BYTES: u64 = 4_096;

/// `[directory.look_up]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLookUp {
    account: Option<String>,
    password_file: Option<PathBuf>,
    base: Option<String>,
    attribute: Option<String>,
}

/// `[directory.alternate_id]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlternateId {
    attribute: Option<String>,
    #[serde(default)]
    suffixes: Vec<String>,
    value: Option<String>,
}

/// How names are looked up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LookUpConfig {
    /// Which names.
    pub(crate) names: Names,
    /// As whom; `None` asks without binding, where the directory allows that.
    pub(crate) account: Option<AccountConfig>,
    /// The DN below which accounts are; `None` asks the RootDSE.
    pub(crate) base: Option<String>,
}

/// The service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountConfig {
    /// UPN or DN.
    pub(crate) name: String,
    /// Its password and nothing else; read again when it changes.
    pub(crate) password_file: PathBuf,
}

/// Why a password file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordFileError {
    /// It cannot be read.
    #[error("{path}: {source}; it must hold the service account's password, readable by this process")]
    Read {
        /// The file.
        path: String,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// What it holds is no password.
    #[error("{path} holds no password: {message}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong with it.
        message: String,
    },
}

impl AccountConfig {
    /// Reads the password: the file's content without the end of its line.
    pub(crate) fn read_password(&self) -> Result<Password, PasswordFileError> {
        use std::io::Read;
        let path = self.password_file.display().to_string();
        let mut bytes = Zeroizing::new(Vec::with_capacity(4_096));
        let read = std::fs::File::open(&self.password_file)
            .and_then(|file| file.take(MAX_PASSWORD_FILE_BYTES).read_to_end(&mut bytes));
        if let Err(source) = read {
            return Err(PasswordFileError::Read { path, source });
        }
        let no_password = |message: &dyn std::fmt::Display| PasswordFileError::Content {
            path: path.clone(),
            message: message.to_string(),
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| no_password(&"it is not UTF-8"))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        Password::new(Zeroizing::new(text.to_owned())).map_err(|error| no_password(&error))
    }

    /// Whether users other than its owner and its group may read the file.
    pub(crate) fn is_readable_by_all(&self) -> bool {
        harden::is_readable_by_all(&self.password_file)
    }
}

/// Both sections together: the second is of no use without the first.
pub(super) fn validate(
    look_up: Option<RawLookUp>,
    alternate_id: Option<RawAlternateId>,
    kind: Option<Kind>,
    base: &Path,
    problems: &mut Problems,
) -> Option<LookUpConfig> {
    let before = problems.iter().count();
    let is_anonymous = |section: &RawLookUp| section.account.is_none() && section.password_file.is_none();
    if kind == Some(Kind::ActiveDirectory) && look_up.as_ref().is_some_and(is_anonymous) {
        problems.add(
            "directory.look_up.account",
            "is missing: Active Directory shows nothing to who has not bound; give the UPN of an account that may read \
             accounts, and its password_file, or leave the section out if no names are looked up",
        );
    }
    if alternate_id.is_some() && look_up.is_none() {
        problems.add(
            "directory.look_up",
            "is missing: [directory.alternate_id] needs to know as whom to look up (account, password_file)",
        );
    }
    let alternate_id = alternate_id.map(|section| section.validate(problems));
    let look_up = look_up.map(|section| section.validate(base, problems));
    if problems.iter().count() > before {
        return None;
    }
    let (account, base, attribute) = look_up.unwrap_or_default();
    Some(LookUpConfig {
        names: Names {
            alternate_id: alternate_id.flatten(),
            attribute,
        },
        account,
        base,
    })
}

impl RawLookUp {
    fn validate(
        self,
        folder: &Path,
        problems: &mut Problems,
    ) -> (Option<AccountConfig>, Option<String>, Option<String>) {
        let account = match (self.account, self.password_file) {
            (Some(name), Some(file)) => account(name, folder.join(file), problems),
            (Some(_), None) => {
                problems.add(
                    "directory.look_up.password_file",
                    "is missing: account needs a file with its password",
                );
                None
            }
            (None, Some(_)) => {
                problems.add(
                    "directory.look_up.account",
                    "is missing: password_file is the password of an account; give its UPN or DN",
                );
                None
            }
            (None, None) => None,
        };
        if self.base.as_deref().is_some_and(|dn| !could_be_dn(dn)) {
            problems.add(
                "directory.look_up.base",
                "is no DN (such as \"dc=corp,dc=example,dc=com\")",
            );
        }
        let attribute = self
            .attribute
            .and_then(|name| attribute("directory.look_up.attribute", name, problems));
        (account, self.base, attribute)
    }
}

fn account(name: String, password_file: PathBuf, problems: &mut Problems) -> Option<AccountConfig> {
    let key = "directory.look_up.account";
    if name.trim() != name || name.is_empty() || name.len() > 1_024 || name.contains(char::is_control) {
        problems.add(
            key,
            "must have 1 to 1024 characters, no blanks around it and none of control",
        );
        return None;
    }
    if !name.contains('@') && !could_be_dn(&name) && !name.contains('\\') {
        problems.add(
            key,
            format!("{name:?} is neither a UPN (svc-postern@corp.example.com) nor a DN nor DOMAIN\\name"),
        );
        return None;
    }
    let account = AccountConfig { name, password_file };
    match account.read_password() {
        Ok(_) => Some(account),
        Err(error) => {
            problems.add("directory.look_up.password_file", error);
            None
        }
    }
}

impl RawAlternateId {
    fn validate(self, problems: &mut Problems) -> Option<AlternateId> {
        let name = problems.require("directory.alternate_id.attribute", self.attribute);
        let name = name.and_then(|name| attribute("directory.alternate_id.attribute", name, problems));
        if self.suffixes.is_empty() {
            problems.add(
                "directory.alternate_id.suffixes",
                "needs at least one suffix: what stands after the @ of names that are looked up, the same as in the \
                 relay's alternate_id of this realm",
            );
        }
        let mut suffixes = BTreeSet::new();
        for (index, suffix) in self.suffixes.iter().enumerate() {
            let key = format!("directory.alternate_id.suffixes[{index}]");
            if suffix.is_empty() || suffix.contains(|c: char| c.is_whitespace() || c.is_control() || "@\\".contains(c))
            {
                problems.add(&key, format!("{suffix:?} cannot be in a user name after its @"));
            }
            if !suffixes.insert(suffix.to_lowercase()) {
                problems.add(&key, format!("{suffix:?} is there twice"));
            }
        }
        let value = match self.value.as_deref() {
            Some("typed") => Some(ValueOf::Typed),
            Some("name") => Some(ValueOf::Name),
            Some(other) => {
                problems.add(
                    "directory.alternate_id.value",
                    format!("{other:?} is neither \"typed\" (the whole name) nor \"name\" (the part before @)"),
                );
                None
            }
            // Attributes whose values look like what is typed; staff numbers and the like do not.
            None => Some(match name.as_deref().map(str::to_ascii_lowercase).as_deref() {
                Some("mail" | "userprincipalname") => ValueOf::Typed,
                _ => ValueOf::Name,
            }),
        };
        Some(AlternateId {
            attribute: name?,
            suffixes,
            value: value?,
        })
    }
}

/// RFC 4512, section 1.4: a descriptor or a numeric OID. What is in here goes into filters as an attribute's name.
fn attribute(key: &str, name: String, problems: &mut Problems) -> Option<String> {
    let descriptor = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let oid = name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if (descriptor || oid) && name.len() <= 255 {
        return Some(name);
    }
    problems.add(key, format!("{name:?} is no attribute's name (such as \"mail\")"));
    None
}

/// Not empty, which binds anonymously, and with something that a DN must have (RFC 4514).
pub(crate) fn could_be_dn(text: &str) -> bool {
    text.trim() == text && text.contains('=') && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("postern-look-up-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("password"), "s3cret\n").unwrap();
            Self(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[derive(Deserialize)]
    struct Sections {
        look_up: Option<RawLookUp>,
        alternate_id: Option<RawAlternateId>,
    }

    fn read(folder: &Folder, text: &str) -> (Option<LookUpConfig>, String) {
        read_as(None, folder, text)
    }

    fn read_as(kind: Option<Kind>, folder: &Folder, text: &str) -> (Option<LookUpConfig>, String) {
        let sections: Sections = toml::from_str(text).unwrap();
        let mut problems = Problems::default();
        let config = validate(sections.look_up, sections.alternate_id, kind, &folder.0, &mut problems);
        let text: String = problems.iter().map(|(key, text)| format!("{key}: {text}\n")).collect();
        assert_eq!(config.is_none(), !text.is_empty(), "{text}");
        (config, text)
    }

    const GOOD: &str = "[look_up]\naccount = \"svc@corp.example.com\"\npassword_file = \"password\"\n\
                        [alternate_id]\nattribute = \"mail\"\nsuffixes = [\"Mail.Example.org\"]\n";

    #[test]
    fn suffixes_are_compared_without_case_and_mail_is_looked_up_as_typed() {
        let folder = Folder::new("good");
        let config = read(&folder, GOOD).0.unwrap();
        let alternate_id = config.names.alternate_id.unwrap();
        assert!(alternate_id.suffixes.contains("mail.example.org"));
        assert_eq!(alternate_id.value, ValueOf::Typed);
        assert_eq!(config.account.unwrap().read_password().unwrap().expose(), "s3cret");
        let number = read(&folder, &GOOD.replace("\"mail\"", "\"employeeNumber\""))
            .0
            .unwrap();
        assert_eq!(number.names.alternate_id.unwrap().value, ValueOf::Name);
        assert_eq!(read(&folder, "").0, Some(LookUpConfig::default()));
    }

    #[test]
    fn where_it_is_said_to_be_active_directory_nobody_is_looked_up_without_an_account() {
        let folder = Folder::new("anonymous");
        let alternate_id = GOOD.split_once("[alternate_id]").unwrap().1;
        let anonymous = format!("[look_up]\n[alternate_id]{alternate_id}");
        let (_, problems) = read_as(Some(Kind::ActiveDirectory), &folder, &anonymous);
        assert!(problems.contains("directory.look_up.account: is missing"), "{problems}");
        for (kind, text) in [
            (Some(Kind::ActiveDirectory), GOOD),
            (Some(Kind::ActiveDirectory), ""),
            (Some(Kind::OpenLdap), &anonymous),
            (None, &anonymous),
        ] {
            assert_eq!(read_as(kind, &folder, text).1, "", "{kind:?}");
        }
    }

    #[test]
    fn one_end_of_line_is_not_part_of_the_password_and_blanks_are() {
        let folder = Folder::new("line");
        let account = read(&folder, GOOD).0.unwrap().account.unwrap();
        for (content, password) in [("a b", "a b"), ("a b\n", "a b"), (" a\r\n", " a"), ("a\n\n", "a\n")] {
            std::fs::write(&account.password_file, content).unwrap();
            assert_eq!(account.read_password().unwrap().expose(), password, "{content:?}");
        }
    }

    #[test]
    fn every_problem_is_named_with_its_key_and_no_password_is() {
        let folder = Folder::new("bad");
        for (file, content) in [("empty", "\n"), ("latin", "p\u{e4}"), ("nul", "a\0b")] {
            let bytes: Vec<u8> = if file == "latin" {
                vec![b'p', 0xe4]
            } else {
                content.into()
            };
            std::fs::write(folder.0.join(file), bytes).unwrap();
        }
        let cases = [
            ("\"password\"", "\"none\"", "look_up.password_file: "),
            ("\"password\"", "\"empty\"", "look_up.password_file: "),
            ("\"password\"", "\"latin\"", "it is not UTF-8"),
            ("\"password\"", "\"nul\"", "look_up.password_file: "),
            (
                "password_file = \"password\"\n",
                "",
                "look_up.password_file: is missing",
            ),
            (
                "account = \"svc@corp.example.com\"\n",
                "",
                "look_up.account: is missing",
            ),
            ("svc@corp.example.com", "svc", "look_up.account: \"svc\" is neither"),
            ("svc@corp.example.com", "", "look_up.account: "),
            ("[look_up]\n", "[look_up]\nbase = \"corp\"\n", "look_up.base: "),
            (
                "[look_up]\n",
                "[look_up]\nattribute = \"a)(b\"\n",
                "look_up.attribute: ",
            ),
            ("\"mail\"", "\"mail=*\"", "alternate_id.attribute: "),
            ("attribute = \"mail\"\n", "", "alternate_id.attribute: "),
            ("[\"Mail.Example.org\"]", "[]", "alternate_id.suffixes: "),
            ("[\"Mail.Example.org\"]", "[\"a@b\"]", "alternate_id.suffixes[0]: "),
            (
                "[\"Mail.Example.org\"]",
                "[\"a.b\", \"A.b\"]",
                "alternate_id.suffixes[1]: ",
            ),
            (
                "[alternate_id]\n",
                "[alternate_id]\nvalue = \"whole\"\n",
                "alternate_id.value: ",
            ),
        ];
        for (from, to, expected) in cases {
            assert!(GOOD.contains(from));
            let (_, problems) = read(&folder, &GOOD.replacen(from, to, 1));
            assert!(problems.contains(expected), "{to}: {problems}");
            assert!(!problems.contains("s3cret"));
        }
        let alone = GOOD.split_once("[alternate_id]").unwrap().1;
        let (_, problems) = read(&folder, &format!("[alternate_id]{alone}"));
        assert!(problems.contains("directory.look_up: is missing"), "{problems}");
    }
}
