//! From what was typed to what is to be made.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use super::arguments::{Arguments, What};
use super::users;
use crate::arms;
use crate::client::{Authorities, Protocol, Reach, Sealing, Target, Token};
use crate::cluster::Cluster;
use crate::find_max::Search;
use crate::generator::Pace;
use crate::hdr;
use crate::load::{Arrivals, Load, Stage};
use crate::mix::Kind;
use crate::people::{Pattern, People};
use crate::require::{Requirement, Scope};
use crate::run::Request;
use crate::scenario::Scenario;
use crate::text::told;

/// Three in ten are wrong where nothing else is asked for.
const MIX: &str = "right=70,wrong=30";

/// What is required of a rate where nothing else is.
const FAST: &str = "p99<50ms";

/// What is required of every run: a service that answers nobody is not one that holds.
const ALWAYS: [&str; 2] = ["wrong_outcomes==0", "right>0"];

/// What is required of a run where nothing else is.
const MOSTLY: &str = "failed<=1%";

/// What a search begins with.
const FIRST_RATE: f64 = 500.0;
const STEP: Duration = Duration::from_secs(10);

/// What is to be made.
#[derive(Debug)]
pub(super) enum Wanted {
    /// One run.
    Run(Box<Request>),
    /// Several, each so often, compared.
    Arms(Vec<Request>, usize),
    /// As many runs as it takes to find the highest rate.
    FindMax(Box<Request>, Search),
}

