//! What was made of what was wanted: a run, a comparison, or the highest rate.

use serde::Serialize;

use super::request::Wanted;
use crate::arms::{self, Comparison};
use crate::find_max::{self, Found};
use crate::report::{self, Group};
use crate::results::Results;
use crate::run::{self, Stop, View};

/// A search with each step's run, as it is written.
#[derive(Serialize)]
struct Search<'a> {
    #[serde(flatten)]
    found: &'a Found,
    runs: &'a [Results],
}

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
    pub(super) async fn of(wanted: Wanted, stop: &Stop, view: &mut impl View) -> anyhow::Result<Self> {
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
            Self::FindMax(found, runs) => serde_json::to_string_pretty(&Search { found, runs }),
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

    /// Every run that was made.
    pub(super) fn runs(&self) -> Vec<&Results> {
        match self {
            Self::Run(results) => vec![results],
            Self::Arms(comparison) => comparison.arms.iter().flat_map(|arm| &arm.runs).collect(),
            Self::FindMax(_, runs) => runs.iter().collect(),
        }
    }

    /// As a page.
    pub(super) fn html(&self) -> String {
        report::html(&self.group())
    }

    /// For a pull request.
    pub(super) fn markdown(&self) -> String {
        report::markdown(&self.group())
    }

    fn group(&self) -> Group {
        match self {
            Self::Run(results) => Group::of_runs(std::slice::from_ref(results)),
            Self::Arms(comparison) => Group::of_comparison(comparison),
            Self::FindMax(found, runs) => Group::of_search(found, runs),
        }
    }
}
