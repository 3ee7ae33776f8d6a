//! A relay, agents and a directory on a simulated network, and the sign-ins that are made at it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use postern_agent::Service;
use postern_protocol::seal::AuthenticatedData;
use postern_protocol::{Outcome, Password, RealmKey, RequestId};
use postern_relay::broker::{Access, Broker, Changes, Ending};
use postern_relay::core::{RealmIndex, SignIn};
use postern_relay::envelope::Envelope;
use postern_relay::metrics::Metrics;
use postern_relay::session::listener;
use postern_service::shutdown::Shutdown;
use postern_service::threads::Threads;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::directory::{Arrival, Directory, name, password};
use super::machine::{endpoint, machine};
use super::pki;
use super::plan::{DEADLINE, Folder, Plan, RELAY, agent, agent_config, relay_config};
use super::process::{Process, TICK};
use super::report::Report;
use super::timeline::{Event, Timeline};
use super::udp::Udp;

/// A sign-in and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) right: bool,
    pub(super) at: Duration,
    pub(super) settled: Option<(Duration, Outcome)>,
    /// The relay that had it, or should have, was killed: there is nobody to answer.
    pub(super) cut: bool,
}

struct Relay {
    process: Process,
    access: Access,
    goodbye: CancellationToken,
    _changes: Changes,
}

struct Agent {
    process: Process,
    shutdown: Shutdown,
}

/// All of it.
pub(super) struct Cluster {
    pub(super) udp: Udp,
    timeline: Timeline,
    plan: Plan,
    rng: StdRng,
    unix_ms: u64,
    folder: Folder,
    relay_config: postern_relay::config::Config,
    relay: Option<Relay>,
    agents: Vec<Option<Agent>>,
    /// How often each agent was started.
    lives: [usize; pki::AGENTS],
    directory: Process,
    arrivals: mpsc::UnboundedSender<Arrival>,
    /// User number n is at n - 1: each signs in once.
    made: Arc<Mutex<Vec<Made>>>,
    /// Sign-ins a second, since when, and how many have been made.
    load: Option<(u64, Duration, u64)>,
}

impl Cluster {
    /// A cluster whose agents are all in session and have their connections to the directory.
    pub(super) fn start(plan: Plan) -> Self {
        postern_service::tls::install_provider();
        let folder = Folder::make();
        let timeline = Timeline::default();
        let mut rng = StdRng::seed_from_u64(plan.seed);
        let udp = Udp::new(rng.random(), plan.link, timeline.clone());
        let (arrivals, arriving) = mpsc::unbounded_channel();
        let mut directory = Process::new();
        let domain = Directory::new(rng.random(), timeline.clone());
        directory.enter(|tasks| tasks.spawn(domain.serve(arriving)));
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let mut cluster = Self {
            udp,
            timeline,
            plan,
            rng,
            unix_ms: u64::try_from(unix_ms).unwrap(),
            relay_config: relay_config(&folder.0, plan.policy),
            folder,
            relay: None,
            agents: (0..pki::AGENTS).map(|_| None).collect(),
            lives: [0; pki::AGENTS],
            directory,
            arrivals,
            made: Arc::default(),
            load: None,
        };
        cluster.start_relay();
        for agent in 0..pki::AGENTS {
            cluster.start_agent(agent);
        }
        cluster.run_until("all agents are in session", Duration::from_secs(20), |cluster| {
            cluster.in_session() == pki::AGENTS
        });
        // Connections to the directory are opened one after another.
        cluster.run(Duration::from_secs(1));
        cluster
    }

    pub(super) fn start_relay(&mut self) {
        let seed = self.rng.random();
        let mut server = listener::server_config(&self.relay_config).unwrap();
        server.transport_config(Arc::new(self.plan.control.transport(1)));
        let socket = self.udp.socket(SocketAddr::new(RELAY, 7_011));
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let (config, rng, ending) = (&self.relay_config, &mut self.rng, Ending::default());
        let goodbye = ending.goodbye.clone();
        let mut process = Process::new();
        let (access, changes) = process.enter(|tasks| {
            let (broker, access, changes) = Broker::new(config, &metrics, ending, rng).unwrap();
            tasks.spawn(broker.run(endpoint(socket, Some(server), seed).into(), Threads::here()));
            (access, changes)
        });
        self.note("a relay starts");
        self.relay = Some(Relay {
            process,
            access,
            goodbye,
            _changes: changes,
        });
    }