impl Arguments {
    /// What is asked for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn wanted(self, command: String) -> anyhow::Result<Wanted> {
        let scenario = self.scenario.as_deref().map(Scenario::find).transpose()?;
        let scenario = scenario.map(|scenario| scenario.stretched(self.scale_time));
        self.check_arms()?;
        let cluster = self.cluster.as_deref().map(Cluster::open).transpose()?;
        if self.arm.is_empty() {
            let targets = match (&cluster, self.target.as_slice()) {
                (Some(cluster), []) => relays(cluster)?,
                (_, targets) => targets.to_vec(),
            };
            let request = self.request(scenario.as_ref(), cluster, targets, command)?;
            return Ok(match self.find_max {
                true => {
                    let search = Search {
                        from: self.rate.unwrap_or(FIRST_RATE) * self.scale,
                        up_to: self.up_to,
                        step: self.duration.unwrap_or(STEP),
                    };
                    if search.up_to < search.from {
                        bail!(
                            "--up-to {} is below {}, where the search begins; begin lower with --rate",
                            search.up_to,
                            search.from
                        );
                    }
                    Wanted::FindMax(Box::new(request), search)
                }
                false => Wanted::Run(Box::new(request)),
            });
        }
        let mut arms = Vec::new();
        for arm in &self.arm {
            let (cluster, targets) = match &arm.what {
                What::Target(target) => (cluster.clone(), vec![target.clone()]),
                What::Cluster(path) => {
                    let own = Cluster::open(path)?;
                    let targets = relays(&own)?;
                    (Some(own), targets)
                }
                What::Relay | What::Directory => {
                    let cluster = cluster.clone().with_context(|| {
                        format!(
                            "arm {}: relay and directory are those of a cluster; name it with --cluster",
                            arm.name
                        )
                    })?;
                    let targets = match arm.what {
                        What::Directory => directories(&cluster)?,
                        _ => relays(&cluster)?,
                    };
                    (Some(cluster), targets)
                }
            };
            let mut request = self
                .request(scenario.as_ref(), cluster, targets, command.clone())
                .with_context(|| format!("arm {}", arm.name))?;
            request.name.clone_from(&arm.name);
            arms.push(request);
        }
        Ok(Wanted::Arms(arms, self.rounds.into()))
    }

    /// Arms are told apart by their names, and compared with another.
    fn check_arms(&self) -> anyhow::Result<()> {
        let names: Vec<&str> = self.arm.iter().map(|arm| arm.name.as_str()).collect();
        if let [only] = names.as_slice() {
            bail!("the arm {only} alone is compared with nothing; give another --arm");
        }
        for (index, name) in names.iter().enumerate() {
            if name.trim().is_empty() {
                bail!("an arm has no name; write it as NAME=WHAT");
            }
            if names.iter().take(index).any(|before| before == name) {
                bail!("there are two arms of the name {name}");
            }
            let log = |arm: &str| arms::log_name(arm, 1);
            let mut before = names.iter().take(index);
            if self.outputs.hdr().is_some()
                && let Some(other) = before.find(|before| log(before) == log(name))
            {
                bail!(
                    "the arms {other:?} and {name:?} would both write {} for --hdr; name one of them otherwise",
                    log(name)
                );
            }
        }
        Ok(())
    }

    fn request(
        &self,
        scenario: Option<&Scenario>,
        cluster: Option<Cluster>,
        targets: Vec<Target>,
        command: String,
    ) -> anyhow::Result<Request> {
        let people = self.people(cluster.as_ref())?;
        if let Some(at_once) = self.closed
            && u32::from(at_once) > people.len()
        {
            bail!(
                "{at_once} sign-ins at once need as many users; there are {} (--user-count)",
                people.len()
            );
        }
        let weights = match (&self.mix, scenario) {
            (Some(mix), _) => mix.clone(),
            (None, Some(scenario)) => scenario.mix.clone(),
            (None, None) => MIX.parse()?,
        };
        let load = Load {
            stages: self.stages(scenario)?,
            arrivals: match (scenario, self.poisson) {
                (_, true) => Arrivals::Poisson,
                (Some(scenario), false) => scenario.arrivals,
                (None, false) => Arrivals::Constant,
            },
            mix: weights.among(&people.verdicts())?,
            seed: self.seed,
        };
        let is_clusters = match &cluster {
            Some(cluster) => {
                let own = [relays(cluster)?, directories(cluster)?].concat();
                targets.iter().all(|target| own.contains(target))
            }
            None => false,
        };
        let reach = self.reach(cluster.as_ref(), targets)?;
        let is_directory = reach.targets.iter().any(Target::is_directory);
        if is_directory && load.mix.kinds().any(|kind| kind == Kind::Empty) {
            bail!(
                "a directory takes an empty password for an anonymous bind (RFC 4513, section 5.1.2), which says nothing: \
                 leave `empty` out with --mix"
            );
        }
        let requirements = self.requirements(scenario)?;
        let watched = cluster.iter().flat_map(Cluster::processes).chain(self.process.clone());
        let scope = Scope {
            kinds: load.mix.kinds().collect(),
            processes: watched.map(|(name, _)| name).collect(),
            lasts: load.lasts(),
        };
        for requirement in &requirements {
            requirement.check(&scope).map_err(anyhow::Error::msg)?;
        }
        let faults = match scenario {
            // Whoever gives faults of their own means those.
            Some(scenario) if self.fault.is_empty() => scenario.faults.clone(),
            _ => self.fault.clone(),
        };
        if let Some(fault) = faults.iter().find(|fault| fault.at >= load.lasts()) {
            let (what, at, lasts) = (&fault.action, told(fault.at), told(load.lasts()));
            bail!("the fault {what} is at {at}, and the load ends after {lasts}; it would not be done");
        }
        let name = scenario.map_or_else(|| "run".to_owned(), |scenario| scenario.name.clone());
        let hdr = self.outputs.hdr();
        Ok(Request {
            hdr: hdr.map(|folder| folder.join(hdr::file_name(&name))),
            name,
            reach,
            people: Arc::new(people),
            pace: match self.closed {
                Some(at_once) => Pace::Closed {
                    at_once: at_once.into(),
                },
                None => Pace::Open {
                    most_at_once: self.at_once,
                },
            },
            patience: self.timeout,
            load,
            cluster,
            processes: self.process.clone(),
            faults,
            requirements,
            is_clusters,
            command,
        })
    }

    /// What must hold: what is asked for, or what is usual, and what always must.
    fn requirements(&self, scenario: Option<&Scenario>) -> anyhow::Result<Vec<Requirement>> {
        let parsed = |text: &str| text.parse().map_err(|why: String| anyhow::anyhow!(why));
        let of_scenario = scenario.filter(|_| !self.require_nothing);
        let of_scenario = of_scenario.map(|scenario| scenario.require.clone());
        let mut all = of_scenario.unwrap_or_default();
        all.extend(self.require.iter().cloned());
        if all.is_empty() && self.find_max {
            all.push(parsed(FAST)?);
        } else if all.is_empty() && !self.require_nothing {
            all.push(parsed(MOSTLY)?);
        }
        // Quick refusals are no rate.
        let always: &[&str] = match (self.require_nothing, self.find_max) {
            (_, true) => &["wrong_outcomes==0", "failed==0"],
            (false, false) => &ALWAYS,
            (true, false) => &[],
        };
        for text in always {
            if !all.iter().any(|known| known.to_string() == *text) {
                all.push(parsed(text)?);
            }
        }
        Ok(all)
    }

    fn reach(&self, cluster: Option<&Cluster>, targets: Vec<Target>) -> anyhow::Result<Reach> {
        let authorities = match (&self.ca, cluster) {
            (Some(path), _) => Some(Authorities::from_file(path)?),
            (None, Some(cluster)) => Some(Authorities::from_file(&cluster.about.ca)?),
            (None, None) => None,
        };
        let is_directory = targets.iter().any(Target::is_directory);
        Ok(Reach {
            authorities,
            protocol: match self.http2 && !is_directory {
                true => Protocol::Http2,
                false => Protocol::Http1,
            },
            token: self.token()?.filter(|_| !is_directory),
            sealing: match &self.sealed {
                _ if is_directory => None,
                None => None,
                Some(Some(whom)) => Some(whom.clone()),
                Some(None) => {
                    let about = &cluster
                        .context("--sealed needs TENANT/REALM where there is no --cluster")?
                        .about;
                    Some(Sealing {
                        tenant: about.tenant.clone(),
                        realm: about.realm.clone(),
                    })
                }
            },
            connections: self.connections,
            ..Reach::new(targets)
        })
    }

    fn token(&self) -> anyhow::Result<Option<Token>> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let text = std::fs::read_to_string(path).with_context(|| format!("--token-file {}", path.display()))?;
        Ok(Some(Token::new(text.trim_end())?))
    }

    fn stages(&self, scenario: Option<&Scenario>) -> anyhow::Result<Vec<Stage>> {
        let mut stages = match (self.rate, self.duration, self.closed, scenario) {
            _ if !self.stage.is_empty() => self.stage.clone(),
            (rate, lasts, ..) if self.find_max => {
                vec![Stage::constant(rate.unwrap_or(FIRST_RATE), lasts.unwrap_or(STEP))]
            }
            (Some(rate), Some(lasts), ..) => vec![Stage::constant(rate, lasts)],
            (None, Some(lasts), Some(_), _) => vec![Stage::constant(1.0, lasts)],
            (None, None, _, Some(scenario)) => scenario.stages.clone(),
            (.., Some(_)) => {
                bail!("a scenario has rates and times of its own: use --scale, or give stages with --stage")
            }
            _ => bail!(
                "say how much: --rate 500 --duration 30s, --stage \"30s 500\", --closed 16 --duration 30s, or --scenario steady"
            ),
        };
        for stage in &mut stages {
            stage.from *= self.scale;
            stage.to *= self.scale;
        }
        Ok(stages)
    }

    fn people(&self, cluster: Option<&Cluster>) -> anyhow::Result<People> {
        if let Some(path) = &self.users {
            return users::read(path);
        }
        let nobody_known = cluster.is_some_and(|cluster| cluster.about.users.is_empty());
        let names = match (&self.user, cluster) {
            (Some(names), _) => names.clone(),
            (None, Some(_)) if nobody_known => bail!(
                "the cluster is in front of a directory of your own, and knows nobody in it; say who signs in: --users FILE, or \
                 --user user%06d@corp.example.com --password 'Secret-%06d'"
            ),
            (None, Some(cluster)) => Pattern::new("user", 6, format!("@{}", cluster.about.realm)),
            (None, None) => {
                bail!("say who signs in: --user user%06d@corp.example.com --password 'Secret-%06d', or --users FILE")
            }
        };
        let passwords = match (&self.password, cluster) {
            (Some(passwords), _) => passwords.clone(),
            (None, Some(_)) if !nobody_known => Pattern::new("Postern-", 6, ""),
            (None, _) => bail!("--user needs --password, a pattern as well"),
        };
        let people = People::generated(names, passwords, self.first_user, self.user_count);
        let listed = cluster.map(|cluster| cluster.people().collect::<Vec<_>>());
        Ok(people.with_listed(listed.into_iter().flatten()))
    }
}

