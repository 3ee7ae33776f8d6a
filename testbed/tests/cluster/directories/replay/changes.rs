//! Changes over LDAP: passwords above all, and the attributes that signing in reads. After each request the attributes
//! that changed are compared, as in the stories of binds.

use super::client::{Change, Client, Told, Transport};
use super::domain::{BASE, Directory};
use super::stories::{Shown, changes, shown};
use super::{Comparison, Pair};

/// People whom these stories change, and a policy that refuses for every reason.
pub(super) const CONFIG: &str = r#"
[[users]]
sam = "changer"
path = "OU=Test"
password = "Str0ng-Passw0rd!"
[[users]]
sam = "strict"
path = "OU=Test"
display_name = "Strict Longname"
password = "Str0ng-Passw0rd!"
[[users]]
sam = "wronged"
path = "OU=Test"
password = "Str0ng-Passw0rd!"
[[users]]
sam = "written"
path = "OU=Test"
password = "Str0ng-Passw0rd!"
[[users]]
sam = "bystander"
path = "OU=Test"
password = "Str0ng-Passw0rd!"
[[password_settings]]
name = "PSO-Strict"
precedence = 20
min_password_age_days = 1
min_password_length = 7
password_complexity = true
applies_to = ["strict"]
"#;

const FIRST: &str = "Str0ng-Passw0rd!";

/// Who asks.
#[derive(Debug, Clone, Copy)]
enum Who {
    Owner,
    Bystander,
    Administrator,
    Nobody,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The old password and the new one.
    Change(Who, &'static str, &'static str),
    Reset(Who, &'static str),
    /// Attribute and value.
    Write(Who, &'static str, &'static str),
    /// Several changes at once: add 0, delete 1, replace 2; a value of `unicodePwd` is quoted.
    Ask(Who, &'static [(u8, &'static str, &'static [&'static str])]),
    /// The same with a password that is not quoted.
    Unquoted(Who, &'static [(u8, &'static str)]),
    Bind(&'static str),
}

use Step::{Ask, Bind, Reset, Unquoted, Write};
use Who::{Administrator, Bystander, Nobody, Owner};

const PASSWORD: &str = "unicodePwd";

