//! The frame of every binary: arguments, configuration, logging, signals, exit code.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::config::{self, RawConfig};
use crate::shutdown::Shutdown;
use crate::{harden, telemetry, tls};

/// Bad usage or configuration, after `sysexits.h` EX_USAGE.
pub const EXIT_USAGE: u8 = 64;

/// After a hard stop, how long `run` may take to return before the process ends without it.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// What a binary says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The command's name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// One line for `--help`.
    pub about: &'static str,
    /// What it can do beside serving.
    pub tools: &'static [Tool],
}

/// A subcommand: something that is done once and ends, with the same configuration.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Its name, arguments and help.
    pub command: fn() -> Command,
    /// Does it, to the exit code.
    pub run: fn(&ArgMatches) -> ExitCode,
}

/// Runs a binary from its arguments (the first is its own name) to its exit code: 0 after an orderly end, 64 for bad
/// usage or configuration, 1 for anything else.
pub fn run<R, F, Fut, E>(program: Program, arguments: impl IntoIterator<Item = OsString>, start: F) -> ExitCode
where
    R: RawConfig,
    F: FnOnce(R::Config, Shutdown) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    run_reloading::<R, _, _, _>(program, arguments, |config, _, shutdown| start(config, shutdown))
}

/// As [`run`], for a binary that reads its configuration again while it runs: `start` is also given the file's path.
pub fn run_reloading<R, F, Fut, E>(
    program: Program,
    arguments: impl IntoIterator<Item = OsString>,
    start: F,
) -> ExitCode
where
    R: RawConfig,
    F: FnOnce(R::Config, PathBuf, Shutdown) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let matches = match command(program).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    if let Some((name, matches)) = matches.subcommand() {
        let tool = program.tools.iter().find(|tool| (tool.command)().get_name() == name);
        return tool.map_or(ExitCode::from(EXIT_USAGE), |tool| {
            tls::install_provider();
            (tool.run)(matches)
        });
    }
    let Some(path) = matches.get_one::<PathBuf>("config") else {
        return ExitCode::from(EXIT_USAGE);
    };
    // Paths and keys come from the file: nothing of it is used before all of it has been checked.
    tls::install_provider();
    let config = match read_config::<R>(path) {
        Ok(config) => config,
        Err(error) => {
            complain(format_args!("{}: {error}", program.name));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if matches.get_flag("check-config") {
        let _ = writeln!(
            std::io::stdout(),
            "{}: configuration {} is valid",
            program.name,
            path.display()
        );
        return ExitCode::SUCCESS;
    }
    if matches.get_flag("end-with-parent") {
        end_with_parent();
    }
    match serve::<R, _, _, _>(program, config, |config, shutdown| {
        start(config, path.clone(), shutdown)
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{}: {error}", program.name));
            ExitCode::FAILURE
        }
    }
}

/// Reads the configuration as the process did at its start: the file, overridden by the environment.
///
/// # Errors
/// [`config::ConfigError`].
pub fn read_config<R: RawConfig>(path: &Path) -> Result<R::Config, config::ConfigError> {
    config::load::<R>(path, std::env::vars_os().filter_map(readable))
}

fn serve<R, F, Fut, E>(program: Program, config: R::Config, start: F) -> Result<(), String>
where
    R: RawConfig,
    F: FnOnce(R::Config, Shutdown) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    harden::refuse_memory_dumps().map_err(|error| format!("cannot protect the process's memory: {error}"))?;
    telemetry::install(R::log(&config)).map_err(|error| error.to_string())?;
    let _written = telemetry::Flush;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let shutdown = Shutdown::new();
    let result = runtime.block_on(async {
        tracing::info!(name = program.name, version = program.version, "starting");
        let signals = shutdown.clone().watch_signals(R::grace(&config));
        let running = start(config, shutdown.clone());
        tokio::pin!(signals, running);
        // The signals first: a handler must be there before there is work that a signal's default action would cut.
        let finished = tokio::select! {
            biased;
            failed = &mut signals => return Err(match failed {
                Ok(()) => "the signal handlers ended".to_owned(),
                Err(error) => format!("cannot handle signals: {error}"),
            }),
            result = &mut running => Some(result),
            () = shutdown.stop.cancelled() => None,
        };
        let finished = match finished {
            Some(result) => result,
            None => match tokio::time::timeout(STOP_GRACE, running).await {
                Ok(result) => result,
                Err(_) => return Ok(()),
            },
        };
        finished.map_err(|error| error.to_string())
    });
    runtime.shutdown_background();
    result
}

fn command(program: Program) -> Command {
    Command::new(program.name)
        .version(program.version)
        .about(program.about)
        .subcommands(program.tools.iter().map(|tool| (tool.command)()))
        .subcommand_negates_reqs(true)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .help("Configuration (TOML); POSTERN_SECTION__KEY in the environment overrides a key"),
        )
        .arg(
            Arg::new("check-config")
                .long("check-config")
                .action(ArgAction::SetTrue)
                .help("Check the configuration, name every problem, and end"),
        )
        .arg(
            Arg::new("end-with-parent")
                .long("end-with-parent")
                .action(ArgAction::SetTrue)
                .hide(true)
                .help("End when the parent does: standard input is a pipe that it holds"),
        )
}

/// Ends this process when its parent ends, also when it is itself hung: the kernel kills it, and a plain thread
/// watches the pipe in case the parent was gone before the kernel was asked. Standard input must be a pipe that the
/// parent holds.
pub fn end_with_parent() {
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    let watch = || {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(1)) {}
        telemetry::flush();
        std::process::exit(0);
    };
    let _ = std::thread::Builder::new().name("parent-watch".to_owned()).spawn(watch);
}

fn readable((name, value): (OsString, OsString)) -> Option<(String, String)> {
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

fn complain(message: std::fmt::Arguments<'_>) {
    // Nothing can be done about a closed standard error.
    let _ = writeln!(std::io::stderr(), "{message}");
}
