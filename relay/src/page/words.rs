//! Outcomes in the words of people who sign in: what happened, and what to do next.
//!
//! No word of ours (relay, agent, realm) is used here, and nothing is promised that is not so: "was not counted" is
//! said only where no bind can have been made.

use postern_protocol::{Outcome, Unavailable, Verdict};

use super::html::Next;

/// Beside the password, which is asked for again. A locked account reads so too where that is not to be told.
pub(super) const WRONG: &str = "That user name and password do not match. Check the name above and type the password \
     again. Too many wrong passwords lock an account.";

/// The servers' keys changed in just this moment.
pub(super) const STALE: &str = "That took too long to arrive. Type your password again.";

/// What the script sealed could not be opened or read, or came a second time: then the first may have been tried, and
/// nothing is promised.
pub(super) const UNREADABLE: &str =
    "Your sealed password could not be used: it came twice, too late, or damaged. Type it again.";

/// How to change a password, where the page cannot.
const CHANGE_IT: &str = "Change it where you usually do. On a Windows computer at work: press Ctrl, Alt and Del together and \
     choose \u{201c}Change a password\u{201d}. Or ask your help desk. Then sign in here with the new one.";

/// What is said of an outcome.
pub(super) struct Words {
    /// What happened.
    pub(super) title: &'static str,
    /// What it means and what to do, a paragraph each.
    pub(super) text: Vec<String>,
    /// What is offered to click.
    pub(super) next: Next,
}

/// The words for an outcome. `wait` is in seconds.
pub(super) fn of(outcome: Outcome, wait: u64) -> Words {
    let (title, text, next): (_, &[&str], _) = match outcome {
        Outcome::Verdict(verdict) => of_verdict(verdict),
        Outcome::Unavailable(reason) => of_failure(reason),
        Outcome::TooManyRequests => {
            return Words {
                title: "Too many tries",
                text: vec![format!(
                    "Wait {}, then try again. This try was not counted as a wrong password.",
                    duration(wait)
                )],
                next: Next::TryAgain,
            };
        }
        Outcome::BadRequest | Outcome::StaleKey => (
            "That did not work",
            &["Start again from the beginning."],
            Next::StartAgain,
        ),
        Outcome::UnknownRealm => (
            "This page does not know that organisation",
            &["Check what you typed after the @ or before the \\."],
            Next::StartAgain,
        ),
        Outcome::UnauthorizedCaller => ("This page is not open yet", &[], Next::StartAgain),
    };
    Words {
        title,
        text: text.iter().map(|&paragraph| paragraph.to_owned()).collect(),
        next,
    }
}

