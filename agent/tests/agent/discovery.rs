//! Domain controllers that come from DNS, and how connections to them are kept.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::ResponseCode;
use ldap3_proto::proto::LdapResultCode;
use postern_protocol::{NotStarted, Verdict};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::bed::Bed;
use crate::dc::{Dc, Manner, Reply};
use crate::dns::{Dns, Told};
use crate::pki::AGENT_URI;
use crate::relay::{Agent, Greeting, Relay};

const USER: &str = "user000001@corp.example.com";
const REALM: &str = "corp.example.com";
const DOMAIN: &str = "_ldap._tcp.dc._msdcs.corp.example.com";
const SITE: &str = "_ldap._tcp.Berlin._sites.dc._msdcs.corp.example.com";

/// The directory of a test: a DNS server, and domain controllers on one port at addresses of their own.
struct World {
    bed: Bed,
    relay: Relay,
    dns: Dns,
    port: u16,
}

fn host(number: usize) -> String {
    format!("dc-{number}.corp.example.com")
}

impl World {
    /// `dcs` domain controllers, of which DNS tells the addresses and nothing else yet.
    async fn new(dcs: u8) -> Self {
        let hosts: Vec<String> = (1..=usize::from(dcs)).map(host).collect();
        let names: Vec<[&str; 2]> = hosts.iter().map(|host| [host.as_str(), REALM]).collect();
        Self::of(&names.iter().map(<[_; 2]>::as_slice).collect::<Vec<_>>(), Manner::Ldaps).await
    }

    /// Servers with certificates for these names; DNS tells the address of each under the first.
    async fn of(names: &[&[&str]], manner: Manner) -> Self {
        let mut bed = Bed::new(0).await;
        let dns = Dns::start().await;
        let addresses: Vec<Ipv4Addr> = (1..)
            .zip(names)
            .map(|(last, _)| Ipv4Addr::new(127, 0, 0, last))
            .collect();
        let (listeners, port) = loop {
            if let Some(listening) = listen(&addresses).await {
                break listening;
            }
        };
        for ((names, listener), address) in names.iter().zip(listeners).zip(addresses) {
            bed.dcs.push(Dc::start_on(listener, &bed.ca.issue(None, names), manner));
            dns.tell(names[0], Told::Address(address));
        }
        let relay = bed.relay();
        Self { bed, relay, dns, port }
    }

    /// Starts the agent. It is told the port, where the standard has another.
    async fn run(&mut self, discover: &str) -> Agent {
        let port = self.port;
        self.run_as(&format!("port = {port}\n{discover}")).await
    }

    /// Starts the agent.
    async fn run_as(&mut self, discover: &str) -> Agent {
        let issued = self.bed.ca.issue(Some(AGENT_URI), &[]);
        let directory = format!(
            "[directory.discover]\ndomain = \"Corp.Example.com.\"\nnameservers = [\"{}\"]\nrefresh_s = 1\n{discover}",
            self.dns.address
        );
        let config = self.bed.config_with(&[self.relay.address], &issued, &directory);
        self.bed.run(config);
        self.relay.agent(Greeting::default()).await
    }

    fn dc(&self, number: usize) -> &Dc {
        &self.bed.dcs[number - 1]
    }
}

/// Listeners with one port at all addresses, unless somebody else has it at one of them.
async fn listen(addresses: &[Ipv4Addr]) -> Option<(Vec<TcpListener>, u16)> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut port = 0;
    for &address in addresses {
        let listener = TcpListener::bind((address, port)).await.ok()?;
        port = listener.local_addr().unwrap().port();
        listeners.push(listener);
    }
    Some((listeners, port))
}

