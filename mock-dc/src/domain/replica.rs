//! One account as all controllers together hold it, and what a bind at one of them does.
//!
//! Three kinds of attributes: what all share at once, since a lock is replicated urgently and no bind depends much on
//! when the rest arrives; the password, which takes time ([`Versions`]); and what is never replicated (MS-ADA1:
//! FLAG_ATTR_NOT_REPLICATED): badPwdCount, badPasswordTime, lastLogon.

use super::account::{AccountState, Counters, Judgement, Rules, Shared};
use super::controllers::{Controllers, DcId};
use super::filetime::FileTime;
use super::nt_hash::NtHash;
use super::outcome::SubCode;
use super::versions::Versions;

/// An account on all controllers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    shared: Shared,
    credentials: Versions,
    counters: Own,
}

/// What each controller keeps for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Own {
    Same(Counters),
    Each(Box<[Counters]>),
}

impl Own {
    fn of(&self, dc: DcId) -> &Counters {
        match self {
            Self::Same(counters) => counters,
            Self::Each(each) => each.get(dc.place()).unwrap_or(&Counters::NONE),
        }
    }

    fn of_mut(&mut self, dc: DcId, controllers: &Controllers) -> &mut Counters {
        if let Self::Same(counters) = self
            && controllers.count() > 1
        {
            *self = Self::Each(vec![*counters; controllers.count()].into());
        }
        match self {
            Self::Same(counters) => counters,
            Self::Each(each) => {
                let last = each.len() - 1;
                &mut each[dc.place().min(last)]
            }
        }
    }

    fn clear_counts(&mut self) {
        match self {
            Self::Same(counters) => counters.bad_pwd_count = 0,
            Self::Each(each) => each.iter_mut().for_each(|counters| counters.bad_pwd_count = 0),
        }
    }
}

impl From<AccountState> for Account {
    /// Known to all alike.
    fn from(state: AccountState) -> Self {
        Self {
            shared: state.shared,
            credentials: Versions::new(state.credentials),
            counters: Own::Same(state.counters),
        }
    }
}

/// A password at a controller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Try<'a> {
    pub(super) dc: DcId,
    pub(super) password: &'a NtHash,
    pub(super) rules: &'a Rules,
    pub(super) now: FileTime,
}

/// Why somebody is not taken for one who knows the present password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unproven {
    /// The account is locked: nothing is looked at.
    Locked,
    /// It is another one.
    Wrong,
}

impl Account {
    /// What [`Account::shared`], [`Account::versions`] and [`Account::counters`] tell.
    pub(super) fn of(shared: Shared, credentials: Versions, counters: Vec<Counters>) -> Self {
        Self {
            shared,
            credentials,
            counters: match counters.as_slice() {
                [same] => Own::Same(*same),
                _ => Own::Each(counters.into()),
            },
        }
    }

    /// What all controllers share.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The passwords that controllers go by.
    pub(super) fn versions(&self) -> &Versions {
        &self.credentials
    }

    /// Those of each controller, or one where all have the same.
    pub(super) fn counters(&self) -> &[Counters] {
        match &self.counters {
            Own::Same(same) => std::slice::from_ref(same),
            Own::Each(each) => each,
        }
    }

    /// What `dc` knows at `now`.
    pub(super) fn at(&self, dc: DcId, now: FileTime) -> AccountState {
        AccountState {
            shared: self.shared.clone(),
            credentials: self.credentials.at(dc, now).clone(),
            counters: *self.counters.of(dc),
            unlocked: false,
        }
    }

    /// Writes at `dc` what differs from what it knew.
    pub(super) fn write(&mut self, state: AccountState, dc: DcId, controllers: &Controllers, now: FileTime) {
        self.shared = state.shared;
        // The end of a lock first: a count that was written beside it is meant to stand.
        if state.unlocked {
            self.counters.clear_counts();
        }
        if *self.counters.of(dc) != state.counters {
            *self.counters.of_mut(dc, controllers) = state.counters;
        }
        if *self.credentials.at(dc, now) != state.credentials {
            self.credentials.write(state.credentials, dc, controllers, now);
        }
    }

