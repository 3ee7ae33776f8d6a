//! What the doctor found, step by step. The names of steps are a contract with scripts: see `README.md`.

use serde::Serialize;

/// What is looked at. In the order in which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Name {
    /// The configuration file.
    #[serde(rename = "configuration")]
    Configuration,
    /// This agent's own certificate.
    #[serde(rename = "certificate")]
    Certificate,
    /// A relay's name in DNS.
    #[serde(rename = "relay.name")]
    RelayResolves,
    /// Whether packets come back from a relay.
    #[serde(rename = "relay.udp")]
    RelayUdp,
    /// The relay's certificate: authority, name, trust domain, end.
    #[serde(rename = "relay.certificate")]
    RelayCertificate,
    /// Whether the relay takes this agent's certificate.
    #[serde(rename = "relay.admission")]
    RelayAdmission,
    /// The version of the protocol.
    #[serde(rename = "relay.version")]
    RelayVersion,
    /// The relay's wall clock and this machine's.
    #[serde(rename = "relay.clock")]
    RelayClock,
    /// The SRV records of domain controllers.
    #[serde(rename = "directory.dns")]
    DirectoryDns,
    /// Name, address and port of a domain controller.
    #[serde(rename = "directory.connect")]
    DirectoryConnect,
    /// Its TLS: authority, name, end.
    #[serde(rename = "directory.tls")]
    DirectoryTls,
    /// What it is.
    #[serde(rename = "directory.kind")]
    DirectoryKind,
    /// Whether it takes passwords over plain LDAP.
    #[serde(rename = "directory.strong-auth")]
    DirectoryStrongAuth,
    /// The service account's bind.
    #[serde(rename = "directory.service-account")]
    DirectoryServiceAccount,
    /// Looking names up.
    #[serde(rename = "directory.look-up")]
    DirectoryLookUp,
    /// The test sign-in.
    #[serde(rename = "directory.sign-in")]
    DirectorySignIn,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    /// It works, and something should be done about it.
    Warning,
    Failed,
    /// It was not looked at.
    Skipped,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    #[serde(rename = "step")]
    pub(super) name: Name,
    /// Which relay, domain controller, file, …
    pub(super) target: String,
    pub(super) status: Status,
    /// What was found, or why nothing was.
    pub(super) detail: String,
    /// What to do; empty where there is nothing to do.
    pub(super) advice: String,
}

impl Step {
    pub(super) fn ok(name: Name, target: &str, detail: impl Into<String>) -> Self {
        Self::new(name, target, Status::Ok, detail.into(), String::new())
    }

    pub(super) fn warning(name: Name, target: &str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, target, Status::Warning, detail.into(), advice.into())
    }

    pub(super) fn failed(name: Name, target: &str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(name, target, Status::Failed, detail.into(), advice.into())
    }

    pub(super) fn skipped(name: Name, target: &str, why: impl Into<String>) -> Self {
        Self::new(name, target, Status::Skipped, why.into(), String::new())
    }

    fn new(name: Name, target: &str, status: Status, detail: String, advice: String) -> Self {
        Self {
            name,
            target: target.to_owned(),
            status,
            detail,
            advice,
        }
    }
}

/// Everything that was looked at; each step is shown as soon as it is known.
pub(super) struct Report<'a> {
    steps: Vec<Step>,
    show: &'a mut dyn FnMut(&Step),
}

impl<'a> Report<'a> {
    pub(super) fn new(show: &'a mut dyn FnMut(&Step)) -> Self {
        Self {
            steps: Vec::new(),
            show,
        }
    }

    pub(super) fn add(&mut self, step: Step) {
        (self.show)(&step);
        self.steps.push(step);
    }

    pub(super) fn add_all(&mut self, steps: impl IntoIterator<Item = Step>) {
        steps.into_iter().for_each(|step| self.add(step));
    }

    pub(super) fn has_failed(&self, name: Name) -> bool {
        self.steps
            .iter()
            .any(|step| step.name == name && step.status == Status::Failed)
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}

/// A text as this program's errors have it, in its two parts: what is wrong; what to do.
pub(super) fn in_two(text: &str) -> (String, String) {
    let (what, to_do) = text.split_once("; ").unwrap_or((text, ""));
    (what.to_owned(), to_do.to_owned())
}
