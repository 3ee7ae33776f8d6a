//! From a request to a user name and a password: everything that is checked before a directory is asked.
//!
//! Tenant and realm are compared with the agent's own certificate, and the user is the authenticated one: what was
//! sealed for one user, realm or tenant opens for no other. From outside every failure to open looks alike; the log
//! is more precise, and never says anything of the password.
//!
//! Expiry: for a relay's own sealing the start window decides, by the relay's clock. For a caller's envelope the
//! relay has judged the expiry by its clock; the agent checks again by its own wall clock, with an allowance for the
//! difference between the two, so that a relay that is not honest cannot use an envelope for longer.

use std::time::Duration;

use postern_protocol::frame::{ClientSealed, Request};
use postern_protocol::seal::{AuthenticatedData, CannotOpen, PROTECTED_HEADER_BASE64, Sealed, check_protected};
use postern_protocol::{AgentIdentity, Moment, NotStarted, Password, UserName};

use crate::opening_keys::OpeningKeys;
use crate::unwrapping::{ClientRefusal, KeyMemory, Workers};

/// The furthest that a caller may set the expiry ahead.
const LONGEST_LIFE: Duration = Duration::from_secs(60);

/// How far this machine's wall clock and the relay's may differ. Domain members are kept within seconds of each
/// other; Kerberos stops at five minutes.
pub(crate) const CLOCK_ALLOWANCE: Duration = Duration::from_secs(30);

/// Wall-clock time is compared in whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(1);

/// The longest that a mark against replay must be kept: until no check of expiry lets the envelope pass again.
pub(crate) const LONGEST_MARK: Duration = LONGEST_LIFE
    .saturating_add(CLOCK_ALLOWANCE.saturating_mul(2))
    .saturating_add(ROUNDING);

/// An opened request.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) user: UserName,
    pub(crate) password: Password,
    /// How long its id must be remembered.
    pub(crate) keep: Duration,
}

/// Why a request is not bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Sealed to a key that is not, or no longer, this agent's.
    NoKey,
    /// Of another tenant or realm than this agent's own certificate names.
    Elsewhere,
    /// Does not open, or is not what it was sealed for. The text is for the log.
    CannotOpen(&'static str),
    /// A caller's envelope, and too many of them are being opened.
    Busy,
    /// The user name cannot be sent to a directory.
    Refused,
    /// A caller's envelope that has expired.
    Expired,
    /// A caller's envelope that expires later than the relay allows: one of the two clocks is wrong.
    NoClock,
}

impl Refusal {
    /// As the relay is told.
    pub(crate) fn reason(self) -> NotStarted {
        match self {
            Self::NoKey => NotStarted::NoKey,
            Self::Elsewhere | Self::CannotOpen(_) => NotStarted::CannotOpen,
            Self::Busy => NotStarted::Busy,
            Self::Refused => NotStarted::Refused,
            Self::Expired => NotStarted::Expired,
            Self::NoClock => NotStarted::NoClock,
        }
    }
}

/// What opening needs of the agent and of the session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opener<'a> {
    pub(crate) identity: &'a AgentIdentity,
    pub(crate) keys: &'a OpeningKeys,
    pub(crate) workers: &'a Workers,
    pub(crate) memory: &'a KeyMemory,
}

impl Opener<'_> {
    /// Checks and opens `request` at local time `now`, wall-clock time `unix_ms`.
    pub(crate) async fn open(&self, request: &Request, now: Moment, unix_ms: u64) -> Result<Opened, Refusal> {
        let ours = &self.identity.realm;
        if request.tenant != ours.tenant.as_str() || request.realm != ours.realm.as_str() {
            return Err(Refusal::Elsewhere);
        }
        let (protected, aad) = match &request.client_sealed {
            None => (PROTECTED_HEADER_BASE64.to_owned(), authenticated(request).to_base64()),
            Some(client) => {
                check_client(client, request)?;
                check_expiry(request.expires_unix_ms, unix_ms)?;
                (client.protected.clone(), client.aad.clone())
            }
        };
        let password = self.password(request, now, &protected, &aad).await?;
        // The frame's user is the authenticated one: the tag covers it.
        let user = UserName::parse(&request.user).map_err(|_| Refusal::Refused)?;
        Ok(Opened {
            user,
            password,
            keep: keep(request.expires_unix_ms, unix_ms),
        })
    }

    async fn password(&self, request: &Request, now: Moment, protected: &str, aad: &str) -> Result<Password, Refusal> {
        let key = self.keys.find(&request.kid, now).ok_or(Refusal::NoKey)?;
        let sealed = Sealed {
            iv: request.iv,
            ciphertext: request.ciphertext.clone(),
            tag: request.tag,
        };
        let wrong_key = Refusal::CannotOpen("the content key does not open");
        let opened = if request.client_sealed.is_some() {
            let content = self
                .workers
                .client_sealed(&key, &request.encrypted_key)
                .await
                .map_err(|refusal| match refusal {
                    ClientRefusal::Busy => Refusal::Busy,
                    ClientRefusal::CannotOpen => wrong_key,
                })?;
            content.open(&sealed, protected, aad)
        } else {
            let content = self
                .workers
                .relay_sealed(self.memory, now, &key, &request.encrypted_key)
                .await
                .map_err(|CannotOpen| wrong_key)?;
            content.open(&sealed, protected, aad)
        };
        opened.map_err(|CannotOpen| Refusal::CannotOpen("the password does not open under its authenticated data"))
    }
}

/// What the frame says the password is bound to.
fn authenticated(request: &Request) -> AuthenticatedData {
    AuthenticatedData {
        expires_unix_ms: request.expires_unix_ms,
        realm: request.realm.clone(),
        request_id: request.request_id,
        tenant: request.tenant.clone(),
        user: request.user.clone(),
    }
}

/// A caller's own header and authenticated data: the algorithms must be ours, the data must be the frame's.
fn check_client(client: &ClientSealed, request: &Request) -> Result<(), Refusal> {
    check_protected(&client.protected).map_err(|_| Refusal::CannotOpen("the protected header is not accepted"))?;
    let said = AuthenticatedData::from_base64(&client.aad)
        .map_err(|_| Refusal::CannotOpen("the authenticated data cannot be read"))?;
    if said != authenticated(request) {
        return Err(Refusal::CannotOpen("the authenticated data are not what was sent"));
    }
    Ok(())
}

fn check_expiry(expires_unix_ms: u64, unix_ms: u64) -> Result<(), Refusal> {
    let allowance = millis(CLOCK_ALLOWANCE);
    if unix_ms > expires_unix_ms.saturating_add(allowance) {
        Err(Refusal::Expired)
    } else if expires_unix_ms > unix_ms.saturating_add(millis(LONGEST_LIFE)).saturating_add(allowance) {
        Err(Refusal::NoClock)
    } else {
        Ok(())
    }
}

/// A mark is kept until [`check_expiry`] refuses the envelope by itself.
fn keep(expires_unix_ms: u64, unix_ms: u64) -> Duration {
    let left = Duration::from_millis(expires_unix_ms.saturating_sub(unix_ms));
    left.saturating_add(CLOCK_ALLOWANCE)
        .saturating_add(ROUNDING)
        .min(LONGEST_MARK)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
