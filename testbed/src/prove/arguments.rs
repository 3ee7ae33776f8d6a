//! The command line of `postern prove`.

use std::path::PathBuf;

use clap::Args;

use super::{Request, Scenario};

/// What the exit code means, for `--help`.
pub const EXIT_CODE: &str = "Exit code: 0 every goal holds, 99 one is missed or (but for --short) the load was not as planned, \
    1 a scenario could not be played (the others are; it is not in the JSON), 64 bad usage, 130 ended by Ctrl-C";

/// What can be typed after `postern prove`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Scenarios; `all` of them, or `list` for their names
    #[arg(value_name = "NAME", required = true, value_parser = scenario)]
    names: Vec<Wanted>,
    /// Shorter, and lenient with times (three times their goals): for machines that do other things too
    #[arg(long)]
    short: bool,
    /// Also write what is seen as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The same seed makes the same sign-ins
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// What is asked of `prove`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    List,
    All,
    One(Scenario),
}

fn scenario(text: &str) -> Result<Wanted, String> {
    match text {
        "list" => Ok(Wanted::List),
        "all" => Ok(Wanted::All),
        name => Scenario::named(name).map(Wanted::One).ok_or_else(|| {
            let names = Scenario::ALL.map(Scenario::name).join(", ");
            format!("there are: all, list, {names}")
        }),
    }
}

impl Arguments {
    /// `None`: only the names are asked for.
    pub fn request(self) -> Option<Request> {
        let scenarios = self.names.iter().map(|wanted| match wanted {
            Wanted::List => None,
            Wanted::All => Some(Scenario::ALL.to_vec()),
            Wanted::One(scenario) => Some(vec![*scenario]),
        });
        Some(Request {
            scenarios: scenarios.collect::<Option<Vec<_>>>()?.concat(),
            short: self.short,
            json: self.json,
            seed: self.seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn proof(line: &str) -> Result<Option<Request>, clap::Error> {
        let line = Line::try_parse_from(["prove"].into_iter().chain(line.split_whitespace()))?;
        Ok(line.arguments.request())
    }

    #[test]
    fn scenarios_are_proved_by_name_or_all_of_them_and_others_are_bad_usage() {
        let request = proof("agent-killed overload --short --seed 7").unwrap().unwrap();
        assert_eq!(request.scenarios, [Scenario::AgentKilled, Scenario::Overload]);
        assert_eq!((request.short, request.seed), (true, 7));
        assert_eq!(proof("all").unwrap().unwrap().scenarios, Scenario::ALL);
        assert!(proof("list").unwrap().is_none());
        for wrong in ["", "agent-exploded", "--short"] {
            assert!(proof(wrong).is_err(), "{wrong:?}");
        }
    }
}