    pub(super) fn start_agent(&mut self, number: usize) {
        let config = agent_config(&self.folder.0, number);
        let unix_ms = self.unix_ms + u64::try_from(self.timeline.now().as_millis()).unwrap();
        let life = self.lives[number];
        self.lives[number] += 1;
        let (seed, control) = (self.rng.random(), self.plan.control);
        let (udp, arrivals) = (self.udp.clone(), self.arrivals.clone());
        let (mut process, shutdown) = (Process::new(), Shutdown::new());
        process.enter(|tasks| {
            let machine = machine((number, life), seed, unix_ms, control, udp, arrivals);
            let service = Service::new(config, machine).unwrap();
            let shutdown = shutdown.clone();
            tasks.spawn(async move { service.run(shutdown).await.unwrap() });
        });
        self.note(format!("agent {number} starts"));
        self.agents[number] = Some(Agent { process, shutdown });
    }

    /// The relay is killed. What callers had asked of it nobody answers.
    pub(super) fn kill_relay(&mut self) {
        self.note("the relay is killed");
        self.udp.close(RELAY);
        self.relay = None;
        for made in self
            .made
            .lock()
            .unwrap()
            .iter_mut()
            .filter(|made| made.settled.is_none())
        {
            made.cut = true;
        }
    }

    /// The relay, which has nothing left to settle, sends its agents away and ends.
    pub(super) fn drain_relay(&mut self) {
        self.note("the relay drains");
        self.relay.as_ref().unwrap().goodbye.cancel();
        self.run_until("the relay has drained", Duration::from_secs(5), |cluster| {
            cluster.relay.as_ref().is_some_and(|relay| relay.process.is_over())
        });
        self.udp.close(RELAY);
        self.relay = None;
    }

    pub(super) fn kill_agent(&mut self, number: usize) {
        self.note(format!("agent {number} is killed"));
        self.udp.close(agent(number));
        self.agents[number] = None;
    }

    /// An agent is told to end, and has ended when this returns.
    pub(super) fn drain_agent(&mut self, number: usize) {
        self.note(format!("agent {number} drains"));
        self.agents[number].as_ref().unwrap().shutdown.drain.cancel();
        self.run_until("the agent has drained", Duration::from_secs(20), |cluster| {
            cluster.agents[number]
                .as_ref()
                .is_some_and(|agent| agent.process.is_over())
        });
        self.udp.close(agent(number));
        self.agents[number] = None;
    }

    pub(super) fn freeze_agent(&mut self, number: usize) {
        self.note(format!("agent {number} is frozen"));
        self.agents[number].as_mut().unwrap().process.freeze();
    }

    pub(super) fn thaw_agent(&mut self, number: usize) {
        self.note(format!("agent {number} goes on"));
        self.agents[number].as_mut().unwrap().process.thaw();
    }

    pub(super) fn freeze_relay(&mut self) {
        self.note("the relay is frozen");
        self.relay.as_mut().unwrap().process.freeze();
    }

    pub(super) fn thaw_relay(&mut self) {
        self.note("the relay goes on");
        self.relay.as_mut().unwrap().process.thaw();
    }

    pub(super) fn note(&self, deed: impl Into<String>) {
        self.timeline.log(Event::Deed(deed.into()));
    }

    pub(super) fn now(&self) -> Duration {
        self.timeline.now()
    }

    /// Agents with a key that the relay knows, which are those in session.
    pub(super) fn in_session(&self) -> usize {
        self.relay
            .as_ref()
            .map_or(0, |relay| relay.access.keys.of(&realm()).len())
    }

