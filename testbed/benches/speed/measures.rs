//! What can be measured, and how each is.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::cluster::Cluster;
use crate::load::{medians, run, tell, wrk};
use crate::{generator, links, proxies, say};

/// How long, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seconds: u32,
    pub(crate) rounds: u32,
}

impl Plan {
    pub(crate) fn duration(self) -> String {
        format!("{}s", self.seconds)
    }
}

/// One part of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    Peak,
    Open,
    Wrk,
    Added,
    Sealed,
    Generator,
    Proxies,
    Links,
}

impl Measure {
    pub(crate) const ALL: [Self; 8] = [
        Self::Peak,
        Self::Open,
        Self::Wrk,
        Self::Added,
        Self::Sealed,
        Self::Generator,
        Self::Proxies,
        Self::Links,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Peak => "peak",
            Self::Open => "open",
            Self::Wrk => "wrk",
            Self::Added => "added",
            Self::Sealed => "sealed",
            Self::Generator => "generator",
            Self::Proxies => "proxies",
            Self::Links => "links",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Peak => "The most: a closed loop of our own generator",
            Self::Open => "At fixed rates, evenly spaced, whatever is answered when",
            Self::Wrk => "The most, by wrk",
            Self::Added => "What passing through adds, at 500/s",
            Self::Sealed => "Sealed by the caller, and with a key for each sign-in",
            Self::Generator => "What the generator itself costs, beside wrk, at a server that does nothing",
            Self::Proxies => "What one would use over a VPN, in front of the same mock-dc",
            Self::Links => "Many agents",
        }
    }

    pub(crate) fn run(self, plan: Plan) -> anyhow::Result<()> {
        match self {
            Self::Peak => peak(plan),
            Self::Open => open(plan),
            Self::Wrk => by_wrk(plan),
            Self::Added => added(plan),
            Self::Sealed => sealed(plan),
            Self::Generator => generator::run(plan),
            Self::Proxies => proxies::run(plan),
            Self::Links => links::run(plan),
        }
    }
}

impl ValueEnum for Measure {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

/// A load of right passwords on the cluster, typed and played; the median of each figure is told.
pub(crate) fn play(what: &str, cluster: &Cluster, load: &[&str], plan: Plan) -> anyhow::Result<()> {
    let duration = plan.duration();
    let typed: Vec<&str> = ["--cluster", "CLUSTER", "--mix", "right=1", "--duration", &duration]
        .into_iter()
        .chain(load.iter().copied())
        .collect();
    let shown = typed.join(" ").replace("CLUSTER", "cluster.json");
    say(&format!("    $ postern loadtest run {shown}"));
    let figures = medians(plan.rounds, || run(cluster, &typed))?;
    tell(what, &figures);
    Ok(())
}

fn peak(plan: Plan) -> anyhow::Result<()> {
    let cluster = Cluster::up(&[])?;
    for at_once in ["1", "8", "64"] {
        play(&format!("{at_once} at once"), &cluster, &["--closed", at_once], plan)?;
    }
    Ok(())
}

fn open(plan: Plan) -> anyhow::Result<()> {
    let cluster = Cluster::up(&[])?;
    for rate in ["500", "3000", "6000", "9000", "12000"] {
        play(&format!("{rate}/s"), &cluster, &["--rate", rate], plan)?;
    }
    Ok(())
}

fn by_wrk(plan: Plan) -> anyhow::Result<()> {
    let cluster = Cluster::up(&[])?;
    for connections in [1, 8, 64] {
        say(&format!(
            "    $ wrk -t1 -c{connections} -d{} --latency -s sign-ins.lua API",
            plan.duration()
        ));
        let figures = medians(plan.rounds, || wrk(&cluster, connections, plan.seconds))?;
        tell(&format!("{connections} connections"), &figures);
    }
    Ok(())
}

/// Each round has both, one after the other, and the differences are of a round.
fn added(plan: Plan) -> anyhow::Result<()> {
    let cluster = Cluster::up(&[])?;
    let (_, ca) = cluster.ldaps()?;
    let (ca, duration) = (ca.to_string_lossy().into_owned(), plan.duration());
    let directory = cluster.line["dcs"][0]["ldaps"].as_str().unwrap_or_default().to_owned();
    let common = ["--mix", "right=1", "--rate", "500", "--duration", &duration];
    let through: Vec<&str> = ["--cluster", "CLUSTER"].into_iter().chain(common).collect();
    let direct: Vec<&str> = ["--cluster", "CLUSTER", "--target", &directory, "--ca", &ca]
        .into_iter()
        .chain(common)
        .collect();
    say(&format!(
        "    $ postern loadtest run --cluster cluster.json --mix right=1 --rate 500 --duration {duration} \
         [--target LDAPS-URL --ca CA]"
    ));
    let figures = medians(plan.rounds, || {
        let (direct, mut through) = (run(&cluster, &direct)?, run(&cluster, &through)?);
        for name in ["p50", "p99"] {
            through.insert(format!("{name} direct"), direct[name]);
            through.insert(format!("{name} added"), through[name] - direct[name]);
        }
        Ok(through)
    })?;
    for name in ["p50", "p99"] {
        say(&format!(
            "{name}: directly {:.3} ms, through the relay {:.3} ms; added {:.3} ms",
            figures[&format!("{name} direct")],
            figures[name],
            figures[&format!("{name} added")]
        ));
    }
    Ok(())
}

fn sealed(plan: Plan) -> anyhow::Result<()> {
    {
        let cluster = Cluster::up(&[])?;
        play(
            "sealed by the caller, 64 at once",
            &cluster,
            &["--sealed", "--closed", "64"],
            plan,
        )?;
        play(
            "sealed by the caller, 500/s",
            &cluster,
            &["--sealed", "--rate", "500"],
            plan,
        )?;
    }
    let cluster = Cluster::up(&[])?.relay_with("POSTERN_SIGN_IN__EPOCH_MS", "0")?;
    play("a key for each, 64 at once", &cluster, &["--closed", "64"], plan)?;
    play("a key for each, 500/s", &cluster, &["--rate", "500"], plan)
}
