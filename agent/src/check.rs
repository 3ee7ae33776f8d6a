//! The doctor, `postern-agent check`: looks at everything that an agent needs, and says what to do about what is wrong.
//!
//! It goes the agent's own ways (the same dialling, the same binds and searches) and disturbs nobody: relays keep
//! nothing of it, and no user's name is bound but the one that `--user` gives, once. What cannot be looked at because
//! something before it failed is said to be skipped, so that one fault is one failure.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use postern_protocol::UserName;
use postern_service::config::ConfigError;
use postern_service::harden;
use postern_service::program::{EXIT_USAGE, Tool, read_config};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use crate::config::{Config, Raw};
use report::{Name, Report, Step};

mod certificate;
mod directory;
mod relays;
mod render;
mod report;
mod sign_in;

/// How long the end may wait for what cannot be given up at once.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The subcommand.
pub(crate) const TOOL: Tool = Tool { command, run };

fn command() -> Command {
    Command::new("check")
        .about("Looks at everything that the agent needs, and says what to do about what is wrong")
        .after_help(
            "Exit code: 0 all is well (warnings too), 1 something failed, 64 bad usage or configuration, 130 or 143 ended \
             by a signal. A running agent is not disturbed.",
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .help("The agent's configuration (TOML)"),
        )
        .arg(
            Arg::new("user")
                .long("user")
                .value_name("NAME")
                .value_parser(|text: &str| UserName::parse(text))
                .help(
                    "Also sign in as this user: one bind, with the password that is asked for, or else the first line of \
                     standard input",
                ),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Tell scripts instead of people: one object in one line"),
        )
}

fn run(arguments: &ArgMatches) -> ExitCode {
    let Some(path) = arguments.get_one::<PathBuf>("config") else {
        return ExitCode::from(EXIT_USAGE);
    };
    let user = arguments.get_one::<UserName>("user");
    let json = arguments.get_flag("json");
    let mut show = |step: &Step| {
        if !json {
            render::print(&render::line(step));
        }
    };
    let mut report = Report::new(&mut show);
    let examined = match examine(path, user, &mut report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code,
    };
    let steps = report.into_steps();
    let failed = steps.iter().any(|step| step.status == report::Status::Failed);
    render::print(&if json {
        render::json(!failed, &steps)
    } else {
        render::summary(&steps)
    });
    if failed && examined == ExitCode::SUCCESS {
        return ExitCode::FAILURE;
    }
    examined
}

/// Everything, in order. The exit code where there is nothing to go on with.
fn examine(path: &Path, user: Option<&UserName>, report: &mut Report<'_>) -> Result<(), ExitCode> {
    let target = path.display().to_string();
    let config = match read_config::<Raw>(path) {
        Ok(config) => config,
        Err(error) => {
            report.add_all(problems(&target, &error));
            let after = [
                (Name::Certificate, "this agent"),
                (Name::RelayUdp, "relays"),
                (Name::DirectoryConnect, "directory"),
            ];
            report.add_all(after.map(|(name, target)| Step::skipped(name, target, "the configuration is not valid")));
            return Err(ExitCode::from(EXIT_USAGE));
        }
    };
    report.add(Step::ok(Name::Configuration, &target, "is valid"));
    let here = |error: std::io::Error| {
        let detail = format!("this machine does not let the doctor work: {error}");
        Step::failed(Name::Configuration, &target, detail, "run it as the agent is run")
    };
    // A password may pass through.
    let ready = harden::refuse_memory_dumps().and_then(|()| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
    });
    let runtime = match ready {
        Ok(runtime) => runtime,
        Err(error) => {
            report.add(here(error));
            return Err(ExitCode::FAILURE);
        }
    };
    let ended_by = runtime.block_on(async {
        let mut signals = [SignalKind::terminate(), SignalKind::interrupt()].map(|kind| (kind, signal(kind)));
        let [(terminate, Ok(terminated)), (interrupt, Ok(interrupted))] = &mut signals else {
            // They then end the process as they would without this.
            all(config, user, report).await;
            return None;
        };
        tokio::select! {
            biased;
            _ = terminated.recv() => Some(*terminate),
            _ = interrupted.recv() => Some(*interrupt),
            () = all(config, user, report) => None,
        }
    });
    // The terminal is put back meanwhile. Whoever was to write a password to standard input is not waited for.
    runtime.shutdown_timeout(LAST_WORDS);
    match ended_by {
        None => Ok(()),
        // As shells tell of a process that a signal ended.
        Some(signal) => Err(ExitCode::from(
            u8::try_from(128 + signal.as_raw_value()).unwrap_or(EXIT_USAGE),
        )),
    }
}

async fn all(config: Config, user: Option<&UserName>, report: &mut Report<'_>) {
    let now = i64::try_from(Clock::of_this_machine().unix_ms() / 1_000).unwrap_or(i64::MAX);
    report.add(certificate::own(&config, now));
    let usable = !report.has_failed(Name::Certificate);
    report.add_all(relays::check(&config, usable, now).await);
    let found = directory::check(config.directory, user, now, report).await;
    if let Some(user) = user {
        report.add(sign_in::check(user, found).await);
    }
}

/// What is wrong with the configuration, each problem a step.
fn problems(file: &str, error: &ConfigError) -> Vec<Step> {
    let failed =
        |target: &str, detail: String, advice: String| Step::failed(Name::Configuration, target, detail, advice);
    match error {
        ConfigError::Read { source, .. } => {
            let advice = "--config: name a file that exists and that this user may read".to_owned();
            vec![failed(file, format!("cannot be read: {source}"), advice)]
        }
        ConfigError::Syntax { message, .. } => {
            let detail = format!("is not valid TOML: {message}");
            vec![failed(file, detail, "mend the line that is named".to_owned())]
        }
        ConfigError::Invalid { problems, .. } => problems
            .iter()
            .map(|(key, message)| {
                failed(
                    file,
                    format!("{key}: {message}"),
                    format!("{key}: correct it in {file}"),
                )
            })
            .collect(),
    }
}
