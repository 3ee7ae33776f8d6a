//! The service account's password: read from its file, and again when that changes.

use std::sync::Arc;
use std::time::Duration;

use postern_protocol::Password;
use tokio::sync::watch;

use crate::config::{AccountConfig, PasswordFileError};
use crate::workshop::Workshop;

/// How often the file is read: it is small, and who changes it waits for the effect.
const INTERVAL: Duration = Duration::from_secs(2);

/// A password and its number, which rises with every change.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) version: u64,
    pub(super) password: Password,
}

/// The password as it stands.
#[derive(Debug)]
pub(super) struct Passwords {
    account: Option<AccountConfig>,
    current: watch::Sender<Option<Arc<Numbered>>>,
}

impl Passwords {
    /// Of this account; of none, nothing is ever bound.
    pub(super) fn new(account: Option<AccountConfig>) -> Self {
        let passwords = Self {
            account,
            current: watch::channel(None).0,
        };
        if let Some(account) = &passwords.account {
            if account.is_readable_by_all() {
                tracing::warn!(
                    file = %account.password_file.display(),
                    "every user of this machine can read the service account's password; take the right from others",
                );
            }
            passwords.take(account.read_password(), &mut None);
        }
        passwords
    }

    /// The account's name, where there is an account.
    pub(super) fn account(&self) -> Option<&str> {
        self.account.as_ref().map(|account| account.name.as_str())
    }

    /// The password as it stands; `None` without an account, or before its file could be read.
    pub(super) fn current(&self) -> Option<Arc<Numbered>> {
        self.current.borrow().clone()
    }

    /// Tells of changes.
    pub(super) fn changes(&self) -> watch::Receiver<Option<Arc<Numbered>>> {
        self.current.subscribe()
    }

    /// Reads the file again and again until dropped.
    pub(super) async fn watch(&self, workshop: Workshop) {
        let Some(account) = &self.account else {
            return std::future::pending().await;
        };
        let mut told = None;
        loop {
            tokio::time::sleep(INTERVAL).await;
            let file = account.clone();
            // A file may be slow to read, or never be: nobody else may wait for it.
            if let Some(read) = workshop.run(move || file.read_password()).await {
                self.take(read, &mut told);
            }
        }
    }

    /// The old password stays while the file cannot be read: it may be about to be replaced.
    fn take(&self, read: Result<Password, PasswordFileError>, told: &mut Option<String>) {
        match read {
            Ok(password) => {
                *told = None;
                self.current.send_if_modified(|current| {
                    let before = current.as_ref().map(|numbered| numbered.version);
                    let same = current
                        .as_ref()
                        .is_some_and(|numbered| numbered.password.expose() == password.expose());
                    if same {
                        return false;
                    }
                    if before.is_some() {
                        tracing::info!("the service account's password has changed in its file");
                    }
                    let version = before.map_or(1, |version| version + 1);
                    *current = Some(Arc::new(Numbered { version, password }));
                    true
                });
            }
            Err(error) => tell(told, &error),
        }
    }
}

/// Once for each trouble, not for each time that it is found.
fn tell(told: &mut Option<String>, error: &PasswordFileError) {
    let text = error.to_string();
    if told.as_deref() != Some(&text) {
        tracing::error!(%error, "the service account's password cannot be read; the one before is used");
        *told = Some(text);
    }
}
