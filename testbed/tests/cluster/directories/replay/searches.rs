//! The same searches at both: results and their texts, which entries are found, which attributes are shown and what of
//! their values.

mod answer;
mod bases;
mod excuses;
mod filters;
mod landscape;
mod request;
mod selections;
mod with_controls;

use std::collections::BTreeSet;

use super::Comparison;
use super::client::{Client, Transport};
use super::domain::Directory;
use answer::{Answer, Facts, read};
use landscape::Landscape;
use request::{Search, controls};

/// What the file does not have: units within units, people with more than names, groups within groups and in circles.
pub(super) const CONFIG: &str = r#"
[[organizational_units]]
name = "Offices"
[[organizational_units]]
name = "Berlin, Mitte"
path = "OU=Offices"
[[users]]
sam = "rich"
cn = "Rich, Person"
path = "OU=Berlin\\, Mitte,OU=Offices"
password = "Str0ng-Passw0rd!"
mail = "Rich.Person@people.example.net"
display_name = "Person (Rich)"
logon_hours = "000000ffffff000000ffffff000000ffffff000000"
workstations = ["PC1", "PC2"]
[users.attributes]
givenName = "Rich"
sn = "Person"
initials = "R P"
description = "Füllt viele Attribute"
department = "Verkauf"
title = "Chief_Officer"
telephoneNumber = "+49 30 123"
employeeID = "0042"
proxyAddresses = ["SMTP:Rich.Person@people.example.net", "smtp:rich@people.example.net"]
servicePrincipalName = ["HTTP/rich", "HTTP/rich.corp.example.com"]
physicalDeliveryOfficeName = "Berlin"
l = "Berlin"
[[users]]
sam = "poor"
path = "OU=Berlin\\, Mitte,OU=Offices"
password = "Str0ng-Passw0rd!"
upn = ""
[users.attributes]
givenName = "Person"
sn = "Rich"
[[groups]]
name = "Outer"
path = "OU=Offices"
members = ["Inner", "good"]
[[groups]]
name = "Inner"
path = "OU=Offices"
members = ["Innermost", "poor"]
[[groups]]
name = "Innermost"
path = "OU=Offices"
members = ["Outer", "rich"]
[[groups]]
name = "Local Team"
path = "OU=Offices"
scope = "domain-local"
members = ["good", "Inner", "Everywhere"]
[[groups]]
name = "Everywhere"
path = "OU=Offices"
scope = "universal"
members = ["poor"]
[[groups]]
name = "Nobody"
path = "OU=Offices"
[[password_settings]]
name = "PSO-Team"
precedence = 60
min_password_length = 9
applies_to = ["Innermost"]
"#;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    Ordinary,
    Administrator,
}

/// Somebody at both, and what they are told.
struct Asker<'a> {
    who: Who,
    transport: Transport,
    directories: [&'a Directory; 2],
    clients: [Client; 2],
    map: &'a Map,
    comparison: &'a mut Comparison,
}

/// The objects of both.
struct Map {
    landscapes: [Landscape; 2],
    /// What only one of them has.
    alone: BTreeSet<String>,
}