    /// From now on so many sign-ins a second are made; none for 0.
    pub(super) fn load(&mut self, per_second: u64) {
        self.load = (per_second > 0).then_some((per_second, self.now(), 0));
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now() + time;
        while self.now() < end {
            self.tick();
        }
    }

    pub(super) fn run_until(&mut self, what: &str, patience: Duration, mut done: impl FnMut(&Self) -> bool) {
        let end = self.now() + patience;
        while !done(self) {
            assert!(self.now() < end, "not within {patience:?}: {what}");
            self.tick();
        }
    }

    /// No more sign-ins are made, and all that were made get their time.
    pub(super) fn finish(&mut self) -> Report {
        self.load(0);
        self.run(DEADLINE + Duration::from_secs(1));
        Report::new(self.made.lock().unwrap().clone(), self.timeline.events())
    }

    fn tick(&mut self) {
        self.udp.deliver();
        if let Some((per_second, since, made)) = self.load {
            let elapsed = self.now().saturating_sub(since);
            let due = u64::try_from(elapsed.as_millis()).unwrap() * per_second / 1_000;
            for _ in made..due {
                self.sign_in();
            }
            self.load = Some((per_second, since, due));
        }
        self.directory.tick();
        if let Some(relay) = &mut self.relay {
            relay.process.tick();
        }
        for agent in self.agents.iter_mut().flatten() {
            agent.process.tick();
        }
        self.timeline.advance(TICK);
    }

    fn sign_in(&mut self) {
        let right = self.rng.random_bool(0.7);
        let (index, user) = {
            let mut made = self.made.lock().unwrap();
            made.push(Made {
                right,
                at: self.timeline.now(),
                settled: None,
                cut: self.relay.is_none(),
            });
            (made.len() - 1, made.len())
        };
        self.timeline.log(Event::SignIn { user });
        let Some(Relay { process, access, .. }) = &mut self.relay else {
            return;
        };
        let now_unix = self.unix_ms + u64::try_from(self.timeline.now().as_millis()).unwrap();
        let (access, made, timeline) = (access.clone(), self.made.clone(), self.timeline.clone());
        process.enter(|tasks| {
            tasks.spawn(async move {
                let (sign_in, envelope) = seal(&access, user, right, now_unix);
                let outcome = access.sign_ins.submit(sign_in, envelope).await.outcome;
                timeline.log(Event::Settled { user, outcome });
                made.lock().unwrap()[index].settled = Some((timeline.now(), outcome));
            });
        });
    }
}

/// What the API does between a password and the driver.
fn seal(access: &Access, user: usize, right: bool, unix_ms: u64) -> (SignIn, Envelope) {
    let (now, realm) = (access.clock.now(), realm());
    let text = if right {
        password(user)
    } else {
        "a wrong one".to_owned()
    };
    let mut id = [0; 16];
    id[8..].copy_from_slice(&u64::try_from(user).unwrap().to_be_bytes());
    let authenticated = AuthenticatedData {
        expires_unix_ms: unix_ms + u64::try_from(DEADLINE.as_millis()).unwrap(),
        realm: realm.realm.to_string(),
        request_id: RequestId(id),
        tenant: realm.tenant.to_string(),
        user: name(user),
    };
    let password = Password::new(text.into()).unwrap();
    let sealed = access.sealer.seal(&realm, now, &password, &authenticated.to_base64());
    let (epoch, sealed) = sealed.unwrap();
    let expires = authenticated.expires_unix_ms;
    let envelope = Envelope::sealed_here(RequestId(id), realm, authenticated.user, expires, epoch, sealed);
    let sign_in = SignIn {
        realm: RealmIndex(0),
        user: u64::try_from(user).unwrap(),
        deadline: now + DEADLINE,
        bytes: envelope.bytes(),
        recipients: envelope.recipients(),
    };
    (sign_in, envelope)
}

fn realm() -> RealmKey {
    RealmKey {
        tenant: "acme".parse().unwrap(),
        realm: "corp".parse().unwrap(),
    }
}
