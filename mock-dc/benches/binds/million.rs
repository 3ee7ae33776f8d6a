//! A million accounts: how soon they are served, and what memory they take before and after they sign in.

use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::client::{Bind, Connection, INVALID_CREDENTIALS, SUCCESS, Target};
use crate::process::Folder;
use crate::say;
use crate::servers::{Pki, generated, mock_dc};

const ACCOUNTS: usize = 1_000_000;
const RIGHT: usize = 100_000;
const WRONG: usize = 10_000;

/// A start takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run() -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let pki = Pki::new(&folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let begun = Instant::now();
    let (process, [ldap, _]) = mock_dc::spawn(&folder, &pki)?;
    let target = Target {
        address: ldap,
        tls: None,
    };
    let mut connection = runtime.block_on(async {
        loop {
            if let Ok(mut connection) = Connection::open(&target).await {
                connection.root_dse().await?;
                return anyhow::Ok(connection);
            }
            ensure!(begun.elapsed() < PATIENCE, "it does not listen");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })?;
    let ready = begun.elapsed();
    say("| mock-dc with 1,000,000 accounts | |")?;
    say("|---|---:|")?;
    say(format_args!(
        "| from its start to an answered RootDSE | {} ms |",
        ready.as_millis()
    ))?;
    let resident = |when: &str| {
        say(format_args!(
            "| resident {when} | {:.1} MiB |",
            mib(process.resident()?)
        ))
    };
    resident("then")?;

    // What is written down of each bind takes memory, too: so once as one account, and once each as another.
    let mut bind = |number: usize, right: bool| {
        let (name, password) = generated(number);
        let (password, expected) = match right {
            true => (password, SUCCESS),
            false => ("Certainly-Wrong-1".to_owned(), INVALID_CREDENTIALS),
        };
        let bind = Bind::new(1, &name, &password);
        runtime.block_on(connection.bind(&bind, expected))
    };
    (0..RIGHT).try_for_each(|_| bind(1, true))?;
    resident("after 100,000 right passwords of one account")?;
    let spread = ACCOUNTS / RIGHT;
    (0..RIGHT).try_for_each(|at| bind(at * spread + 2, true))?;
    resident("after 100,000 more, each of another account")?;
    let spread = ACCOUNTS / WRONG;
    (0..WRONG).try_for_each(|at| bind(at * spread + 3, false))?;
    resident("after 10,000 wrong ones, each of another account")
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
