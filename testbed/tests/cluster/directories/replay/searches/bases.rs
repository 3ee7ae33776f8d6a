//! Where a search begins and how far it goes: the RootDSE, scopes, forms of names, other naming contexts; who may ask; and
//! comparisons.

use super::super::domain::BASE;
use super::request::{Control, Scope, Search, compare, extended};
use super::{Asker, Who};

const SCOPES: [Scope; 4] = [Scope::Base, Scope::OneLevel, Scope::Subtree, Scope::Within];

/// What every client reads first.
pub(super) async fn root_dse(asker: &mut Asker<'_>) {
    for attributes in [
        &[][..],
        &["*"],
        &["+"],
        &["*", "+"],
        &["1.1"],
        &["1.1", "dnsHostName"],
        &["defaultNamingContext", "NAMINGCONTEXTS", "namingContexts"],
        &["supportedControl", "supportedExtension", "supportedCapabilities"],
        &[
            "supportedLDAPVersion",
            "supportedSASLMechanisms",
            "supportedLDAPPolicies",
        ],
        &["subschemaSubentry", "currentTime", "highestCommittedUSN"],
        &["objectClass"],
        &["favouriteColour"],
        &["distinguishedName", "canonicalName"],
        &["msDS-isRODC", "supportedRootDSE"],
        &["2.5.4.0", "dnsHostName;binary"],
    ] {
        asker.search(Search::of("", attributes)).await;
    }
    for filter in [
        "(objectClass=top)",
        "(objectClass=person)",
        "(!(objectClass=*))",
        "(cn=*)",
        "(dnsHostName=*)",
        "(dnsHostName=DC1.corp.example.com)",
        "(dnsHostName=nobody)",
        "(supportedLDAPVersion=3)",
        "(supportedLDAPVersion=9)",
        "(favouriteColour=blue)",
        "(&)",
        "(|)",
        "(&(objectClass=*)(dnsHostName=*))",
        "(defaultNamingContext=DC=corp,DC=example,DC=com)",
        "(isSynchronized~=TRUE)",
    ] {
        asker.search(Search::below("", filter).within(Scope::Base)).await;
    }
    for scope in SCOPES {
        asker.search(Search::below("", "(objectClass=*)").within(scope)).await;
    }
    let types_only = Search {
        types_only: true,
        ..Search::of("", &["dnsHostName", "namingContexts"])
    };
    asker.search(types_only).await;
    asker
        .search(Search::of("", &["dnsHostName"]).with(Control::critical("1.2.3.4", None)))
        .await;
    asker
        .search(Search::of("", &["dnsHostName"]).with(Control::page(1, b"")))
        .await;
}

/// Every container in every scope.
pub(super) async fn everywhere(asker: &mut Asker<'_>) {
    for place in [
        "",
        "OU=Test,",
        "OU=Offices,",
        "OU=Berlin\\, Mitte,OU=Offices,",
        "CN=Users,",
        "CN=Builtin,",
        "CN=Computers,",
        "CN=ForeignSecurityPrincipals,",
        "OU=Domain Controllers,",
        "CN=Password Settings Container,CN=System,",
        "CN=Good User,OU=Test,",
        "OU=Nowhere,",
        "CN=Configuration,",
        "CN=Partitions,CN=Configuration,",
        "CN=Sites,CN=Configuration,",
        "CN=Schema,CN=Configuration,",
    ] {
        for scope in SCOPES {
            // The schema's thousands would say nothing more.
            let filter = match place {
                "CN=Schema,CN=Configuration," | "CN=Configuration," => "(|(objectClass=dMD)(objectClass=crossRef))",
                _ => "(objectClass=*)",
            };
            asker
                .search(Search::below(&format!("{place}{BASE}"), filter).within(scope))
                .await;
        }
    }
}

