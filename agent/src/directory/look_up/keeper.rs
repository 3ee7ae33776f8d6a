//! The connections for look-ups at one domain controller: opened once somebody needs one, bound as the service account,
//! replaced when they or their password are old.

use std::sync::Arc;
use std::time::Duration;

use postern_protocol::Verdict;

use super::LookUps;
use super::askers::{Asker, Count, Counted};
use super::entries::NO_BASE;
use super::password::Numbered;
use crate::core::backoff::Backoff;
use crate::core::kind::Kind;
use crate::core::lease::Lease;
use crate::directory::connection::{Connection, Sent};
use crate::directory::dc::Dc;
use crate::directory::verdict::{self, Reading};

/// For each domain controller: a search takes milliseconds, and a second one need not wait for the first.
const PER_DC: u32 = 2;

/// The RootDSE and the bind, each: nobody waits for them but the next look-up.
const PATIENCE: Duration = Duration::from_secs(2);

/// The first search for somebody who is seen: a directory without an index for it looks at every entry.
const SIGHT_PATIENCE: Duration = Duration::from_secs(5);

/// Connections are looked at again at least this often, for those that have become too old.
const INTERVAL: Duration = Duration::from_secs(1);

/// Why there is no connection for look-ups.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// The service account was refused before, and may not be tried yet. That was told then.
    NotNow,
    /// The last connections did not last.
    EndedEarly,
    /// Told by the health check as well.
    Connect(String),
    /// What to tell.
    Other(String),
}

