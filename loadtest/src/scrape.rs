//! Reads what a process tells on `/metrics`: the text format of Prometheus, as far as Postern writes it.

use std::time::Duration;

/// The relay's count of agents.
pub const AGENTS: &str = "postern_relay_agents";
/// The label of those of [`AGENTS`] that can take sign-ins.
pub const READY: (&str, &str) = ("state", "ready");

/// One reading of one process.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    series: Vec<Series>,
}

#[derive(Debug, Clone)]
struct Series {
    /// `name{label="value",…}`
    id: String,
    value: f64,
}

impl Metrics {
    /// Asks the process with this admin listener.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn ask(http: &reqwest::Client, admin: &str, patience: Duration) -> reqwest::Result<Self> {
        let answer = http.get(format!("{admin}/metrics")).timeout(patience).send().await?;
        Ok(Self::parse(&answer.error_for_status()?.text().await?))
    }

    /// Reads the text. Lines that are no series are left out.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| {
            let (id, value) = line.rsplit_once(' ')?;
            Some(Series {
                id: id.to_owned(),
                value: value.parse().ok()?,
            })
        });
        Self {
            series: series.collect(),
        }
    }

    /// The sum of the series with this name and all of these labels; 0 where there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let fitting = self.series.iter().filter(|series| {
            let own = series.id.strip_prefix(name);
            own.is_some_and(|own| {
                (own.is_empty() || own.starts_with('{')) && labels.iter().all(|label| has(own, label))
            })
        });
        fitting.map(|series| series.value).sum()
    }

    /// As [`Metrics::sum`], of something that is counted.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts are whole, never negative and far below 2^53"
        )]
        let count = self.sum(name, labels).max(0.0) as u64;
        count
    }
}

/// Whether a set of labels has this one, whole: what stands before it is a brace or a comma.
fn has(labels: &str, label: &str) -> bool {
    labels.match_indices(label).any(|(at, _)| {
        let before = labels.get(..at).and_then(|before| before.chars().next_back());
        matches!(before, Some('{' | ','))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a_total Things.\n# TYPE a_total counter\n\
        a_total{agent=\"agent-1\",tenant=\"acme\"} 3\na_total{agent=\"agent-10\",tenant=\"acme\"} 5\n\
        a_total_more{agent=\"agent-1\"} 7\nrss_bytes 1.5e6\nnonsense\n";

    #[test]
    fn series_are_found_by_their_whole_name_and_whole_labels() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.count("a_total", &[("agent", "agent-1")]), 3);
        assert_eq!(metrics.count("a_total", &[("tenant", "acme")]), 8);
        assert_eq!(metrics.count("a_total", &[("ent", "agent-1")]), 0);
        assert_eq!(metrics.count("rss_bytes", &[]), 1_500_000);
        assert_eq!(metrics.count("rss_bytes", &[("agent", "agent-1")]), 0);
        assert_eq!(metrics.count("absent", &[]), 0);
    }
}
