//! A look at a directory before agents are put in front of it: what it says of itself, whether an account may bind,
//! what values an attribute has. Each question has a connection of its own, made as an agent would make it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::{Password, Verdict};
use postern_service::config::{self, ConfigError};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::connection::{Connection, Sent};
use super::root_dse::RootDse;
use super::verdict::{self, Reading};
use crate::config::{DirectoryConfig, RawDirectoryAlone, Server};
use crate::core::kind::Kind;
use crate::ldap::{Filter, Scope, Search};

/// For a bind or a RootDSE: longer than an agent waits, since one person waits here and no sign-in does.
const PATIENCE: Duration = Duration::from_secs(5);

/// One domain controller to ask.
#[derive(Debug)]
pub struct Survey {
    config: Arc<DirectoryConfig>,
    server: Server,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// It cannot be connected to; says why and what to do.
    #[error("{0}")]
    Unreachable(String),
    /// It was asked and did not say.
    #[error("{0}")]
    NoAnswer(String),
    /// The account may not bind.
    #[error("the directory answers {}", .0.as_str())]
    Rejected(Verdict),
    /// The directory takes no such bind from anybody.
    #[error("the directory refuses such binds: result {result}, {text:?}")]
    Refused {
        /// LDAP result code.
        result: u32,
        /// Its text.
        text: String,
    },
}

/// What a directory says of itself.
#[derive(Debug, Clone)]
pub struct Facts {
    root: RootDse,
}

impl Facts {
    /// Whether it is Active Directory (or Samba, which says the same).
    pub fn is_active_directory(&self) -> bool {
        self.root.kind() == Kind::ActiveDirectory
    }

    /// What it is, in the words of an agent's `directory.kind`.
    pub fn kind(&self) -> String {
        self.root.kind().to_string()
    }

    /// The DN below which its entries are, as far as there is only one.
    pub fn base(&self) -> Option<&str> {
        match (&self.root.default_naming_context, self.root.naming_contexts.as_slice()) {
            (Some(default), _) => Some(default),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// Who made it, where it says so.
    pub fn vendor(&self) -> Option<&str> {
        self.root.vendor_name.as_deref()
    }
}

impl Survey {
    /// Of each domain controller that an agent's `[directory]` section names; `section` is TOML with that section
    /// and no other.
    ///
    /// # Errors
    /// What is wrong with the section.
    pub fn of(section: &str, base: &Path) -> Result<Vec<Self>, ConfigError> {
        let config = config::parse::<RawDirectoryAlone>(section, Path::new("directory"), base, [])?;
        let config = Arc::new(config.directory);
        let servers = config.servers.clone();
        let surveys = servers.into_iter().map(|server| Self {
            config: config.clone(),
            server,
        });
        Ok(surveys.collect())
    }

    /// Reads the RootDSE.
    ///
    /// # Errors
    /// [`SurveyError`].
    pub async fn facts(&self) -> Result<Facts, SurveyError> {
        let mut asking = self.connect().await?;
        let read = asking.connection.root_dse(PATIENCE).await;
        let root = read.map_err(|error| SurveyError::NoAnswer(error.to_string()))?;
        Ok(Facts { root })
    }

    /// Binds once.
    ///
    /// # Errors
    /// [`SurveyError`].
    pub async fn bind(&self, name: &str, password: &Password) -> Result<(), SurveyError> {
        self.connect().await?.bind(name, password).await
    }

    /// Values of `attribute` of at most `most` entries below `base`, as `account` sees them, or as anybody does.
    ///
    /// # Errors
    /// [`SurveyError`].
    pub async fn values(
        &self,
        account: Option<(&str, &Password)>,
        base: &str,
        attribute: &str,
        most: usize,
        patience: Duration,
    ) -> Result<Vec<String>, SurveyError> {
        let mut asking = self.connect().await?;
        if let Some((name, password)) = account {
            asking.bind(name, password).await?;
        }
        let search = Search {
            base: base.to_owned(),
            scope: Scope::Subtree,
            filter: Filter::Present(attribute.to_owned()),
            attributes: vec![attribute.to_owned()],
            size_limit: most,
        };
        let found = asking.connection.search(&search, patience).await;
        let found = found.map_err(|error| SurveyError::NoAnswer(error.to_string()))?;
        let values = found.entries.iter().flat_map(|entry| entry.texts(attribute));
        Ok(values.map(str::to_owned).collect())
    }

    async fn connect(&self) -> Result<Asking, SurveyError> {
        let stop = CancellationToken::new();
        let opened = Connection::open(&self.server, &self.config.trust.tls, &TaskTracker::new(), &stop, || ()).await;
        Ok(Asking {
            connection: opened.map_err(|error| SurveyError::Unreachable(error.to_string()))?,
            _end: stop.drop_guard(),
        })
    }
}

/// A connection that ends with this.
struct Asking {
    connection: Connection,
    _end: DropGuard,
}

impl Asking {
    async fn bind(&mut self, name: &str, password: &Password) -> Result<(), SurveyError> {
        let (result, policy) = match self.connection.bind(name, password, PATIENCE).await.0 {
            Sent::Answered {
                result,
                password_policy,
            } => (result, password_policy),
            Sent::Never => return Err(SurveyError::NoAnswer("the connection ended before the bind".to_owned())),
            Sent::Unknown(why) => return Err(SurveyError::NoAnswer(why.to_string())),
        };
        match verdict::read(result.code, &result.text, policy) {
            Reading::Verdict {
                verdict: Verdict::Success,
                ..
            } => Ok(()),
            Reading::Verdict { verdict, .. } => Err(SurveyError::Rejected(verdict)),
            Reading::Elsewhere | Reading::Fault => Err(SurveyError::Refused {
                result: result.code,
                text: result.text,
            }),
        }
    }
}
