//! Whom a relay serves: the tenants, their realms, and what in a user name leads to each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use postern_protocol::user_name::Route;
use postern_protocol::{RealmKey, Segment};
use postern_service::config::Problems;

use super::super::logo::Logo;
use super::super::raw::{RawRealm, RawTenant};
use super::super::{Ambiguous, RealmConfig, Tenant};
use super::{anchors, parsed};

/// Longer names do not fit the page on a telephone.
const MAX_DISPLAY_NAME: usize = 80;
/// Active Directory's usual observation window.
const LOCKOUT_WINDOW_S: u64 = 30 * 60;

/// `[[tenants]]`.
pub(super) fn tenants(raw: Vec<RawTenant>, base: &Path, problems: &mut Problems) -> BTreeMap<Segment, Tenant> {
    if raw.is_empty() {
        problems.add("tenants", "is missing: without a tenant no agent can connect");
    }
    let mut tenants = BTreeMap::new();
    for (index, tenant) in raw.into_iter().enumerate() {
        let key = format!("tenants[{index}]");
        let name = parsed::<Segment>(problems, &format!("{key}.name"), tenant.name);
        let path = problems.require(&format!("{key}.anchors"), tenant.anchors);
        let store = path.and_then(|path| anchors(problems, base, &format!("{key}.anchors"), &path));
        let display_name = tenant.display_name.map(|name| name.trim().to_owned());
        if let Some(shown) = &display_name
            && (shown.is_empty() || shown.chars().count() > MAX_DISPLAY_NAME || shown.contains(char::is_control))
        {
            problems.add(
                format!("{key}.display_name"),
                format!("must have 1 to {MAX_DISPLAY_NAME} characters, none of them a control character"),
            );
        }
        let logo = tenant.logo.and_then(|path| match Logo::read(&base.join(&path)) {
            Ok(logo) => Some(logo),
            Err(error) => {
                problems.add(format!("{key}.logo"), format!("{path:?}: {error}"));
                None
            }
        });
        if let (Some(name), Some(anchors)) = (name, store) {
            let tenant = Tenant {
                anchors,
                display_name,
                logo,
            };
            if tenants.insert(name.clone(), tenant).is_some() {
                problems.add(format!("{key}.name"), format!("the tenant {name} is there twice"));
            }
        }
    }
    tenants
}

/// `[[realms]]`, of tenants that are `named` somewhere.
pub(super) fn realms(
    raw: Vec<RawRealm>,
    tenants: &BTreeSet<String>,
    problems: &mut Problems,
) -> BTreeMap<RealmKey, RealmConfig> {
    if raw.is_empty() {
        problems.add("realms", "is missing: without a realm no sign-in can be routed");
    }
    let mut realms = BTreeMap::<RealmKey, RealmConfig>::new();
    let mut claimed = BTreeMap::<Route, String>::new();
    for (index, realm) in raw.into_iter().enumerate() {
        let key = format!("realms[{index}]");
        let tenant = parsed::<Segment>(problems, &format!("{key}.tenant"), realm.tenant);
        let name = parsed::<Segment>(problems, &format!("{key}.name"), realm.name);
        if let Some(tenant) = tenant.as_ref().filter(|tenant| !tenants.contains(tenant.as_str())) {
            problems.add(
                format!("{key}.tenant"),
                format!("there is no tenant {tenant} in [[tenants]]"),
            );
        }
        // The path of the key set names the realm only.
        if let Some(name) = name
            .as_ref()
            .filter(|name| realms.keys().any(|other| other.realm == **name))
        {
            problems.add(format!("{key}.name"), format!("the realm {name} is there twice"));
        }
        let suffixes = realm
            .upn_suffixes
            .iter()
            .map(|text| (Route::Suffix(text.to_lowercase()), "upn_suffixes", text));
        let domains = realm
            .netbios
            .iter()
            .map(|text| (Route::NetBios(text.to_lowercase()), "netbios", text));
        let looked_up = realm
            .alternate_id
            .iter()
            .map(|text| (Route::Suffix(text.to_lowercase()), "alternate_id", text));
        let (mut routes, mut alternate_id) = (Vec::new(), Vec::new());
        for (route, member, text) in suffixes.chain(domains).chain(looked_up) {
            let routes = if member == "alternate_id" {
                &mut alternate_id
            } else {
                &mut routes
            };
            let member = format!("{key}.{member}");
            if text.is_empty() || text.contains(|c: char| c.is_whitespace() || matches!(c, '@' | '\\')) {
                problems.add(&member, format!("{text:?} cannot be in a user name beside @ or \\"));
            }
            match claimed.insert(route.clone(), member.clone()) {
                Some(other) => problems.add(&member, format!("{text:?} is claimed twice, also by {other}")),
                None => routes.push(route),
            }
        }
        if realm.upn_suffixes.is_empty() && realm.netbios.is_empty() && realm.alternate_id.is_empty() {
            problems.add(
                &key,
                "has neither upn_suffixes nor netbios nor alternate_id: no user name leads to it",
            );
        }
        let ambiguous = match realm.ambiguous.as_deref() {
            None | Some("retry-once") => Ambiguous::RetryOnce,
            Some("fail") => Ambiguous::Fail,
            Some(other) => {
                problems.add(
                    format!("{key}.ambiguous"),
                    format!("{other:?} is neither \"retry-once\" nor \"fail\""),
                );
                Ambiguous::Fail
            }
        };
        let lockout_window = Duration::from_secs(realm.lockout_window_s.unwrap_or(LOCKOUT_WINDOW_S));
        if lockout_window.is_zero() {
            problems.add(
                format!("{key}.lockout_window_s"),
                "must be at least 1: within it a user has one extra attempt at most",
            );
        }
        if let (Some(tenant), Some(realm)) = (tenant, name) {
            realms.insert(
                RealmKey { tenant, realm },
                RealmConfig {
                    routes,
                    alternate_id,
                    ambiguous,
                    lockout_window,
                },
            );
        }
    }
    realms
}