#[tokio::test]
async fn the_domain_controllers_that_dns_names_are_bound_to_under_the_names_it_gives_them() {
    let mut world = World::new(2).await;
    world.dns.tell(
        DOMAIN,
        Told::Services(vec![
            (0, 100, "DC-1.corp.example.com".to_owned()),
            (0, 100, "dc-2.corp.example.com".to_owned()),
            (0, 100, "127.0.0.1".to_owned()),
            (0, 100, "dc_3.corp.example.com".to_owned()),
        ]),
    );
    let mut agent = world.run("").await;
    agent.until_ready(4).await;
    world.dc(1).until_open(3).await;
    world.dc(2).until_open(3).await;
    let mut seen = std::collections::BTreeSet::new();
    for id in 1..=4 {
        let outcome = agent.ask(id, USER, "right").await;
        assert_eq!(outcome.verdict().0, Verdict::Success);
        seen.insert(outcome.verdict().2.to_owned());
    }
    assert_eq!(seen, [host(1), host(2)].into());
    let metrics = world.bed.admin("/metrics").await;
    assert!(
        !metrics.contains("dc=\"127.0.0.1") && !metrics.contains("dc_3"),
        "{metrics}"
    );
}

#[tokio::test]
async fn start_tls_goes_to_the_port_that_dns_names_and_needs_the_same_certificate() {
    for (names, is_used) in [(&["dc-1.corp.example.com", REALM][..], true), (&[REALM][..], false)] {
        let mut world = World::of(&[names], Manner::StartTls).await;
        world.dns.tell(&host(1), Told::Address(Ipv4Addr::LOCALHOST));
        world.dns.tell_port(world.port);
        world.dns.tell_services(DOMAIN, &[&host(1)]);
        let mut agent = world.run_as("transport = \"starttls\"\n").await;
        if is_used {
            agent.until_ready(4).await;
            world.dc(1).until_open(5).await;
            assert_eq!(agent.ask(1, USER, "right").await.verdict().2, host(1));
        } else {
            agent.barrier(1).await;
            let page = world.bed.readyz("not for dc-1.corp.example.com").await;
            assert!(page.contains("503"), "{page}");
            assert_eq!(agent.ask(1, USER, "right").await.not_started(), NotStarted::NoDirectory);
            assert!(world.bed.binds().is_empty());
        }
    }
}

#[tokio::test]
async fn a_host_that_has_no_address_is_named() {
    let mut world = World::new(1).await;
    world.dns.tell_services(DOMAIN, &[&host(2)]);
    let mut agent = world.run("").await;
    agent.barrier(1).await;
    let page = world.bed.readyz("does not resolve").await;
    assert!(page.contains("503") && page.contains(&host(2)), "{page}");
    assert_eq!(agent.ask(1, USER, "right").await.not_started(), NotStarted::NoDirectory);
}

#[tokio::test]
async fn weights_share_the_connections_and_a_later_priority_is_left_alone() {
    let mut world = World::new(3).await;
    let services = [(5, 300), (5, 100), (6, 100)];
    let services = services
        .iter()
        .enumerate()
        .map(|(index, &(priority, weight))| (priority, weight, host(index + 1)));
    world.dns.tell(DOMAIN, Told::Services(services.collect()));
    let mut agent = world.run("").await;
    agent.until_ready(4).await;
    // Three and one of four, and one each that reads the RootDSE.
    world.dc(1).until_open(4).await;
    world.dc(2).until_open(2).await;
    assert_eq!(world.dc(3).accepted(), 0);
}