const STORIES: &[(&str, &[Step])] = &[
    (
        "changer",
        &[
            Step::Change(Owner, FIRST, "New-Passw0rd-1"),
            Bind(FIRST),
            Bind("New-Passw0rd-1"),
            Step::Change(Owner, "nonsense", "New-Passw0rd-2"),
            Step::Change(Owner, FIRST, "New-Passw0rd-2"),
            Step::Change(Owner, "New-Passw0rd-1", "ab"),
            Step::Change(Owner, "New-Passw0rd-1", ""),
            Step::Change(Owner, "New-Passw0rd-1", "New-Passw0rd-1"),
            Step::Change(Owner, "New-Passw0rd-1", FIRST),
            Reset(Owner, "Self-Repl-1"),
            Ask(Owner, &[(0, PASSWORD, &["Self-Repl-1"])]),
            Ask(Owner, &[(1, PASSWORD, &["New-Passw0rd-1"])]),
            Ask(Owner, &[(1, PASSWORD, &[])]),
            Ask(Owner, &[(1, PASSWORD, &[]), (0, PASSWORD, &["Self-Repl-1"])]),
            Ask(
                Owner,
                &[(1, PASSWORD, &["New-Passw0rd-1"]), (0, PASSWORD, &["x1", "x2"])],
            ),
            Ask(
                Owner,
                &[(1, PASSWORD, &["New-Passw0rd-1", "a"]), (0, PASSWORD, &["x1"])],
            ),
            Unquoted(Owner, &[(1, "New-Passw0rd-1"), (0, "Next-Passw0rd")]),
            Unquoted(Administrator, &[(2, "Next-Passw0rd")]),
            Ask(
                Owner,
                &[(0, PASSWORD, &["Next-Passw0rd-9"]), (1, PASSWORD, &["New-Passw0rd-1"])],
            ),
            // A change clears no count.
            Bind("Next-Passw0rd-9"),
            Step::Change(Bystander, "Next-Passw0rd-9", "Other-Changed-1"),
            Reset(Bystander, "Hacked-1234"),
            Step::Change(Nobody, "Other-Changed-1", "Anon-Changed-1"),
            Reset(Administrator, "ab"),
            Reset(Administrator, "Reset-Passw0rd-1"),
            Reset(Administrator, "Reset-Passw0rd-1"),
            Reset(Administrator, FIRST),
            Ask(Administrator, &[(0, PASSWORD, &["Added-Passw0rd"])]),
            Ask(Administrator, &[(2, PASSWORD, &[])]),
            Ask(
                Administrator,
                &[(2, PASSWORD, &["Reset-2-1234"]), (2, "pwdLastSet", &["0"])],
            ),
            Bind("Reset-2-1234"),
            // Whoever is signed in may change a password that must be changed.
            Step::Change(Owner, "Reset-2-1234", "Own-Choice-1"),
            Bind("Own-Choice-1"),
        ],
    ),
    (
        "strict",
        &[
            Step::Change(Owner, "wrong", "a"),
            Step::Change(Owner, FIRST, "a"),
            Step::Change(Owner, FIRST, "Another-Passw0rd1"),
            Write(Administrator, "pwdLastSet", "0"),
            Step::Change(Owner, FIRST, "Ab1!"),
            Step::Change(Owner, FIRST, "lowercaseonly"),
            Step::Change(Owner, FIRST, "UPPER123"),
            Step::Change(Owner, FIRST, "日本語テキスト12"),
            Step::Change(Owner, FIRST, "aaaAAA "),
            Step::Change(Owner, FIRST, FIRST),
            // Names are not looked at.
            Step::Change(Owner, FIRST, "strict-Longname1"),
            Step::Change(Owner, "strict-Longname1", "Another-Passw0rd2"),
            Reset(Administrator, "lower123"),
            Reset(Administrator, "short1A"),
            Reset(Administrator, "aaaßAAA"),
            Reset(Administrator, "aaaa1111€"),
            Reset(Administrator, "short"),
        ],
    ),
    (
        "wronged",
        &[
            Step::Change(Owner, "wrong-1", "Xx-12345"),
            Bind("wrong-2"),
            Step::Change(Bystander, "wrong-3", "Xx-12345"),
            Step::Change(Owner, FIRST, "Xx-12345"),
            Step::Change(Owner, "wrong-4", "Xx-12345"),
            Bind(FIRST),
            Reset(Administrator, "Plain-1237"),
            Bind("Plain-1237"),
            Ask(
                Administrator,
                &[(2, "lockoutTime", &["0"]), (2, PASSWORD, &["Plain-1238"])],
            ),
            Bind(FIRST),
            Bind("Plain-1238"),
            Step::Change(Owner, "Plain-1238", "Plain-1237"),
        ],
    ),
    (
        "written",
        &[
            Write(Owner, "description", "x"),
            Write(Owner, "pwdLastSet", "0"),
            Write(Owner, "userAccountControl", "66048"),
            Write(Bystander, "lockoutTime", "0"),
            Write(Owner, "favouriteColour", "0"),
            Write(Administrator, "favouriteColour", "0"),
            Write(Nobody, "description", "x"),
            Write(Administrator, "pwdLastSet", "0"),
            Write(Administrator, "pwdLastSet", "-1"),
            Write(Administrator, "pwdLastSet", "5"),
            Write(Administrator, "lockoutTime", "abc"),
            Write(Administrator, "userAccountControl", "514"),
            Bind(FIRST),
            Step::Change(Owner, FIRST, "Dis-Passw0rd-3"),
            Write(Administrator, "userAccountControl", "528"),
            Write(Administrator, "userAccountControl", "8389120"),
            Write(Administrator, "userAccountControl", "2"),
            Write(Administrator, "userAccountControl", "576"),
            Write(Administrator, "userAccountControl", "66048"),
            Write(Administrator, "userAccountControl", "abc"),
            Write(Administrator, "accountExpires", "132000000000000000"),
            Bind("Dis-Passw0rd-3"),
            Step::Change(Owner, "Dis-Passw0rd-3", "Dis-Passw0rd-4"),
            Write(Administrator, "accountExpires", "abc"),
            Write(Administrator, "accountExpires", "0"),
            Bind("Dis-Passw0rd-4"),
            Write(Administrator, "userWorkstations", "PC1"),
            Bind("Dis-Passw0rd-4"),
            Ask(Administrator, &[(1, "userWorkstations", &["PC1"])]),
            Ask(Administrator, &[(1, "userWorkstations", &["PC1"])]),
            Ask(Administrator, &[(1, "userWorkstations", &[])]),
            Ask(Administrator, &[(0, "userAccountControl", &["514"])]),
            Ask(Administrator, &[(1, "userAccountControl", &["514"])]),
            Ask(Administrator, &[(2, "userAccountControl", &[])]),
            Ask(Administrator, &[(1, "pwdLastSet", &[])]),
            Ask(Administrator, &[(0, "userWorkstations", &[])]),
            Ask(
                Administrator,
                &[(2, "userAccountControl", &["514"]), (2, "pwdLastSet", &["5"])],
            ),
            Ask(
                Administrator,
                &[(2, "userAccountControl", &["514"]), (2, PASSWORD, &["ab"])],
            ),
            Ask(Administrator, &[]),
            Ask(Administrator, &[(3, "countryCode", &["1"])]),
            Write(Administrator, "objectGUID", "x"),
            Write(Administrator, "objectSid", "x"),
            Write(Administrator, "sAMAccountType", "5"),
            Write(Administrator, "cn", "x"),
            Write(Administrator, "name", "x"),
            Write(Administrator, "whenCreated", "20200101000000.0Z"),
            Write(Administrator, "msDS-User-Account-Control-Computed", "5"),
            Write(Administrator, "lockoutThreshold", "5"),
            Write(Administrator, "userWorkstations", ""),
            Write(Owner, "telephoneNumber", "1"),
            Write(Bystander, "telephoneNumber", "1"),
            Ask(Owner, &[(0, "telephoneNumber", &["2"])]),
            Ask(Owner, &[(1, "telephoneNumber", &["3"])]),
            Ask(Owner, &[(1, "telephoneNumber", &["1"]), (0, "telephoneNumber", &["3"])]),
            Ask(Owner, &[(1, "mobile", &[])]),
            Ask(Owner, &[(2, "mobile", &[])]),
            Ask(
                Owner,
                &[
                    (2, "telephoneNumber", &["4"]),
                    (1, PASSWORD, &["wrong"]),
                    (0, PASSWORD, &["Ph-12346"]),
                ],
            ),
            Ask(
                Owner,
                &[
                    (1, PASSWORD, &["Dis-Passw0rd-4"]),
                    (0, PASSWORD, &["Ph-12346"]),
                    (2, "telephoneNumber", &["7"]),
                ],
            ),
            Ask(Owner, &[(1, "telephoneNumber", &["7"])]),
            Write(Administrator, "displayName", "Someone Else"),
            Write(Administrator, "displayName", ""),
            Ask(Administrator, &[(0, "description", &["a", "b"])]),
            Write(Administrator, "sAMAccountName", "bystander"),
            Write(Administrator, "manager", "CN=nobody,OU=Test,DC=corp,DC=example,DC=com"),
            Write(Administrator, "userAccountControl", "262656"),
            Bind("Ph-12346"),
        ],
    ),
];

