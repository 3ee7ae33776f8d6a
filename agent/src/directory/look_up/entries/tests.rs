//! What the entries of a search mean.

use super::*;

fn entry(dn: &str, attributes: &[(&str, &[&[u8]])]) -> Entry {
    let attributes = attributes.iter().map(|(name, values)| {
        let values = values.iter().map(|value| value.to_vec()).collect();
        ((*name).to_owned(), values)
    });
    Entry::new(dn.to_owned(), attributes.collect())
}

fn found(entries: Vec<Entry>, more: bool) -> Found {
    Found { entries, more }
}

#[test]
fn exactly_one_entry_is_a_match_whatever_its_dn_looks_like() {
    for dn in [
        "CN=Ada,CN=Users,DC=corp,DC=example,DC=com",
        "CN=Lovelace\\, Ada \\\"\\+\\\\<b>*(x),OU=Zoë,DC=corp",
        "uid=ada+cn=a\\20,dc=corp",
    ] {
        let Match::One { dn: bound, .. } = judge(found(vec![entry(dn, &[])], false)) else {
            panic!("{dn}")
        };
        assert_eq!(bound, dn);
    }
}

#[test]
fn none_and_more_than_one_are_no_match() {
    let one = || entry("cn=a", &[]);
    assert_eq!(judge(found(Vec::new(), false)), Match::None);
    for (entries, more) in [(vec![one(), one()], false), (vec![one()], true), (Vec::new(), true)] {
        assert_eq!(judge(found(entries, more)), Match::Several);
    }
}

#[test]
fn a_dn_that_would_make_the_bind_anonymous_or_another_kind_of_name_is_not_used() {
    for dn in ["", " ", "ada", "ada@corp.example.com", "CORP\\ada", "cn=a\0", " cn=a"] {
        assert_eq!(judge(found(vec![entry(dn, &[])], false)), Match::Unusable, "{dn:?}");
    }
}

#[test]
fn the_subject_is_the_object_guid_or_else_the_entry_uuid_and_the_upn() {
    let guid = [7_u8; 16];
    let uuid = b"597ae2f6-16a6-1027-98f4-d28b5365dc14".as_slice();
    let upn = "zoë@corp.example.com".as_bytes();
    let ad = subject(&entry(
        "cn=a",
        &[("objectguid", &[&guid]), ("userPrincipalName", &[upn])],
    ))
    .unwrap();
    assert_eq!((ad.object_guid, ad.entry_uuid), (Some(guid), None));
    assert_eq!(ad.upn.as_deref(), Some("zoë@corp.example.com"));
    let other = subject(&entry("cn=a", &[("entryUUID", &[uuid])])).unwrap();
    assert_eq!((other.object_guid, other.upn), (None, None));
    assert_eq!(other.entry_uuid.as_deref().map(str::as_bytes), Some(uuid));
}

#[test]
fn what_cannot_be_a_subject_is_left_out() {
    let short = [7_u8; 15];
    for attributes in [
        &[][..],
        &[("objectGUID", &[&short[..]][..])],
        &[("entryUUID", &[b"a".as_slice(), b"b"])],
        &[("entryUUID", &[b"<a>".as_slice()])],
        &[("userPrincipalName", &[b"a@b".as_slice()])],
    ] {
        assert_eq!(subject(&entry("cn=a", attributes)), None, "{attributes:?}");
    }
}

#[test]
fn whoever_is_seen_is_somebody_unless_it_is_the_account_that_asks() {
    let svc: (&str, &[&[u8]]) = ("sAMAccountName", &[b"Svc"]);
    let upn: (&str, &[&[u8]]) = ("userPrincipalName", &[b"svc@corp.example.com"]);
    for (account, dn, attributes) in [
        (Some("cn=svc,dc=corp"), "CN=Svc, DC = corp", &[][..]),
        (Some("SVC@corp.example.com"), "CN=a,DC=corp", &[upn]),
        (Some("svc@corp.example.com"), "CN=a,DC=corp", &[svc]),
        (Some("CORP\\svc"), "CN=a,DC=corp", &[svc]),
    ] {
        let itself = || entry(dn, attributes);
        assert_eq!(
            somebody_else(&found(vec![itself()], false), account),
            None,
            "{account:?}"
        );
        assert_eq!(somebody_else(&found(vec![itself()], false), None).as_deref(), Some(dn));
        let two = found(vec![itself(), entry("CN=b", &[])], true);
        assert_eq!(somebody_else(&two, account).as_deref(), Some("CN=b"));
    }
    assert_eq!(somebody_else(&found(Vec::new(), true), None), None);
}

#[test]
fn the_account_that_asks_is_known_however_its_name_is_written() {
    let seen = |dn: &str, account: &str| {
        let entry = Entry::new(dn.to_owned(), Vec::new());
        somebody_else(&found(vec![entry], false), Some(account))
    };
    let account = "CN=svc\\, Postern, OU=Dienst\\2B\\c3\\a4,DC=corp";
    for itself in [
        "cn=svc\\2C postern,ou=dienst\\+ä,dc=corp",
        "cn=SVC\\2c Postern , ou=Dienst\\2bä, dc=corp",
        account,
    ] {
        assert_eq!(seen(itself, account), None, "{itself}");
    }
    for another in [
        "cn=svc postern,ou=dienst\\+ä,dc=corp",
        "cn=svc,cn=postern,ou=dienst\\+ä,dc=corp",
    ] {
        assert_eq!(seen(another, account).as_deref(), Some(another));
    }
}
