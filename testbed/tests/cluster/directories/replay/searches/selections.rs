//! What is shown of an object: of every kind of object everything, and of some what somebody may select.

use super::request::{Scope, Search};
use super::{Asker, Who};

/// One of each kind, and of people one in each state that shows.
const OBJECTS: [&str; 35] = [
    "CN=Good User,OU=Test",
    "CN=noupn,OU=Test",
    "CN=disabled,OU=Test",
    "CN=acctexpired,OU=Test",
    "CN=acctfuture,OU=Test",
    "CN=mustchange,OU=Test",
    "CN=pwdexpired,OU=Test",
    "CN=neverexpires,OU=Test",
    "CN=logonhours,OU=Test",
    "CN=workstation,OU=Test",
    "CN=smartcard,OU=Test",
    "CN=Zoë Ünïcode 日本,OU=Test",
    "CN=locked,OU=Test",
    "CN=Rich\\, Person,OU=Berlin\\, Mitte,OU=Offices",
    "CN=poor,OU=Berlin\\, Mitte,OU=Offices",
    "CN=Outer,OU=Offices",
    "CN=Innermost,OU=Offices",
    "CN=Local Team,OU=Offices",
    "CN=Everywhere,OU=Offices",
    "CN=Nobody,OU=Offices",
    "OU=Berlin\\, Mitte,OU=Offices",
    "CN=PSO-NoLock,CN=Password Settings Container,CN=System",
    "CN=PSO-Team,CN=Password Settings Container,CN=System",
    "CN=Administrator,CN=Users",
    "CN=Guest,CN=Users",
    "CN=krbtgt,CN=Users",
    "CN=Domain Admins,CN=Users",
    "CN=Domain Users,CN=Users",
    "CN=Administrators,CN=Builtin",
    "CN=Users,CN=Builtin",
    "CN=Users",
    "CN=Builtin",
    "CN=DC1,OU=Domain Controllers",
    "CN=S-1-5-11,CN=ForeignSecurityPrincipals",
    "CN=S-1-5-17,CN=ForeignSecurityPrincipals",
];

const OTHER_OBJECTS: [&str; 12] = [
    "OU=Domain Controllers",
    "CN=System",
    "CN=Password Settings Container,CN=System",
    "CN=AdminSDHolder,CN=System",
    "CN=ForeignSecurityPrincipals",
    "CN=Configuration",
    "CN=Partitions,CN=Configuration",
    "CN=CORP,CN=Partitions,CN=Configuration",
    "CN=Default-First-Site-Name,CN=Sites,CN=Configuration",
    "CN=DC1,CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration",
    "CN=NTDS Settings,CN=DC1,CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration",
    "CN=Schema,CN=Configuration",
];

/// Attributes that are computed.
const COMPUTED: &[&str] = &[
    "msDS-User-Account-Control-Computed",
    "msDS-UserPasswordExpiryTimeComputed",
    // Which the one before it is compared with.
    "pwdLastSet",
    "msDS-ResultantPSO",
    "msDS-KeyVersionNumber",
    "tokenGroups",
    "canonicalName",
    "primaryGroupToken",
    "createTimeStamp",
    "modifyTimeStamp",
    "structuralObjectClass",
    "subSchemaSubEntry",
];

