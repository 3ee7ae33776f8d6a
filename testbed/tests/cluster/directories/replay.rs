//! The same binds and the same stories at a Samba domain and at mock-dc in Samba's dialect: codes, texts and the
//! attributes that change have to be the same.

mod cases;
mod changes;
mod client;
mod domain;
mod searches;
mod stories;

use std::fmt::Write;

use client::{Client, Told, Transport};
use domain::Directory;

use super::samba::Samba;

/// What both answered to one question.
struct Disagreement {
    question: String,
    samba: String,
    mock_dc: String,
}

/// Notes what is not the same.
#[derive(Default)]
struct Comparison {
    asked: usize,
    disagreements: Vec<Disagreement>,
}

impl Comparison {
    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, question: impl FnOnce() -> String, samba: &T, mock_dc: &T) {
        self.asked += 1;
        if samba != mock_dc {
            self.disagreements.push(Disagreement {
                question: question(),
                samba: format!("{samba:?}"),
                mock_dc: format!("{mock_dc:?}"),
            });
        }
    }

    fn finish(self, least: usize) {
        assert!(self.asked >= least, "only {} questions were asked", self.asked);
        let mut list = String::new();
        for Disagreement {
            question,
            samba,
            mock_dc,
        } in &self.disagreements
        {
            let _ = writeln!(list, "{question}\n  Samba:   {samba}\n  mock-dc: {mock_dc}");
        }
        assert!(
            list.is_empty(),
            "{} of {} differ:\n{list}",
            self.disagreements.len(),
            self.asked
        );
    }
}

/// A connection to each, which is made anew where the server closed it.
struct Pair<'a> {
    directories: [&'a Directory; 2],
    clients: [Client; 2],
    transport: Transport,
}

impl<'a> Pair<'a> {
    async fn connect(samba: &'a Directory, mock_dc: &'a Directory, transport: Transport) -> Self {
        Self {
            clients: [
                Client::connect(&samba.address, transport).await,
                Client::connect(&mock_dc.address, transport).await,
            ],
            directories: [samba, mock_dc],
            transport,
        }
    }

    /// `None` where the server closed the connection instead of answering.
    async fn bind(&mut self, version: u8, names: [&[u8]; 2], password: &[u8]) -> [Option<Told>; 2] {
        let mut told = [None, None];
        for side in 0..2 {
            told[side] = self.clients[side].bind_as_version(version, names[side], password).await;
            if told[side].is_none() {
                self.clients[side] = Client::connect(&self.directories[side].address, self.transport).await;
            }
        }
        told
    }
}

#[tokio::test]
#[ignore = "needs samba (.ci/run installs it)"]
async fn names_states_and_counters_are_those_of_samba() {
    let mut provisioned = Samba::provision();
    let mut samba = Directory::samba(&mut provisioned).await;
    let mut mock_dc = Directory::mock_dc().await;
    let mut comparison = Comparison::default();
    cases::names(&mut samba, &mut mock_dc, &mut comparison).await;
    cases::states(&samba, &mock_dc, &mut comparison).await;
    cases::passwords(&samba, &mock_dc, &mut comparison).await;
    stories::all(&mut samba, &mut mock_dc, &mut comparison).await;
    changes::all(&mut samba, &mut mock_dc, &mut comparison).await;
    // Eight hundred and more by name, three hundred and more by state, the rest passwords and stories; two hundred
    // in stories of changes.
    comparison.finish(1_700);
}

#[tokio::test]
#[ignore = "needs samba (.ci/run installs it)"]
async fn searches_find_what_they_find_at_samba() {
    let mut provisioned = Samba::provision();
    let samba = Directory::samba(&mut provisioned).await;
    let mock_dc = Directory::mock_dc().await;
    let mut comparison = Comparison::default();
    searches::all(&samba, &mock_dc, &mut comparison).await;
    // Two thirds of them are filters.
    comparison.finish(3_400);
}
