//! What a bind comes to: the directory's sub-codes and the outcomes that a sign-in reads from them.

/// Why a bind with a name and a password was rejected: the `data` value of AD's result 49 (MS-ERREF 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubCode {
    /// 1f ERROR_GEN_FAILURE: Samba's answer to names that cannot be mapped to an account.
    GenFailure,
    /// 57 ERROR_INVALID_PARAMETER: a name that is no account's, or several objects'.
    InvalidParameter,
    /// 51f ERROR_NO_LOGON_SERVERS: Samba's answer to groups of the built-in domain.
    NoLogonServers,
    /// 52e ERROR_LOGON_FAILURE: wrong password, or a name that is nobody's.
    LogonFailure,
    /// 530 ERROR_INVALID_LOGON_HOURS.
    LogonHours,
    /// 531 ERROR_INVALID_WORKSTATION.
    Workstation,
    /// 532 ERROR_PASSWORD_EXPIRED.
    PasswordExpired,
    /// 533 ERROR_ACCOUNT_DISABLED.
    AccountDisabled,
    /// 701 ERROR_ACCOUNT_EXPIRED.
    AccountExpired,
    /// 773 ERROR_PASSWORD_MUST_CHANGE.
    MustChange,
    /// 775 ERROR_ACCOUNT_LOCKED_OUT.
    LockedOut,
}

impl SubCode {
    /// Every sub-code, in ascending order.
    pub const ALL: [Self; 11] = [
        Self::GenFailure,
        Self::InvalidParameter,
        Self::NoLogonServers,
        Self::LogonFailure,
        Self::LogonHours,
        Self::Workstation,
        Self::PasswordExpired,
        Self::AccountDisabled,
        Self::AccountExpired,
        Self::MustChange,
        Self::LockedOut,
    ];

    /// The hexadecimal digits after `data`.
    pub fn text(self) -> &'static str {
        match self {
            Self::GenFailure => "1f",
            Self::InvalidParameter => "57",
            Self::NoLogonServers => "51f",
            Self::LogonFailure => "52e",
            Self::LogonHours => "530",
            Self::Workstation => "531",
            Self::PasswordExpired => "532",
            Self::AccountDisabled => "533",
            Self::AccountExpired => "701",
            Self::MustChange => "773",
            Self::LockedOut => "775",
        }
    }

    /// The outcome of a sign-in that got this answer.
    pub fn outcome(self) -> &'static str {
        match self {
            Self::GenFailure | Self::InvalidParameter | Self::NoLogonServers => "rejected",
            Self::LogonFailure => "invalid_credentials",
            Self::LogonHours => "logon_hours",
            Self::Workstation => "logon_workstation",
            Self::PasswordExpired => "password_expired",
            Self::AccountDisabled => "account_disabled",
            Self::AccountExpired => "account_expired",
            Self::MustChange => "password_must_change",
            Self::LockedOut => "account_locked",
        }
    }
}

/// What a simple bind comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindResult {
    /// The right password of an account that may sign in.
    Success,
    /// No name, or no password (RFC 4513 5.1.1 and 5.1.2): result 0, and the connection is anonymous. It says
    /// nothing about the account, and nothing is counted.
    Anonymous,
    /// Result 49.
    Rejected(SubCode),
}

impl BindResult {
    /// The LDAP result code: 0 or 49.
    pub fn code(self) -> u32 {
        match self {
            Self::Success | Self::Anonymous => 0,
            Self::Rejected(_) => 49,
        }
    }

    /// The sub-code of a rejection.
    pub fn sub_code(self) -> Option<SubCode> {
        match self {
            Self::Rejected(sub_code) => Some(sub_code),
            Self::Success | Self::Anonymous => None,
        }
    }
}
