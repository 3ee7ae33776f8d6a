//! Single binds, which change nothing: forms of names, states of accounts, spellings of passwords.

use super::client::Transport;
use super::domain::{BASE, Directory, Identity, User, uncounted, users};
use super::{Comparison, Pair};

const WRONG: &[u8] = b"Certainly-Wrong-1";

/// Accounts with something special in their names.
const NAMED: [&str; 8] = [
    "good",
    "noupn",
    "altsuffix",
    "altid",
    "samdiff",
    "zoë",
    "special.chars",
    "hashlead",
];

/// Every way to write whose name it is, and some that are nearly one.
fn forms(user: &User, identity: &Identity) -> Vec<(&'static str, String)> {
    let Identity {
        dn,
        guid,
        sid,
        canonical,
    } = identity;
    let (sam, cn) = (&user.sam, &user.cn);
    let upn = user.upn.clone().unwrap_or_else(|| format!("{sam}@corp.example.com"));
    let (_, parent) = dn.split_once(",OU=").unwrap();
    let last = canonical.rfind('/').unwrap();
    vec![
        ("DN", dn.clone()),
        ("DN in lower case", dn.to_lowercase()),
        ("DN in upper case", dn.to_uppercase()),
        ("DN with blanks", dn.replace(",OU=", ", OU=").replace(",DC=", " , DC=")),
        ("DN with blanks around", format!("  {dn} ")),
        ("DN with semicolons", dn.replace(",OU=", ";OU=").replace(",DC=", ";DC=")),
        ("DN in quotes", format!("CN=\"{cn}\",OU={parent}")),
        ("DN in hexadecimal digits", {
            let hex: String = cn.bytes().map(|byte| format!("\\{byte:02x}")).collect();
            format!("CN={hex},OU={parent}")
        }),
        ("DN with an empty part", format!("CN={cn},,OU={parent}")),
        ("DN with a comma at its end", format!("{dn},")),
        ("DN below another root", format!("CN={sam},DC=other,DC=com")),
        ("DN in another container", format!("CN={sam},CN=Users,{BASE}")),
        ("DN by another attribute", format!("sAMAccountName={sam},OU={parent}")),
        ("extended DN by GUID", format!("<GUID={guid}>")),
        ("extended DN by SID", format!("<SID={sid}>")),
        ("extended DN with more", format!("<GUID={guid}>;{dn}")),
        ("principal name", upn.clone()),
        ("principal name in upper case", upn.to_uppercase()),
        ("principal name with blanks around", format!(" {upn}  ")),
        ("implied principal name", format!("{sam}@corp.example.com")),
        (
            "implied principal name with blanks",
            format!("{sam} @ corp.example.com"),
        ),
        ("implied by the NetBIOS name", format!("{sam}@CORP")),
        ("with another suffix", format!("{sam}@nope.example.net")),
        ("with the controller's name", format!("{sam}@dc1.corp.example.com")),
        ("with two suffixes", format!("{sam}@corp.example.com@corp.example.com")),
        ("with a dot at the end", format!("{sam}@corp.example.com.")),
        ("without a suffix", format!("{sam}@")),
        ("without a name", "@corp.example.com".to_owned()),
        ("cn with the suffix", format!("{cn}@corp.example.com")),
        ("NetBIOS name", format!("CORP\\{sam}")),
        ("NetBIOS name in lower case", format!("corp\\{}", sam.to_lowercase())),
        ("NetBIOS name in upper case", format!("CORP\\{}", sam.to_uppercase())),
        ("NetBIOS name with blanks", format!(" CORP \\ {sam} ")),
        ("DNS name with a backslash", format!("corp.example.com\\{sam}")),
        ("another domain", format!("OTHER\\{sam}")),
        ("no domain", format!("\\{sam}")),
        ("two backslashes", format!("CORP\\\\{sam}")),
        ("both forms", format!("CORP\\{sam}@corp.example.com")),
        ("slash", format!("CORP/{sam}")),
        ("account name", sam.clone()),
        ("cn", cn.clone()),
        ("canonical name", canonical.clone()),
        ("canonical name in upper case", canonical.to_uppercase()),
        ("canonical name without escapes", format!("corp.example.com/Test/{cn}")),
        ("canonical name with a line break", {
            format!("{}\n{}", &canonical[..last], &canonical[last + 1..])
        }),
        ("canonical name with more", format!("{canonical}/")),
        (
            "canonical name of another domain",
            canonical.replacen("corp", "other", 1),
        ),
        ("GUID in braces", format!("{{{guid}}}")),
        ("GUID", guid.clone()),
        ("SID", sid.clone()),
        ("SID in lower case", sid.to_lowercase()),
        ("SID with more", format!("{sid} or so")),
        ("SID with a blank before", format!(" {sid}")),
        ("with a NUL behind", format!("CORP\\{sam}\0and more")),
    ]
}

