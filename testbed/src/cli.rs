//! The `postern` command: what can be typed, and what is run for it.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, value_parser};

use postern_service::program::{EXIT_USAGE, end_with_parent};
use postern_service::{harden, tls};

use postern_protocol::identity::Segment;

use crate::cluster::Counts;
use crate::cluster::existing::ServerUrl;
use crate::cluster::ports::{Choice, DEFAULT_BASE, LAYOUT_HELP, MOST};
use crate::directory;
use crate::many_links;
use crate::pki;
use crate::pki::command::{self, PkiCommand};
use crate::prove::arguments::{self, Arguments};
use crate::prove::{self, Proof};
use crate::up::{self, Request};

/// `prove`: a goal is missed, or the load was not as planned, as other tools of load have it.
const EXIT_MISSED: u8 = 99;

/// `prove` and `links`: ended by SIGINT, as shells tell it.
const EXIT_INTERRUPTED: u8 = 130;

/// Bring up a whole Postern cluster on this machine: relay, agents and a simulated Active Directory, or your own
#[derive(Debug, Parser)]
#[command(name = "postern", version, after_help = after_help(), args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    up: UpArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring a cluster up (what `postern` alone does)
    #[command(after_help = after_help())]
    Up(UpArgs),
    /// Make certificates for relays and agents on several machines
    #[command(subcommand, after_help = pki::LAYOUT_HELP)]
    Pki(PkiCommand),
    /// Show under load, with real processes and real signals, that no sign-in is lost and none counted twice
    #[command(after_help = arguments::EXIT_CODE)]
    Prove(Arguments),
    /// Put many agents in session at a relay that answer success to everything, and tell what they cost it
    #[command(after_help = many_links::ABOUT)]
    Links(many_links::Arguments),
}

#[derive(Debug, Args)]
struct UpArgs {
    /// Relays
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..=i64::from(MOST.relays)))]
    relays: u16,
    /// Agents; 0 for a cluster whose agents come from elsewhere (`postern links`, `postern pki agent`)
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u16).range(0..=i64::from(MOST.agents)))]
    agents: u16,
    /// Domain controllers
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u16).range(1..=i64::from(MOST.dcs)))]
    dcs: u16,
    /// Generated users: user000001@corp.example.com with password Postern-000001, and so on
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = value_parser!(u32).range(0..=i64::from(MOST.users)))]
    users: u32,
    /// Folder for configuration, certificates and logs; one of an earlier run keeps its CAs [default: a fresh one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// First port, or `auto` for whatever is free [default: 7000; auto with --json]
    #[arg(long, value_name = "auto|BASE")]
    ports: Option<Choice>,
    /// Describe the cluster in one line of JSON on standard output, once it is ready
    #[arg(long)]
    json: bool,
    /// Serve the sign-in API with TLS
    #[arg(long)]
    tls_api: bool,
    /// Put a proxy between each agent and each relay; the control makes it lose, delay and reorder what passes
    #[arg(long)]
    net_faults: bool,
    /// mock-dc configuration (TOML) whose keys win over the generated ones; its users are added
    #[arg(long, value_name = "FILE")]
    dc_config: Option<PathBuf>,
    #[command(flatten)]
    directory: DirectoryArgs,
    // For whoever starts it as a part of something: standard input is a pipe that it holds.
    #[arg(long, hide = true)]
    end_with_parent: bool,
}

/// A directory of one's own in the place of the simulated one.
#[derive(Debug, Args)]
#[command(next_help_heading = "In front of a directory of your own (nothing is written to it)")]
struct DirectoryArgs {
    // Not a doc comment: rustdoc would take the brackets for links.
    #[arg(
        help = "A domain controller: ldaps://HOST[:PORT], or ldap://HOST[:PORT] with StartTLS; repeat it for more of them"
    )]
    #[arg(long, value_name = "URL", conflicts_with_all = ["dcs", "users", "dc_config"])]
    directory: Vec<ServerUrl>,
    /// The authorities that issued its certificate (PEM) [default: the system's]
    #[arg(long, value_name = "FILE", requires = "directory")]
    directory_ca: Option<PathBuf>,
    /// The realm, which is also the first UPN suffix [default: the domain that the directory says it holds]
    #[arg(long, value_name = "NAME", requires = "directory")]
    directory_realm: Option<Segment>,
    /// The domain's NetBIOS name, for DOMAIN\name [default: the realm's first label, in upper case]
    #[arg(long, value_name = "NAME", requires = "directory", value_parser = directory::netbios)]
    netbios: Option<String>,
    /// A further suffix of names that the directory knows (name@SUFFIX); may be repeated
    #[arg(long, value_name = "SUFFIX", requires = "directory", value_parser = directory::suffix)]
    upn_suffix: Vec<String>,
    /// Also sign in by this attribute, such as mail: it is looked up, and the account found is bound
    #[arg(long, value_name = "ATTRIBUTE", requires = "directory")]
    alternate_id: Option<String>,
    /// The suffix of names to look up; may be repeated [default: those that the attribute's values have]
    #[arg(long, value_name = "SUFFIX", requires = "alternate_id", value_parser = directory::suffix)]
    alternate_suffix: Vec<String>,
    /// Who looks people up; the password is taken from POSTERN_SERVICE_PASSWORD or asked for
    #[arg(long, value_name = "NAME", requires = "directory", value_parser = directory::account)]
    service_account: Option<String>,
}

