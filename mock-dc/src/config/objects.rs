//! Organizational units and groups of a configuration.

use std::collections::BTreeSet;

use postern_service::config::Problems;
use serde::Deserialize;

use super::users::Users;
use crate::domain::builtin::{self, GroupScope, container_paths};
use crate::domain::dn::{Dn, Escape, escape};
use crate::domain::fold::fold;
use crate::domain::names::NOT_IN_SAM;
use crate::domain::settings::{GroupSettings, UnitSettings};

/// An organizational unit as it is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUnit {
    name: Option<String>,
    path: Option<String>,
}

/// A group as it is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGroup {
    name: Option<String>,
    path: Option<String>,
    #[serde(default)]
    scope: RawScope,
    #[serde(default)]
    members: Vec<String>,
    rid: Option<u32>,
}

/// What a new group is unless somebody says otherwise.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawScope {
    #[default]
    Global,
    DomainLocal,
    Universal,
}

/// Where objects may stand: the containers that every domain has, and the organizational units.
pub(super) struct Places {
    known: BTreeSet<String>,
}

impl Places {
    /// Those of every domain.
    pub(super) fn new() -> Self {
        Self {
            known: container_paths().map(|path| folded(&path)).collect(),
        }
    }

    /// Checks a path below the root.
    pub(super) fn check(&self, key: &str, path: Option<&str>, problems: &mut Problems) {
        let Some(path) = path.filter(|path| !path.is_empty()) else {
            return;
        };
        if !self.known.contains(&folded(path)) {
            problems.add(
                key,
                format!(
                    "nothing stands at {path:?}; a path goes up to, and not with, the domain's root, as in \
                     \"OU=Berlin,OU=Offices\", and units stand before what is in them"
                ),
            );
        }
    }

    /// Reads the organizational units. Each may stand in one before it.
    pub(super) fn units(&mut self, raw: Vec<RawUnit>, problems: &mut Problems) -> Vec<UnitSettings> {
        let mut units = Vec::new();
        for (index, unit) in raw.into_iter().enumerate() {
            let key = format!("organizational_units[{index}]");
            self.check(&format!("{key}.path"), unit.path.as_deref(), problems);
            let Some(name) = problems.require(&format!("{key}.name"), unit.name) else {
                continue;
            };
            let own = format!("OU={}", escape(&name, Escape::Windows));
            let path = match unit.path.as_deref() {
                Some(above) if !above.is_empty() => format!("{own},{above}"),
                _ => own,
            };
            if !self.known.insert(folded(&path)) {
                problems.add(format!("{key}.name"), format!("{name:?} is there already"));
            }
            units.push(UnitSettings { name, path: unit.path });
        }
        units
    }
}

/// A path as it is compared.
pub(super) fn folded(path: &str) -> String {
    Dn::parse(path).map_or_else(|| fold(path), |dn| format!("{dn:?}"))
}

/// The scope of the group with this sAMAccountName, of those that are configured and those that every domain has.
pub(super) fn scope_of(groups: &[GroupSettings], name: &str) -> Option<GroupScope> {
    let own = groups.iter().find(|group| fold(&group.name) == fold(name));
    own.map(|group| group.scope).or_else(|| builtin::scope_of(name.trim()))
}

/// Reads the groups; their members are checked once all names are known.
pub(super) fn groups(
    raw: Vec<RawGroup>,
    places: &Places,
    users: &mut Users<'_>,
    problems: &mut Problems,
) -> Vec<GroupSettings> {
    let mut groups = Vec::new();
    for (index, group) in raw.into_iter().enumerate() {
        let key = format!("groups[{index}]");
        places.check(&format!("{key}.path"), group.path.as_deref(), problems);
        let Some(name) = problems.require(&format!("{key}.name"), group.name) else {
            continue;
        };
        if name.trim().is_empty() || name.contains(NOT_IN_SAM) {
            problems.add(
                format!("{key}.name"),
                format!("{name:?} is empty or holds one of {}", String::from_iter(NOT_IN_SAM)),
            );
        }
        users.claim(&format!("{key}.name"), "sam", &name, problems);
        users.claim_place(&format!("{key}.name"), group.path.as_deref(), &name, problems);
        users.claim_identifiers(&key, None, group.rid, problems);
        groups.push(GroupSettings {
            name,
            path: group.path,
            scope: match group.scope {
                RawScope::Global => GroupScope::Global,
                RawScope::DomainLocal => GroupScope::DomainLocal,
                RawScope::Universal => GroupScope::Universal,
            },
            members: group.members,
            rid: group.rid,
        });
    }
    for (index, group) in groups.iter().enumerate() {
        for who in group.members.iter().filter(|who| !users.is_known(who)) {
            problems.add(
                format!("groups[{index}].members"),
                format!("nobody and no group has the sAMAccountName {who:?}"),
            );
        }
    }
    groups
}