#[tokio::test]
async fn the_sites_domain_controllers_are_used_alone_until_none_of_them_can_be() {
    let mut world = World::new(2).await;
    world.dns.tell_services(SITE, &[&host(1)]);
    world.dns.tell_services(DOMAIN, &[&host(1), &host(2)]);
    let mut agent = world.run("site = \"Berlin\"\n").await;
    agent.until_ready(4).await;
    world.dc(1).until_open(5).await;
    assert_eq!(agent.ask(1, USER, "right").await.verdict().2, host(1));
    assert_eq!(world.dc(2).accepted(), 0);
    world.dc(1).go_down();
    world.dc(2).until_open(5).await;
    assert_eq!(agent.ask(2, USER, "right").await.verdict().2, host(2));
    world.dc(1).come_up();
    world.dc(2).until_open(0).await;
    world.dc(1).until_open(5).await;
    assert_eq!(agent.ask(3, USER, "right").await.verdict().2, host(1));
    let up = format!("postern_agent_dc_up{{dc=\"{}\"}}", host(2));
    // It is left alone from the moment when it would have been connected to again.
    while world.bed.admin("/metrics").await.contains(&up) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_site_that_dns_does_not_know_leaves_the_domains() {
    let mut world = World::new(1).await;
    world.dns.tell_services(DOMAIN, &[&host(1)]);
    let mut agent = world.run("site = \"Berlin\"\n").await;
    agent.until_ready(4).await;
    world.dc(1).until_open(5).await;
    assert_eq!(agent.ask(1, USER, "right").await.verdict().2, host(1));
}

#[tokio::test]
async fn a_domain_controller_that_leaves_dns_finishes_its_binds_and_takes_its_series_along() {
    let mut world = World::new(2).await;
    world.dns.tell_services(DOMAIN, &[&host(1)]);
    let mut agent = world.run("").await;
    agent.until_ready(4).await;
    world.dc(1).until_open(5).await;
    let release = Arc::new(Notify::new());
    world
        .dc(1)
        .script(Reply::Held(release.clone(), LdapResultCode::Success));
    let outcome = {
        let held = agent.ask(1, USER, "right");
        let change = async {
            world.dc(1).bound().await;
            world.dns.tell_services(DOMAIN, &[&host(2)]);
            world.dc(2).until_open(5).await;
            // All but the one whose bind is on its way.
            world.dc(1).until_open(1).await;
            release.notify_one();
        };
        tokio::join!(held, change).0
    };
    assert_eq!(outcome.verdict(), (Verdict::Success, None, host(1).as_str()));
    world.dc(1).until_open(0).await;
    assert_eq!(agent.ask(2, USER, "right").await.verdict().2, host(2));
    // The last series goes with the bind's last word, shortly after its answer.
    while world.bed.admin("/metrics").await.contains(&host(1)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(world.bed.admin("/metrics").await.contains(&host(2)));
}

#[tokio::test]
async fn dns_that_fails_later_takes_no_domain_controller_away() {
    let mut world = World::new(1).await;
    world.dns.tell_services(DOMAIN, &[&host(1)]);
    let mut agent = world.run("").await;
    agent.until_ready(4).await;
    world.dc(1).until_open(5).await;
    for (id, told) in (1..).zip([
        Told::Code(ResponseCode::NXDomain),
        Told::Code(ResponseCode::ServFail),
        Told::Services(Vec::new()),
        // The root: decidedly no such service.
        Told::Services(vec![(0, 0, String::new())]),
    ]) {
        world.dns.tell(DOMAIN, told);
        world.dns.until_asked(3).await;
        assert_eq!(agent.ask(id, USER, "right").await.verdict().2, host(1));
    }
    assert_eq!(world.dc(1).accepted(), 5);
}

#[tokio::test]
async fn dns_without_an_answer_is_named_with_what_was_asked_and_the_agent_is_ready_once_there_is_one() {
    for (told, word) in [
        (None, "NXDOMAIN"),
        (Some(Told::Code(ResponseCode::ServFail)), "Server Failure"),
        (Some(Told::Services(Vec::new())), "no SRV record"),
        (Some(Told::Silence), "no answer"),
    ] {
        let mut world = World::new(1).await;
        if let Some(told) = told {
            world.dns.tell(DOMAIN, told);
        }
        let mut agent = world.run("").await;
        agent.barrier(1).await;
        let page = world.bed.readyz(word).await;
        assert!(page.contains("503") && page.contains(DOMAIN), "{page}");
        assert!(page.contains(&world.dns.address.to_string()), "{page}");
        assert_eq!(agent.ask(1, USER, "right").await.not_started(), NotStarted::NoDirectory);
        world.dns.tell_services(DOMAIN, &[&host(1)]);
        agent.until_ready(4).await;
        world.dc(1).until_open(5).await;
        assert_eq!(agent.ask(2, USER, "right").await.verdict().2, host(1));
    }
}

#[tokio::test]
async fn one_that_has_no_certificate_for_the_name_that_dns_gives_it_is_not_used() {
    let mut world = World::new(1).await;
    world
        .dns
        .tell("other.corp.example.com", Told::Address(Ipv4Addr::LOCALHOST));
    world.dns.tell_services(DOMAIN, &["other.corp.example.com"]);
    let mut agent = world.run("").await;
    agent.barrier(1).await;
    let page = world.bed.readyz("not for other.corp.example.com").await;
    assert!(page.contains("503"), "{page}");
    assert_eq!(agent.ask(1, USER, "right").await.not_started(), NotStarted::NoDirectory);
}

#[tokio::test]
async fn a_machine_of_the_domain_is_no_domain_controller_because_dns_says_so() {
    let mut world = World::of(&[&["ws1.corp.example.com", "*.corp.example.com"]], Manner::Ldaps).await;
    world.dns.tell_services(DOMAIN, &["ws1.corp.example.com"]);
    let mut agent = world.run("").await;
    agent.barrier(1).await;
    let page = world.bed.readyz("not for the domain corp.example.com").await;
    assert!(
        page.contains("503") && page.contains("directory.discover.verify"),
        "{page}"
    );
    assert_eq!(agent.ask(1, USER, "right").await.not_started(), NotStarted::NoDirectory);
    assert!(world.bed.binds().is_empty());
}

#[tokio::test]
async fn a_certificate_for_the_host_alone_is_enough_only_where_the_configuration_says_so() {
    let mut world = World::of(&[&["dc-1.corp.example.com"]], Manner::Ldaps).await;
    world.dns.tell_services(DOMAIN, &[&host(1)]);
    let mut agent = world.run("verify = \"host\"\n").await;
    agent.until_ready(4).await;
    world.dc(1).until_open(5).await;
    assert_eq!(agent.ask(1, USER, "right").await.verdict().2, host(1));
}

#[tokio::test]
async fn a_host_outside_the_domain_is_never_used_whatever_its_certificate_and_the_configuration_say() {
    for verify in ["domain", "host"] {
        for evil in ["evil.example", "dc-1.evilcorp.example.com"] {
            let mut world = World::of(&[&[evil, REALM]], Manner::Ldaps).await;
            world.dns.tell_services(DOMAIN, &[evil]);
            let mut agent = world.run(&format!("verify = \"{verify}\"\n")).await;
            agent.barrier(1).await;
            let page = world.bed.readyz("outside the domain").await;
            assert!(page.contains("503") && page.contains(DOMAIN), "{page}");
            assert_eq!(agent.ask(1, USER, "right").await.not_started(), NotStarted::NoDirectory);
            assert_eq!(world.dc(1).accepted(), 0);
        }
    }
}

#[tokio::test]
async fn idle_connections_are_replaced_one_after_another_and_never_before_the_new_one_is_open() {
    let mut world = World::new(1).await;
    let discover = format!(
        "[[directory.servers]]\nname = \"dc-1\"\nurl = \"ldaps://127.0.0.1:{}\"\nserver_name = \"{}\"\n",
        world.port,
        host(1)
    );
    let issued = world.bed.ca.issue(Some(AGENT_URI), &[]);
    let directory = format!("idle_limit_s = 1\n{discover}");
    let config = world.bed.config_with(&[world.relay.address], &issued, &directory);
    world.bed.run(config);
    let mut agent = world.relay.agent(Greeting::default()).await;
    agent.until_ready(4).await;
    world.dc(1).until_open(5).await;
    world.dc(1).forget_least_open();
    // One that reads the RootDSE and four, and all four replaced.
    world.dc(1).until_accepted(9).await;
    assert!(world.dc(1).least_open() >= 5, "{} were open", world.dc(1).least_open());
    assert_eq!(agent.ask(1, USER, "right").await.verdict().0, Verdict::Success);
}

#[tokio::test]
async fn a_domain_controller_whose_binds_are_much_slower_gets_few_of_them() {
    let (bed, agent) = Bed::start(2).await;
    for _ in 0..200 {
        bed.dcs[0].script(Reply::After(Duration::from_millis(100)));
    }
    // Enough binds of both to compare.
    let mut ids = 1..=u8::MAX;
    for id in ids.by_ref().take(12) {
        agent.ask(id, USER, "right").await;
    }
    let (before, began) = (bed.dcs[0].binds().len(), Instant::now());
    for id in ids.by_ref().take(40) {
        agent.ask(id, USER, "right").await;
    }
    let slow = bed.dcs[0].binds().len() - before;
    // One a second, to see whether it is well again; an even part would be twenty.
    let turns = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
    assert!(slow <= turns, "{slow} binds in {:?}", began.elapsed());
}