/// Names that are no user's, and others.
fn others() -> Vec<String> {
    let below = |name: &str| format!("{name},{BASE}");
    let mut names = vec![
        BASE.to_owned(),
        "DC=com".to_owned(),
        "corp.example.com/".to_owned(),
        "corp.example.com/Test".to_owned(),
        "corp.example.com/Users".to_owned(),
        "/Users/Administrator".to_owned(),
        "CORP\\".to_owned(),
        "\\".to_owned(),
        "@@@".to_owned(),
        "@".to_owned(),
        "=".to_owned(),
        "x=y".to_owned(),
        "*".to_owned(),
        "good*@corp.example.com".to_owned(),
        "CORP\\g*".to_owned(),
        "CORP\\(good)".to_owned(),
        "CORP\\Domain Users".to_owned(),
        "CORP\\Administrators".to_owned(),
        "BUILTIN\\Administrators".to_owned(),
        "Domain Users@corp.example.com".to_owned(),
        "Good Display Name".to_owned(),
        "HTTP/good.corp.example.com".to_owned(),
        "good.mail@mail.example.org".to_owned(),
        "alternate.id@mail.example.org".to_owned(),
        "o'brien+tag@corp.example.com".to_owned(),
        "someoneelse@CORP".to_owned(),
        "upnsamdiff@corp.example.com".to_owned(),
        "zoe@corp.example.com".to_owned(),
        "CORP\\zoe".to_owned(),
        "zoe\u{308}@corp.example.com".to_owned(),
        "S-1-5-32-544".to_owned(),
        "S-1-5-21-1-2-3-4".to_owned(),
        "S-1-5-11".to_owned(),
        "S-1-5".to_owned(),
        "S-".to_owned(),
        "{00000000-0000-0000-0000-000000000001}".to_owned(),
        "<GUID=00000000-0000-0000-0000-000000000001>".to_owned(),
        "<SID=S-1-5-21-1-2-3-4>".to_owned(),
        format!("<WKGUID=a9d1ca15768811d1aded00c04fd8d5cd,{BASE}>"),
        format!("<WKGUID=00000000000000000000000000000000,{BASE}>"),
        "2.5.4.3=Good User,OU=Test,DC=corp,DC=example,DC=com".to_owned(),
        "CN=#476f6f642055736572,OU=Test,DC=corp,DC=example,DC=com".to_owned(),
        "CN=Good User+SN=User,OU=Test,DC=corp,DC=example,DC=com".to_owned(),
        "CN=Good  User,OU=Test,DC=corp,DC=example,DC=com".to_owned(),
        "\u{fffd}@corp.example.com".to_owned(),
    ];
    names.extend(
        [
            "OU=Test",
            "OU=Nowhere",
            "CN=nobody,OU=Test",
            "CN=Users",
            "CN=Computers",
            "CN=System",
            "CN=Builtin",
            "OU=Domain Controllers",
            "CN=Configuration",
            "CN=Schema,CN=Configuration",
            "CN=Policies,CN=System",
            "CN=PSO-NoLock,CN=Password Settings Container,CN=System",
            "CN=Domain Users,CN=Users",
            "CN=Domain Admins,CN=Users",
            "CN=Administrators,CN=Builtin",
            "CN=Guests,CN=Builtin",
            "CN=Guest,CN=Users",
        ]
        .map(below),
    );
    names
}