/// What nobody may ask who has not signed in.
pub(super) async fn unasked(asker: &mut Asker<'_>) {
    assert_eq!(asker.who, Who::Nobody);
    for base in [
        BASE,
        "DC=other",
        "no name",
        "<GUID=0>",
        "CN=nobody,DC=corp,DC=example,DC=com",
    ] {
        for filter in ["(objectClass=*)", "(favouriteColour=x)", "(cn~=x)"] {
            asker.search(Search::below(base, filter)).await;
        }
        asker
            .search(Search::below(base, "(cn=x)").with(Control::page(1, b"")))
            .await;
        asker
            .other(&format!("compare {base}"), |landscape| {
                compare(base, "cn", "x", landscape)
            })
            .await;
    }
}

/// Ways to write where a search begins.
pub(super) async fn forms(asker: &mut Asker<'_>) {
    let good = "CN=Good User,OU=Test,DC=corp,DC=example,DC=com";
    let rich = "CN=Rich\\, Person,OU=Berlin\\, Mitte,OU=Offices,DC=corp,DC=example,DC=com";
    for base in [
        good,
        "cn=good user,ou=test,dc=corp,dc=example,dc=com",
        "CN = Good User , OU = Test , DC = corp,DC=example,DC=com",
        " CN=Good User,OU=Test,DC=corp,DC=example,DC=com ",
        "CN=Good  User,OU=Test,DC=corp,DC=example,DC=com",
        "CN=\"Good User\",OU=Test,DC=corp,DC=example,DC=com",
        "CN=Good User;OU=Test;DC=corp;DC=example;DC=com",
        "CN=\\47ood User,OU=Test,DC=corp,DC=example,DC=com",
        "CN=#476f6f642055736572,OU=Test,DC=corp,DC=example,DC=com",
        "2.5.4.3=Good User,OU=Test,DC=corp,DC=example,DC=com",
        "OID.2.5.4.3=Good User,OU=Test,DC=corp,DC=example,DC=com",
        "CN=Good User+SN=User,OU=Test,DC=corp,DC=example,DC=com",
        "OU=Good User,OU=Test,DC=corp,DC=example,DC=com",
        "CN=Good User,OU=Test,DC=corp,DC=example,DC=com,",
        "CN=Good User,,OU=Test,DC=corp,DC=example,DC=com",
        ",CN=Good User,OU=Test,DC=corp,DC=example,DC=com",
        "CN=Good User",
        "CN=Rich\\2C Person,OU=Berlin\\2c Mitte,OU=Offices,DC=corp,DC=example,DC=com",
        rich,
        "CN=Rich, Person,OU=Offices,DC=corp,DC=example,DC=com",
        "CN=nobody,OU=Test,DC=corp,DC=example,DC=com",
        "CN=nobody,OU=Nowhere,DC=corp,DC=example,DC=com",
        "CN=below,CN=Good User,OU=Test,DC=corp,DC=example,DC=com",
        "DC=example,DC=com",
        "DC=com",
        "DC=other,DC=com",
        "DC=sub,DC=corp,DC=example,DC=com",
        "no name",
        "=",
        "CN=",
        "CN=,DC=corp,DC=example,DC=com",
        "CN=\\zz,DC=corp,DC=example,DC=com",
        "favouriteColour=blue,DC=corp,DC=example,DC=com",
        "corp.example.com/Test/Good User",
        "good@corp.example.com",
        "CORP\\good",
        "<GUID={guid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}>",
        "<guid={guid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}>",
        "<GUID={guid-digits CN=Good User,OU=Test,DC=corp,DC=example,DC=com}>",
        "<GUID={guid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}>;CN=elsewhere",
        "<GUID={guid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}> ",
        " <GUID={guid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}>",
        "<GUID={guid OU=Test,DC=corp,DC=example,DC=com}>",
        "<GUID={guid DC=corp,DC=example,DC=com}>",
        "<GUID=00000000-0000-0000-0000-000000000001>",
        "<GUID=no guid>",
        "<GUID=>",
        "<SID={sid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}>",
        "<SID={sid-digits CN=Good User,OU=Test,DC=corp,DC=example,DC=com}>",
        "<SID={sid DC=corp,DC=example,DC=com}>",
        "<SID=S-1-5-32-544>",
        "<SID=S-1-5-21-1-2-3-4>",
        "<SID=no identifier>",
        "<WKGUID=a9d1ca15768811d1aded00c04fd8d5cd,DC=corp,DC=example,DC=com>",
        "<WKGUID=A9D1CA15768811D1ADED00C04FD8D5CD,DC=corp,DC=example,DC=com>",
        "<WKGUID=aa312825768811d1aded00c04fd8d5cd,DC=corp,DC=example,DC=com>",
        "<WKGUID=1eb93889e40c45df9f0c64d23bbb6237,DC=corp,DC=example,DC=com>",
        "<WKGUID=00000000000000000000000000000001,DC=corp,DC=example,DC=com>",
        "<WKGUID=a9d1ca15768811d1aded00c04fd8d5cd,OU=Test,DC=corp,DC=example,DC=com>",
        "<WKGUID=a9d1ca15768811d1aded00c04fd8d5cd,DC=other>",
        "<WKGUID=no guid,DC=corp,DC=example,DC=com>",
        "<WKGUID=a9d1ca15768811d1aded00c04fd8d5cd>",
        "<>",
        "<NAME=x>",
        "<GUID={guid DC=corp,DC=example,DC=com}",
    ] {
        asker.search(Search::of(base, &["1.1"])).await;
        asker.search(Search::below(base, "(cn=Good User)")).await;
    }
    // An object is found only where it is meant.
    for filter in [
        "(cn=Good User)",
        "(cn=nobody)",
        "(objectClass=group)",
        "(favouriteColour=x)",
    ] {
        asker.search(Search::below(good, filter).within(Scope::Base)).await;
        asker.search(Search::below(rich, filter)).await;
    }
}

