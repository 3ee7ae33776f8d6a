//! How many binds a second: mock-dc, a server on the same codec that accepts everything, OpenLDAP's slapd and Samba,
//! in one run, one after another, round by round.
//!
//!     cargo bench --workspace --bench binds
//!     cargo bench --workspace --bench binds -- --only mock-dc,bare --seconds 1 --rounds 5
//!     cargo bench --workspace --bench binds -- --connections
//!     cargo bench --workspace --bench binds -- --million
//!
//! Servers are processes of their own, so that what each costs can be told from what this client costs. Every answer is
//! looked at: a bind that did not succeed ends the run.

mod client;
mod comparison;
mod crowd;
mod load;
mod million;
mod process;
mod servers;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use servers::Kind;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    postern_service::tls::install_provider();
    let matches = command().get_matches_from(arguments);
    let done = match matches.get_many::<OsString>("serve-bare") {
        Some(arguments) => servers::bare::serve(arguments),
        // `cargo test --benches` starts every benchmark without this; it is to test, and there is nothing to test here.
        None if !matches.get_flag("bench") => say("run it with `cargo bench --workspace --bench binds`"),
        None => measure(&matches),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "binds: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(matches: &ArgMatches) -> anyhow::Result<()> {
    process::allow_many_files()?;
    let seconds = |name: &str| Duration::from_secs_f64(*matches.get_one::<f64>(name).unwrap_or(&3.0));
    if matches.get_flag("connections") {
        return crowd::run(seconds("seconds"));
    }
    if matches.get_flag("million") {
        return million::run();
    }
    comparison::run(&comparison::Plan {
        kinds: matches
            .get_many::<Kind>("only")
            .map_or_else(|| Kind::ALL.to_vec(), |kinds| kinds.copied().collect()),
        connections: matches
            .get_many::<usize>("kept")
            .map_or_else(|| vec![1, 8, 32], |kept| kept.copied().collect()),
        seconds: seconds("seconds"),
        rounds: *matches.get_one::<usize>("rounds").unwrap_or(&3),
    })
}

fn command() -> Command {
    Command::new("binds")
        .about("Measures simple binds a second on kept connections")
        .arg(
            Arg::new("seconds")
                .long("seconds")
                .value_parser(|text: &str| text.parse::<f64>().map(|seconds| seconds.clamp(0.05, 600.0)))
                .default_value("3")
                .help("How long each is measured in each round"),
        )
        .arg(
            Arg::new("rounds")
                .long("rounds")
                .value_parser(|text: &str| text.parse::<usize>().map(|rounds| rounds.clamp(1, 1000)))
                .default_value("3")
                .help("Rounds; medians are told"),
        )
        .arg(
            Arg::new("only")
                .long("only")
                .value_delimiter(',')
                .value_parser(Kind::parse)
                .help("Some of mock-dc,bare,slapd,samba"),
        )
        .arg(
            Arg::new("kept")
                .long("kept")
                .value_delimiter(',')
                .value_parser(value_parser!(usize))
                .default_value("1,8,32")
                .help("Kept connections, one bind in flight on each"),
        )
        .arg(
            Arg::new("connections")
                .long("connections")
                .action(ArgAction::SetTrue)
                .conflicts_with("million")
                .help("Instead: 5,000 idle and 1,000 busy connections to mock-dc at once"),
        )
        .arg(
            Arg::new("million")
                .long("million")
                .action(ArgAction::SetTrue)
                .help("Instead: start and memory of mock-dc with a million accounts"),
        )
        .arg(
            Arg::new("bench")
                .long("bench")
                .action(ArgAction::SetTrue)
                .hide(true)
                .help("Given by cargo bench"),
        )
        .arg(
            Arg::new("serve-bare")
                .long("serve-bare")
                .num_args(4)
                .value_parser(value_parser!(OsString))
                .hide(true)
                .help("Be the bare server: LDAP address, LDAPS address, certificate, key"),
        )
}

/// One line of the report.
fn say(line: impl std::fmt::Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").map_err(Into::into)
}

/// One line on how far it is, which is no part of the report.
fn progress(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