fn quoted(password: &str) -> Vec<u8> {
    utf_16(&format!("\"{password}\""))
}

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Who asks, and what.
fn request(step: Step) -> (Who, Vec<Change>) {
    let change = |kind, attribute: &str, values: Vec<Vec<u8>>| Change {
        kind,
        attribute: attribute.to_owned(),
        values,
    };
    match step {
        Step::Change(who, old, new) => {
            let changes = vec![
                change(1, PASSWORD, vec![quoted(old)]),
                change(0, PASSWORD, vec![quoted(new)]),
            ];
            (who, changes)
        }
        Reset(who, new) => (who, vec![change(2, PASSWORD, vec![quoted(new)])]),
        Write(who, attribute, value) => (who, vec![change(2, attribute, vec![value.as_bytes().to_vec()])]),
        Ask(who, list) => {
            let each = list.iter().map(|(kind, attribute, values)| {
                let value = |value: &&str| match *attribute {
                    PASSWORD => quoted(value),
                    _ => value.as_bytes().to_vec(),
                };
                change(*kind, attribute, values.iter().map(value).collect())
            });
            (who, each.collect())
        }
        Unquoted(who, list) => {
            let each = list
                .iter()
                .map(|(kind, value)| change(*kind, PASSWORD, vec![utf_16(value)]));
            (who, each.collect())
        }
        Bind(_) => unreachable!("it changes nothing by request"),
    }
}

