//! The doctor's look-up: the user's own, or one that finds nobody and shows that searches are permitted.

use crate::check::report::{Name, Step, in_two};
use crate::config::DirectoryConfig;
use crate::directory::survey::Asking;
use crate::directory::{Facts, Match};

/// A look-up to make.
pub(super) struct Wanted {
    pub(super) attribute: String,
    pub(super) value: String,
    /// Whether somebody should be found.
    pub(super) somebody: bool,
}

/// Looks up; gives the account's DN where that was asked for and there is one.
pub(super) async fn look_up(
    config: &DirectoryConfig,
    asking: &mut Asking,
    facts: &Facts,
    wanted: Wanted,
    target: &str,
) -> (Step, Option<String>) {
    let Wanted {
        attribute,
        value,
        somebody,
    } = wanted;
    let base = config.look_up.base.as_deref();
    let found = asking.look_up(facts, base, &attribute, &value).await;
    let failed = |detail: String, advice: String| (Step::failed(Name::DirectoryLookUp, target, detail, advice), None);
    match found {
        Err(error) => {
            let (detail, to_do) = in_two(&error.to_string());
            let to_do = match to_do.is_empty() {
                true => "the account's right to read accounts, and the domain controller's log".to_owned(),
                false => to_do,
            };
            failed(detail, format!("directory.look_up: {to_do}"))
        }
        Ok(Match::None | Match::One { .. } | Match::Several) if !somebody => {
            let detail = format!("searches by {attribute} are permitted");
            (Step::ok(Name::DirectoryLookUp, target, detail), None)
        }
        Ok(Match::One { dn, .. }) => {
            let detail = format!("{attribute} {value} is {dn}");
            (Step::ok(Name::DirectoryLookUp, target, detail), Some(dn))
        }
        Ok(Match::None) => failed(
            format!("nobody has the {attribute} {value}"),
            "directory.alternate_id.attribute, directory.look_up.base, --user: does the account have that value, and may \
             the service account read it?"
                .to_owned(),
        ),
        Ok(Match::Several) => failed(
            format!("more than one account has the {attribute} {value}"),
            "directory.alternate_id.attribute, directory.look_up.attribute: the value must be one account's alone; take \
             it from the others"
                .to_owned(),
        ),
        Ok(Match::Unusable) => failed(
            format!("the {attribute} {value} is an entry's whose DN cannot be bound"),
            "directory.look_up.base: is it below accounts?".to_owned(),
        ),
    }
}
