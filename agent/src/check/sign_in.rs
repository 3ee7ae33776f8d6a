//! The doctor's test sign-in: exactly one bind, as the user who was named, with the password that is asked for.

use postern_protocol::{Password, UserName, Verdict};
use postern_service::prompt;

use super::directory::refused;
use super::report::{Name, Step};
use crate::directory::survey::{Survey, SurveyError};

/// How somebody can be signed in.
pub(super) struct Way {
    pub(super) survey: Survey,
    /// The domain controller, for people.
    pub(super) target: String,
    /// The user name as typed, or the DN of the account found.
    pub(super) name: String,
    pub(super) asks_password_policy: bool,
}

/// Signs `user` in, unless there is no way to.
pub(super) async fn check(user: &UserName, way: Result<Way, String>) -> Step {
    let name = Name::DirectorySignIn;
    let way = match way {
        Ok(way) => way,
        Err(why) => return Step::skipped(name, user.as_str(), why),
    };
    let target = format!("{} at {}", user.as_str(), way.target);
    let question = format!("Password of {}: ", user.as_str());
    let password = match prompt::read_password(question).await {
        Ok(typed) => Password::from_bytes(typed).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let password = match password {
        Ok(password) => password,
        Err(why) => {
            let advice = "type the user's password when asked, or write it to standard input as one line";
            return Step::failed(name, &target, format!("no bind was made: {why}"), advice);
        }
    };
    let bound = match way.survey.connect().await {
        Ok(mut asking) => {
            if way.asks_password_policy {
                asking.ask_password_policy();
            }
            asking.bind(&way.name, &password).await
        }
        Err(error) => Err(error),
    };
    match bound {
        Ok(()) => Step::ok(name, &target, "the directory accepts name and password"),
        Err(error) => Step::failed(name, &target, error.to_string(), advice(&error)),
    }
}

fn advice(error: &SurveyError) -> String {
    let text = match error {
        SurveyError::Rejected(Verdict::InvalidCredentials | Verdict::Rejected) => {
            "--user: check name and password; the directory does not say which of the two is wrong"
        }
        SurveyError::Rejected(Verdict::AccountLocked) => "--user: unlock the account, and find out who else tries it",
        SurveyError::Rejected(Verdict::PasswordExpired | Verdict::PasswordMustChange) => {
            "--user: name and password are right; the password must be changed"
        }
        SurveyError::Rejected(_) => "--user: the account may not sign in now; its settings in the directory say why",
        SurveyError::Refused { result, .. } => {
            return refused("directory.servers.url", *result);
        }
        _ => "directory.servers.url: the domain controller did not answer this bind; its own log says more",
    };
    text.to_owned()
}
