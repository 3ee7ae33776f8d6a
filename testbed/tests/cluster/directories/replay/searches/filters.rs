//! Every kind of filter on attributes of every syntax.

use super::super::domain::BASE;
use super::Asker;
use super::request::Search;

/// Attributes by syntax, each with values that some objects have and values that nothing has or that are none.
const ATTRIBUTES: &[(&str, &[&str])] = &[
    ("sAMAccountName", &["good", "zoë", "hash", ""]),
    ("cn", &["Good User", "Rich, Person", "#lead \\28paren\\29 \\2astar\\2a"]),
    ("name", &["Good User"]),
    ("userPrincipalName", &["good@corp.example.com"]),
    ("displayName", &["Good Display Name", "Person \\28Rich\\29"]),
    ("mail", &["good.mail@mail.example.org"]),
    ("description", &["Füllt viele Attribute"]),
    ("title", &["Chief_Officer"]),
    ("servicePrincipalName", &["HTTP/rich"]),
    ("proxyAddresses", &["smtp:rich@people.example.net"]),
    ("userWorkstations", &["PC1,PC2"]),
    ("ou", &["Offices"]),
    ("dc", &["corp"]),
    ("employeeID", &["0042", "42"]),
    ("userAccountControl", &["512", "0x202", "abc", "4294967808"]),
    ("primaryGroupID", &["513"]),
    ("groupType", &["-2147483646", "2147483650"]),
    ("sAMAccountType", &["805306368"]),
    ("badPwdCount", &["0"]),
    ("countryCode", &["0"]),
    ("msDS-LockoutThreshold", &["3"]),
    ("accountExpires", &["9223372036854775807", "132223104000000000", "0"]),
    ("pwdLastSet", &["0", "1"]),
    ("lockoutTime", &["0"]),
    ("msDS-MaximumPasswordAge", &["-36288000000000"]),
    (
        "logonHours",
        &[
            "\\00\\00\\00\\ff\\ff\\ff",
            "\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00",
        ],
    ),
    (
        "objectGUID",
        &[
            "{guid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}",
            "{guid-bytes CN=Good User,OU=Test,DC=corp,DC=example,DC=com}",
            "{guid-digits CN=Good User,OU=Test,DC=corp,DC=example,DC=com}",
            "{{guid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}}",
        ],
    ),
    (
        "objectSid",
        &[
            "{sid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}",
            "{sid-bytes CN=Good User,OU=Test,DC=corp,DC=example,DC=com}",
            "S-1-5-32-544",
            "s-1-5-32-544",
        ],
    ),
    ("whenCreated", &["20000101000000.0Z", "20990101000000Z", "yesterday"]),
    ("whenChanged", &["20000101000000.0Z"]),
    ("createTimeStamp", &["20000101000000.0Z"]),
    (
        "distinguishedName",
        &[
            "CN=Good User,OU=Test,DC=corp,DC=example,DC=com",
            "cn=good user, ou=test, dc=corp, dc=example, dc=com",
            "CN=Rich\\5c, Person,OU=Berlin\\5c, Mitte,OU=Offices,DC=corp,DC=example,DC=com",
            "<GUID={guid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}>",
        ],
    ),
    (
        "memberOf",
        &[
            "CN=Outer,OU=Offices,DC=corp,DC=example,DC=com",
            "CN=Administrators,CN=Builtin,DC=corp,DC=example,DC=com",
            "CN=Domain Users,CN=Users,DC=corp,DC=example,DC=com",
            "CN=nobody,OU=Offices,DC=corp,DC=example,DC=com",
            "<GUID={guid CN=Outer,OU=Offices,DC=corp,DC=example,DC=com}>",
            "<SID={sid CN=Outer,OU=Offices,DC=corp,DC=example,DC=com}>",
            "<SID=S-1-5-32-544>",
        ],
    ),
    (
        "member",
        &[
            "CN=Good User,OU=Test,DC=corp,DC=example,DC=com",
            "CN=Outer,OU=Offices,DC=corp,DC=example,DC=com",
            "CN=poor,OU=Berlin\\5c, Mitte,OU=Offices,DC=corp,DC=example,DC=com",
            "CN=Administrator,CN=Users,DC=corp,DC=example,DC=com",
            "no name",
        ],
    ),
    (
        "manager",
        &["CN=Rich\\5c, Person,OU=Berlin\\5c, Mitte,OU=Offices,DC=corp,DC=example,DC=com"],
    ),
    (
        "directReports",
        &["CN=poor,OU=Berlin\\5c, Mitte,OU=Offices,DC=corp,DC=example,DC=com"],
    ),
    (
        "objectCategory",
        &[
            "person",
            "user",
            "group",
            "computer",
            "CN=Person,CN=Schema,CN=Configuration,DC=corp,DC=example,DC=com",
            "nothing",
        ],
    ),
    (
        "msDS-PSOAppliesTo",
        &[
            "CN=Good User,OU=Test,DC=corp,DC=example,DC=com",
            "CN=Innermost,OU=Offices,DC=corp,DC=example,DC=com",
        ],
    ),
    (
        "msDS-PSOApplied",
        &["CN=PSO-NoLock,CN=Password Settings Container,CN=System,DC=corp,DC=example,DC=com"],
    ),
    ("isCriticalSystemObject", &["TRUE", "true", "1", "FALSE"]),
    ("showInAdvancedViewOnly", &["TRUE"]),
    ("adminCount", &["1"]),
    ("msDS-PasswordComplexityEnabled", &["FALSE"]),
    (
        "objectClass",
        &[
            "user",
            "PERSON",
            "organizationalPerson",
            "group",
            "2.5.6.6",
            "favouriteThing",
            "computer",
        ],
    ),
    // Constructed, unknown, by identifier, with options.
    ("msDS-User-Account-Control-Computed", &["0"]),
    (
        "msDS-ResultantPSO",
        &["CN=PSO-NoLock,CN=Password Settings Container,CN=System,DC=corp,DC=example,DC=com"],
    ),
    ("canonicalName", &["corp.example.com/Test/Good User"]),
    ("tokenGroups", &["S-1-5-32-544"]),
    ("primaryGroupToken", &["513"]),
    ("structuralObjectClass", &["user"]),
    ("favouriteColour", &["blue"]),
    ("2.5.4.3", &["Good User"]),
    ("1.2.840.113556.1.4.221", &["good"]),
    ("cn;lang-de", &["Good User"]),
    (
        "objectGUID;binary",
        &["{guid-bytes CN=Good User,OU=Test,DC=corp,DC=example,DC=com}"],
    ),
    ("unicodePwd", &["x"]),
    (
        "anr",
        &[
            "good",
            "=good",
            "Rich",
            "Rich Person",
            "Person Rich",
            "smtp:rich",
            "=Rich Person",
            "good.mail@mail.example.org",
            "",
            " ",
        ],
    ),
];

