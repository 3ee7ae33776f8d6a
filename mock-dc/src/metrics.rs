//! What mock-dc counts.

use prometheus::{IntCounterVec, Opts, Registry};

use crate::domain::outcome::{BindResult, SubCode};

/// The `result` label of a bind: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindLabel {
    /// The right password of an account that may sign in.
    Success,
    /// No name or no password.
    Anonymous,
    /// Result 49, by its sub-code.
    Rejected(SubCode),
    /// No account was looked at: version, method or control.
    Refused,
}

impl BindLabel {
    fn text(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Anonymous => "anonymous",
            Self::Rejected(sub_code) => sub_code.text(),
            Self::Refused => "refused",
        }
    }
}

impl From<BindResult> for BindLabel {
    fn from(result: BindResult) -> Self {
        match result {
            BindResult::Success => Self::Success,
            BindResult::Anonymous => Self::Anonymous,
            BindResult::Rejected(sub_code) => Self::Rejected(sub_code),
        }
    }
}

/// The metrics of one process.
#[derive(Debug, Clone)]
pub struct Metrics {
    binds: IntCounterVec,
}

impl Metrics {
    /// Registers them, with every series of the controllers `dcs` at zero.
    ///
    /// # Errors
    /// When the registry holds one of their names already.
    pub fn new<'a>(registry: &Registry, dcs: impl IntoIterator<Item = &'a str>) -> prometheus::Result<Self> {
        let binds = IntCounterVec::new(
            Opts::new(
                "postern_dc_binds_total",
                "Binds received, by controller and what they came to.",
            ),
            &["dc", "result"],
        )?;
        registry.register(Box::new(binds.clone()))?;
        let labels = [BindLabel::Success, BindLabel::Anonymous, BindLabel::Refused];
        let labels: Vec<_> = labels
            .into_iter()
            .chain(SubCode::ALL.map(BindLabel::Rejected))
            .collect();
        for dc in dcs {
            labels
                .iter()
                .for_each(|label| binds.with_label_values(&[dc, label.text()]).reset());
        }
        Ok(Self { binds })
    }

    /// Counts a bind.
    pub fn bind(&self, dc: &str, label: BindLabel) {
        self.binds.with_label_values(&[dc, label.text()]).inc();
    }
}
