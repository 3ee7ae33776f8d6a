//! The command line of `postern links`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use postern_loadtest::text;
use postern_protocol::Segment;

/// For `--help`: what it is good for, and what its figures mean.
pub const ABOUT: &str = "\
It is for a relay in a testbed and nothing else: whoever signs in is let in, whatever the password.

First `postern up --agents 0 --json > cluster.json`, then this. It brings the links up at the cluster's first relay, looks
at them for 3 s while nobody signs in (what an idle link costs), says that sign-ins may begin, and counts for --duration.
Bytes are UDP payload, both directions, of links in session. Bytes per sign-in are without what the links cost when idle,
which varies by a few per cent: make at least one sign-in a second for each link, or few among many links drown in that.
The links share a few keys, so a relay that seals for many of them within a second has fewer keys to wrap its own for
than with as many agents. For load: `postern loadtest run --cluster cluster.json --mix right=1 …` (it will say that the
directory was never asked, and be right).

Exit code: 0, 130 ended by Ctrl-C (the summary is told all the same), 64 bad usage, 1 anything else";

/// As many as names of five digits are there for.
const MOST_LINKS: i64 = 99_999;

/// As a relay has it.
const MOST_SLOTS: i64 = 1_024;

/// What can be typed after `postern links`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The line that `postern up --json` prints; - for standard input
    #[arg(long, value_name = "FILE|-")]
    pub(super) cluster: PathBuf,
    /// Links, each an agent of its own
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = value_parser!(u32).range(1..=MOST_LINKS))]
    pub(super) links: u32,
    /// How long to count, from when sign-ins may begin
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = text::duration)]
    pub(super) duration: Duration,
    /// Sign-ins at once that each link takes
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(1..=MOST_SLOTS))]
    pub(super) slots: u32,
    /// What the agents' names begin with: PREFIX-00001 and so on
    #[arg(long, value_name = "PREFIX", default_value = "link", value_parser = prefix)]
    pub(super) agents_named: String,
    /// The summary as one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// The name of the agent with this number, from 1.
pub(super) fn name(prefix: &str, number: u32) -> String {
    format!("{prefix}-{number:05}")
}

fn prefix(text: &str) -> Result<String, String> {
    let first: Result<Segment, _> = name(text, 1).parse();
    first.map(|_| text.to_owned()).map_err(|error| error.to_string())
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

    fn parsed(line: &str) -> Result<Arguments, clap::Error> {
        let words = ["links"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.arguments)
    }

    #[test]
    fn a_cluster_is_all_that_must_be_named_and_what_cannot_be_is_bad_usage() {
        let arguments = parsed("--cluster -").unwrap();
        assert_eq!((arguments.links, arguments.slots), (1000, 4));
        assert_eq!(name(&arguments.agents_named, 7), "link-00007");
        for wrong in [
            "",
            "--cluster x --links 0",
            "--cluster x --links 100000",
            "--cluster x --slots 0",
            "--cluster x --slots 1025",
            "--cluster x --duration 30",
            "--cluster x --agents-named a/b",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }
}
