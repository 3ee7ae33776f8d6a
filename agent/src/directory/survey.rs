//! A look at a directory by somebody who is not an agent in session with a relay: what it says of itself, whether an
//! account may bind, what values an attribute has, whom a name stands for. Connections are made as an agent makes them.
//!
//! For `postern up --directory`, before agents are put in front of it, and for `postern-agent check`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postern_protocol::{Password, Verdict};
use postern_service::config::{self, ConfigError};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::connection::{Connection, Sent};
use super::dial::ConnectError;
use super::known;
use super::look_up::Match;
use super::look_up::entries::{self, NO_BASE};
use super::look_up::sight::{self, Sight, Whom};
use super::root_dse::RootDse;
use super::verdict::{self, Reading};
use crate::config::{DirectoryConfig, LookUpConfig, RawDirectoryAlone, Server};
use crate::core::kind::Kind;
use crate::network::Sockets;
use postern_ldap::client::{Filter, Scope, Search};

/// For a bind or a RootDSE: longer than an agent waits, since one person waits here and no sign-in does.
const PATIENCE: Duration = Duration::from_secs(5);

/// One domain controller to ask.
#[derive(Debug, Clone)]
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
    /// It was connected to, and its TLS is not what it should be; says why and what to do.
    #[error("{0}")]
    Unprotected(String),
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
        self.root.base()
    }

    /// Who made it, where it says so.
    pub fn vendor(&self) -> Option<&str> {
        self.root.vendor_name.as_deref()
    }
}

impl Survey {
    /// Of one domain controller of a configuration.
    pub(crate) fn new(config: Arc<DirectoryConfig>, server: Server) -> Self {
        Self { config, server }
    }

    /// Of each domain controller that an agent's `[directory]` section names; `section` is TOML with that section
    /// and no other.
    ///
    /// # Errors
    /// What is wrong with the section.
    pub fn of(section: &str, base: &Path) -> Result<Vec<Self>, ConfigError> {
        let config = config::parse::<RawDirectoryAlone>(section, Path::new("directory"), base, [])?;
        let config = Arc::new(config.directory);
        let servers = config.servers.clone();
        let surveys = servers.into_iter().map(|server| Self::new(config.clone(), server));
        Ok(surveys.collect())
    }

    /// Reads the RootDSE.
    ///
    /// # Errors
    /// [`SurveyError`].
    pub async fn facts(&self) -> Result<Facts, SurveyError> {
        let root = self.connect().await?.root_dse().await?;
        root.kind_unless(self.config.kind)
            .map_err(|unknown| SurveyError::NoAnswer(unknown.to_string()))?;
        Ok(Facts { root })
    }

    /// Binds once.
    ///
    /// # Errors
    /// [`SurveyError`].
    pub async fn bind(&self, name: &str, password: &Password) -> Result<(), SurveyError> {
        self.connect_to_bind().await?.bind(name, password).await
    }

    /// A connection whose binds ask for what only the password policy tells, where there may be one.
    async fn connect_to_bind(&self) -> Result<Asking, SurveyError> {
        let mut asking = self.connect().await?;
        let root_dse = asking.root_dse().await?;
        let kind = root_dse.kind_unless(self.config.kind);
        let kind = kind.map_err(|unknown| SurveyError::NoAnswer(unknown.to_string()))?;
        if (known::Facts { kind, root_dse }).has_password_policy() {
            asking.ask_password_policy();
        }
        Ok(asking)
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
        let mut asking = self.connect_to_bind().await?;
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

    /// A connection to ask more than one thing on.
    pub(crate) async fn connect(&self) -> Result<Asking, SurveyError> {
        let stop = CancellationToken::new();
        let tls = &self.config.trust.tls;
        let opened = Connection::open(&Sockets, &self.server, tls, &TaskTracker::new(), &stop, |_| ()).await;
        Ok(Asking {
            connection: opened?,
            _end: stop.drop_guard(),
        })
    }
}

impl From<ConnectError> for SurveyError {
    fn from(error: ConnectError) -> Self {
        let text = error.to_string();
        match error {
            ConnectError::Resolve { .. } | ConnectError::Tcp { .. } => Self::Unreachable(text),
            ConnectError::Silent { .. }
            | ConnectError::StartTlsRefused { .. }
            | ConnectError::StartTlsUnanswered { .. }
            | ConnectError::StartTlsInjected { .. }
            | ConnectError::Tls { .. } => Self::Unprotected(text),
        }
    }
}

/// A connection that ends with this.
#[derive(Debug)]
pub(crate) struct Asking {
    connection: Connection,
    _end: DropGuard,
}

impl Asking {
    /// The end of the domain controller's certificate, in seconds since 1970; `None` where nothing protects this.
    pub(crate) fn not_after(&self) -> Option<i64> {
        self.connection.not_after
    }

    /// From now on binds ask what the server's password policy says.
    pub(crate) fn ask_password_policy(&mut self) {
        self.connection.ask_password_policy();
    }

    /// Reads the RootDSE.
    pub(crate) async fn root_dse(&mut self) -> Result<RootDse, SurveyError> {
        let read = self.connection.root_dse(PATIENCE).await;
        read.map_err(|error| SurveyError::NoAnswer(error.to_string()))
    }

    /// Whose account it is whose `attribute` has `value`, as an agent looks it up.
    pub(crate) async fn look_up(
        &mut self,
        facts: &known::Facts,
        base: Option<&str>,
        attribute: &str,
        value: &str,
    ) -> Result<Match, SurveyError> {
        let base = base_of(facts, base)?;
        let search = entries::search(base, facts.kind == Kind::ActiveDirectory, attribute, value);
        let found = self.connection.search(&search, PATIENCE).await;
        found
            .map(entries::judge)
            .map_err(|error| SurveyError::NoAnswer(entries::explain(&error)))
    }

    /// Whether anybody is seen who has `attribute`, as an agent asks.
    pub(crate) async fn sight(
        &mut self,
        facts: &known::Facts,
        config: &LookUpConfig,
        attribute: &str,
    ) -> Result<Sight, SurveyError> {
        let whom = Whom {
            base: base_of(facts, config.base.as_deref())?,
            active_directory: facts.kind == Kind::ActiveDirectory,
            attribute,
            account: config.account.as_ref().map(|account| account.name.as_str()),
        };
        sight::look(&mut self.connection, whom, None, PATIENCE)
            .await
            .map_err(|error| SurveyError::NoAnswer(entries::explain(&error)))
    }

    /// Binds once.
    pub(crate) async fn bind(&mut self, name: &str, password: &Password) -> Result<(), SurveyError> {
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
            Reading::Elsewhere | Reading::Fault | Reading::AccountFault => Err(SurveyError::Refused {
                result: result.code,
                text: result.text,
            }),
        }
    }
}

/// The DN below which accounts are.
fn base_of<'a>(facts: &'a known::Facts, configured: Option<&'a str>) -> Result<&'a str, SurveyError> {
    let base = configured.or(facts.root_dse.base());
    base.ok_or_else(|| SurveyError::NoAnswer(NO_BASE.to_owned()))
}
