//! `postern links`: many agents' links to one relay from one process, to see what they cost it.
//!
//! A link (`link`) speaks an agent's protocol with a certificate of the cluster's PKI (`identities`), and answers success
//! to every sign-in at once, unopened and unasked: this is for a relay in a testbed and nothing else. The links come up
//! first; then idle ones are measured (`board`), so that what sign-ins cost can be told apart (`summary`).

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use postern_loadtest::cluster::{About, Cluster, Part};
use postern_protocol::transport::UDP_BUFFER;
use postern_service::net::bind_udp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::cluster::loopback;
use crate::report::progress;
pub use arguments::{ABOUT, Arguments};
use board::{Board, Reading};
use identities::Identities;
use link::Shared;
use summary::{Summary, idle_cost};

mod arguments;
mod board;
mod identities;
mod link;
mod memory;
mod summary;

/// Between two looks whether something has come to pass.
const INTERVAL: Duration = Duration::from_millis(50);

/// Between two lines of progress.
const SECOND: Duration = Duration::from_secs(1);

/// When no further link comes up for so long, none will.
const PATIENCE: Duration = Duration::from_secs(30);

/// From when all links are up until they are idle: an agent's first pings, and both ends' search for the path's packet size.
const SETTLE: Duration = Duration::from_secs(1);

/// How long idle links are looked at, three pings of each, and how often, when a sign-in comes or a link is lost meanwhile.
const IDLE: Duration = Duration::from_secs(3);
const IDLE_TRIES: u32 = 5;

/// How long goodbyes may take.
const GOODBYE: Duration = Duration::from_secs(3);

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its time was over.
    Over,
    /// SIGINT or SIGTERM.
    Interrupted,
}

/// Brings the links up, counts, and tells what it came to.
///
/// # Errors
/// What is wrong and what to do: with the cluster's line, its folder, or its relay.
pub async fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let cluster = Cluster::open(&arguments.cluster)
        .context("--cluster is for the line that `postern up --json` prints")?
        .about;
    let mut crowd = Crowd::new(&cluster, arguments)?;
    let mut course = Course::default();
    let ending = tokio::select! {
        biased;
        _ = interrupt.recv() => Ok(Ending::Interrupted),
        _ = terminate.recv() => Ok(Ending::Interrupted),
        measured = crowd.measure(arguments.duration, &mut course) => measured.map(|()| Ending::Over),
    };
    let summary = crowd.end(course).await;
    let ending = ending?;
    let text = match arguments.json {
        true => serde_json::to_string(&summary)? + "\n",
        false => summary.to_string(),
    };
    let mut stdout = std::io::stdout();
    // Who wanted to read it may have gone.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    Ok(ending)
}

/// What is known so far.
#[derive(Debug, Default)]
struct Course {
    dialled: Option<Duration>,
    relay_idle: Option<u64>,
    idle_cost: Option<f64>,
    /// When counting began.
    from: Option<Reading>,
}

/// The links, and the relay that they are at.
struct Crowd {
    links: u32,
    relay: Part,
    cluster: About,
    relay_before: Option<u64>,
    shared: Arc<Shared>,
    board: Arc<Board>,
    tasks: JoinSet<()>,
}

impl Crowd {
    /// Everything that is needed before the first dial.
    fn new(cluster: &About, arguments: &Arguments) -> anyhow::Result<Self> {
        let relay = cluster.relays.first().context("a cluster without a relay")?.clone();
        let address: SocketAddr = relay
            .quic
            .parse()
            .with_context(|| format!("the address of {} ({:?})", relay.name, relay.quic))?;
        let identities = Identities::new(cluster, &arguments.agents_named, arguments.slots)?;
        let udp = bind_udp(loopback(0), UDP_BUFFER)?;
        if udp.receive_buffer < UDP_BUFFER {
            progress(format_args!(
                "The system grants {} KiB of UDP buffer where {} were asked for; many links may lose packets. Raise \
                 net.core.rmem_max and net.core.wmem_max",
                udp.receive_buffer / 1024,
                UDP_BUFFER / 1024
            ));
        }
        let endpoint = quinn::Endpoint::new(
            quinn::EndpointConfig::default(),
            None,
            udp.socket,
            Arc::new(quinn::TokioRuntime),
        )?;
        let board = Arc::new(Board::new());
        Ok(Self {
            links: arguments.links,
            relay_before: memory::resident(&relay, &cluster.dir),
            relay,
            cluster: cluster.clone(),
            shared: Arc::new(Shared::new(endpoint, address, identities, board.clone())),
            board,
            tasks: JoinSet::new(),
        })
    }

