//! The doctor as the service account: bound at one domain controller after another, and at none after one that refused
//! it or did not answer, since a wrong password tried everywhere would lock the account.

use postern_protocol::Verdict;

use super::{Course, refused};
use crate::check::report::{Name, Step};
use crate::config::AccountConfig;
use crate::directory::service_account_advice;
use crate::directory::survey::{Asking, SurveyError};

impl Course<'_> {
    /// Binds the service account, unless it was refused elsewhere.
    pub(super) async fn bind(&mut self, account: &AccountConfig, asking: &mut Asking, target: &str) -> Step {
        let name = Name::DirectoryServiceAccount;
        if let Some(before) = &self.refused_at {
            let why = format!("it was not accepted at {before}, and another try could lock it");
            return Step::skipped(name, target, why);
        }
        let password = match account.read_password() {
            Ok(password) => password,
            Err(error) => {
                let advice = "directory.look_up.password_file: write the account's password to it, and nothing else";
                return Step::failed(name, target, error.to_string(), advice);
            }
        };
        let error = match asking.bind(&account.name, &password).await {
            Ok(()) if account.is_readable_by_all() => {
                let detail = format!(
                    "{} is accepted, and every user of this machine can read its password",
                    account.name
                );
                let advice = "directory.look_up.password_file: take the right to read it from others (chmod o=)";
                return Step::warning(name, target, detail, advice);
            }
            Ok(()) => return Step::ok(name, target, format!("{} is accepted", account.name)),
            Err(error) => error,
        };
        let advice = match &error {
            SurveyError::Rejected(Verdict::InvalidCredentials | Verdict::Rejected) => {
                "directory.look_up.account, directory.look_up.password_file: one of the two is wrong".to_owned()
            }
            SurveyError::Rejected(verdict) => {
                format!("directory.look_up.account: {}", service_account_advice(*verdict))
            }
            SurveyError::Refused { result, .. } => refused("directory.servers.url", *result),
            _ => "directory.look_up.account: the domain controller's own log says more".to_owned(),
        };
        if !matches!(error, SurveyError::Refused { .. }) {
            self.refused_at = Some(target.to_owned());
        }
        Step::failed(name, target, format!("{}: {error}", account.name), advice)
    }
}
