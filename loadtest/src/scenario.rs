//! Scenarios: a load, what is done meanwhile and what must hold, in a file of TOML. Some are ready.

use std::path::Path;

use anyhow::{Context, anyhow};
use serde::Deserialize;

use crate::fault::Fault;
use crate::load::{Arrivals, Stage};
use crate::mix::Weights;
use crate::require::Requirement;

/// A scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name, or that of its file.
    pub name: String,
    /// What it is about.
    pub about: String,
    /// The load.
    pub stages: Vec<Stage>,
    /// How arrivals are spread.
    pub arrivals: Arrivals,
    /// Kinds of sign-ins.
    pub mix: Weights,
    /// What is done meanwhile.
    pub faults: Vec<Fault>,
    /// What must hold.
    pub require: Vec<Requirement>,
}

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    about: String,
    stages: Vec<String>,
    #[serde(default)]
    arrivals: RawArrivals,
    mix: String,
    #[serde(default)]
    faults: Vec<String>,
    #[serde(default)]
    require: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawArrivals {
    #[default]
    Constant,
    Poisson,
}

/// Those that are ready, by name.
pub const READY: [(&str, &str); 7] = [
    ("smoke", include_str!("../scenarios/smoke.toml")),
    ("steady", include_str!("../scenarios/steady.toml")),
    ("spike", include_str!("../scenarios/spike.toml")),
    ("spray", include_str!("../scenarios/spray.toml")),
    ("failover", include_str!("../scenarios/failover.toml")),
    ("overload", include_str!("../scenarios/overload.toml")),
    ("soak", include_str!("../scenarios/soak.toml")),
];

impl Scenario {
    /// One that is ready, or one in a file.
    ///
    /// # Errors
    /// When there is none of that name, or something is wrong with it.
    pub fn find(name: &str) -> anyhow::Result<Self> {
        if let Some((name, text)) = READY.iter().find(|(ready, _)| *ready == name) {
            return Self::read(name, text);
        }
        let path = Path::new(name);
        let text = std::fs::read_to_string(path).with_context(|| {
            let ready: Vec<&str> = READY.iter().map(|(name, _)| *name).collect();
            format!(
                "{name}: no such file, and none of the scenarios that are ready: {}",
                ready.join(", ")
            )
        })?;
        let stem = path.file_stem().map_or(name.into(), |stem| stem.to_string_lossy());
        Self::read(&stem, &text).with_context(|| name.to_owned())
    }

    /// The same in this many times the time: stages, faults, and the stretches of time in what must hold. Rates stay.
    #[must_use]
    pub fn stretched(mut self, factor: f64) -> Self {
        for stage in &mut self.stages {
            stage.lasts = stage.lasts.mul_f64(factor);
        }
        for fault in &mut self.faults {
            fault.at = fault.at.mul_f64(factor);
            fault.lasts = fault.lasts.map(|lasts| lasts.mul_f64(factor));
        }
        let require = self.require.into_iter();
        self.require = require.map(|requirement| requirement.stretched(factor)).collect();
        self
    }

    fn read(name: &str, text: &str) -> anyhow::Result<Self> {
        let raw: Raw = toml::from_str(text).map_err(|error| anyhow!("{}", error.to_string().trim_end()))?;
        let scenario = Self {
            name: name.to_owned(),
            about: raw.about,
            stages: all(&raw.stages)?,
            arrivals: match raw.arrivals {
                RawArrivals::Constant => Arrivals::Constant,
                RawArrivals::Poisson => Arrivals::Poisson,
            },
            mix: raw.mix.parse()?,
            faults: all(&raw.faults)?,
            require: all(&raw.require)?,
        };
        if scenario.stages.is_empty() {
            return Err(anyhow!("stages: there is none; write them as [\"30s 500\"]"));
        }
        Ok(scenario)
    }
}

fn all<T: std::str::FromStr<Err = String>>(texts: &[String]) -> anyhow::Result<Vec<T>> {
    texts
        .iter()
        .map(|text| text.parse().map_err(|why| anyhow!("{why}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_that_is_ready_can_be_read_and_requires_that_nobody_is_let_in_who_must_not_be() {
        for (name, text) in READY {
            let scenario = Scenario::read(name, text).unwrap();
            let required: Vec<String> = scenario.require.iter().map(ToString::to_string).collect();
            assert!(
                required.contains(&"wrong_outcomes==0".to_owned()),
                "{name}: {required:?}"
            );
        }
    }

    #[test]
    fn in_a_tenth_of_the_time_a_scenario_has_the_same_rates_and_everything_else_sooner() {
        let whole = Scenario::find("failover").unwrap();
        let short = whole.clone().stretched(0.1);
        assert_eq!(short.stages, ["3s 500".parse().unwrap()]);
        assert_eq!(short.faults, ["1s kill agent-2 for 1s".parse().unwrap()]);
        let required: Vec<String> = short.require.iter().map(ToString::to_string).collect();
        assert!(required.contains(&"p99[1.2s..2s]<150ms".to_owned()), "{required:?}");
        assert!(required.contains(&"max<2s".to_owned()), "{required:?}");
        assert_eq!(whole.clone().stretched(1.0), whole);
    }

    #[test]
    fn what_is_wrong_with_a_scenario_is_told() {
        let whole = "about = \"x\"\nstages = [\"1s 5\"]\nmix = \"right=1\"\n";
        assert!(Scenario::read("x", whole).is_ok());
        for (text, why) in [
            (whole.replace("1s 5", "5"), "it needs a time and a rate"),
            (whole.replace("[\"1s 5\"]", "[]"), "stages: there is none"),
            (whole.replace("right", "rihgt"), "there is no kind"),
            (format!("{whole}faults = [\"1s explode\"]"), "is no action"),
            (format!("{whole}require = [\"p99<5\"]"), "a time needs its unit"),
            (format!("{whole}stagse = []"), "unknown field `stagse`"),
        ] {
            let error = format!("{:#}", Scenario::read("x", &text).unwrap_err());
            assert!(error.contains(why), "{text}: {error}");
        }
        let error = format!("{:#}", Scenario::find("nothing").unwrap_err());
        assert!(error.contains("smoke, steady"), "{error}");
    }
}
