//! How fast Postern is, on one machine: every figure of the README's table, each with the command that gave it.
//!
//!     cargo bench --workspace --bench speed
//!     cargo bench --workspace --bench speed -- --only peak,wrk --seconds 20 --rounds 5
//!
//! What is started and typed is printed, so that each figure can be had by hand. wrk and HAProxy are those of the
//! system; where one is missing, what needs it is left out and said to be. CPU is user and system time of the processes, by
//! the operating system's accounts, for each sign-in: the figure that a busy machine moves least.

mod cluster;
mod generator;
mod links;
mod load;
mod measures;
mod proxies;
mod trivial;

use std::io::Write;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use measures::{Measure, Plan};

fn main() -> ExitCode {
    let matches = command().get_matches();
    let done = match matches.get_one::<String>("serve-trivial") {
        Some(address) => trivial::serve(address),
        // `cargo test --benches` starts every benchmark without this; it is to test, and there is nothing to test here.
        None if !matches.get_flag("bench") => {
            say("run it with `cargo bench --workspace --bench speed`");
            Ok(())
        }
        None => measure(&matches),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "speed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(matches: &ArgMatches) -> anyhow::Result<()> {
    let number = |name: &str| *matches.get_one::<u32>(name).unwrap_or(&1);
    let plan = Plan {
        seconds: number("seconds"),
        rounds: number("rounds"),
    };
    let chosen: Vec<Measure> = match matches.get_many::<Measure>("only") {
        Some(chosen) => chosen.copied().collect(),
        None => Measure::ALL.to_vec(),
    };
    for measure in chosen {
        say(&format!("\n## {}\n", measure.title()));
        measure.run(plan)?;
    }
    Ok(())
}

fn command() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_parser(value_parser!(u32).range(1..=600))
            .default_value(default)
            .help(help)
    };
    Command::new("speed")
        .about("Measures sign-ins a second, what each costs, and what passing through adds")
        .arg(number("seconds", "20", "How long each is measured in each round"))
        .arg(number("rounds", "5", "How often; the median is told"))
        .arg(
            Arg::new("only")
                .long("only")
                .value_delimiter(',')
                .value_parser(value_parser!(Measure))
                .help("What is measured [default: all]"),
        )
        .arg(Arg::new("bench").long("bench").hide(true).action(ArgAction::SetTrue))
        .arg(Arg::new("serve-trivial").long("serve-trivial").hide(true))
}

/// A line on standard output.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