/// Those who ask, signed in at one of the two.
struct Askers {
    owner: Client,
    bystander: Client,
    administrator: Client,
    nobody: Client,
}

impl Askers {
    async fn sign_in(directory: &Directory, owner: &str) -> Self {
        let signed_in = async |name: &str, password: &str| {
            let mut client = Client::connect(&directory.address, Transport::Ldaps).await;
            let told = client.bind(name.as_bytes(), password.as_bytes()).await.unwrap();
            assert_eq!(told.code, 0, "{name}: {}", told.text);
            client
        };
        Self {
            owner: signed_in(&format!("CORP\\{owner}"), FIRST).await,
            bystander: signed_in("CORP\\bystander", FIRST).await,
            administrator: signed_in("CORP\\Administrator", "Adm1n-Passw0rd!").await,
            nobody: Client::connect(&directory.address, Transport::Ldaps).await,
        }
    }

    async fn ask(&mut self, who: Who, dn: &str, changes: &[Change]) -> Told {
        let client = match who {
            Owner => &mut self.owner,
            Bystander => &mut self.bystander,
            Administrator => &mut self.administrator,
            Nobody => &mut self.nobody,
        };
        client.modify(dn, changes).await
    }
}

/// Tells every story at both.
pub(super) async fn all(samba: &mut Directory, mock_dc: &mut Directory, comparison: &mut Comparison) {
    for (sam, steps) in STORIES {
        let dn = format!("CN={sam},OU=Test,{BASE}");
        let mut askers = [Askers::sign_in(samba, sam).await, Askers::sign_in(mock_dc, sam).await];
        let mut before: [Shown; 2] = [shown(samba, sam).await, shown(mock_dc, sam).await];
        for (number, step) in steps.iter().enumerate() {
            let question = |what: &str| format!("{sam}, step {number} ({step:?}): {what}");
            match step {
                Bind(password) => {
                    let name = format!("CORP\\{sam}");
                    let mut pair = Pair::connect(samba, mock_dc, Transport::Ldaps).await;
                    let told = pair
                        .bind(3, [name.as_bytes(), name.as_bytes()], password.as_bytes())
                        .await;
                    comparison.compare(|| question("result"), &told[0], &told[1]);
                }
                step => {
                    let (who, changes) = request(*step);
                    let [of_samba, of_mock_dc] = &mut askers;
                    let told = [
                        of_samba.ask(who, &dn, &changes).await,
                        of_mock_dc.ask(who, &dn, &changes).await,
                    ];
                    comparison.compare(|| question("result"), &told[0], &told[1]);
                }
            }
            let after = [shown(samba, sam).await, shown(mock_dc, sam).await];
            let left = changes(&before[0], &after[0]);
            let right = changes(&before[1], &after[1]);
            comparison.compare(|| question("attributes"), &left, &right);
            before = after;
        }
    }
}