fn relays(cluster: &Cluster) -> anyhow::Result<Vec<Target>> {
    cluster
        .about
        .relays
        .iter()
        .map(|relay| Target::parse(&relay.api))
        .collect()
}

fn directories(cluster: &Cluster) -> anyhow::Result<Vec<Target>> {
    let urls = cluster.about.dcs.iter().filter_map(|dc| dc.ldaps.as_deref());
    urls.map(Target::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        arguments: Arguments,
    }

    /// What is said of arms of these names.
    fn checked(names: [&str; 2], more: &[&str]) -> Result<(), String> {
        let arms = names.map(|name| format!("--arm={name}=relay"));
        let words = ["x"].into_iter().chain(arms.iter().map(String::as_str));
        let typed = Typed::try_parse_from(words.chain(more.iter().copied())).map_err(|error| error.to_string())?;
        typed.arguments.check_arms().map_err(|error| error.to_string())
    }

    fn typed(words: &[&str]) -> Result<Arguments, clap::Error> {
        let words = ["x", "--target", "http://127.0.0.1:1"]
            .into_iter()
            .chain(words.iter().copied());
        Ok(Typed::try_parse_from(words)?.arguments)
    }

    fn required(words: &[&str]) -> Vec<String> {
        let all = typed(words).unwrap().requirements(None).unwrap();
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_run_of_which_nothing_is_asked_must_mostly_succeed_and_no_run_must_fail_altogether() {
        let always = ["wrong_outcomes==0", "right>0"];
        assert_eq!(required(&[]), ["failed<=1%", always[0], always[1]]);
        assert_eq!(required(&["--require", "p99<1s"]), ["p99<1s", always[0], always[1]]);
        assert!(required(&["--require-nothing"]).is_empty());
        assert_eq!(
            required(&["--find-max"]),
            ["p99<50ms", "wrong_outcomes==0", "failed==0"]
        );
    }

    #[test]
    fn a_url_with_a_password_in_it_is_refused_and_not_repeated() {
        for words in [
            ["--target", "http://ada:hunter2@127.0.0.1:1"],
            ["--arm", "a=http://ada:hunter2@127.0.0.1:1"],
        ] {
            let error = Typed::try_parse_from(["x"].into_iter().chain(words))
                .err()
                .unwrap()
                .to_string();
            assert!(
                !error.contains("hunter2") && error.contains("no password in it"),
                "{error}"
            );
        }
        // What holds none is told as it is.
        let error = Typed::try_parse_from(["x", "--target", "ftp://host"])
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("ftp://host") && error.contains("--target"), "{error}");
    }

    #[test]
    fn a_fault_after_the_end_is_bad_usage() {
        let arguments = typed(&[
            "--user",
            "u%06d@x",
            "--password",
            "p-%06d",
            "--rate",
            "5",
            "--duration",
            "1s",
            "--fault",
            "2s kill agent-9",
        ])
        .unwrap();
        let target = Target::parse("http://127.0.0.1:1").unwrap();
        let error = arguments
            .request(None, None, vec![target], String::new())
            .err()
            .unwrap();
        assert!(error.to_string().contains("after 1.00 s"), "{error}");
    }

    #[test]
    fn nobody_is_made_up_for_a_directory_of_somebodys_own() {
        postern_service::tls::install_provider();
        let scratch = std::env::temp_dir().join(format!("postern-loadtest-nobody-{}", std::process::id()));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&scratch, made.cert.pem()).unwrap();
        let line = serde_json::json!({
            "ca": scratch, "dir": "/", "tenant": "acme", "realm": "x", "control": "http://127.0.0.1:1", "relays": [],
            "agents": [], "dcs": [], "users": [],
        });
        let cluster = Cluster::read(&line.to_string()).unwrap();
        std::fs::remove_file(scratch).unwrap();
        for (words, needed) in [(&[][..], "--users FILE"), (&["--user", "u%06d@x"], "--password")] {
            let error = typed(words).unwrap().people(Some(&cluster)).unwrap_err().to_string();
            assert!(error.contains(needed), "{error}");
        }
        let given = typed(&["--user", "u%06d@x", "--password", "p-%06d"]).unwrap();
        assert!(given.people(Some(&cluster)).is_ok());
    }

    #[test]
    fn no_two_arms_write_one_log() {
        let hdr = ["--hdr", "/tmp"];
        assert_eq!(
            checked(["new build", "new-build"], &hdr).unwrap_err(),
            "the arms \"new build\" and \"new-build\" would both write new-build-round-1.hlog for --hdr; name one of them \
             otherwise"
        );
        assert_eq!(checked(["new build", "new-build"], &[]), Ok(()));
        assert_eq!(checked(["build", "new-build"], &hdr), Ok(()));
    }
}