/// So many seconds, as people say it; rather too long than too short.
fn duration(seconds: u64) -> String {
    match seconds {
        0..=1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

fn of_verdict(verdict: Verdict) -> (&'static str, &'static [&'static str], Next) {
    match verdict {
        Verdict::Success => (
            "You are signed in",
            &["Your user name and password are right. There is nothing more to do here: you can close this page."],
            Next::Nothing,
        ),
        Verdict::InvalidCredentials => ("That did not match", &[WRONG], Next::TryAgain),
        Verdict::PasswordExpired => (
            "Your password has expired",
            &["You typed it right, but it is too old to sign in with.", CHANGE_IT],
            Next::NewPassword,
        ),
        Verdict::PasswordMustChange => (
            "Choose a new password first",
            &[
                "You typed it right, but your organisation asks you to replace it before you sign in. This is usual for \
                 a first password, and after a reset.",
                CHANGE_IT,
            ],
            Next::NewPassword,
        ),
        Verdict::AccountDisabled => (
            "Your account is switched off",
            &["Trying again will not help. Ask your help desk to switch it on."],
            Next::StartAgain,
        ),
        Verdict::AccountExpired => (
            "Your account has ended",
            &[
                "It was set up until a date that is past. Ask your help desk, or whoever arranged the account, to extend it.",
            ],
            Next::StartAgain,
        ),
        Verdict::AccountLocked => (
            "Your account is locked",
            &[
                "There were too many wrong passwords. Until it is unlocked, even the right one is not accepted.",
                "Wait a while before you try again: many accounts unlock by themselves, often within half an hour. Or \
                 ask your help desk to unlock it. If the wrong passwords were not yours, tell them.",
            ],
            Next::TryAgain,
        ),
        Verdict::LogonHours => (
            "Not at this time",
            &[
                "Your account may sign in at certain hours only, and this is not one of them. Come back then, or ask your help desk.",
            ],
            Next::StartAgain,
        ),
        Verdict::LogonWorkstation => (
            "Not from here",
            &["Your account may sign in from certain computers only. Use one of those, or ask your help desk."],
            Next::StartAgain,
        ),
        Verdict::Rejected => (
            "You cannot sign in",
            &[
                "Your organisation refused the sign-in and did not say why. Ask your help desk, and give them the reference below.",
            ],
            Next::StartAgain,
        ),
    }
}

fn of_failure(reason: Unavailable) -> (&'static str, &'static [&'static str], Next) {
    let text: &[&str] = match reason {
        Unavailable::NoAgent | Unavailable::DirectoryDown | Unavailable::CannotOpen => &[
            "Your organisation cannot be reached right now. This is not your fault, and it was not counted as a wrong password.",
            "Try again in a minute. If it goes on, tell your help desk.",
        ],
        Unavailable::Timeout | Unavailable::Overloaded | Unavailable::Draining => &[
            "Many people are signing in, and yours did not get its turn. It was not counted as a wrong password.",
            "Try again in a moment.",
        ],
        // Whether the password was checked is just what is not known.
        Unavailable::Indeterminate => &[
            "The answer was lost on its way. This is not your fault, and it says nothing of your password.",
            "Try again in a moment. If it goes on, tell your help desk.",
        ],
    };
    ("We cannot sign you in right now", text, Next::TryAgain)
}

/// A message of the API as a sentence.
pub(super) fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str() + "."
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Vec<(Outcome, Words)> {
        let verdicts = Verdict::ALL.into_iter().map(Outcome::Verdict);
        let failures = Unavailable::ALL.into_iter().map(Outcome::Unavailable);
        let others = [
            Outcome::BadRequest,
            Outcome::UnknownRealm,
            Outcome::StaleKey,
            Outcome::TooManyRequests,
        ];
        verdicts
            .chain(failures)
            .chain(others)
            .map(|outcome| (outcome, of(outcome, 7)))
            .collect()
    }

    #[test]
    fn only_success_says_that_somebody_is_signed_in() {
        for (outcome, words) in everything() {
            let says_so = words.title.contains("are signed in");
            assert_eq!(says_so, outcome == Outcome::Verdict(Verdict::Success), "{outcome}");
            assert!(!words.text.is_empty(), "{outcome}");
        }
    }

    #[test]
    fn no_failure_of_ours_reads_as_a_wrong_password_and_none_promises_what_is_not_known() {
        for reason in Unavailable::ALL {
            let text = of(Outcome::Unavailable(reason), 1).text.join(" ");
            assert!(!text.contains("do not match"), "{reason:?}");
            assert_eq!(
                text.contains("not counted"),
                reason != Unavailable::Indeterminate,
                "{reason:?}"
            );
            assert!(text.contains("Try again"), "{reason:?}");
        }
    }

    #[test]
    fn nobody_is_told_to_come_back_before_a_try_is_taken_again() {
        for (seconds, said) in [
            (1, "a second"),
            (2, "2 seconds"),
            (90, "90 seconds"),
            (91, "2 minutes"),
            (960, "16 minutes"),
        ] {
            let text = of(Outcome::TooManyRequests, seconds).text.join(" ");
            assert!(text.starts_with(&format!("Wait {said}, then")), "{text}");
        }
    }

    #[test]
    fn no_word_of_ours_is_used() {
        for (outcome, words) in everything() {
            let text = format!("{} {}", words.title, words.text.join(" ")).to_lowercase();
            for word in [
                "relay",
                "agent",
                "realm",
                "tenant",
                "directory",
                "bind",
                "ldap",
                "verdict",
                "credential",
            ] {
                assert!(!text.contains(word), "{outcome}: {word}");
            }
        }
    }
}
