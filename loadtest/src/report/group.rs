//! Several runs in one report: what they are of, what is to be said of them together, and what is compared.

use super::numbers::rate;
use crate::arms::Comparison;
use crate::find_max::Found;
use crate::results::Results;

/// Runs that are shown together. One alone is a group as well, of which nothing is said.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// What they are, when there are several.
    pub(super) heading: String,
    /// What they came to together.
    pub(super) lead: Option<String>,
    /// Those that are shown, one for each arm.
    pub(super) shown: Vec<Results>,
    /// What is compared: of each arm, every round's.
    pub(super) rounds: Vec<Vec<Results>>,
    /// They are one service at different rates: there is nothing to be better or worse than another.
    pub(super) is_search: bool,
}

impl Group {
    /// Each of them is an arm.
    pub fn of_runs(runs: &[Results]) -> Self {
        Self {
            heading: format!("{} arms compared", runs.len()),
            lead: None,
            shown: runs.to_vec(),
            rounds: runs.iter().map(|run| vec![run.clone()]).collect(),
            is_search: false,
        }
    }

    /// Arms in several rounds: a run of each is shown, and all of them are compared.
    pub fn of_comparison(comparison: &Comparison) -> Self {
        let arms = comparison.arms.iter().filter(|arm| !arm.runs.is_empty());
        let rounds: Vec<Vec<Results>> = arms.map(|arm| arm.runs.clone()).collect();
        let most = rounds.iter().map(Vec::len).max().unwrap_or(0);
        let mut lead = (most > 1).then(|| {
            format!(
                "Played {most} times each, in turn. Figures are the medians of the rounds, ratios those of each round with \
                 the first arm's, lowest to highest; what is shown of each arm below is one of its rounds, the worst if one \
                 was not as it was wanted."
            )
        });
        if let Some(why) = &comparison.broken {
            let rest = format!("The rest was not played: {why}");
            lead = Some(lead.map_or(rest.clone(), |lead| format!("{lead} {rest}")));
        }
        Self {
            heading: format!("{} arms compared", rounds.len()),
            lead,
            shown: comparison.typical(),
            rounds,
            is_search: false,
        }
    }

    /// The rates that were tried, and the answer. They are shown by rate, whatever the order they were tried in.
    pub fn of_search(found: &Found, runs: &[Results]) -> Self {
        let mut tried: Vec<(f64, Results)> = found
            .steps
            .iter()
            .map(|step| step.rate)
            .zip(runs.iter().cloned())
            .collect();
        tried.sort_by(|one, other| one.0.total_cmp(&other.0));
        let shown: Vec<Results> = tried.into_iter().map(|(_, run)| run).collect();
        let steps = shown.len();
        let heading = match found.rate {
            _ if !found.is_whole => "the highest rate was not found".to_owned(),
            Some(highest) => format!("{} is the highest rate that holds", rate(highest)),
            None => "no rate held".to_owned(),
        };
        Self {
            heading,
            lead: Some(format!("{steps} rates were tried; {}.", found.ended_by)),
            rounds: shown.iter().map(|run| vec![run.clone()]).collect(),
            shown,
            is_search: true,
        }
    }
}
