//! What can come out of a sign-in: the directory's [`Verdict`], or a failure of ours that is never one.

use std::fmt;

/// The directory's answer to a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Name and password are right, and the account may sign in.
    Success,
    /// Wrong password or no such user; a directory does not tell which, and neither do we.
    InvalidCredentials,
    /// Right, but the password's age is over the policy's.
    PasswordExpired,
    /// Right, but the password must be changed first.
    PasswordMustChange,
    /// Right, but the account is disabled.
    AccountDisabled,
    /// Right, but the account's end is past.
    AccountExpired,
    /// Locked after too many wrong passwords; the password was not looked at.
    AccountLocked,
    /// Right, but not at this hour.
    LogonHours,
    /// Right, but not from here.
    LogonWorkstation,
    /// Rejected for a reason whose code is not known here.
    Rejected,
}

impl Verdict {
    /// Every verdict, in the order of their wire codes.
    pub const ALL: [Self; 10] = [
        Self::Success,
        Self::InvalidCredentials,
        Self::PasswordExpired,
        Self::PasswordMustChange,
        Self::AccountDisabled,
        Self::AccountExpired,
        Self::AccountLocked,
        Self::LogonHours,
        Self::LogonWorkstation,
        Self::Rejected,
    ];

    /// What Active Directory's sub-code of an LDAP result 49 means (the Win32 errors of MS-ERREF after `data `).
    /// Only a bind with result 0 is a success; no sub-code is.
    pub fn from_sub_code(code: u32) -> Self {
        match code {
            0x52e | 0x525 => Self::InvalidCredentials,
            0x530 => Self::LogonHours,
            0x531 => Self::LogonWorkstation,
            0x532 => Self::PasswordExpired,
            0x533 => Self::AccountDisabled,
            0x701 => Self::AccountExpired,
            0x773 => Self::PasswordMustChange,
            0x775 => Self::AccountLocked,
            _ => Self::Rejected,
        }
    }

    /// The number of this verdict in a frame.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The verdict with that number. A number of a later version is a rejection: it cannot be a success.
    pub fn from_code(code: u8) -> Self {
        Self::ALL.get(usize::from(code)).copied().unwrap_or(Self::Rejected)
    }

    /// The name in the API, in metrics and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::InvalidCredentials => "invalid_credentials",
            Self::PasswordExpired => "password_expired",
            Self::PasswordMustChange => "password_must_change",
            Self::AccountDisabled => "account_disabled",
            Self::AccountExpired => "account_expired",
            Self::AccountLocked => "account_locked",
            Self::LogonHours => "logon_hours",
            Self::LogonWorkstation => "logon_workstation",
            Self::Rejected => "rejected",
        }
    }
}

/// Our own trouble. Says nothing about the user or the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unavailable {
    /// No agent of the realm is in session.
    NoAgent,
    /// No domain controller could be asked, or the one asked could not answer.
    DirectoryDown,
    /// The deadline passed before a bind was sent.
    Timeout,
    /// More sign-ins than can be served in time.
    Overloaded,
    /// This process is ending.
    Draining,
    /// A bind may or may not have been made.
    Indeterminate,
    /// No agent could open the sealed password.
    CannotOpen,
}

impl Unavailable {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::NoAgent,
        Self::DirectoryDown,
        Self::Timeout,
        Self::Overloaded,
        Self::Draining,
        Self::Indeterminate,
        Self::CannotOpen,
    ];

    /// The name in the API, in metrics and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoAgent => "no_agent",
            Self::DirectoryDown => "directory_down",
            Self::Timeout => "timeout",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::Indeterminate => "indeterminate",
            Self::CannotOpen => "cannot_open",
        }
    }
}

/// What a caller gets for one sign-in: exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The directory's answer.
    Verdict(Verdict),
    /// A failure of ours.
    Unavailable(Unavailable),
    /// The request cannot be a sign-in.
    BadRequest,
    /// The user name names no realm that is served here.
    UnknownRealm,
    /// A caller's envelope has no recipient that is an agent's current key.
    StaleKey,
    /// The caller did not show who it is.
    UnauthorizedCaller,
    /// The caller, its address or the user name has used up its tokens.
    TooManyRequests,
}

