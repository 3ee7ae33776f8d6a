//! Stories of accounts: what is counted, when a lock begins and ends, what a success clears. After each step the
//! attributes that changed are compared, and those of their values that do not tell the time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::Transport;
use super::domain::{Act, BASE, Directory, users};
use super::{Comparison, Pair};

/// Attributes that signing in may change.
const WATCHED: [&str; 10] = [
    "userAccountControl",
    "lastLogon",
    "pwdLastSet",
    "logonCount",
    "badPwdCount",
    "badPasswordTime",
    "lockoutTime",
    "lastLogonTimestamp",
    "uSNChanged",
    "msDS-User-Account-Control-Computed",
];

/// Those whose values are the same in two directories whatever the time.
const TIMELESS: [&str; 4] = [
    "userAccountControl",
    "logonCount",
    "badPwdCount",
    "msDS-User-Account-Control-Computed",
];

#[derive(Debug, Clone, Copy)]
enum Step {
    Right,
    /// Each another one.
    Wrong,
    /// Every time the same one.
    SameWrong,
    Empty,
    /// By principal name and `NETBIOS\name` instead of the DN.
    RightByUpn,
    WrongByUpn,
    WrongByNetbios,
    /// By a name that resolves to nobody.
    WrongByAccountName,
    /// This one.
    Password(&'static str),
    Admin(Act),
    /// A little longer than the short policy's lock and window.
    Wait,
}

use Act::{Disable, Enable, MustChange, Password as Reset, Unlock};
use Step::{
    Admin, Empty, Password, Right, RightByUpn, SameWrong, Wait, Wrong, WrongByAccountName, WrongByNetbios, WrongByUpn,
};

const STORIES: &[(&str, &[Step])] = &[
    (
        "locked",
        &[
            Right,
            Wrong,
            Wrong,
            Wrong,
            Wrong,
            Right,
            RightByUpn,
            WrongByNetbios,
            Empty,
            Admin(Unlock),
            Right,
            Right,
        ],
    ),
    (
        "counter",
        &[Wrong, Wrong, Right, Wrong, Wrong, Right, Right, Wrong, Right],
    ),
    ("counter2", &[SameWrong, SameWrong, SameWrong, SameWrong, Right]),
    (
        "mixed",
        &[
            Wrong,
            WrongByUpn,
            WrongByAccountName,
            WrongByNetbios,
            WrongByUpn,
            Right,
            RightByUpn,
        ],
    ),
    ("lock_nt", &[Empty, Empty, Empty, Empty, WrongByAccountName, Right]),
    (
        "lock_upn",
        &[
            Admin(Disable),
            Wrong,
            Right,
            Right,
            Admin(Enable),
            Right,
            Wrong,
            Admin(MustChange),
            Right,
            Right,
            Wrong,
        ],
    ),
    (
        "lock_dis",
        &[Admin(Disable), Wrong, Wrong, Wrong, Right, Wrong, Admin(Unlock), Right],
    ),
    ("lock_exp", &[Right, Wrong, Right, Wrong, Wrong, Right]),
    ("lock_must", &[Admin(MustChange), Right, Wrong, Wrong, Wrong, Right]),
    ("lock_acct", &[Right, Wrong, Wrong, Wrong, Right, Admin(Unlock), Right]),
    ("lock_hours", &[Right, Wrong, Wrong, Wrong, Right]),
    (
        "unlockadmin",
        &[Wrong, Wrong, Wrong, Admin(Unlock), Wrong, Wrong, Right, Wrong],
    ),
    (
        "hist",
        &[
            Admin(Reset("Second-Passw0rd")),
            Right,
            Wrong,
            Right,
            Password("Second-Passw0rd"),
            Admin(Reset("Third-Passw0rd")),
            Password("Second-Passw0rd"),
            Right,
            Right,
            Admin(Reset("Fourth-Passw0rd")),
            Right,
            Password("Second-Passw0rd"),
            Password("Third-Passw0rd"),
            Password("Fourth-Passw0rd"),
            Admin(MustChange),
            Password("Third-Passw0rd"),
            Password("Fourth-Passw0rd"),
        ],
    ),
    (
        "autounlock",
        &[
            Wrong, Wrong, Wrong, Right, Wrong, Wait, Wrong, Wrong, Wrong, Right, Wait, Right, Wrong, Right,
        ],
    ),
    ("obswin", &[Wrong, Wrong, Wait, Wrong, Wrong, Right, Wrong, Wait, Wrong]),
];

/// What an account shows, as text.
pub(super) type Shown = BTreeMap<&'static str, String>;

pub(super) async fn shown(directory: &mut Directory, sam: &str) -> Shown {
    let entry = directory.attributes(sam, &WATCHED).await;
    WATCHED
        .into_iter()
        .filter_map(|name| {
            let value = entry.get(name)?.first()?;
            Some((name, String::from_utf8_lossy(value).into_owned()))
        })
        .collect()
}

/// The names of what is not as before, and the values that do not tell the time.
pub(super) fn changes(before: &Shown, after: &Shown) -> (Vec<&'static str>, Vec<(&'static str, String)>) {
    let changed = WATCHED.into_iter().filter(|name| before.get(name) != after.get(name));
    let values = TIMELESS
        .into_iter()
        .filter_map(|name| Some((name, after.get(name)?.clone())));
    (changed.collect(), values.collect())
}

/// Tells every story at both.
pub(super) async fn all(samba: &mut Directory, mock_dc: &mut Directory, comparison: &mut Comparison) {
    let everybody = users();
    for (sam, steps) in STORIES {
        let user = everybody.iter().find(|user| user.sam == *sam).unwrap();
        let dn = format!("CN={},OU=Test,{BASE}", user.cn);
        let mut before = [shown(samba, sam).await, shown(mock_dc, sam).await];
        for (number, step) in steps.iter().enumerate() {
            let wrong = format!("Wrong-{number}");
            let (name, password) = match step {
                Right => (dn.clone(), user.password.clone()),
                Wrong => (dn.clone(), wrong),
                SameWrong => (dn.clone(), "Always-Wrong".to_owned()),
                Empty => (dn.clone(), String::new()),
                RightByUpn => (format!("{sam}@corp.example.com"), user.password.clone()),
                WrongByUpn => (format!("{sam}@corp.example.com"), wrong),
                WrongByNetbios => (format!("CORP\\{sam}"), wrong),
                WrongByAccountName => ((*sam).to_owned(), wrong),
                Password(password) => (dn.clone(), (*password).to_owned()),
                Admin(act) => {
                    samba.act(sam, *act).await;
                    mock_dc.act(sam, *act).await;
                    // What an administrator's change changes is another test's matter.
                    before = [shown(samba, sam).await, shown(mock_dc, sam).await];
                    continue;
                }
                Wait => {
                    // Samba's clock is this machine's: nothing else makes six seconds pass there. It looks at whole
                    // seconds of it, so that a lock may last one more.
                    tokio::time::sleep(Duration::from_millis(7_100)).await;
                    continue;
                }
            };
            let mut pair = Pair::connect(samba, mock_dc, Transport::Ldap).await;
            let told = pair
                .bind(3, [name.as_bytes(), name.as_bytes()], password.as_bytes())
                .await;
            drop(pair);
            let after = [shown(samba, sam).await, shown(mock_dc, sam).await];
            let question = |what: &str| format!("{sam}, step {number} ({step:?}): {what}");
            comparison.compare(|| question("result"), &told[0], &told[1]);
            let left = changes(&before[0], &after[0]);
            let right = changes(&before[1], &after[1]);
            comparison.compare(|| question("attributes"), &left, &right);
            before = after;
        }
    }
}
