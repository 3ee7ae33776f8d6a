//! What of two answers need not be the same, and why. Whatever is not named here has to be.

use super::super::domain::BASE;
use super::landscape::Landscape;

/// Where Samba has objects that mock-dc does not: none of them is a person, a group or a policy, and none signs in.
const PLACES: [(&str, &str); 15] = [
    (
        "CN=dns-DC1,CN=Users",
        "an account of a service that Samba would offer itself",
    ),
    (
        "CN=System",
        "containers of services that nobody asks: DNS, DFS, file replication, group policy",
    ),
    (
        "CN=Configuration",
        "display specifiers, extended rights, the schema's thousands of objects",
    ),
    (
        "CN=Enterprise Configuration,CN=Partitions,CN=Configuration",
        "names of a naming context in which nobody signs in",
    ),
    (
        "CN=Enterprise Schema,CN=Partitions,CN=Configuration",
        "names of a naming context in which nobody signs in",
    ),
    (
        "CN=Subnets,CN=Sites,CN=Configuration",
        "which addresses are of which site",
    ),
    (
        "CN=Inter-Site Transports,CN=Sites,CN=Configuration",
        "how sites replicate with each other",
    ),
    (
        "CN=NTDS Site Settings,CN=Default-First-Site-Name,CN=Sites,CN=Configuration",
        "how controllers of a site replicate with each other",
    ),
    ("CN=Program Data", "other programs' data"),
    (
        "CN=RID Set,CN=DC1,OU=Domain Controllers",
        "which identifiers a controller may give next",
    ),
    ("CN=Infrastructure", "who holds a role that has nothing to do here"),
    ("CN=LostAndFound", "where replication puts what it cannot place"),
    ("CN=NTDS Quotas", "how many objects somebody may own"),
    ("CN=TPM Devices", "what Windows keeps of machines' security chips"),
    ("CN=Deleted Objects", "nothing is ever deleted here"),
];

/// What clients look at below those places: policies for passwords, the domain's names, controllers by site.
const LOOKED_AT: [&str; 3] = [
    "CN=Password Settings Container,CN=System",
    "CN=Partitions,CN=Configuration",
    "CN=Sites,CN=Configuration",
];

/// Attributes that Samba alone has. None of them says anything of signing in.
const NOT_HELD: [(&[&str], &str); 4] = [
    (
        &[
            "replPropertyMetaData",
            "replUpToDateVector",
            "invocationId",
            "subRefs",
            "nTSecurityDescriptor",
            "sDRightsEffective",
            "allowedAttributes",
            "allowedAttributesEffective",
            "allowedChildClasses",
            "allowedChildClassesEffective",
        ],
        "the insides of replication, of access control and of the schema, of which mock-dc has none",
    ),
    (
        &[
            "dMDLocation",
            "gPLink",
            "hasMasterNCs",
            "localPolicyFlags",
            "masteredBy",
            "msDS-HasDomainNCs",
            "msDS-HasInstantiatedNCs",
            "msDS-hasMasterNCs",
            "msDS-IsDomainFor",
            "msDs-masteredBy",
            "msDS-NcType",
            "msDS-SupportedEncryptionTypes",
            "objectVersion",
            "operatingSystem",
            "operatingSystemVersion",
            "options",
            "otherWellKnownObjects",
            "prefixMap",
            "rIDManagerReference",
            "rIDSetReferences",
            "schemaInfo",
            "serverReference",
            "serverReferenceBL",
            "wellKnownObjects",
        ],
        "what controllers know of themselves and of each other",
    ),
    (
        &[
            "auditingPolicy",
            "creationTime",
            "forceLogoff",
            "modifiedCount",
            "modifiedCountAtLastProm",
            "msDS-AllUsersTrustQuota",
            "msDS-PerUserTrustQuota",
            "msDS-PerUserTrustTombstonesQuota",
            "nextRid",
            "oEMInformation",
            "serverState",
            "uASCompat",
        ],
        "what is left of Windows NT and of trusts in a domain's own object",
    ),
    (
        &["msDS-KeyVersionNumber"],
        "which of its keys an account's Kerberos tickets are made with",
    ),
];

