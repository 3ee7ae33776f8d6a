//! The doctor's look-up: the user's own, or one for anybody, which shows that the account sees people at all.

use crate::check::report::{Name, Step, in_two};
use crate::config::DirectoryConfig;
use crate::directory::survey::{Asking, SurveyError};
use crate::directory::{Facts, Match, SIGHT_ADVICE, Sight, sees_nobody};

/// A look-up to make.
pub(super) enum Wanted {
    /// The one account whose attribute has the value.
    One {
        /// The attribute.
        attribute: String,
        /// The value.
        value: String,
    },
    /// Whoever has each of these attributes.
    Anybody(Vec<String>),
}

/// Looks up; gives the account's DN where one was asked for and there is one.
pub(super) async fn look_up(
    config: &DirectoryConfig,
    asking: &mut Asking,
    facts: &Facts,
    wanted: Wanted,
    target: &str,
) -> (Step, Option<String>) {
    match wanted {
        Wanted::One { attribute, value } => one(config, asking, facts, &attribute, &value, target).await,
        Wanted::Anybody(attributes) => (anybody(config, asking, facts, &attributes, target).await, None),
    }
}

async fn one(
    config: &DirectoryConfig,
    asking: &mut Asking,
    facts: &Facts,
    attribute: &str,
    value: &str,
    target: &str,
) -> (Step, Option<String>) {
    let found = asking
        .look_up(facts, config.look_up.base.as_deref(), attribute, value)
        .await;
    let failed = |detail: String, advice: &str| (Step::failed(Name::DirectoryLookUp, target, detail, advice), None);
    match found {
        Err(error) => (refused(&error, target), None),
        Ok(Match::One { dn, .. }) => {
            let detail = format!("{attribute} {value} is {dn}");
            (Step::ok(Name::DirectoryLookUp, target, detail), Some(dn))
        }
        Ok(Match::None) => {
            // The fault may be none of the name's.
            let all = [attribute.to_owned()];
            let Some(fault) = blindness(config, asking, facts, &all, target).await else {
                return failed(
                    format!("nobody has the {attribute} {value}"),
                    "directory.alternate_id.attribute, directory.look_up.base, --user: does the account have that \
                     value, and may the service account read it?",
                );
            };
            (fault, None)
        }
        Ok(Match::Several) => failed(
            format!("more than one account has the {attribute} {value}"),
            "directory.alternate_id.attribute, directory.look_up.attribute: the value must be one account's alone; take \
             it from the others",
        ),
        Ok(Match::Unusable) => failed(
            format!("the {attribute} {value} is an entry's whose DN cannot be bound"),
            "directory.look_up.base: is it below accounts?",
        ),
    }
}

async fn anybody(
    config: &DirectoryConfig,
    asking: &mut Asking,
    facts: &Facts,
    attributes: &[String],
    target: &str,
) -> Step {
    let fault = blindness(config, asking, facts, attributes, target).await;
    fault.unwrap_or_else(|| {
        let detail = format!("accounts are seen that have the attribute {}", attributes.join(" and "));
        Step::ok(Name::DirectoryLookUp, target, detail)
    })
}

/// What is wrong where nobody is seen who has each attribute.
async fn blindness(
    config: &DirectoryConfig,
    asking: &mut Asking,
    facts: &Facts,
    attributes: &[String],
    target: &str,
) -> Option<Step> {
    let name = Name::DirectoryLookUp;
    for attribute in attributes {
        match asking.sight(facts, &config.look_up, attribute).await {
            Ok(Sight::Somebody(_)) => {}
            Ok(Sight::Nobody) => {
                let advice = format!("directory.look_up: {SIGHT_ADVICE}");
                return Some(Step::failed(name, target, sees_nobody(attribute), advice));
            }
            Ok(Sight::Untold(why)) => {
                let detail = format!("whether anybody has the attribute {attribute} is not told: {why}");
                let advice = "the directory: give it an index of that attribute's presence, or raise its limits for the \
                              service account; until it has found somebody, names that nobody has are answered \
                              directory_down";
                return Some(Step::warning(name, target, detail, advice));
            }
            Err(error) => return Some(refused(&error, target)),
        }
    }
    None
}

fn refused(error: &SurveyError, target: &str) -> Step {
    let (detail, to_do) = in_two(&error.to_string());
    let to_do = match to_do.is_empty() {
        true => "the account's right to read accounts, and the domain controller's log".to_owned(),
        false => to_do,
    };
    Step::failed(
        Name::DirectoryLookUp,
        target,
        detail,
        format!("directory.look_up: {to_do}"),
    )
}
