//! The doctor at the directory: DNS, then each domain controller from its port to a look-up.
//!
//! Connecting is tried everywhere at once. The service account is bound at one after another, and at none after one
//! that refused it or did not answer: a wrong password tried everywhere would lock the account.

use std::sync::Arc;

use futures_util::future::join_all;
use postern_protocol::UserName;

use super::report::{Name, Report, Status, Step};
use super::sign_in::Way;
use crate::config::{DirectoryConfig, Transport};
use crate::core::kind::Kind;
use crate::core::names;
use crate::directory::survey::Asking;
use crate::directory::{self, Facts};
use connection::{Look, compare, connect, strong_auth};
use look_up::{Wanted, look_up};
use servers::servers;

mod connection;
mod look_up;
mod servers;
mod service_account;

/// What the look at all of them has come to.
struct Course<'a> {
    config: Arc<DirectoryConfig>,
    user: Option<&'a UserName>,
    /// Where the service account was bound and not accepted.
    refused_at: Option<String>,
    /// How the user can be signed in, as the first that can be used has it.
    way: Result<Way, String>,
}

/// Looks, and says how `user` can be signed in, or why not.
pub(super) async fn check(
    config: DirectoryConfig,
    user: Option<&UserName>,
    now: i64,
    report: &mut Report<'_>,
) -> Result<Way, String> {
    let config = Arc::new(config);
    let servers = servers(&config, report).await;
    let mut looks = join_all(servers.into_iter().map(|server| connect(config.clone(), server, now))).await;
    compare(&mut looks);
    let mut course = Course {
        config,
        user,
        refused_at: None,
        way: Err("the steps before leave no domain controller to sign in at".to_owned()),
    };
    for mut look in looks {
        report.add_all(std::mem::take(&mut look.steps));
        match look.asked.take() {
            Some((asking, facts)) => course.ask(&look, asking, &facts, report).await,
            None => {
                let why = "this domain controller cannot be used";
                let skipped = course.configured().into_iter();
                report.add_all(skipped.map(|name| Step::skipped(name, &look.target, why)));
            }
        }
    }
    course.way
}

impl Course<'_> {
    /// What is asked of a domain controller that is connected to and known.
    async fn ask(&mut self, look: &Look, mut asking: Asking, facts: &Facts, report: &mut Report<'_>) {
        let target = &look.target;
        if look.transport == Transport::Plain {
            let step = strong_auth(&look.survey, facts, target).await;
            let failed = step.status == Status::Failed;
            report.add(step);
            if failed {
                let skipped = self.configured().into_iter();
                report
                    .add_all(skipped.map(|name| Step::skipped(name, target, "it takes no passwords over plain LDAP")));
                return;
            }
        }
        let config = self.config.clone();
        if let Some(account) = &config.look_up.account {
            let bound = self.bind(account, &mut asking, target).await;
            let failed = !matches!(bound.status, Status::Ok | Status::Warning);
            report.add(bound);
            if failed {
                if self.look_up_wanted(facts).is_some() {
                    let why = "the service account is not bound";
                    report.add(Step::skipped(Name::DirectoryLookUp, target, why));
                }
                // Names that are bound as they are do not need it.
                if let (Some(user), Ok(names::Way::AsTyped)) = (self.user, self.names_way(facts)) {
                    self.offer(look, facts, user.as_str());
                }
                return;
            }
        }
        if let Some(wanted) = self.look_up_wanted(facts) {
            let (step, found) = look_up(&config, &mut asking, facts, wanted, target).await;
            report.add(step);
            if let Some(dn) = found {
                self.offer(look, facts, &dn);
            }
        }
        if let (Some(user), Ok(names::Way::AsTyped)) = (self.user, self.names_way(facts)) {
            self.offer(look, facts, user.as_str());
        }
    }

    /// How the user can be signed in, unless that is known.
    fn offer(&mut self, look: &Look, facts: &Facts, name: &str) {
        if self.way.is_err() {
            self.way = Ok(Way {
                survey: look.survey.clone(),
                target: look.target.clone(),
                name: name.to_owned(),
                asks_password_policy: facts.has_password_policy(),
            });
        }
    }

    /// What the agent would do with the user's name, if the relay's configuration agrees with the agent's.
    fn names_way(&self, facts: &Facts) -> Result<names::Way<'_>, names::NoWay> {
        let Some(user) = self.user else {
            return Ok(names::Way::AsTyped);
        };
        let names = &self.config.look_up.names;
        let binds_names = facts.kind == Kind::ActiveDirectory;
        match names.way(user, true, binds_names) {
            Err(names::NoWay::OnlyTheRelay) => names.way(user, false, binds_names),
            way => way,
        }
    }

    /// The look-up to make, if look-ups are configured: the user's, or one for anybody.
    fn look_up_wanted(&self, facts: &Facts) -> Option<Wanted> {
        let names = &self.config.look_up.names;
        if let (Some(_), Ok(names::Way::LookUp { attribute, value })) = (self.user, self.names_way(facts)) {
            return Some(Wanted::One {
                attribute: attribute.to_owned(),
                value: value.to_owned(),
            });
        }
        let attributes = names.attributes(facts.kind == Kind::ActiveDirectory);
        let mut attributes: Vec<String> = attributes.map(str::to_owned).collect();
        if attributes.is_empty() {
            // No name is looked up by it; whoever has an account for it wants to know what that sees.
            self.config.look_up.account.as_ref()?;
            attributes.push("cn".to_owned());
        }
        Some(Wanted::Anybody(attributes))
    }

    /// What is asked of every domain controller because the configuration has it.
    fn configured(&self) -> Vec<Name> {
        let look_up = &self.config.look_up;
        let account = look_up.account.is_some();
        let searches = account || look_up.names.alternate_id.is_some() || look_up.names.attribute.is_some();
        let account = account.then_some(Name::DirectoryServiceAccount);
        account
            .into_iter()
            .chain(searches.then_some(Name::DirectoryLookUp))
            .collect()
    }
}

/// What to do where a result says nothing of the password.
pub(super) fn refused(key: &str, result: u32) -> String {
    match directory::advice(result) {
        "" => format!("{key}: the domain controller's own log says more"),
        advice => format!("{key}: {advice}"),
    }
}
