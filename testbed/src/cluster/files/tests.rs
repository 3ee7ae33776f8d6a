use super::*;
use crate::cluster::ports::{Choice, Reservation};
use crate::scratch::Scratch;
use std::process::ExitCode;

const COUNTS: Counts = Counts {
    relays: 2,
    agents: 2,
    dcs: 2,
    users: 10,
};

fn write(scratch: &Scratch, tls_api: bool, dc_config: Option<&str>) -> Parts {
    let folder = Folder::take(Some(&scratch.path().join("cluster"))).unwrap();
    let pki = folder.pki().unwrap();
    let reservation = Reservation::new(COUNTS, Choice::Auto).unwrap();
    let dc_config = dc_config.map(|text| {
        let path = scratch.path().join("dc.toml");
        std::fs::write(&path, text).unwrap();
        path
    });
    let site = Site {
        folder: &folder,
        pki: &pki,
        counts: COUNTS,
        ports: &reservation.ports,
        tls_api,
        dc_config: dc_config.as_deref(),
    };
    site.write().unwrap()
}

#[test]
fn every_part_accepts_the_file_that_is_written_for_it() {
    let scratch = Scratch::new();
    for tls_api in [false, true] {
        let parts = write(&scratch, tls_api, None);
        let check = |part: &Part, main: fn(Vec<OsString>) -> ExitCode| {
            let arguments = part.argv.iter().skip(1).map(OsString::from);
            let code = main(arguments.chain(["--check-config".into()]).collect());
            assert_eq!(code, ExitCode::SUCCESS, "{}", part.name);
        };
        check(&parts.dcs, postern_mock_dc::main);
        for agent in &parts.agents {
            check(agent, postern_agent::main);
        }
        for relay in &parts.relays {
            check(relay, postern_relay::main);
        }
    }
}

#[test]
fn all_domain_controllers_are_one_process_that_answers_to_each_of_their_names() {
    let scratch = Scratch::new();
    let parts = write(&scratch, false, None);
    assert_eq!(parts.dcs.name, "mock-dc");
    assert_eq!(parts.dcs.aliases, ["dc-1", "dc-2"]);
}

#[test]
fn what_is_said_of_locking_is_what_the_directory_does() {
    let scratch = Scratch::new();
    let lockout = |text| write(&scratch, false, text).lockout;
    assert_eq!(
        lockout(None),
        Some(Lockout {
            after: 10,
            seconds: 600
        })
    );
    let shorter = "[policy]\nlockout_threshold = 3\nlockout_window_s = 60\nlockout_duration_s = 60";
    assert_eq!(lockout(Some(shorter)), Some(Lockout { after: 3, seconds: 60 }));
    assert_eq!(lockout(Some("[policy]\nlockout_duration_s = 0")), None);
}