    async fn measure(&mut self, duration: Duration, course: &mut Course) -> anyhow::Result<()> {
        let began = Instant::now();
        self.bring_up().await?;
        course.dialled = Some(began.elapsed());
        progress(format_args!(
            "{} links up after {:.1} s; looking at them idle",
            self.links,
            began.elapsed().as_secs_f64()
        ));
        sleep(SETTLE).await;
        course.idle_cost = self.look_at_idle().await;
        course.relay_idle = memory::resident(&self.relay, &self.cluster.dir);
        match course.idle_cost {
            Some(cost) => progress(format_args!(
                "An idle link costs {cost:.0} bytes a second; sign-ins may begin"
            )),
            None => progress("The links were never idle, so what sign-ins cost beside that will not be known"),
        }
        course.from = Some(self.board.read());
        self.tell_each_second(duration).await;
        Ok(())
    }

    /// Dials, one link first: what keeps that one out keeps all out.
    async fn bring_up(&mut self) -> anyhow::Result<()> {
        self.tasks.spawn(self.shared.clone().keep(1));
        while self.board.up() == 0 {
            if let Some(trouble) = self.board.trouble() {
                bail!(
                    "no session at {} ({}, UDP): {trouble}; is the cluster still up?",
                    self.relay.name,
                    self.relay.quic
                );
            }
            sleep(INTERVAL).await;
        }
        for number in 2..=self.links {
            self.tasks.spawn(self.shared.clone().keep(number));
        }
        let wanted = usize::try_from(self.links)?;
        let (mut most, mut since, mut told) = (1, Instant::now(), Instant::now());
        loop {
            let up = self.board.up();
            if up >= wanted {
                return Ok(());
            }
            if up > most {
                (most, since) = (up, Instant::now());
            }
            if since.elapsed() > PATIENCE {
                let trouble = self.board.trouble().unwrap_or_else(|| "nothing failed".to_owned());
                bail!(
                    "no more than {most} of {wanted} links came up at {}; the first trouble was: {trouble}",
                    self.relay.name
                );
            }
            if told.elapsed() >= SECOND {
                told = Instant::now();
                progress(format_args!("{up} of {wanted} links up"));
            }
            sleep(INTERVAL).await;
        }
    }

    async fn look_at_idle(&self) -> Option<f64> {
        for _ in 0..IDLE_TRIES {
            let from = self.board.read();
            sleep(IDLE).await;
            let cost = idle_cost(&from, &self.board.read());
            if cost.is_some() {
                return cost;
            }
            progress("A sign-in came or a link was lost; looking again");
        }
        None
    }

    async fn tell_each_second(&self, duration: Duration) {
        let end = Instant::now() + duration;
        let mut seconds = interval(SECOND);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        seconds.tick().await;
        let mut last = self.board.read();
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(end) => return,
                _ = seconds.tick() => {}
            }
            let now = self.board.read();
            let traffic = now.traffic - last.traffic;
            progress(format_args!(
                "{} links up, {} lost; {} sign-ins, {} bytes sent, {} received",
                now.up,
                now.lost,
                now.sign_ins - last.sign_ins,
                traffic.sent,
                traffic.received
            ));
            last = now;
        }
    }

    /// Takes the last reading, and says goodbye.
    async fn end(self, course: Course) -> Summary {
        let last = self.board.read();
        let mut summary = Summary {
            links: self.links,
            up: last.up,
            lost: last.lost,
            failed: last.failed,
            first_trouble: self.board.trouble(),
            dialled_s: course.dialled.map(|dialled| dialled.as_secs_f64()),
            idle_bytes_per_link_s: course.idle_cost,
            ..Summary::default()
        };
        summary.memory(self.relay_before, course.relay_idle);
        if let Some(from) = &course.from {
            summary.counted(from, &last);
        }
        self.shared.close(self.tasks, GOODBYE).await;
        summary
    }
}
