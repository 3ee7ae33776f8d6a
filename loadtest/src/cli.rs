//! The `postern-loadtest` command: what can be typed, and what is run for it.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use postern_service::admin::{self, Readiness};
use postern_service::http::{self, Phases};
use postern_service::program::EXIT_USAGE;
use postern_service::tls;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::metrics::Exporter;
use crate::run::Stop;
use crate::scenario::READY;
use crate::view::{Terminal, Watchers};
use arguments::Arguments;
use made::Made;
use output::Outputs;
use request::Wanted;

mod arguments;
mod made;
mod output;
mod request;
mod users;

/// A threshold is missed, the load was not what was planned, or somebody was let in who must not be; as other tools of load
/// have it.
const EXIT_MISSED: u8 = 99;

/// For taking faults back when somebody wants an end at once.
const TAKE_BACK: Duration = Duration::from_secs(5);

const EXIT_CODES: &str = "Exit code: 0 every threshold holds; 99 one is missed, the load was not as planned, or somebody was \
    let in who must not be; 64 bad usage; 1 the run could not be made, or a report not written";

/// Load for sign-ins that knows what every answer should have been
#[derive(Debug, Parser)]
#[command(name = "postern-loadtest", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a load, compare every answer with what it should have been, and say what it came to
    #[command(after_help = EXIT_CODES)]
    Run(Box<Arguments>),
    /// List the scenarios that are ready, or show one to begin from
    Scenarios {
        /// The one to show
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

/// Runs the command line (the first argument is the program's name) to an exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let typed: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&typed) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    match cli.command {
        Command::Scenarios { name } => scenarios(name.as_deref()),
        Command::Run(arguments) => make(*arguments, told(&typed)),
    }
}

/// The command for reports, without the passwords in it.
fn told(typed: &[OsString]) -> String {
    let mut typed = typed.iter().map(|word| word.to_string_lossy());
    let program = typed.next().unwrap_or_default();
    // The program of all programs names itself and the one: two words.
    let mut words = vec![match &*program {
        "postern loadtest" => program.into_owned(),
        path => quoted(path),
    }];
    for word in typed {
        let is_password = words.last().is_some_and(|before| before == "--password");
        words.push(match word.split_once('=') {
            _ if is_password => "***".to_owned(),
            Some(("--password", _)) => "--password=***".to_owned(),
            _ => quoted(&word),
        });
    }
    words.join(" ")
}

/// As a shell would take it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match word.chars().all(plain) && !word.is_empty() {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn scenarios(name: Option<&str>) -> ExitCode {
    let mut text = String::new();
    match name {
        None => {
            for (name, toml) in READY {
                let about = toml.lines().find_map(|line| line.strip_prefix("about = "));
                text += &format!("{name:<10}{}\n", about.unwrap_or_default().trim_matches('"'));
            }
        }
        Some(name) => match READY.iter().find(|(ready, _)| *ready == name) {
            Some((_, toml)) => text += toml,
            None => {
                say(&format!(
                    "there is no scenario {name:?}; `postern-loadtest scenarios` lists them"
                ));
                return ExitCode::from(EXIT_USAGE);
            }
        },
    }
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "postern-loadtest: {text}");
}

fn make(arguments: Arguments, command: String) -> ExitCode {
    tls::install_provider();
    let outputs = arguments.outputs.clone();
    let wanted = arguments.wanted(command).and_then(|wanted| {
        // Before minutes of load, and not after them.
        outputs.check()?;
        Ok(wanted)
    });
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(error) => {
            say(&format!("{error:#}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start");
    let made = match runtime.and_then(|runtime| runtime.block_on(play(wanted, &outputs))) {
        Ok(made) => made,
        Err(error) => {
            say(&format!("{error:#}"));
            return ExitCode::FAILURE;
        }
    };
    let written = outputs.write(&made);
    if let Err(error) = &written {
        say(&format!("{error:#}"));
    }
    match (made.is_good(), written) {
        (false, _) => ExitCode::from(EXIT_MISSED),
        (true, Ok(())) => ExitCode::SUCCESS,
        (true, Err(_)) => ExitCode::FAILURE,
    }
}

/// Makes it. The first signal ends it early, with what was made; the second as soon as faults are taken back; the third at
/// once.
async fn play(wanted: Wanted, outputs: &Outputs) -> anyhow::Result<Made> {
    let mut serving = JoinSet::new();
    let exporter = match outputs.metrics() {
        Some(address) => Some(serve(address, &mut serving, outputs.is_quiet()).await?),
        None => None,
    };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut signalled = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let mut view = Watchers {
        terminal: Terminal::new(outputs.is_quiet()),
        exporter,
    };
    let stop = Stop::default();
    let mut made = pin!(Made::of(wanted, &stop, &mut view));
    tokio::select! {
        made = &mut made => return made,
        () = signalled() => {}
    }
    say("ending; once more ends it at once, without a report");
    stop.early.cancel();
    tokio::select! {
        made = &mut made => return made,
        () = signalled() => {}
    }
    let longest = TAKE_BACK.as_secs();
    say(&format!(
        "ending at once; faults in force are taken back first, for {longest} s at most"
    ));
    stop.at_once.cancel();
    let is_over = tokio::select! {
        over = timeout(TAKE_BACK, made) => over.is_ok(),
        () = signalled() => false,
    };
    if !is_over {
        bail!("ended at once; faults may still be in force");
    }
    bail!("ended at once")
}

/// Answers Prometheus for as long as `serving` is there.
async fn serve(address: SocketAddr, serving: &mut JoinSet<()>, quiet: bool) -> anyhow::Result<Exporter> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("--metrics: cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    let exporter = Exporter::new()?;
    let app = admin::router(exporter.registry(), Readiness::new());
    serving.spawn(http::serve(listener, app, http::Options::default(), Phases::default()));
    if !quiet {
        say(&format!("metrics at http://{address}/metrics"));
    }
    Ok(exporter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_password_is_told_with_the_command() {
        let typed = ["x", "--password", "Secret-%d", "--password=Secret-%d", "--rate", "5"].map(OsString::from);
        assert_eq!(told(&typed), "x --password *** --password=*** --rate 5");
    }

    #[test]
    fn what_is_wrong_with_a_password_is_told_without_it() {
        for wrong in ["hunter2", "hunter%2", "hunter%99d", "--password=hunter2"] {
            let option: &[&str] = if wrong.starts_with('-') { &[] } else { &["--password"] };
            let words = ["x", "run", "--target", "http://127.0.0.1:1", "--user", "user%d"];
            let error = Cli::try_parse_from(words.iter().chain(option).chain([&wrong])).unwrap_err();
            let (plain, debug) = (error.to_string(), format!("{error:?}"));
            assert!(plain.contains("--password has no number"), "{plain}");
            assert!(!plain.contains("hunter") && !debug.contains("hunter"), "{plain}{debug}");
        }
    }

    #[test]
    fn a_command_is_told_so_that_it_can_be_typed_again() {
        let run = |program: &str| told(&[program, "run"].map(OsString::from));
        assert_eq!(run("postern loadtest"), "postern loadtest run");
        assert_eq!(run("my bin/postern-loadtest"), "'my bin/postern-loadtest' run");
        assert_eq!(quoted("--rate=500"), "--rate=500");
        assert_eq!(quoted("p99<50ms"), "'p99<50ms'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
