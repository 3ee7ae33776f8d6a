//! Rules of the whole domain, by subject.

mod binds;
mod controllers;
mod names;

use std::time::Duration;

use super::fixture::{NOON as NOW, PASSWORD, domain, settings, user, user_with};
use super::policy::{LockoutDuration, LockoutPolicy};
use super::settings::{GroupSettings, Lock, PasswordSettingsSettings, UnitSettings, UserSettings};
use super::*;

fn named() -> Vec<UserSettings> {
    let other = UserSettings {
        upn: Some("someone.else@other.example.net".to_owned()),
        cn: "Smith, Jane".to_owned(),
        ..user("jane")
    };
    let mailed = user_with("zoë", "mail", "Zoe.Mail@mail.example.org");
    vec![
        user("good"),
        other,
        mailed,
        UserSettings {
            upn: None,
            ..user("noupn")
        },
    ]
}

fn told(domain: &Domain, name: &str, password: &str) -> Decision {
    domain.bind(DcId::FIRST, name, password, NOW, |_| ()).0
}

#[test]
fn every_shown_attribute_is_known_to_filters_with_its_syntax() {
    let all = UserSettings {
        logon_hours: Some([0xff; 21]),
        workstations: Some("W".to_owned()),
        lock: Lock::UntilUnlocked,
        ..user_with("all", "mail", "a@b")
    };
    let domain = domain(Dialect::Windows, vec![all], 1);
    for id in domain.id_range().map(ObjectId::from) {
        for attribute in domain.attributes(DcId::FIRST, id, NOW) {
            assert_eq!(
                schema::find(attribute.name).map(|known| known.name),
                Some(attribute.name),
                "{}",
                domain.dn_text(id)
            );
        }
    }
}

#[test]
fn the_fine_grained_policy_of_a_user_or_its_groups_holds() {
    let mut settings = settings(Dialect::Windows, vec![user("direct"), user("member"), user("other")], 2);
    let policy = |threshold| Policy {
        lockout: LockoutPolicy {
            threshold,
            duration: LockoutDuration::UntilUnlocked,
            ..settings.policy.lockout
        },
        ..settings.policy
    };
    let own = |name: &str, precedence, threshold, applies_to: &[&str]| PasswordSettingsSettings {
        name: name.to_owned(),
        precedence,
        policy: policy(threshold),
        applies_to: applies_to.iter().map(|who| (*who).to_owned()).collect(),
    };
    settings.password_settings = vec![
        own("direct", 50, 5, &["direct"]),
        own("outer", 10, 7, &["Outer"]),
        own("everybody", 90, 9, &["Domain Users"]),
    ];
    let group = |name: &str, members: &[&str]| GroupSettings {
        name: name.to_owned(),
        path: None,
        scope: builtin::GroupScope::Global,
        members: members.iter().map(|who| (*who).to_owned()).collect(),
        rid: None,
    };
    settings.groups = vec![group("Inner", &["member"]), group("Outer", &["Inner", "direct"])];
    let domain = Domain::new(&settings, NOW);
    for (sam, threshold) in [("direct", 5), ("member", 7), ("other", 9), ("user000002", 9)] {
        let id = domain.find_sam(sam).unwrap();
        assert_eq!(domain.policy_of(id).lockout.threshold, threshold, "{sam}");
    }
    let shown = |sam: &str, name: &str| {
        let attributes = domain.attributes(DcId::FIRST, domain.find_sam(sam).unwrap(), NOW);
        let found = attributes.iter().find(|attribute| attribute.name == name);
        found.map(|attribute| attribute.shown().collect::<Vec<_>>())
    };
    let container = "CN=Password Settings Container,CN=System,DC=corp,DC=example,DC=com";
    assert_eq!(
        shown("member", "msDS-ResultantPSO"),
        Some(vec![format!("CN=outer,{container}")])
    );
    assert_eq!(
        shown("member", "memberOf"),
        Some(vec!["CN=Inner,CN=Users,DC=corp,DC=example,DC=com".to_owned()]),
        "no primary group, and none of the groups' own"
    );
}

#[test]
fn a_fine_grained_policy_reaches_users_by_groups_of_the_scopes_that_the_dialect_heeds() {
    for (dialect, heeded) in [
        (Dialect::Windows, &["Global"][..]),
        (Dialect::Samba, &["Global", "Local", "Universal"]),
    ] {
        let mut settings = settings(
            dialect,
            vec![user("of global"), user("of local"), user("of universal")],
            0,
        );
        let group = |name: &str, scope| GroupSettings {
            name: name.to_owned(),
            path: None,
            scope,
            members: vec![format!("of {name}")],
            rid: None,
        };
        settings.groups = vec![
            group("Global", builtin::GroupScope::Global),
            group("Local", builtin::GroupScope::DomainLocal),
            group("Universal", builtin::GroupScope::Universal),
        ];
        settings.password_settings = ["Global", "Local", "Universal", "Users"]
            .iter()
            .map(|group| PasswordSettingsSettings {
                name: format!("for {group}"),
                precedence: 1,
                policy: settings.policy,
                applies_to: vec![(*group).to_owned()],
            })
            .collect();
        let domain = Domain::new(&settings, NOW);
        for group in ["Global", "Local", "Universal"] {
            let id = domain.find_sam(&format!("of {group}")).unwrap();
            let own = domain
                .resultant_settings(id)
                .map(|own| domain.object(own.object).name.clone());
            let expected = heeded.contains(&group).then(|| format!("for {group}"));
            assert_eq!(
                own, expected,
                "{dialect:?}: all are also in the built-in Users, which nobody heeds"
            );
        }
    }
}