/// Forms of names with the right and a wrong password. Nobody of these is counted.
pub(super) async fn names(samba: &mut Directory, mock_dc: &mut Directory, comparison: &mut Comparison) {
    let everybody = users();
    let mut asked: Vec<(String, [String; 2], Vec<u8>)> = Vec::new();
    for sam in NAMED {
        let user = everybody.iter().find(|user| user.sam == sam).unwrap();
        let theirs = [samba.identity(sam).await, mock_dc.identity(sam).await].map(|identity| forms(user, &identity));
        let [of_samba, of_mock_dc] = theirs;
        for ((form, first), (_, second)) in of_samba.into_iter().zip(of_mock_dc) {
            let question = format!("{sam} by its {form}, {first:?}");
            asked.push((
                question.clone(),
                [first.clone(), second.clone()],
                user.password.clone().into_bytes(),
            ));
            asked.push((format!("{question}, wrong password"), [first, second], WRONG.to_vec()));
        }
    }
    for name in others() {
        for password in [b"Str0ng-Passw0rd!".as_slice(), b""] {
            let question = format!("{name:?} with {} bytes", password.len());
            asked.push((question, [name.clone(), name.clone()], password.to_vec()));
        }
    }
    for (name, password) in [("", ""), ("", "x"), (" ", "x"), ("good", "")] {
        let question = format!("{name:?} with {password:?}");
        asked.push((
            question,
            [name.to_owned(), name.to_owned()],
            password.as_bytes().to_vec(),
        ));
    }
    let mut pair = Pair::connect(samba, mock_dc, Transport::Ldap).await;
    for (question, [first, second], password) in asked {
        let [left, right] = pair.bind(3, [first.as_bytes(), second.as_bytes()], &password).await;
        comparison.compare(|| question, &left, &right);
    }
}

/// Every state with the right, a wrong and no password, over every transport.
pub(super) async fn states(samba: &Directory, mock_dc: &Directory, comparison: &mut Comparison) {
    for transport in [Transport::Ldap, Transport::StartTls, Transport::Ldaps] {
        let mut pair = Pair::connect(samba, mock_dc, transport).await;
        for user in uncounted() {
            let name = format!("CORP\\{}", user.sam);
            for password in [user.password.as_bytes(), WRONG, b""] {
                let [left, right] = pair.bind(3, [name.as_bytes(), name.as_bytes()], password).await;
                comparison.compare(
                    || format!("{transport:?}: {name} with {} bytes", password.len()),
                    &left,
                    &right,
                );
            }
        }
    }
}

/// One password, spelled in several ways; and versions of the protocol.
pub(super) async fn passwords(samba: &Directory, mock_dc: &Directory, comparison: &mut Comparison) {
    let mut pair = Pair::connect(samba, mock_dc, Transport::Ldap).await;
    let right = "Str0ng-Passw0rd!";
    let long = "x".repeat(60_000);
    let spellings = [
        ("good", right.to_uppercase()),
        ("good", format!("{right} ")),
        ("good", format!(" {right}")),
        ("good", format!("{right}\0")),
        ("good", format!("{right}\0and more")),
        ("good", "\0".to_owned()),
        ("good", long[..1_000].to_owned()),
        ("good", long),
        ("zoë", "Pa\u{308}sswo\u{308}rd-日本-€uro".to_owned()),
        ("zoë", "Password-日本-€uro".to_owned()),
        ("zoë", "PÄSSWÖRD-日本-€URO".to_owned()),
    ];
    for (sam, password) in spellings {
        let name = format!("{sam}@corp.example.com");
        let told = pair
            .bind(3, [name.as_bytes(), name.as_bytes()], password.as_bytes())
            .await;
        let [left, right] = told;
        let shown: String = password.chars().take(40).collect();
        comparison.compare(|| format!("{name} with {shown:?}"), &left, &right);
    }
    for version in [1, 2, 4] {
        let name: &[u8] = b"CORP\\good";
        let [left, right] = pair.bind(version, [name, name], right.as_bytes()).await;
        comparison.compare(|| format!("version {version}"), &left, &right);
    }
}