/// The same of some objects: attributes, where the objects are, why.
const NOT_HELD_BY: [(&[&str], &str, &str); 4] = [
    (
        &["servicePrincipalName"],
        "CN=DC1,OU=Domain Controllers",
        "the controller's own services, which register their names one by one",
    ),
    (
        &[
            "lockoutDuration",
            "lockOutObservationWindow",
            "lockoutThreshold",
            "maxPwdAge",
            "minPwdAge",
            "minPwdLength",
            "pwdHistoryLength",
            "pwdProperties",
        ],
        "CN=Builtin",
        "a policy of the built-in domain, in which nobody has an account",
    ),
    (
        &["description"],
        "",
        "prose about built-in objects, which is another in every language",
    ),
    (
        &["systemFlags"],
        "CN=Configuration",
        "what of the configuration can be deleted",
    ),
];

/// Attributes that tell when something was done: not what, and the two were not founded at the same moment.
const MOMENTS: [&str; 13] = [
    "whenCreated",
    "whenChanged",
    "createTimeStamp",
    "modifyTimeStamp",
    "uSNCreated",
    "uSNChanged",
    "pwdLastSet",
    "lastLogon",
    "lastLogonTimestamp",
    "badPasswordTime",
    "creationTime",
    "currentTime",
    "highestCommittedUSN",
];

/// Whether one of the two may have this object alone.
pub(super) fn may_be_alone(name: &str) -> bool {
    let is_within = |place: &str| {
        let place = format!("{place},{BASE}");
        name == place || name.ends_with(&format!(",{place}"))
    };
    let looked_at = LOOKED_AT.iter().find(|place| is_within(place));
    PLACES.iter().any(|(place, _)| {
        // An excuse for a whole tree is none for what clients look at in it.
        is_within(place) && looked_at.is_none_or(|kept| place.ends_with(kept))
    })
}

/// Whether an attribute of an object need not be the same.
fn is_excused(object: &str, attribute: &str) -> bool {
    let own = ["OU=Test", "OU=Offices"];
    let is_own = own.iter().any(|unit| object.ends_with(&format!("{unit},{BASE}")));
    let names = |list: &[&str]| list.iter().any(|name| name.eq_ignore_ascii_case(attribute));
    NOT_HELD.iter().any(|(list, _)| names(list))
        || NOT_HELD_BY
            .iter()
            .any(|(list, place, _)| names(list) && !is_own && object.contains(place))
}

/// The values of an object's attribute as far as they have to be the same; `None` if they need not at all. `set`: the
/// entry's pwdLastSet, where it is shown.
pub(super) fn shown(
    object: &str,
    (attribute, values): (&str, &[Vec<u8>]),
    set: Option<&[u8]>,
    landscape: &Landscape,
) -> Option<String> {
    let (name, _) = attribute.split_once(';').unwrap_or((attribute, ""));
    if is_excused(object, name) {
        return None;
    }
    let is = |list: &[&str]| list.iter().any(|own| own.eq_ignore_ascii_case(name));
    let value = |value: &Vec<u8>| match value.as_slice() {
        // Never, and not yet.
        b"0" | b"9223372036854775807" => landscape.shown(value),
        _ if is(&MOMENTS) => "a moment".to_owned(),
        // How long the password lives, which has to be the same.
        _ if is(&["msDS-UserPasswordExpiryTimeComputed"]) => match set.and_then(number).zip(number(value)) {
            Some((set, expires)) => format!("{} behind pwdLastSet", expires - set),
            None => "a moment".to_owned(),
        },
        _ if is(&["primaryGroupToken"]) => landscape.whose_rid(value),
        _ => landscape.shown(value),
    };
    let mut shown: Vec<_> = values.iter().map(value).collect();
    // The other attributes are sets (RFC 4511 4.1.7); classes come from the most general one.
    if name != "objectClass" {
        shown.sort();
    }
    // Which of a set are the first is up to the server.
    match attribute.contains(";range=") && name != "objectClass" {
        true => Some(format!("{} values", shown.len())),
        false => Some(shown.join(" | ")),
    }
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