    /// Signs in at a controller. `usn` gives the next update sequence number; it is asked where something changes that
    /// controllers tell each other.
    ///
    /// A controller to which a password is wrong, too old or to be changed asks the PDC emulator, which may know a newer
    /// one, and the PDC emulator's word stands. What is wrong there too is counted there first and then here, so that the
    /// PDC emulator counts all that is tried in the domain; what it knows for an old password nobody counts, and what
    /// only the asking controller knows for one it does not count itself. Where either count reaches the threshold the
    /// account is locked everywhere at once: lockoutTime is replicated urgently. (Microsoft's "Account Passwords and
    /// Policies"; KB 297157 for the counts.)
    ///
    /// # Errors
    /// The sub-code of result 49.
    pub(super) fn sign_in(
        &mut self,
        attempt: Try<'_>,
        controllers: &Controllers,
        usn: impl FnOnce() -> u64,
    ) -> Result<(), SubCode> {
        let Try {
            dc,
            password,
            rules,
            now,
        } = attempt;
        self.credentials.settle(now);
        let judge = |dc| self.shared.judge(self.credentials.at(dc, now), password, rules, now);
        let here = judge(dc);
        let pdc = controllers.pdc_for(dc);
        let asked = pdc.filter(|_| here.is_about_the_password());
        match asked.map_or(here, judge) {
            Judgement::Locked => return Err(SubCode::LockedOut),
            Judgement::Refused(reason) => return Err(reason),
            Judgement::Forgiven => return Err(SubCode::LogonFailure),
            Judgement::Right => {
                if self.succeed(dc, pdc, asked, controllers, now) {
                    self.shared.was_changed(now, usn());
                }
                return Ok(());
            }
            Judgement::Wrong => {}
        }
        let counting = Some(dc).filter(|_| here == Judgement::Wrong).into_iter().chain(asked);
        self.count(counting, attempt, controllers, usn);
        Err(SubCode::LogonFailure)
    }

    /// Whether somebody who changes the password knows the present one, and where it is known: here, or at the PDC
    /// emulator. What is neither is counted as that of a bind is, also if it is an older one (measured).
    ///
    /// # Errors
    /// [`Unproven`].
    pub(super) fn prove(
        &mut self,
        attempt: Try<'_>,
        controllers: &Controllers,
        usn: impl FnOnce() -> u64,
    ) -> Result<DcId, Unproven> {
        let Try {
            dc,
            password,
            rules,
            now,
        } = attempt;
        self.credentials.settle(now);
        if self.shared.is_locked(rules, now) {
            return Err(Unproven::Locked);
        }
        let knows = |dc: &DcId| self.credentials.at(*dc, now).passwords.is_present(password);
        let asked = [Some(dc), controllers.pdc_for(dc)].into_iter().flatten();
        if let Some(known_at) = asked.clone().find(knows) {
            return Ok(known_at);
        }
        self.count(asked, attempt, controllers, usn);
        Err(Unproven::Wrong)
    }

    /// Counts a wrong password on these controllers.
    fn count(
        &mut self,
        counting: impl Iterator<Item = DcId>,
        Try { rules, now, .. }: Try<'_>,
        controllers: &Controllers,
        usn: impl FnOnce() -> u64,
    ) {
        let lockout = &rules.policy.lockout;
        let mut locks = false;
        for dc in counting.filter(|_| lockout.threshold > 0) {
            locks |= self.counters.of_mut(dc, controllers).count_wrong_password(lockout, now);
        }
        if locks {
            self.shared.lockout_time = Some(now);
            self.shared.was_changed(now, usn());
        }
    }

    /// Notes a success and tells whether anything changed that controllers tell each other. One that clears a count
    /// clears the PDC emulator's too (MS-SAMS 3.3.5.3, ResetBadPwdCount); other controllers keep theirs. The end of a
    /// lock reaches all.
    fn succeed(
        &mut self,
        dc: DcId,
        pdc: Option<DcId>,
        asked: Option<DcId>,
        controllers: &Controllers,
        now: FileTime,
    ) -> bool {
        let unlocked = self.shared.was_locked();
        if unlocked {
            self.shared.lockout_time = Some(FileTime::ZERO);
            self.counters.clear_counts();
        } else {
            let cleared = self.counters.of(dc).bad_pwd_count != 0;
            // lastLogon moves only when the success clears a count that had not led to a lock (measured).
            for dc in Some(dc).into_iter().chain(asked) {
                if self.counters.of(dc).bad_pwd_count != 0 {
                    let counters = self.counters.of_mut(dc, controllers);
                    counters.bad_pwd_count = 0;
                    counters.last_logon = now;
                }
            }
            if let Some(pdc) = pdc.filter(|_| cleared) {
                self.counters.of_mut(pdc, controllers).bad_pwd_count = 0;
            }
        }
        let seen = self.shared.note_logon(now);
        unlocked || seen
    }

    /// Plans anew who learns of a password when; see [`Versions::replan`].
    pub(super) fn replan(&mut self, controllers: &Controllers, before: FileTime, now: FileTime) {
        self.credentials.replan(controllers, before, now);
    }
}