impl Outcome {
    /// The name in the API, in metrics and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verdict(verdict) => verdict.as_str(),
            Self::Unavailable(_) => "unavailable",
            Self::BadRequest => "bad_request",
            Self::UnknownRealm => "unknown_realm",
            Self::StaleKey => "stale_key",
            Self::UnauthorizedCaller => "unauthorized_caller",
            Self::TooManyRequests => "too_many_requests",
        }
    }

    /// The status of the HTTP answer.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Verdict(Verdict::Success) => 200,
            Self::Verdict(_) | Self::UnauthorizedCaller => 401,
            Self::Unavailable(_) => 503,
            Self::BadRequest | Self::UnknownRealm | Self::StaleKey => 400,
            Self::TooManyRequests => 429,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(reason) => write!(f, "unavailable/{}", reason.as_str()),
            other => f.write_str(other.as_str()),
        }
    }
}

/// An agent's word that it made no bind for a request and will make none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NotStarted {
    /// No free directory connection within the agent's patience.
    Busy,
    /// The agent is ending.
    Draining,
    /// The key that the password was sealed to is not, or no longer, the agent's.
    NoKey,
    /// The sealed password's expiry is past.
    Expired,
    /// No domain controller can be reached.
    NoDirectory,
    /// The agent does not know the relay's time well enough to tell whether the window is past.
    NoClock,
    /// The relay cancelled it.
    Cancelled,
    /// The sealed password does not open, or what it is bound to is not what was sent.
    CannotOpen,
    /// The user name or the password cannot be sent to a directory.
    Refused,
    /// A bind for this request id was made before.
    Replayed,
    /// The time by which the bind had to begin is past: it came late. Another agent may be in time.
    WindowPassed,
    /// A number of a later version.
    Other,
    /// The user name is one that is looked up, and no account has it, or more than one. Another agent of the same
    /// directory would find the same.
    NoMatch,
    /// The user name is one that is looked up, and that cannot be done now. Says nothing of other names.
    NoLookUp,
}

impl NotStarted {
    /// Every reason, in the order of their wire codes.
    pub const ALL: [Self; 14] = [
        Self::Busy,
        Self::Draining,
        Self::NoKey,
        Self::Expired,
        Self::NoDirectory,
        Self::NoClock,
        Self::Cancelled,
        Self::CannotOpen,
        Self::Refused,
        Self::Replayed,
        Self::WindowPassed,
        Self::Other,
        Self::NoMatch,
        Self::NoLookUp,
    ];

    /// The number of this reason in a frame.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The reason with that number; what is not known is [`NotStarted::Other`].
    pub fn from_code(code: u8) -> Self {
        Self::ALL.get(usize::from(code)).copied().unwrap_or(Self::Other)
    }

    /// The name in metrics and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::NoKey => "no_key",
            Self::Expired => "expired",
            Self::NoDirectory => "no_directory",
            Self::NoClock => "no_clock",
            Self::Cancelled => "cancelled",
            Self::CannotOpen => "cannot_open",
            Self::Refused => "refused",
            Self::Replayed => "replayed",
            Self::WindowPassed => "window_passed",
            Self::Other => "other",
            Self::NoMatch => "no_match",
            Self::NoLookUp => "no_look_up",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_code_is_a_success_and_no_sub_code_is() {
        assert_eq!(
            (0..=u8::MAX)
                .filter(|&code| Verdict::from_code(code) == Verdict::Success)
                .count(),
            1
        );
        assert!((0..=0x1000).all(|code| Verdict::from_sub_code(code) != Verdict::Success));
    }

    #[test]
    fn codes_round_trip() {
        assert!(
            Verdict::ALL
                .iter()
                .all(|&verdict| Verdict::from_code(verdict.code()) == verdict)
        );
        assert!(
            NotStarted::ALL
                .iter()
                .all(|&reason| NotStarted::from_code(reason.code()) == reason)
        );
    }

    #[test]
    fn only_success_is_answered_with_200() {
        let others = Verdict::ALL
            .into_iter()
            .filter(|&verdict| verdict != Verdict::Success)
            .map(Outcome::Verdict);
        let failures = Unavailable::ALL.into_iter().map(Outcome::Unavailable);
        assert!(others.chain(failures).all(|outcome| outcome.http_status() >= 400));
    }
}
