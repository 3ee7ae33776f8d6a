//! What was made of what was wanted: a run, a comparison, or the highest rate.

use tokio_util::sync::CancellationToken;

use super::request::Wanted;
use crate::arms::{self, Comparison};
use crate::find_max::{self, Found};
use crate::report;
use crate::results::Results;
use crate::run::{self, View};

/// What was made.
#[derive(Debug)]
pub(super) enum Made {
    /// A run.
    Run(Box<Results>),
    /// Arms in turn.
    Arms(Comparison),
    /// The highest rate, and each step's run.
    FindMax(Found, Vec<Results>),
}

impl Made {
    /// Makes it.
    ///
    /// # Errors
    /// When a run cannot begin.
    pub(super) async fn of(wanted: Wanted, stop: &CancellationToken, view: &mut impl View) -> anyhow::Result<Self> {
        Ok(match wanted {
            Wanted::Run(request) => Self::Run(Box::new(run::play(*request, stop, view).await?)),
            Wanted::Arms(arms, rounds) => Self::Arms(arms::compare(arms, rounds, stop, view).await?),
            Wanted::FindMax(request, search) => {
                let (found, runs) = find_max::look(&request, search, stop, view).await?;
                Self::FindMax(found, runs)
            }
        })
    }

    /// Whether it is what was wanted.
    pub(super) fn is_good(&self) -> bool {
        match self {
            Self::Run(results) => results.is_good(),
            Self::Arms(comparison) => comparison.is_good(),
            // What was looked for is where it does not hold any more.
            Self::FindMax(found, runs) => {
                let let_in: u64 = runs.iter().map(|run| run.counts.false_successes).sum();
                found.is_whole && found.rate.is_some() && let_in == 0
            }
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// None that could be mended.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        match self {
            Self::Run(results) => serde_json::to_string_pretty(results),
            Self::Arms(comparison) => serde_json::to_string_pretty(comparison),
            Self::FindMax(found, _) => serde_json::to_string_pretty(found),
        }
    }

    /// For whoever waited for it.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Run(results) => report::text(results),
            Self::Arms(comparison) => comparison.to_string(),
            Self::FindMax(found, _) => found.to_string(),
        }
    }

    /// The runs that stand for it.
    pub(super) fn runs(&self) -> Vec<Results> {
        match self {
            Self::Run(results) => vec![(**results).clone()],
            Self::Arms(comparison) => comparison.typical(),
            Self::FindMax(_, runs) => runs.clone(),
        }
    }
}