impl<'a> Asker<'a> {
    async fn sign_in(
        who: Who,
        transport: Transport,
        directories: [&'a Directory; 2],
        map: &'a Map,
        comparison: &'a mut Comparison,
    ) -> Self {
        Self {
            clients: [
                connect(who, directories[0], transport).await,
                connect(who, directories[1], transport).await,
            ],
            who,
            transport,
            directories,
            map,
            comparison,
        }
    }

    /// Asks both for what they each call it.
    async fn ask(&mut self, operation: impl Fn(&Landscape) -> Vec<u8>, controls: [&[u8]; 2]) -> [Answer; 2] {
        let mut answers = [Answer::default(), Answer::default()];
        for side in 0..2 {
            let operation = operation(&self.map.landscapes[side]);
            answers[side] = read(&self.clients[side].ask(&operation, controls[side]).await);
            if answers[side].is_closed() {
                self.clients[side] = connect(self.who, self.directories[side], self.transport).await;
            }
        }
        answers
    }

    /// Searches both and compares.
    async fn search(&mut self, search: Search) {
        self.search_in_order(search, false).await;
    }

    async fn search_in_order(&mut self, search: Search, in_order: bool) {
        let asked = controls(&search.controls);
        let answers = self
            .ask(|landscape| search.operation(landscape), [&asked, &asked])
            .await;
        self.compare(&format!("{search:?}"), &answers, in_order);
    }

    /// Asks both for anything else and compares.
    async fn other(&mut self, question: &str, operation: impl Fn(&Landscape) -> Vec<u8>) {
        let answers = self.ask(operation, [&[], &[]]).await;
        self.compare(question, &answers, false);
    }

    /// Compares a page: which entry is on which is up to the server, as long as nothing is asked of their order.
    fn compare_page(&mut self, question: &str, answers: &[Answer; 2]) {
        let facts = |side: usize| {
            let mut facts = Facts::from([("entries".to_owned(), answers[side].entries.len().to_string())]);
            let all = answers[side].facts(&self.map.landscapes[side], &self.map.alone, false);
            facts.extend(all.into_iter().filter(|(_, told)| told != "found"));
            facts
        };
        let [left, right] = differences(facts(0), facts(1));
        self.comparison.compare(|| question.to_owned(), &left, &right);
    }

    /// Compares the entries of all pages together, by their names. `in_order`: their order, too.
    fn compare_all_pages(&mut self, question: &str, pages: &[Vec<Answer>; 2], in_order: bool) {
        let names = |side: usize| {
            let entries = pages[side].iter().flat_map(|page| &page.entries);
            let mut names: Vec<_> = entries.map(|(name, _)| name.as_str()).collect();
            let once = names.iter().collect::<BTreeSet<_>>().len();
            assert_eq!(once, names.len(), "{question}: one came twice: {names:?}");
            names.retain(|name| !self.map.alone.contains(*name));
            if !in_order {
                names.sort_unstable();
            }
            names.join(" | ")
        };
        let [left, right] = [names(0), names(1)];
        self.comparison.compare(|| question.to_owned(), &left, &right);
    }

    fn compare(&mut self, question: &str, answers: &[Answer; 2], in_order: bool) {
        let facts = |side: usize| answers[side].facts(&self.map.landscapes[side], &self.map.alone, in_order);
        let [left, right] = differences(facts(0), facts(1));
        let question = || format!("{:?} over {:?}: {question}", self.who, self.transport);
        self.comparison.compare(question, &left, &right);
    }
}

/// What is not the same.
fn differences(mut left: Facts, mut right: Facts) -> [Facts; 2] {
    left.retain(|what, told| {
        let same = right.get(what) == Some(told);
        if same {
            right.remove(what);
        }
        !same
    });
    [left, right]
}

async fn connect(who: Who, directory: &Directory, transport: Transport) -> Client {
    let mut client = Client::connect(&directory.address, transport).await;
    let (name, password): (&[u8], &[u8]) = match who {
        Who::Nobody => return client,
        Who::Ordinary => (b"CORP\\good", b"Str0ng-Passw0rd!"),
        Who::Administrator => (b"CORP\\Administrator", b"Adm1n-Passw0rd!"),
    };
    let told = client.bind(name, password).await.unwrap();
    assert_eq!(told.code, 0, "{who:?}: {}", told.text);
    client
}

/// Asks everything.
pub(super) async fn all(samba: &Directory, mock_dc: &Directory, comparison: &mut Comparison) {
    let landscapes = [Landscape::of(samba).await, Landscape::of(mock_dc).await];
    let [of_samba, of_mock_dc] = &landscapes;
    let alone: BTreeSet<_> = of_samba
        .names
        .symmetric_difference(&of_mock_dc.names)
        .cloned()
        .collect();
    for name in alone.iter().filter(|name| !excuses::may_be_alone(name)) {
        let has = |landscape: &Landscape| landscape.names.contains(name);
        comparison.compare(|| format!("whether there is {name}"), &has(of_samba), &has(of_mock_dc));
    }
    let map = Map { landscapes, alone };
    for transport in [Transport::Ldap, Transport::StartTls, Transport::Ldaps] {
        for who in [Who::Nobody, Who::Ordinary] {
            let mut asker = Asker::sign_in(who, transport, [samba, mock_dc], &map, comparison).await;
            bases::root_dse(&mut asker).await;
            bases::everywhere(&mut asker).await;
        }
    }
    let mut nobody = Asker::sign_in(Who::Nobody, Transport::Ldap, [samba, mock_dc], &map, comparison).await;
    bases::unasked(&mut nobody).await;
    for who in [Who::Ordinary, Who::Administrator] {
        let mut asker = Asker::sign_in(who, Transport::Ldap, [samba, mock_dc], &map, comparison).await;
        bases::forms(&mut asker).await;
        selections::all(&mut asker).await;
    }
    let mut ordinary = Asker::sign_in(Who::Ordinary, Transport::StartTls, [samba, mock_dc], &map, comparison).await;
    filters::all(&mut ordinary).await;
    with_controls::all(&mut ordinary).await;
    bases::comparisons(&mut ordinary).await;
}