/// Attributes whose order depends on the domain, or means nothing: nobody asks which names or identifiers come later.
const UNORDERED: [&str; 15] = [
    "objectGUID",
    "objectSid",
    "distinguishedName",
    "memberOf",
    "member",
    "manager",
    "directReports",
    "objectCategory",
    "msDS-PSOAppliesTo",
    "msDS-PSOApplied",
    "msDS-ResultantPSO",
    "objectClass",
    "tokenGroups",
    "isCriticalSystemObject",
    "showInAdvancedViewOnly",
];

/// Attributes of which no bits are asked: the time in one of the domains, and what an ordinary user may not read. Samba
/// does not ask who may read when it looks at bits.
const NO_BITS: [&str; 6] = [
    "pwdLastSet",
    "unicodePwd",
    "msDS-LockoutThreshold",
    "msDS-MaximumPasswordAge",
    "msDS-PSOAppliesTo",
    "msDS-PasswordComplexityEnabled",
];

/// What is said of an attribute and a value.
fn kinds(name: &str, value: &str) -> Vec<String> {
    let mut kinds = vec![format!("({name}={value})"), format!("(!({name}={value}))")];
    // Samba reads some bytes in this form otherwise, and which ones there are is another in every domain.
    if !value.contains("-bytes ") {
        kinds.push(format!("({name}:={value})"));
    }
    if !UNORDERED.contains(&name) {
        kinds.extend([format!("({name}>={value})"), format!("({name}<={value})")]);
    }
    // Only where there is something to be a part of; in bytes and names a part could end within an escape.
    if value.len() > 2 && value.is_ascii() && !value.contains("DC=") && !value.contains(['\\', '{', '<']) {
        let (first, second) = value.split_at(value.len() / 2);
        kinds.extend([
            format!("({name}={first}*)"),
            format!("({name}=*{second})"),
            format!("({name}=*{}*)", &value[1..value.len() - 1]),
            format!("({name}={}*{second})", &value[..1]),
        ]);
    }
    kinds
}

