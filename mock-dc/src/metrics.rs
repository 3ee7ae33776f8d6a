//! What mock-dc counts.

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

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
    /// Every one, each at its [`BindLabel::place`].
    fn all() -> impl Iterator<Item = Self> {
        let others = [Self::Success, Self::Anonymous, Self::Refused];
        others.into_iter().chain(SubCode::ALL.map(Self::Rejected))
    }

    fn place(self) -> usize {
        match self {
            Self::Success => 0,
            Self::Anonymous => 1,
            Self::Refused => 2,
            Self::Rejected(sub_code) => 3 + sub_code as usize,
        }
    }

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
    /// The series of each controller, by [`BindLabel::place`]: every bind counts, and looking a series up by the text of
    /// its labels would take longer than the rest of it.
    binds: Box<[(String, Box<[IntCounter]>)]>,
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
        let series = |dc: &str| {
            let counters = BindLabel::all().map(|label| binds.with_label_values(&[dc, label.text()]));
            (dc.to_owned(), counters.collect())
        };
        Ok(Self {
            binds: dcs.into_iter().map(series).collect(),
        })
    }

    /// Counts a bind.
    pub fn bind(&self, dc: &str, label: BindLabel) {
        let of_dc = self.binds.iter().find(|(name, _)| name == dc);
        if let Some(counter) = of_dc.and_then(|(_, counters)| counters.get(label.place())) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_is_counted_in_its_own_series() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry, ["dc-1", "dc-2"]).unwrap();
        for (place, label) in BindLabel::all().enumerate() {
            assert_eq!(label.place(), place, "{label:?}");
            metrics.bind("dc-2", label);
        }
        let families = registry.gather();
        let series = families[0].get_metric();
        assert_eq!(series.len(), 2 * BindLabel::all().count());
        for one in series {
            let expected = if one.get_label()[0].value() == "dc-2" { 1.0 } else { 0.0 };
            assert_eq!(one.get_counter().get_value(), expected, "{one:?}");
        }
    }
}