impl LookUps {
    /// Keeps the connections to `dc` until dropped.
    pub(in crate::directory) async fn keep(&self, dc: &Dc) {
        let (mut wanted, mut passwords) = (self.wanted.subscribe(), self.passwords.changes());
        let mut changes = dc.shared.pool.changes();
        let count = self.askers.add(dc.known.id);
        let mut backoff = Backoff::default();
        let (mut ended_early, mut last_trouble) = (0, self.machine.clock.now());
        let mut told = None;
        // While the last attempt was not in vain, what is missing will be there before long.
        let mut hope = Some(self.askers.hope());
        let mut in_vain = false;
        // The sender is in here: there is always a next change.
        let _ = wanted.wait_for(|wanted| *wanted).await;
        loop {
            passwords.mark_unchanged();
            changes.mark_unchanged();
            // One that is down would be left again at once, and each connection costs a bind of the service account.
            let is_usable = dc.is_awake() && !dc.shared.pool.is_down(dc.known.id);
            let hopeful = is_usable && !in_vain;
            let had_hope = hope.is_some();
            hope = hopeful.then(|| hope.take().unwrap_or_else(|| self.askers.hope()));
            if had_hope && hope.is_none() {
                self.askers.wake();
            }
            let now = self.machine.clock.now();
            self.askers
                .retire(|asker| asker.dc.id == dc.known.id && asker.lease.is_over(now));
            let lacking = count.open() < PER_DC || self.has_outdated(dc);
            if is_usable && lacking {
                let ended_early_now = count.ended_early();
                let opened = if std::mem::replace(&mut ended_early, ended_early_now) == ended_early_now {
                    self.open(dc, &count).await
                } else {
                    Err(Trouble::EndedEarly)
                };
                match opened {
                    Ok(asker) => {
                        let version = asker.version;
                        told = None;
                        in_vain = false;
                        self.askers.put(asker);
                        // No longer needed, now that the new password is known to be right, or the new authorities
                        // to vouch for this domain controller.
                        self.askers.retire_outdated(dc.known.id, version);
                        continue;
                    }
                    Err(trouble) => {
                        in_vain = true;
                        drop(hope.take());
                        self.askers.wake();
                        self.tell(dc, &trouble, &mut told);
                        // What has gone well for a while makes the next attempt a first one again.
                        let now = self.machine.clock.now();
                        backoff.ended_after(now.since(std::mem::replace(&mut last_trouble, now)));
                        let pause = backoff.next_delay(self.machine.chance.draw()).max(match trouble {
                            Trouble::NotNow => INTERVAL,
                            _ => Duration::ZERO,
                        });
                        tokio::select! {
                            biased;
                            _ = passwords.changed() => in_vain = false,
                            () = tokio::time::sleep(pause) => {}
                        }
                        continue;
                    }
                }
            }
            tokio::select! {
                biased;
                _ = passwords.changed() => {}
                _ = changes.changed() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    fn has_outdated(&self, dc: &Dc) -> bool {
        let version = self.passwords.current().map_or(0, |current| current.version);
        self.askers.has_outdated(dc.known.id, version)
    }

    async fn open(&self, dc: &Dc, count: &Arc<Count>) -> Result<Asker, Trouble> {
        let password = match (self.passwords.account(), self.passwords.current()) {
            (Some(_), None) => return Err(Trouble::NotNow),
            (_, password) => password,
        };
        if let Some(password) = &password {
            // Before a connection is made for nothing.
            self.may_bind(password).await?;
        }
        let (life, began) = (self.askers.life(dc.known.id), self.machine.clock.now());
        let mut connection = dc
            .connect(|_| Counted::new(count.clone(), self.askers.hope()))
            .await
            .map_err(|error| Trouble::Connect(error.to_string()))?;
        let root = connection
            .root_dse(PATIENCE)
            .await
            .map_err(|error| Trouble::Other(error.to_string()))?;
        // As for the health check, one that refuses to say what it is is what it was when it said so.
        let facts = dc.known.facts();
        let known = facts.as_ref().filter(|_| root.refusal.is_some());
        let kind = match (root.kind_unless(dc.shared.kind), known) {
            (Ok(kind), _) => kind,
            (Err(_), Some(facts)) => facts.kind,
            (Err(unknown), None) => return Err(Trouble::Other(unknown.to_string())),
        };
        let base = self.config.base.as_deref().or(root.base());
        let base = base.or(known.and_then(|facts| facts.root_dse.base()));
        let Some(base) = base.map(str::to_owned) else {
            return Err(Trouble::Other(NO_BASE.to_owned()));
        };
        let version = match password {
            Some(_) => self.bind(dc, &mut connection).await?,
            None => 0,
        };
        let mut asker = Asker {
            dc: dc.known.clone(),
            connection,
            lease: Lease::new(began, dc.shared.idle_limit, self.machine.chance.draw()),
            version,
            base,
            active_directory: kind == Kind::ActiveDirectory,
            life,
        };
        self.look_around(&mut asker).await?;
        Ok(asker)
    }

    /// Whether the account sees anybody, told before somebody wants to sign in. A connection that shows nobody is kept:
    /// others may be seen by another attribute, and whoever is found on it after all is found.
    async fn look_around(&self, asker: &mut Asker) -> Result<(), Trouble> {
        for attribute in self.config.names.attributes(asker.active_directory) {
            match self.confirm(asker, attribute, SIGHT_PATIENCE).await {
                Ok(()) | Err(super::Trouble::Blind(_)) => {}
                Err(super::Trouble::Lost(trouble)) => return Err(Trouble::Other(trouble)),
            }
        }
        Ok(())
    }

    async fn may_bind(&self, password: &Numbered) -> Result<(), Trouble> {
        let may = self
            .account
            .lock()
            .await
            .may_bind(self.machine.clock.now(), password.version);
        if may { Ok(()) } else { Err(Trouble::NotNow) }
    }

    /// Binds as the service account, if that may be tried now. Gives the number of the password.
    async fn bind(&self, dc: &Dc, connection: &mut Connection) -> Result<u64, Trouble> {
        let name = self.passwords.account().unwrap_or_default();
        let mut account = self.account.lock().await;
        // As it is now: the file may have changed, and another connection may have been refused meanwhile.
        let password = self.passwords.current().ok_or(Trouble::NotNow)?;
        if !account.may_bind(self.machine.clock.now(), password.version) {
            return Err(Trouble::NotNow);
        }
        let before = account.clone();
        account.sending(self.machine.clock.now());
        let (sent, _) = connection.bind(name, &password.password, PATIENCE).await;
        let (result, reading) = match sent {
            Sent::Answered {
                result,
                password_policy,
            } => {
                let reading = verdict::read(result.code, &result.text, password_policy);
                (result, reading)
            }
            Sent::Never => {
                *account = before;
                return Err(Trouble::Other(
                    "the connection was gone before the bind was sent".to_owned(),
                ));
            }
            Sent::Unknown(why) => {
                return Err(Trouble::Other(format!("the service account's bind: {why}")));
            }
        };
        let Reading::Verdict { verdict, .. } = reading else {
            account.unchecked();
            let text = format!(
                "the service account's bind is refused: result {}, {:?}",
                result.code, result.text
            );
            return Err(Trouble::Other(text));
        };
        account.answered(self.machine.clock.now(), verdict);
        let refused = verdict != Verdict::Success;
        self.metrics.service_account_refused.set(i64::from(refused));
        if refused {
            tracing::error!(
                dc = dc.known.name(), account = name, verdict = verdict.as_str(), text = ?result.text,
                "the directory refuses the service account: {}", advice(verdict),
            );
            return Err(Trouble::NotNow);
        }
        Ok(password.version)
    }

    fn tell(&self, dc: &Dc, trouble: &Trouble, told: &mut Option<String>) {
        let (text, news) = match trouble {
            Trouble::NotNow | Trouble::EndedEarly => return,
            Trouble::Connect(text) => (text, false),
            Trouble::Other(text) => (text, told.as_ref() != Some(text)),
        };
        if news {
            tracing::warn!(dc = dc.known.name(), trouble = text, "names cannot be looked up here");
            *told = Some(text.clone());
        } else {
            tracing::debug!(dc = dc.known.name(), trouble = text, "no connection for look-ups");
        }
    }
}

/// What to do about a service account that is refused.
pub(crate) fn advice(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Success => "it is not",
        Verdict::InvalidCredentials | Verdict::Rejected => {
            "its name or password is wrong. Check directory.look_up.account and write the password to password_file, \
             which is read again when it changes; this password is not tried again for an hour, so as not to lock the \
             account"
        }
        Verdict::AccountLocked => {
            "it is locked after too many wrong passwords. Unlock it, and find out who else uses it; it is tried again \
             every minute"
        }
        Verdict::PasswordExpired => {
            "its password has expired. Set a new one that does not expire and write it to password_file"
        }
        Verdict::PasswordMustChange => {
            "its password must be changed first. Set one without that flag and write it to password_file"
        }
        Verdict::AccountDisabled => "it is disabled. Enable it; it is tried again every minute",
        Verdict::AccountExpired => "it has expired. Move its end; it is tried again every minute",
        Verdict::LogonHours => "it may not sign in at this hour. Allow it all hours; it is tried again every minute",
        Verdict::LogonWorkstation => {
            "it may not sign in from here. Allow it all workstations; it is tried again every minute"
        }
    }
}