impl DirectoryArgs {
    fn request(self) -> Option<directory::Request> {
        (!self.directory.is_empty()).then_some(directory::Request {
            servers: self.directory,
            ca: self.directory_ca,
            realm: self.directory_realm,
            netbios: self.netbios,
            upn_suffixes: self.upn_suffix,
            alternate_id: self.alternate_id,
            alternate_suffixes: self.alternate_suffix,
            service_account: self.service_account,
        })
    }
}

impl From<UpArgs> for Request {
    fn from(args: UpArgs) -> Self {
        let default = if args.json {
            Choice::Auto
        } else {
            Choice::Base(DEFAULT_BASE)
        };
        let directory = args.directory.request();
        let simulated = directory.is_none();
        Self {
            counts: Counts {
                relays: args.relays,
                agents: args.agents,
                dcs: if simulated { args.dcs } else { 0 },
                users: if simulated { args.users } else { 0 },
            },
            dir: args.dir,
            ports: args.ports.unwrap_or(default),
            json: args.json,
            tls_api: args.tls_api,
            net_faults: args.net_faults,
            dc_config: args.dc_config,
            directory,
        }
    }
}

fn after_help() -> String {
    format!(
        "{LAYOUT_HELP}\n\nThe parts are commands too: `postern relay`, `postern agent` (and `postern agent check`), `postern mock-dc` and\n\
         `postern loadtest` are the programs postern-relay, postern-agent, postern-mock-dc and postern-loadtest.\n\nPOSTERN_LOG__LEVEL=debug in the environment makes every part say more. `POST /children/NAME` of the\n\
         control takes {{\"do\":\"kill|stop|cont|term|restart\"}}; with --net-faults, `PUT /links/AGENT/RELAY` takes\n\
         {{\"drop\":true,\"loss\":0.05,\"delay_ms\":[0,50],\"reorder\":true}}, all optional, for both directions; {{}} mends\n\
         the link, and `GET /links` tells of all."
    )
}