/// What is said of an attribute whatever its values.
fn once(name: &str, value: &str) -> Vec<String> {
    let mut once = vec![
        format!("({name}=*)"),
        format!("(!({name}=*))"),
        format!("({name}~={value})"),
        format!("(&(objectClass=user)(!({name}={value})))"),
        format!("(|({name}={value})(sAMAccountName=poor))"),
        format!("({name}:dn:={value})"),
        format!("({name}:1.2.3.4:={value})"),
        format!("({name}=\\ff\\fe)"),
    ];
    // Which attributes lead nowhere but are known is up to the whole schema.
    if !["anr", "unicodePwd"].contains(&name) {
        once.push(format!("({name}:1.2.840.113556.1.4.1941:={value})"));
    }
    if !NO_BITS.contains(&name) {
        once.extend([
            format!("({name}:1.2.840.113556.1.4.803:=abc)"),
            format!("({name}:1.2.840.113556.1.4.803:=2)"),
            format!("({name}:1.2.840.113556.1.4.804:=514)"),
        ]);
    }
    once
}

const OTHERS: &[&str] = &[
    "(&)",
    "(|)",
    "(!(&))",
    "(!(|))",
    "(&(&)(|))",
    "(&(objectCategory=person)(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
    "(&(objectCategory=person)(objectClass=user)(userAccountControl:1.2.840.113556.1.4.803:=2))",
    "(&(objectClass=user)(|(accountExpires=0)(accountExpires=9223372036854775807)))",
    "(&(objectClass=user)(!(pwdLastSet=0))(!(pwdLastSet>=1)))",
    "(userAccountControl:1.2.840.113556.1.4.803:=0)",
    "(userAccountControl:1.2.840.113556.1.4.804:=0)",
    "(userAccountControl:1.2.840.113556.1.4.803:=65536)",
    "(userAccountControl:1.2.840.113556.1.4.803:=-1)",
    "(userAccountControl:1.2.840.113556.1.4.803:=)",
    "(userAccountControl:1.2.840.113556.1.4.804:=0x2)",
    "(groupType:1.2.840.113556.1.4.803:=2147483648)",
    "(groupType:1.2.840.113556.1.4.803:=-2147483648)",
    "(groupType:1.2.840.113556.1.4.804:=14)",
    "(accountExpires:1.2.840.113556.1.4.803:=9223372036854775807)",
    // Groups within groups and in circles.
    "(memberOf:1.2.840.113556.1.4.1941:=CN=Outer,OU=Offices,DC=corp,DC=example,DC=com)",
    "(memberOf:1.2.840.113556.1.4.1941:=CN=Inner,OU=Offices,DC=corp,DC=example,DC=com)",
    "(memberOf:1.2.840.113556.1.4.1941:=CN=Innermost,OU=Offices,DC=corp,DC=example,DC=com)",
    "(memberOf:1.2.840.113556.1.4.1941:=CN=Local Team,OU=Offices,DC=corp,DC=example,DC=com)",
    "(memberOf:1.2.840.113556.1.4.1941:=CN=Administrators,CN=Builtin,DC=corp,DC=example,DC=com)",
    "(memberOf:1.2.840.113556.1.4.1941:=CN=Domain Users,CN=Users,DC=corp,DC=example,DC=com)",
    "(memberOf:1.2.840.113556.1.4.1941:=CN=Users,CN=Builtin,DC=corp,DC=example,DC=com)",
    "(member:1.2.840.113556.1.4.1941:=CN=Good User,OU=Test,DC=corp,DC=example,DC=com)",
    "(member:1.2.840.113556.1.4.1941:=CN=poor,OU=Berlin\\5c, Mitte,OU=Offices,DC=corp,DC=example,DC=com)",
    "(member:1.2.840.113556.1.4.1941:=CN=Outer,OU=Offices,DC=corp,DC=example,DC=com)",
    "(member:1.2.840.113556.1.4.1941:=CN=nobody,OU=Offices,DC=corp,DC=example,DC=com)",
    "(memberOf:1.2.840.113556.1.4.1941:=<SID={sid CN=Outer,OU=Offices,DC=corp,DC=example,DC=com}>)",
    "(!(memberOf:1.2.840.113556.1.4.1941:=CN=Outer,OU=Offices,DC=corp,DC=example,DC=com))",
    "(member:1.2.840.113556.1.4.1941:=no name)",
    "(manager:1.2.840.113556.1.4.1941:=CN=Rich\\5c, Person,OU=Berlin\\5c, Mitte,OU=Offices,DC=corp,DC=example,DC=com)",
    "(:1.2.840.113556.1.4.803:=2)",
    "(:dn:2.5.13.2:=Test)",
    "(ou:dn:=Test)",
    "(cn:caseExactMatch:=Good User)",
    "(cn:2.5.13.2:=good user)",
    "(anr=go*)",
    "(anr=*od)",
    "(anr=*)",
    "(!(anr=good))",
    "(&(objectClass=user)(anr=Person R))",
    "(sAMAccountName=*)",
    "(sAMAccountName=g*d)",
    "(sAMAccountName=*o*o*)",
    "(cn=*\\2a*)",
    "(cn=*\\28*)",
    "(cn=  good   user )",
    "(cn=GOOD\\20USER)",
    "(sAMAccountName=ZOË)",
    "(sAMAccountName=zoe)",
    "(sAMAccountName=zoe\\cc\\88)",
    "(cn=*日本*)",
    "(cn=Good User\\00)",
    "(cn=Good User\\00more)",
    "(cn=\\00)",
    "(!(!(sAMAccountName=good)))",
    "(!(!(favouriteColour=x)))",
    "(&(sAMAccountName=good)(favouriteColour=x))",
    "(|(sAMAccountName=good)(favouriteColour=x))",
    "(|(sAMAccountName=good)(cn~=x))",
    "(&(sAMAccountName=nobody)(cn~=x))",
    "(&(cn~=x)(sAMAccountName=nobody))",
    "(|(sAMAccountName=good)(sAMAccountName=good)(cn=Good User))",
    "(isDeleted=TRUE)",
    "(!(isDeleted=TRUE))",
    "(telephoneNumber=+4930123)",
    "(telephoneNumber=+49 30 123)",
];

pub(super) async fn all(asker: &mut Asker<'_>) {
    for (name, values) in ATTRIBUTES {
        // Built-in objects are described in prose, and the controller has names of its own.
        let base = match *name {
            "description" | "servicePrincipalName" => format!("OU=Offices,{BASE}"),
            _ => BASE.to_owned(),
        };
        for filter in once(name, values[0]) {
            asker.search(Search::below(&base, &filter)).await;
        }
        for value in *values {
            for filter in kinds(name, value) {
                asker.search(Search::below(&base, &filter)).await;
            }
        }
    }
    for filter in OTHERS {
        asker.search(Search::below(BASE, filter)).await;
    }
}