const SELECTIONS: &[&[&str]] = &[
    &["*"],
    &["+"],
    &["*", "+"],
    &["1.1"],
    &["1.1", "cn"],
    &["1.1", "*"],
    &["cn"],
    &["CN", "SAMACCOUNTNAME"],
    &["cn", "cn", "CN"],
    &["2.5.4.3"],
    &["1.2.840.113556.1.4.221", "cn"],
    &["1.2.3.4"],
    &["favouriteColour"],
    &["favouriteColour", "cn"],
    &["cn;binary"],
    &["cn;lang-de"],
    &["objectGUID;binary"],
    &["objectGUID;BINARY"],
    &["memberOf;range=0-*"],
    &["memberOf;range=0-0"],
    &["memberOf;range=1-*"],
    &["memberOf;range=0-99"],
    &["memberOf;range=9-10"],
    &["memberOf;range=x"],
    &["member;range=0-0"],
    &["member;range=0-1"],
    &["member;range=0-*"],
    &["member;Range=0-0"],
    &["member;RANGE=0-*", "cn"],
    &["member;Range=x"],
    &["member;range=0-18446744073709551615"],
    &["cn;range=0-0"],
    &["objectClass;range=0-1"],
    &["objectClass;range=1-2"],
    &["*", "canonicalName"],
    &["*", "msDS-User-Account-Control-Computed"],
    &["distinguishedName"],
    &["name", "objectGUID", "objectSid"],
    &[
        "unicodePwd",
        "dBCSPwd",
        "ntPwdHistory",
        "lmPwdHistory",
        "supplementalCredentials",
        "clearTextPassword",
        "userPassword",
    ],
    &["nTSecurityDescriptor"],
    &["replPropertyMetaData", "parentGUID"],
    &["allowedAttributes"],
    &["allowedAttributesEffective", "allowedChildClasses", "sDRightsEffective"],
    &[
        "entryUUID",
        "entryDN",
        "hasSubordinates",
        "numSubordinates",
        "entryTTL",
        "modifiersName",
    ],
    &["attributeTypes", "objectClasses", "subschemaSubentry"],
    &[
        "msDS-Approx-Immed-Subordinates",
        "msDS-Auxiliary-Classes",
        "msDS-isRODC",
        "fromEntry",
    ],
    &["tokenGroupsGlobalAndUniversal", "tokenGroupsNoGCAcceptable"],
    &["msDS-PrincipalName", "possibleInferiors"],
    &["msDS-MemberOfTransitive", "msDS-memberTransitive"],
    &[
        "lockoutTime",
        "badPwdCount",
        "badPasswordTime",
        "lastLogon",
        "logonCount",
        "pwdLastSet",
        "lastLogonTimestamp",
    ],
    &["isDeleted", "lastKnownParent"],
    &["directReports", "manager"],
    &["", "cn"],
    &[" cn"],
    &["@ATTRIBUTES"],
    &["cn", "*", "cn"],
];

/// Those of which the selections are asked.
const SELECTED: [&str; 5] = [
    "CN=Good User,OU=Test",
    "CN=Rich\\, Person,OU=Berlin\\, Mitte,OU=Offices",
    "CN=Outer,OU=Offices",
    "CN=Administrators,CN=Builtin",
    "OU=Test",
];

pub(super) async fn all(asker: &mut Asker<'_>) {
    let at = |place: &str| format!("{place},{}", super::super::domain::BASE);
    for place in OBJECTS.iter().chain(&OTHER_OBJECTS) {
        // Samba shows ordinary users less of it than anybody needs who looks for suffixes of principal names.
        if *place == "CN=Partitions,CN=Configuration" && asker.who == Who::Ordinary {
            continue;
        }
        asker.search(Search::of(&at(place), &[])).await;
        asker.search(Search::of(&at(place), COMPUTED)).await;
    }
    let root = super::super::domain::BASE;
    asker.search(Search::of(root, &[])).await;
    asker.search(Search::of(root, COMPUTED)).await;
    for place in SELECTED {
        for selection in SELECTIONS {
            asker.search(Search::of(&at(place), selection)).await;
        }
        for selection in [&["cn", "memberOf", "objectClass"][..], &["*"], &["canonicalName"]] {
            let types_only = Search {
                types_only: true,
                ..Search::of(&at(place), selection)
            };
            asker.search(types_only).await;
        }
    }
    // Some are computed of the base alone.
    for attribute in COMPUTED {
        let search = Search::below(&at("OU=Offices"), "(objectClass=*)");
        asker.search(search.clone().showing(&[attribute])).await;
        asker
            .search(search.within(Scope::OneLevel).showing(&["cn", attribute]))
            .await;
    }
}
