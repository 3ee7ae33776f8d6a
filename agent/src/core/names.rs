//! What a user name becomes on its way to the directory: bound as it is, or looked up first.
//!
//! An alternate id is a name that the directory does not bind (a mail address, a staff number) and may yet be the bound
//! name of somebody else. So relay and agent must agree on what is one: where they do not, no bind is made.

use std::collections::BTreeSet;

use postern_protocol::UserName;
use postern_protocol::user_name::Route;

/// Names that are looked up by an attribute of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AlternateId {
    /// The attribute that has the value.
    pub(crate) attribute: String,
    /// Suffixes in lower case.
    pub(crate) suffixes: BTreeSet<String>,
    /// What of the name is the value.
    pub(crate) value: ValueOf,
}

/// What of a name an attribute is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueOf {
    /// All of it.
    Typed,
    /// The part before `@`.
    Name,
}

/// How names are treated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Names {
    /// Without it no name is an alternate id.
    pub(crate) alternate_id: Option<AlternateId>,
    /// What other names are looked up by, in a directory that binds DNs only.
    pub(crate) attribute: Option<String>,
}

/// What is done with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way<'a> {
    /// It is bound as it is.
    AsTyped,
    /// The one account whose `attribute` has `value` is bound.
    LookUp {
        /// The attribute.
        attribute: &'a str,
        /// Its value.
        value: &'a str,
    },
}

/// Why a name is not bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoWay {
    /// The relay takes it for an alternate id, the agent's configuration does not.
    #[error(
        "the relay has the suffix in alternate_id, and this agent does not have it in directory.alternate_id.suffixes"
    )]
    OnlyTheRelay,
    /// The agent's configuration says that it is an alternate id, the relay's does not.
    #[error(
        "this agent has the suffix in directory.alternate_id.suffixes, and the relay does not have it in alternate_id"
    )]
    OnlyTheAgent,
    /// The directory binds DNs only, and nothing says by what a name is looked up.
    #[error("the directory binds DNs only, and directory.look_up.attribute does not say by what names are looked up")]
    NoAttribute,
}

impl Names {
    /// The attributes that names may be looked up by, in a directory that binds user names or does not.
    pub(crate) fn attributes(&self, binds_names: bool) -> impl Iterator<Item = &str> {
        let alternate = self.alternate_id.as_ref().map(|alternate| alternate.attribute.as_str());
        let others = self.attribute.as_deref().filter(|_| !binds_names);
        let others = others.filter(|others| alternate.is_none_or(|alternate| !alternate.eq_ignore_ascii_case(others)));
        alternate.into_iter().chain(others)
    }

    /// What is done with `user`, which the relay calls an alternate id or not. `binds_names` where the directory is
    /// one (Active Directory) that takes user names for binds.
    pub(crate) fn way<'a>(
        &'a self,
        user: &'a UserName,
        alternate_id: bool,
        binds_names: bool,
    ) -> Result<Way<'a>, NoWay> {
        let ours = self.alternate_id.as_ref().filter(|ours| match user.route() {
            Route::Suffix(suffix) => ours.suffixes.contains(&suffix),
            Route::NetBios(_) => false,
        });
        match ours {
            Some(_) if !alternate_id => Err(NoWay::OnlyTheAgent),
            None if alternate_id => Err(NoWay::OnlyTheRelay),
            Some(ours) => Ok(Way::LookUp {
                attribute: &ours.attribute,
                value: match ours.value {
                    ValueOf::Typed => user.as_str(),
                    ValueOf::Name => user.name(),
                },
            }),
            None if binds_names => Ok(Way::AsTyped),
            None => Ok(Way::LookUp {
                attribute: self.attribute.as_deref().ok_or(NoWay::NoAttribute)?,
                value: user.name(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(value: ValueOf, attribute: Option<&str>) -> Names {
        Names {
            alternate_id: Some(AlternateId {
                attribute: "mail".to_owned(),
                suffixes: BTreeSet::from(["mail.example.org".to_owned()]),
                value,
            }),
            attribute: attribute.map(str::to_owned),
        }
    }

    fn looked_up<'a>(attribute: &'a str, value: &'a str) -> Result<Way<'a>, NoWay> {
        Ok(Way::LookUp { attribute, value })
    }

    fn user(name: &str) -> UserName {
        UserName::parse(name).unwrap()
    }

    #[test]
    fn the_attributes_are_those_that_some_name_is_looked_up_by() {
        let of = |names: &Names, binds_names| names.attributes(binds_names).map(str::to_owned).collect::<Vec<_>>();
        let both = names(ValueOf::Typed, Some("uid"));
        assert_eq!(of(&both, true), ["mail"]);
        assert_eq!(of(&both, false), ["mail", "uid"]);
        assert_eq!(of(&names(ValueOf::Typed, Some("Mail")), false), ["mail"]);
        assert!(of(&Names::default(), false).is_empty());
    }

    #[test]
    fn an_alternate_id_is_looked_up_and_any_other_name_is_bound_as_it_is() {
        let (typed, name) = (names(ValueOf::Typed, None), names(ValueOf::Name, None));
        let ada = user("Ada@MAIL.example.org");
        assert_eq!(typed.way(&ada, true, true), looked_up("mail", "Ada@MAIL.example.org"));
        assert_eq!(name.way(&ada, true, true), looked_up("mail", "Ada"));
        for other in ["ada@corp.example.com", "CORP\\ada", "mail.example.org\\ada"] {
            assert_eq!(typed.way(&user(other), false, true), Ok(Way::AsTyped), "{other}");
        }
    }

    #[test]
    fn nothing_is_done_where_relay_and_agent_do_not_agree_in_either_direction() {
        for binds_names in [true, false] {
            let names = names(ValueOf::Typed, Some("uid"));
            let ada = user("ada@mail.example.org");
            assert_eq!(names.way(&ada, false, binds_names), Err(NoWay::OnlyTheAgent));
            for other in ["ada@corp.example.com", "mail.example.org\\ada"] {
                assert_eq!(
                    names.way(&user(other), true, binds_names),
                    Err(NoWay::OnlyTheRelay),
                    "{other}"
                );
            }
            let nothing = Names::default();
            assert_eq!(nothing.way(&ada, true, binds_names), Err(NoWay::OnlyTheRelay));
        }
    }

    #[test]
    fn a_directory_that_binds_dns_only_has_every_name_looked_up_by_its_part_without_the_realm() {
        let names = names(ValueOf::Typed, Some("uid"));
        assert_eq!(
            names.way(&user("ada@corp.example.com"), false, false),
            looked_up("uid", "ada")
        );
        assert_eq!(names.way(&user("CORP\\ada"), false, false), looked_up("uid", "ada"));
        let ada = user("ada@mail.example.org");
        assert_eq!(names.way(&ada, true, false), looked_up("mail", "ada@mail.example.org"));
        assert_eq!(
            Names::default().way(&user("CORP\\ada"), false, false),
            Err(NoWay::NoAttribute)
        );
    }
}