/// What an entry is asked for by comparing, and the operations that are no search.
pub(super) async fn comparisons(asker: &mut Asker<'_>) {
    let good = "CN=Good User,OU=Test,DC=corp,DC=example,DC=com";
    for (base, attribute, value) in [
        (good, "sAMAccountName", "GOOD"),
        (good, "sAMAccountName", "bad"),
        (good, "userAccountControl", "512"),
        (good, "userAccountControl", "513"),
        (good, "memberOf", "CN=Outer,OU=Offices,DC=corp,DC=example,DC=com"),
        (good, "memberOf", "cn=outer,ou=offices,dc=corp,dc=example,dc=com"),
        (good, "objectClass", "person"),
        (
            good,
            "objectGUID",
            "{guid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}",
        ),
        // Not in bytes: Samba makes a filter of what is compared, and takes some bytes for signs of the filter.
        (
            good,
            "objectSid",
            "{sid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}",
        ),
        (good, "description", "x"),
        (good, "favouriteColour", "x"),
        (good, "canonicalName", "corp.example.com/Test/Good User"),
        (good, "unicodePwd", "x"),
        (good, "cn", ""),
        (good, "", "x"),
        ("CN=nobody,OU=Test,DC=corp,DC=example,DC=com", "cn", "nobody"),
        ("no name", "cn", "x"),
        ("", "dnsHostName", "DC1.corp.example.com"),
        ("", "dnsHostName", "x"),
        ("", "objectClass", "top"),
        (BASE, "dc", "corp"),
        (
            "<GUID={guid CN=Good User,OU=Test,DC=corp,DC=example,DC=com}>",
            "cn",
            "Good User",
        ),
    ] {
        asker
            .other(&format!("compare {base} {attribute}={value}"), |landscape| {
                compare(base, attribute, value, landscape)
            })
            .await;
    }
    for oid in [
        "1.3.6.1.4.1.4203.1.11.3",
        "1.2.840.113556.1.4.1781",
        "1.3.6.1.4.1.1466.101.119.1",
        "1.2.3",
        "x",
        "",
    ] {
        asker.other(&format!("extended {oid}"), |_| extended(oid)).await;
    }
}