/// Runs the command line (the first argument is the program's name) to an exit code: 0 after an orderly end, 64 for
/// bad usage, 99 when `prove` saw a goal missed or another load than was planned, 130 when it or `links` was interrupted, 1 for
/// anything else.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // The parts of a cluster are this program too, so that one file is all there is to build and to copy.
    let part = arguments.get(1).and_then(|argument| argument.to_str());
    // In their usage they go by what is typed here.
    let rest = |name: &str| {
        let name = OsString::from(format!("postern {name}"));
        std::iter::once(name).chain(arguments.iter().skip(2).cloned())
    };
    match part {
        Some(name @ "relay") => return postern_relay::main(rest(name)),
        Some(name @ "agent") => return postern_agent::main(rest(name)),
        Some(name @ "mock-dc") => return postern_mock_dc::main(rest(name)),
        Some(name @ "loadtest") => return postern_loadtest::cli::main(rest(name)),
        _ => {}
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let result = match cli.command {
        Some(Command::Pki(command)) => make(command),
        Some(Command::Prove(args)) => prove(args),
        Some(Command::Links(args)) => links(&args),
        Some(Command::Up(args)) => up(args),
        None => up(cli.up),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "postern: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn make(command: PkiCommand) -> anyhow::Result<ExitCode> {
    let text = command::run(command)?;
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

fn up(args: UpArgs) -> anyhow::Result<ExitCode> {
    if args.end_with_parent {
        end_with_parent();
    }
    // No sign-in passes through here, but the CA's keys do.
    harden::refuse_memory_dumps().context("cannot protect the process's memory")?;
    tls::install_provider();
    runtime()?.block_on(up::run(&args.into()))?;
    Ok(ExitCode::SUCCESS)
}

fn prove(args: Arguments) -> anyhow::Result<ExitCode> {
    let Some(request) = args.request() else {
        let _ = std::io::stdout().write_all(prove::list().as_bytes());
        return Ok(ExitCode::SUCCESS);
    };
    tls::install_provider();
    Ok(match runtime()?.block_on(prove::run(&request))? {
        Proof::Held => ExitCode::SUCCESS,
        Proof::Missed => ExitCode::from(EXIT_MISSED),
        Proof::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
    })
}

fn links(args: &many_links::Arguments) -> anyhow::Result<ExitCode> {
    // The CA's keys pass through here.
    harden::refuse_memory_dumps().context("cannot protect the process's memory")?;
    tls::install_provider();
    Ok(match runtime()?.block_on(many_links::run(args))? {
        many_links::Ending::Over => ExitCode::SUCCESS,
        many_links::Ending::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
    })
}

/// On this thread alone: the kernel ends children when the thread that started them ends.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn request(arguments: &[&str]) -> Request {
        let cli = Cli::try_parse_from(std::iter::once(&"postern").chain(arguments)).unwrap();
        match cli.command {
            None => cli.up.into(),
            Some(Command::Up(args)) => args.into(),
            Some(Command::Pki(_) | Command::Prove(_) | Command::Links(_)) => unreachable!(),
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn postern_alone_is_postern_up_with_the_documented_defaults() {
        for arguments in [&[][..], &["up"]] {
            let request = request(arguments);
            let Counts {
                relays,
                agents,
                dcs,
                users,
            } = request.counts;
            assert_eq!((relays, agents, dcs, users), (1, 3, 2, 1000));
            assert_eq!(request.ports, Choice::Base(7000));
            assert!(request.dir.is_none() && !request.json && !request.tls_api);
        }
    }

    #[test]
    fn json_means_free_ports_unless_a_base_is_given() {
        assert_eq!(request(&["up", "--json"]).ports, Choice::Auto);
        assert_eq!(request(&["up", "--json", "--ports", "8000"]).ports, Choice::Base(8000));
        assert_eq!(request(&["--ports", "auto"]).ports, Choice::Auto);
    }

    #[test]
    fn counts_and_ports_that_cannot_be_are_bad_usage() {
        for wrong in [
            ["--relays", "0"],
            ["--agents", "101"],
            ["--dcs", "0"],
            ["--ports", "80"],
            ["--ports", "65500"],
        ] {
            let parsed = Cli::try_parse_from(std::iter::once("postern").chain(wrong));
            assert!(parsed.is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_directory_of_ones_own_takes_the_place_of_the_simulated_one() {
        let line = "up --directory ldaps://dc1.corp.example.com --directory ldap://dc2.corp.example.com:3890 \
                    --directory-ca ca.pem --alternate-id mail --service-account svc@corp.example.com";
        let request = request(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!((request.counts.dcs, request.counts.users), (0, 0));
        let directory = request.directory.unwrap();
        let urls: Vec<String> = directory.servers.iter().map(ToString::to_string).collect();
        assert_eq!(
            urls,
            ["ldaps://dc1.corp.example.com", "ldap://dc2.corp.example.com:3890"]
        );
        assert_eq!(directory.ca, Some("ca.pem".into()));
        assert_eq!(directory.service_account.as_deref(), Some("svc@corp.example.com"));
    }

    #[test]
    fn what_contradicts_a_directory_of_ones_own_or_needs_one_is_bad_usage() {
        for wrong in [
            "--directory ldaps://dc1.example --dcs 2",
            "--directory ldaps://dc1.example --users 5",
            "--directory ldaps://dc1.example --dc-config x.toml",
            "--directory dc1.example",
            "--directory ldaps://dc1.example --alternate-suffix example.org",
            "--directory ldaps://dc1.example --directory-realm a/b",
            "--directory ldaps://dc1.example --service-account svc",
            "--directory-ca ca.pem",
            "--alternate-id mail",
            "--netbios CORP",
        ] {
            let parsed = Cli::try_parse_from(std::iter::once("postern").chain(wrong.split_whitespace()));
            assert!(parsed.is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_relays_names_end_where_the_folder_begins_in_every_order() {
        let lines: [&[&str]; 3] = [
            &["relay-1", "--dns", "a.example", "--dns", "b.example", "DIR"],
            &["relay-1", "--dns", "a.example", "b.example", "DIR"],
            &["relay-1", "DIR", "--dns", "a.example", "b.example"],
        ];
        for line in lines {
            let cli = Cli::try_parse_from(["postern", "pki", "relay"].iter().chain(line)).unwrap();
            let Some(Command::Pki(PkiCommand::Relay { dns, folder, .. })) = cli.command else {
                unreachable!()
            };
            let (dns, folder) = command::names_and_folder(dns, folder).unwrap();
            assert_eq!(
                (dns, folder),
                (vec!["a.example".to_owned(), "b.example".to_owned()], "DIR".into())
            );
        }
    }
}
